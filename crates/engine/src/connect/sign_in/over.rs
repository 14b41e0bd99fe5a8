//! Sign-ins that end by themselves: with what they rest on, with their time, or because nobody answered.

use std::time::Duration;

use grantry_core::{Error, Result};

use crate::Engine;

/// How long a sign-in that nobody redeemed is kept beyond its time: until whatever its provider still says has come.
const KEEP_UNREDEEMED: Duration = Duration::from_secs(600);
/// Rows looked at, or dropped, at once, and how long the node that does it may take for that.
const BATCH: u32 = 1000;
const LEASE: Duration = Duration::from_secs(60);

impl Engine {
    /// Background work, of one node at a time. Until it has come by, what a session rests on is asked for whenever the
    /// session is used ([`grantry_core::store::SignInStore::session`]); this ends what was known of its person.
    pub(crate) async fn end_sign_ins(&self) -> Result<()> {
        let store = &self.ports.store;
        let mine = async || {
            let mine = store.lease("sign_ins", &self.settings.node, LEASE).await?;
            Ok::<_, Error>(mine && !self.stop.is_cancelled())
        };
        let mut behind = None;
        while mine().await? {
            let now = self.now();
            behind = store.end_lost_sign_ins(now, behind.as_ref(), BATCH).await?;
            if behind.is_none() {
                break;
            }
        }
        while mine().await? {
            let before = self.now().before(KEEP_UNREDEEMED);
            let gone = store.drop_unredeemed_sign_ins(before, BATCH).await?;
            if gone < u64::from(BATCH) {
                break;
            }
        }
        Ok(())
    }
}

//! Accounts, teams, people, projects, keys and services, one at a time, as the native API changes them.
//! What a whole file declares is `apply`'s.

/// A row as it is after a change: read, changed, written if it is still as it was read, again from the
/// start when another change came between. Nothing is written when the change makes no difference.
macro_rules! changed {
    ($old:ident = $read:expr, $new:ident = $make:expr, $write:expr) => {{
        let mut tries = 0;
        loop {
            let $old = $read;
            let $new = $make;
            if $new == $old {
                break $new;
            }
            match $write.await {
                Ok(()) => break $new,
                Err(grantry_core::StoreError::Missing(_)) if tries < $crate::tenancy::RACES_MAX => {
                    tries += 1;
                }
                Err(grantry_core::StoreError::Missing(what)) => {
                    let message = format!("{what} is being changed by others: try again");
                    return Err(grantry_core::Error::busy(message));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }};
}
pub(crate) use changed;

mod accounts;
mod checks;
mod identity;
mod invites;
mod keys;
mod me;
mod members;
mod projects;
mod services;
mod teams;
mod users;

use grantry_core::nouns::EventKind;

pub use identity::{Identity, Seat};
pub use invites::NewInvite;
pub use keys::{KEY_BYTES_WANTED, KeyPatch, KeyPlace, NewKey, hint_of};
pub use me::Me;
pub(crate) use members::or_last_owner;
pub use projects::{NewProject, ProjectPatch};
pub use services::ServiceView;
pub use teams::{NewTeam, TeamPatch};
pub use users::{NewUser, UserPatch};

use crate::events::Draft;
use crate::{Engine, Steward};

/// How often a change starts again because another one came between.
pub(crate) const RACES_MAX: u32 = 3;

/// Rows that a refusal names at most.
const NAMED_MAX: u32 = 20;

impl Engine {
    /// An event above teams.
    fn steward_draft(&self, kind: EventKind, steward: &Steward) -> Draft {
        let draft = Draft::new(
            kind,
            None,
            steward.actor.clone(),
            self.now(),
            self.entropy(),
        );
        match &steward.account {
            Some(account) => draft.with("account", account.as_str()),
            None => draft,
        }
    }
}

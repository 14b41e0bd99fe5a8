//! The keys that sign our own tokens, and their rotation.
//!
//! A key is published before it signs, so that a verifier which keeps our key set for a while has it in
//! time; it signs until a later one does; it is believed until the last token that it can have signed
//! has ended. All of it follows from the times of the stored keys ([`timetable`]), of each purpose for itself: the proofs
//! of workloads and the tokens of sign-ins have keys, key sets and issuers of their own, because their claims are not
//! equally ours to choose.

use std::time::Duration;

use grantry_core::ids::TeamId;
use grantry_core::limits;
use grantry_core::nouns::{Actor, Event, EventKind};
use grantry_core::store::{SigningKey as Row, SigningPurpose};
use grantry_core::{Error, Result, StoreError, Timestamp};
use grantry_vault::envelope::Place;
use grantry_vault::jws::{SigningAlgorithm, SigningKey};
use grantry_vault::ring::SERVER;
use serde_json::{Value, json};

use crate::events::Draft;
use crate::permissions::Act;
use crate::{Engine, Steward};

/// How far the clocks of two nodes may be apart: a key is believed this much longer.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

/// What a signing key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyState {
    /// Published, and will sign.
    Pending,
    /// Signs.
    Active,
    /// Signs no more; its tokens are believed until they end.
    Verifying,
}

impl SigningKeyState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Verifying => "verifying",
        }
    }
}

/// A published signing key.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedKey {
    /// What the headers of its tokens call it.
    pub kid: String,
    /// What it signs.
    pub purpose: SigningPurpose,
    /// What it does.
    pub state: SigningKeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When the last of its tokens ends; unknown while no other key follows it.
    pub verifies_until: Option<Timestamp>,
}

/// A stored key and what it does.
struct Standing {
    row: Row,
    state: SigningKeyState,
    until: Option<Timestamp>,
}

/// What each of `rows`, by the time from which they sign, does at `now`. One of them signs: the last
/// whose time has come, else the first.
fn timetable(rows: Vec<Row>, now: Timestamp) -> Vec<Standing> {
    let come = rows.iter().take_while(|row| row.signs_from <= now).count();
    let active = come.saturating_sub(1);
    let followed: Vec<Option<Timestamp>> = rows
        .iter()
        .skip(1)
        .map(|next| Some(next.signs_from))
        .chain([None])
        .collect();
    let standing = |(at, (row, next)): (usize, (Row, Option<Timestamp>))| Standing {
        row,
        state: match at.cmp(&active) {
            std::cmp::Ordering::Less => SigningKeyState::Verifying,
            std::cmp::Ordering::Equal => SigningKeyState::Active,
            std::cmp::Ordering::Greater => SigningKeyState::Pending,
        },
        until: next.map(|next| next.after(limits::WORKLOAD_TOKEN_TIME_MAX + CLOCKS_APART)),
    };
    let all = rows.into_iter().zip(followed).enumerate().map(standing);
    all.collect()
}

impl Standing {
    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl From<&Standing> for PublishedKey {
    fn from(key: &Standing) -> Self {
        Self {
            kid: key.row.kid.clone(),
            purpose: key.row.purpose,
            state: key.state,
            created_at: key.row.created_at,
            signs_from: key.row.signs_from,
            verifies_until: key.until,
        }
    }
}

impl Engine {
    /// The public keys of our issuer for `purpose`, as a JWK set (RFC 7517 §5).
    pub async fn jwks(&self, purpose: SigningPurpose) -> Result<Value> {
        self.active_key(purpose).await?;
        let keys = self.public_keys(purpose).await?;
        Ok(json!({ "keys": keys }))
    }

    /// The signing keys of each purpose, by the time from which they sign.
    pub async fn published_keys(&self, steward: &Steward) -> Result<Vec<PublishedKey>> {
        steward.require(Act::ManageServer)?;
        let mut keys = vec![];
        for purpose in SigningPurpose::ALL {
            keys.extend(self.timetable(purpose).await?);
        }
        Ok(keys.iter().map(PublishedKey::from).collect())
    }

    /// Makes and publishes a key for tokens of this purpose that signs in `lead` (the deployment's own when absent).
    ///
    /// Errors: [`Error::Conflict`] while another key waits to sign that long or longer, or is made by
    /// somebody else at this moment.
    pub async fn rotate_signing_key(
        &self,
        steward: &Steward,
        purpose: SigningPurpose,
        lead: Option<Duration>,
    ) -> Result<PublishedKey> {
        steward.require(Act::ManageServer)?;
        let lead = lead.unwrap_or(self.settings.workload.signing_key_lead);
        self.active_key(purpose).await?;
        self.add_key(purpose, lead, steward.actor.clone()).await
    }

    /// Ends the key `kid` now, and with it every token that it signed: on this node at once, on the
    /// others within 2 s. Where it was the only one for workloads, another one is made; for sign-ins, when
    /// one is needed.
    pub async fn retire_signing_key(&self, steward: &Steward, kid: &str) -> Result<()> {
        steward.require(Act::ManageServer)?;
        let actor = steward.actor.clone();
        let event = self.event_of_key(EventKind::SigningKeyRetired, kid, actor);
        let store = &self.ports.store;
        if !store
            .retire_signing_key(kid, self.now(), None, &event)
            .await?
        {
            return Err(Error::NotFound("signing key"));
        }
        self.caches.callers.clear();
        self.active_key(SigningPurpose::Workload).await?;
        Ok(())
    }

    /// Background work: ends keys whose tokens have all ended, and makes a new one when the deployment
    /// wants that at the age of the newest.
    pub(crate) async fn tend_signing_keys(&self) -> Result<()> {
        for purpose in SigningPurpose::ALL {
            self.tend_keys_of(purpose).await?;
        }
        Ok(())
    }

    async fn tend_keys_of(&self, purpose: SigningPurpose) -> Result<()> {
        let (store, now) = (&self.ports.store, self.now());
        let rows = store.signing_keys(purpose).await?;
        let newest = rows.last().map(|row| row.signs_from);
        for key in timetable(rows, now).iter().filter(|key| key.is_over(now)) {
            let kid = &key.row.kid;
            let event = self.event_of_key(EventKind::SigningKeyRetired, kid, Actor::System);
            // Another node may have been faster, or this one's clock be ahead.
            store
                .retire_signing_key(kid, now, key.until, &event)
                .await?;
        }
        let age = self.settings.workload.signing_key_age;
        if newest
            .zip(age)
            .is_some_and(|(from, age)| from.after(age) <= now)
        {
            let lead = self.settings.workload.signing_key_lead;
            match self.add_key(purpose, lead, Actor::System).await {
                Ok(made) => {
                    tracing::info!(kid = made.kid, signs_from = %made.signs_from, "a new signing key is published")
                }
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The public keys that tokens of ours for `purpose` may be signed by.
    pub(crate) async fn public_keys(&self, purpose: SigningPurpose) -> Result<Vec<Value>> {
        let keys = self.timetable(purpose).await?;
        Ok(keys.into_iter().map(|key| key.row.public_jwk).collect())
    }

    /// The key that signs for `purpose` now.
    pub(crate) async fn signing_key(&self, purpose: SigningPurpose) -> Result<SigningKey> {
        let row = self.active_key(purpose).await?;
        let text = self.keys.open_text(place(&row.kid), &row.sealed).await?;
        let der = base64_decode(text.expose())?;
        SigningKey::from_pkcs8(&der).map_err(|_| Error::Internal)
    }

    /// Without the keys whose last token has ended.
    async fn timetable(&self, purpose: SigningPurpose) -> Result<Vec<Standing>> {
        let now = self.now();
        let mut keys = timetable(self.ports.store.signing_keys(purpose).await?, now);
        keys.retain(|key| !key.is_over(now));
        Ok(keys)
    }

    /// The row of the key that signs for `purpose` now; made on first use.
    async fn active_key(&self, purpose: SigningPurpose) -> Result<Row> {
        if let Some(row) = self.find_active_key(purpose).await? {
            return Ok(row);
        }
        match self.add_key(purpose, Duration::ZERO, Actor::System).await {
            // Made by somebody else meanwhile: that one signs for both.
            Ok(_) | Err(Error::Conflict { .. }) => self
                .find_active_key(purpose)
                .await?
                .ok_or(Error::Unavailable),
            Err(error) => Err(error),
        }
    }

    async fn find_active_key(&self, purpose: SigningPurpose) -> Result<Option<Row>> {
        let mut keys = self.timetable(purpose).await?.into_iter();
        let active = keys.find(|key| key.state == SigningKeyState::Active);
        Ok(active.map(|key| key.row))
    }

    /// Makes a key that signs for `purpose` in `lead`, behind all others.
    async fn add_key(
        &self,
        purpose: SigningPurpose,
        lead: Duration,
        actor: Actor,
    ) -> Result<PublishedKey> {
        let signs_from = self.now().after(lead);
        let rows = self.ports.store.signing_keys(purpose).await?;
        let newest = rows.last();
        if let Some(newest) = newest.filter(|newest| newest.signs_from >= signs_from) {
            return Err(Error::conflict(format!(
                "the key {} signs from {}, which is not before this one would; retire it first",
                newest.kid, newest.signs_from
            )));
        }
        let row = self.make_key(purpose, signs_from).await?;
        let event = self.event_of_key(EventKind::SigningKeyAdded, &row.kid, actor);
        let newest = newest.map(|newest| newest.kid.as_str());
        let store = &self.ports.store;
        let added = store
            .add_signing_key(&row, newest, lead + CLOCKS_APART, &event)
            .await;
        let added = match added {
            Err(StoreError::InUse("database.clock")) => {
                let message = "this node's clock is ahead of the database's: set it right first";
                return Err(Error::conflict(message));
            }
            added => added?,
        };
        if !added {
            return Err(Error::conflict(
                "another signing key was made at this moment",
            ));
        }
        let keys = self.timetable(purpose).await?;
        let made = keys.iter().find(|key| key.row.kid == row.kid);
        made.map(PublishedKey::from).ok_or(Error::Unavailable)
    }

    async fn make_key(&self, purpose: SigningPurpose, signs_from: Timestamp) -> Result<Row> {
        self.keys.ready(&TeamId::from(SERVER)).await?;
        // RSA key generation takes up to a second of CPU: not on the runtime's threads.
        let generated =
            tokio::task::spawn_blocking(|| SigningKey::generate(SigningAlgorithm::Rs256)).await;
        let der = generated
            .map_err(|_| Error::Internal)?
            .map_err(|_| Error::Internal)?;
        let key = SigningKey::from_pkcs8(&der).map_err(|_| Error::Internal)?;
        let text = zeroize::Zeroizing::new(base64_encode(&der));
        Ok(Row {
            kid: key.kid().to_owned(),
            purpose,
            public_jwk: key.jwk().clone(),
            sealed: self.keys.seal(place(key.kid()), text.as_bytes())?,
            created_at: self.now(),
            signs_from,
            retired_at: None,
        })
    }

    /// An event above teams.
    fn event_of_key(&self, kind: EventKind, kid: &str, actor: Actor) -> Event {
        Draft::new(kind, None, actor, self.now(), self.entropy())
            .with("kid", kid)
            .done()
    }
}

const fn place(kid: &str) -> Place<'_> {
    Place {
        team: SERVER,
        table: "signing_keys",
        row: kid,
        field: "private",
    }
}

pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

pub(crate) fn base64_decode(text: &str) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
    bytes
        .map(zeroize::Zeroizing::new)
        .map_err(|_| Error::Internal)
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::Sealed;

    use super::*;

    #[test]
    fn a_key_is_published_then_signs_then_verifies_until_its_last_token_has_ended() {
        use SigningKeyState::{Active, Pending, Verifying};
        const HOUR: i64 = 3600;
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let row = |kid: &str, signs_from: i64| Row {
            kid: kid.to_owned(),
            purpose: SigningPurpose::Workload,
            public_jwk: Value::Null,
            sealed: Sealed(vec![]),
            created_at: at(0),
            signs_from: at(signs_from),
            retired_at: None,
        };
        let rows = || vec![row("a", 0), row("b", HOUR), row("c", 20 * HOUR)];
        let over = HOUR + 12 * HOUR + 300;
        for (rows, now, expected) in [
            (vec![], 0, vec![]),
            (vec![row("a", 10)], 0, vec![("a", Active)]),
            (
                rows(),
                0,
                vec![("a", Active), ("b", Pending), ("c", Pending)],
            ),
            (
                rows(),
                HOUR - 1,
                vec![("a", Active), ("b", Pending), ("c", Pending)],
            ),
            (
                rows(),
                HOUR,
                vec![("a", Verifying), ("b", Active), ("c", Pending)],
            ),
            (
                rows(),
                over - 1,
                vec![("a", Verifying), ("b", Active), ("c", Pending)],
            ),
            (rows(), over, vec![("b", Active), ("c", Pending)]),
            (rows(), 20 * HOUR, vec![("b", Verifying), ("c", Active)]),
            (rows(), 1_000 * HOUR, vec![("c", Active)]),
        ] {
            let found = timetable(rows, at(now));
            let found: Vec<_> = found
                .iter()
                .filter(|key| !key.is_over(at(now)))
                .map(|key| (key.row.kid.as_str(), key.state))
                .collect();
            assert_eq!(found, expected, "at {now} s");
        }
    }
}

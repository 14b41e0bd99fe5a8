//! Keys of the vault, the change feed, events.

use std::time::Duration;

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{ConnectionId, ConnectorId, TeamId};
use crate::nouns::{Actor, Event, EventKind, Sealed};

/// A team's data key, sealed by a master key. Team `""` is the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    /// Key id, unique in the server.
    pub id: String,
    /// Its team.
    pub team: TeamId,
    /// Whether it seals, or only opens.
    pub status: KeyStatus,
    /// The key.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether a key is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Seals or signs, and opens or verifies.
    Active,
    /// Opens or verifies only.
    DecryptOnly,
    /// Not used any more.
    Retired,
}

/// What a signing key is for. Each purpose has an issuer and a key set of its own, so that who believes the tokens of one
/// does not believe those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningPurpose {
    /// Proofs of workloads.
    Workload,
    /// What applications get of those who sign in through a connector.
    SignIn,
}

impl SigningPurpose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Workload, Self::SignIn];
    /// Their words.
    pub const WORDS: [&'static str; 2] = [Self::Workload.as_str(), Self::SignIn.as_str()];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::SignIn => "sign_in",
        }
    }

    /// The one of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == word)
    }
}

/// A key that signs the server's own tokens. What it does at a moment follows from the times of all
/// of its purpose, so that every node comes to the same answer and nobody has to move a status on.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningKey {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs.
    pub purpose: SigningPurpose,
    /// The public half, as a JWK.
    pub public_jwk: serde_json::Value,
    /// The private half; empty once the key is retired.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs, until another one does that signs from later on.
    pub signs_from: Timestamp,
    /// Since when nobody believes it any more.
    pub retired_at: Option<Timestamp>,
}

/// What waits in the whole server, whichever node will do it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// Revocations at providers whose time has come.
    pub revocations_due: u64,
    /// Consents that were asked for and neither given nor refused nor expired.
    pub authorizations_pending: u64,
}

impl Depths {
    /// Where counting ends: nobody looks at a metric to tell ten thousand from more.
    pub const MAX: u32 = 10_000;
}

/// A committed change that caches have to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Position in the feed.
    pub seq: i64,
    /// What kind of row.
    pub kind: ChangeKind,
    /// Its cache key: the hex of a key's hash, else the id of the row.
    pub key: String,
}

/// Kinds of rows that are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Keys, by the hex of their hash.
    Key,
    /// Memberships and users, by user id: every key of theirs is affected.
    User,
    /// Teams, by id.
    Team,
    /// Projects, by id.
    Project,
    /// The catalogue's overlays, by service id.
    Service,
    /// A signing key was retired, by its kid: every caller that its tokens proved is affected.
    SigningKey,
    /// Connectors and their links, by connector id.
    Connector,
    /// Connections and their token sets, by connection id. Absence is not cached, so a new
    /// connection needs no change row; one is harmless.
    Connection,
}

/// Which events to list. Absent parts match all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    /// Of one of these kinds; all when empty.
    pub kinds: Vec<EventKind>,
    /// Of this author.
    pub actor: Option<Author>,
    /// About this connector.
    pub connector: Option<ConnectorId>,
    /// About this connection.
    pub connection: Option<ConnectionId>,
    /// At this instant or later.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
}

/// Whose events to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// One that has no id.
    Is(Actor),
    /// The key, the user or the project of this id, whatever its environment.
    Id(String),
}

/// Rows that belong to the server rather than to one noun.
#[async_trait]
pub trait SystemStore: Send + Sync + 'static {
    /// The database answers, and its schema is this binary's.
    async fn ping(&self) -> Stored<()>;

    /// Stores the key-check value if there is none; returns the one that stands (design §8).
    async fn key_check(&self, sealed: &Sealed) -> Stored<Sealed>;

    /// The standing key-check value.
    async fn read_key_check(&self) -> Stored<Option<Sealed>>;

    /// A team's data keys.
    async fn data_keys(&self, team: &TeamId) -> Stored<Vec<DataKey>>;

    /// Stores `key` if its team has no active key; returns the active key that stands.
    async fn add_data_key(&self, key: &DataKey) -> Stored<DataKey>;

    /// The server's signing keys for `purpose` that are not retired, by the time from which they sign.
    async fn signing_keys(&self, purpose: SigningPurpose) -> Stored<Vec<SigningKey>>;

    /// Stores `key` if `newest` is the last of its purpose's [`Self::signing_keys`] (`None`: there are none); false
    /// when somebody was faster. `InUse("database.clock")` for one that signs later than `lead` from now, by the
    /// database's clock: all nodes live with what one with a wrong clock would put there.
    async fn add_signing_key(
        &self,
        key: &SigningKey,
        newest: Option<&str>,
        lead: Duration,
        event: &Event,
    ) -> Stored<bool>;

    /// Ends the key `kid` and destroys its private half; false when it is not there or retired already, or
    /// before `not_before` by the database's clock.
    async fn retire_signing_key(
        &self,
        kid: &str,
        at: Timestamp,
        not_before: Option<Timestamp>,
        event: &Event,
    ) -> Stored<bool>;

    /// Appends events that record no other write (token reads).
    async fn append_events(&self, events: &[Event]) -> Stored<()>;

    /// A team's events by time; the page's sort value is `at` in microseconds.
    async fn events(&self, team: &TeamId, filter: &EventFilter, page: &Page) -> Stored<Vec<Event>>;

    /// Committed changes after position `seq`, by position, at most 1 000. Where several nodes write,
    /// one with a lower position may be committed up to 15 s later than one with a higher.
    async fn changes(&self, seq: i64) -> Stored<Vec<Change>>;

    /// Completes once changes may have been committed since it last did. Only a hint to ask [`Self::changes`]
    /// sooner: it may come for nothing, and need not come at all. One caller at a time.
    async fn changed(&self);

    /// The newest position of the change feed.
    async fn last_change(&self) -> Stored<i64>;

    /// How much waits to be done at `now`, each counted up to [`Depths::MAX`]. For operators.
    async fn depths(&self, now: Timestamp) -> Stored<Depths>;

    /// Takes or renews the lease `name` for `owner` until `ttl` from now by the database's clock;
    /// false while somebody else holds it. Leases save work; correctness never rests on one.
    async fn lease(&self, name: &str, owner: &str, ttl: std::time::Duration) -> Stored<bool>;

    /// Drops changes, used or expired flows and authorizations that ended before `before`, and
    /// expired leases: rows that nothing can need again. At most `limit` of each kind but the last;
    /// returns how many went, so that fewer than `limit` means that none is left.
    async fn sweep(&self, before: Timestamp, limit: u32) -> Stored<u64>;
}

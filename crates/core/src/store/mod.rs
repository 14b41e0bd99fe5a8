//! The port for storage. `store` implements it, once, over two databases.
//!
//! Each method is one transaction: it happens whole or not at all, and the event that records an
//! act is written in the act's own transaction. A write that finds the world other than it was told
//! to expect changes nothing and says which expectation failed. No method decides anything.
//!
//! Every method that touches a team's rows takes the team, and finds nothing of another team's.
//! The few look-ups without one start from a hash or an id that is itself the proof of access (key
//! hash, state hash, authorization id) or serve background work; they say so.

mod batch;
mod belongings;
mod connect;
mod connections;
mod connectors;
mod credentials;
mod endings;
mod installations;
mod keys;
mod refresh;
mod repeats;
mod setups;
mod sign_in;
mod spool;
mod system;
mod tenancy;

use crate::Timestamp;

pub use batch::{BatchStore, Put};
pub use belongings::{BelongingStore, Listed};
pub use connect::{AuthorizationFilter, ConnectStore};
pub use connections::{
    ConnectionFilter, ConnectionStatus, ConnectionStore, Ended, Live, RevocationScope, Usage,
};
pub use connectors::{ConnectorFilter, ConnectorSort, ConnectorStore, Declared, LinkChange};
pub use credentials::{CredentialStore, Stays};
pub use endings::{Ending, EndingStore};
pub use installations::InstallationStore;
pub use keys::{KeyFilter, KeyOwner, KeyStore};
pub use refresh::{Begin, Completion, RefreshStore, Rejection, Retry};
pub use repeats::RepeatStore;
pub use setups::SetupStore;
pub use sign_in::SignInStore;
pub use spool::{Spool, Spooled};
pub use system::{
    Author, Change, ChangeKind, DataKey, Depths, EventFilter, KeyStatus, SigningKey,
    SigningPurpose, SystemStore,
};
pub use tenancy::{Member, TeamFilter, TenancyStore, UserFilter};

/// All of storage.
pub trait Store:
    SystemStore
    + TenancyStore
    + KeyStore
    + BelongingStore
    + BatchStore
    + ConnectorStore
    + EndingStore
    + InstallationStore
    + ConnectStore
    + ConnectionStore
    + CredentialStore
    + RefreshStore
    + RepeatStore
    + SignInStore
    + SetupStore
{
}

impl<T> Store for T where
    T: SystemStore
        + TenancyStore
        + KeyStore
        + BelongingStore
        + BatchStore
        + BatchStore
        + ConnectorStore
        + EndingStore
        + InstallationStore
        + ConnectStore
        + ConnectionStore
        + CredentialStore
        + CredentialStore
        + RefreshStore
        + RepeatStore
        + SignInStore
        + SetupStore
{
}

/// What a store method can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A unique value is taken; the word names it: `connector.uid`, `team.slug`, `key.hash` …
    #[error("{0} is taken")]
    Taken(&'static str),
    /// The row to change is not there (any more), or not in the state the write expects.
    #[error("{0} is not there")]
    Missing(&'static str),
    /// The row cannot go, or not change like that, while something depends on it; the word names both:
    /// `account.teams`, `team.connectors`, `team.owner`.
    #[error("{0} stands in the way")]
    InUse(&'static str),
    /// A stored row makes no sense.
    #[error("{table} row {row} is inconsistent: {column}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
    },
    /// The database cannot be used now. `committed` is unknown when the failure struck a commit.
    #[error("the database is unavailable")]
    Unavailable,
    /// There is no room for the write on the database's disk; nothing of it is stored. Reads go on.
    #[error("the database's disk is full")]
    Full,
}

impl StoreError {
    /// Whether nothing is wrong with what was asked: the same may succeed later.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable | Self::Full)
    }
}

/// Result of a store method.
pub type Stored<T> = Result<T, StoreError>;

/// How one page of a list is cut. Lists are ordered by time unless their method says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows wanted, 1 to 1 000. Methods return up to one row more, which tells that another page exists.
    pub limit: u32,
    /// The last row of the page before: its sort value and its id. Legal when that row is gone.
    pub after: Option<(String, String)>,
    /// Of a list by time: the oldest first, in place of the newest.
    pub oldest_first: bool,
}

impl Page {
    /// The first `limit` rows.
    pub const fn first(limit: u32) -> Self {
        Self {
            limit,
            after: None,
            oldest_first: false,
        }
    }
}

/// `now` of the database server, in which lease deadlines are written (requirement 98).
pub type DatabaseTime = Timestamp;

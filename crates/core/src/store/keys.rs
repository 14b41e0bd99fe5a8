//! API keys.

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{AccountId, KeyId, ProjectId, TeamId, UserId};
use crate::nouns::{Digest, Event, Key};

/// Whose keys: each level's are apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// The server's.
    Server,
    /// An account's own, above its teams.
    Account(AccountId),
    /// A team's.
    Team(TeamId),
}

/// Which of an owner's keys to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyFilter {
    /// Of this person.
    pub user: Option<UserId>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Revoked ones too.
    pub include_revoked: bool,
}

/// Rows that say who a bearer is.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Makes the key exist as given; a key is known by its hash, and a revoked one comes back. Returns
    /// whether anything changed. `Missing("account")`, `Missing("team")`.
    async fn put_key(&self, key: &Key, event: &Event) -> Stored<bool>;
    /// One key by the hash of its text: the look-up that authenticates.
    async fn key_by_hash(&self, hash: &Digest) -> Stored<Option<Key>>;
    /// One key of `owner`, revoked or not.
    async fn key(&self, owner: &KeyOwner, id: &KeyId) -> Stored<Option<Key>>;
    /// Keys of `owner`, newest first; the page's sort value is `created_at` in microseconds.
    async fn keys(&self, owner: &KeyOwner, filter: &KeyFilter, page: &Page) -> Stored<Vec<Key>>;
    /// Replaces the row that is still as `old`. `Missing("key")` when it is not.
    async fn update_key(&self, old: &Key, new: &Key, event: &Event) -> Stored<()>;
    /// Revokes a live key of `owner`. `Missing("key")` when there is none.
    async fn revoke_key(
        &self,
        owner: &KeyOwner,
        id: &KeyId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()>;
}

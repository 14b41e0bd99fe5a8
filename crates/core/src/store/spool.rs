//! The port for the emergency spool: where a refreshed pair goes when the database cannot take it.

use async_trait::async_trait;

use super::Stored;
use crate::ids::TokenSetId;
use crate::nouns::TokenSet;

/// A pair that arrived and is not in the database yet.
#[derive(Clone)]
pub struct Spooled {
    /// The set whose refresh token was presented for it.
    pub presented: TokenSetId,
    /// The new pair, sealed.
    pub next: TokenSet,
}

/// Keeps sealed pairs durably outside the database (requirements 93, 94).
#[async_trait]
pub trait Spool: Send + Sync + 'static {
    /// Returns once the pair survives a power cut.
    async fn keep(&self, spooled: &Spooled) -> Stored<()>;

    /// Everything kept, oldest first. An entry that cannot be read is left in place and reported in the log.
    async fn entries(&self) -> Stored<Vec<Spooled>>;

    /// Drops the entry of the pair `next`, once the database has answered for it.
    async fn remove(&self, next: &TokenSetId) -> Stored<()>;
}

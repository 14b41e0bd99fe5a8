//! Connections and their token sets: what the refresh protocol (design §6) works on.

use serde_json::{Map, Value};

use super::Grant;
use crate::Timestamp;
use crate::error::ReconnectReason;
use crate::ids::{ConnectionId, ConnectorId, TeamId, TokenSetId};

/// Bytes that the vault sealed. Not secret; bound to their place, so they cannot be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

/// What a consent (or an import, or a client-credentials request) left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Id.
    pub id: ConnectionId,
    /// Its team.
    pub team: TeamId,
    /// What was granted; unique among the connector's live connections.
    pub grant: Grant,
    /// Whether it can give tokens.
    pub state: ConnectionState,
    /// For people: the account's name at the provider.
    pub name: Option<String>,
    /// The account's id at the provider, where known: a consent for another account asks first (requirement 21).
    pub external_subject: Option<String>,
    /// Taken in, by an import or a declared row, and not a consent since: what a file may take away again.
    pub imported: bool,
    /// When it was first made.
    pub created_at: Timestamp,
    /// When its state or consent changed last.
    pub updated_at: Timestamp,
}

/// Whether a connection can give tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Yes.
    Active,
    /// Only a new consent helps; provisional while a refresh attempt is unresolved (design §6, promise 4).
    NeedsReauth(ReconnectReason),
    /// Ended by its owner or an admin. Final.
    Revoked,
}

/// One stored token pair of a connection.
#[derive(Clone)]
pub struct TokenSet {
    /// Fresh for every stored pair: generation, compare-and-swap key, row id in the associated data.
    pub id: TokenSetId,
    /// Its team.
    pub team: TeamId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Tells apart sets that rotate on their own (`main`; Slack has `bot` and `user`).
    pub kind: String,
    /// The access token.
    pub access: Sealed,
    /// From when on it is not served; never when absent.
    pub access_expires_at: Option<Timestamp>,
    /// The refresh token.
    pub refresh: Option<Sealed>,
    /// What the provider granted, as it said so (requirement 20).
    pub scope: Option<String>,
    /// Public facts from the token response (`instance_url`, team …), handed out with the token.
    pub metadata: Map<String, Value>,
    /// Where its connector asked then, in the engine's words: the tokens are presented nowhere else. None
    /// of sets from before this was noted.
    pub servers: Option<String>,
    /// When the pair arrived.
    pub received_at: Timestamp,
    /// Consecutive flights that ended without a new pair.
    pub failures: u32,
    /// No flight starts before this instant while the set is current.
    pub not_before: Timestamp,
}

/// One presentation of a refresh token whose outcome is not settled: pending while its flight
/// lives, unknown once its deadline has passed or its answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The set whose refresh token was presented.
    pub set: TokenSetId,
    /// 1 for the first presentation.
    pub number: u32,
    /// Which node sent it.
    pub node: String,
    /// Committed just before sending.
    pub sent_at: Timestamp,
}

/// A revocation that the provider has not confirmed yet. The tokens are gone from their connection;
/// their sealed bytes stay bound to the set they came from.
#[derive(Clone)]
pub struct Revocation {
    /// The set they came from.
    pub set: TokenSetId,
    /// Its team.
    pub team: TeamId,
    /// Whose client revokes.
    pub connector: ConnectorId,
    /// The connection that ended.
    pub connection: ConnectionId,
    /// The access token.
    pub access: Sealed,
    /// The refresh token; revoked first.
    pub refresh: Option<Sealed>,
    /// The set's [`TokenSet::servers`].
    pub servers: Option<String>,
    /// Tries so far.
    pub tries: u32,
    /// When it was asked for; given up 24 h later.
    pub created_at: Timestamp,
    /// The next try.
    pub not_before: Timestamp,
}

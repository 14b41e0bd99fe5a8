//! Connections as Sequin's dialect has them: what their importer says of them, and the link flow.

use serde_json::{Map, Value};

use super::{Digest, Sealed};
use crate::Timestamp;
use crate::ids::{AuthorizationId, ConnectionId, ConnectorId, TeamId};

/// What a caller keeps with a connection: whose account it is, in the words of its kind. The tokens
/// are the connection's own.
#[derive(Clone)]
pub struct Credential {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its team.
    pub team: TeamId,
    /// A word such as `linear_oauth2`.
    pub kind: String,
    /// What its kind names, as it was sent, with a mask in place of each secret.
    pub properties: Map<String, Value>,
    /// The caller's own annotations, kept as they are.
    pub metadata: Map<String, Value>,
    /// Sealed hash of the secrets that were taken in last: the same ones again are no news, even when
    /// the connection's own have been refreshed since.
    pub imported: Option<Sealed>,
    /// When any of this changed last.
    pub updated_at: Timestamp,
}

/// What of a connection's name and of what is kept with it shall change; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// Another name.
    pub name: Option<String>,
    /// In place of the properties.
    pub properties: Option<Map<String, Value>>,
    /// In place of the annotations.
    pub metadata: Option<Map<String, Value>>,
}

/// A consent that a link flow asks for, beside its authorization. Its start URL works once.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFlow {
    /// Its authorization.
    pub authorization: AuthorizationId,
    /// Its team.
    pub team: TeamId,
    /// The kind of the credential that shall come out.
    pub kind: String,
    /// What its requester gets back with the result.
    pub state: Value,
    /// When the start URL was opened.
    pub started_at: Option<Timestamp>,
    /// From when on the start URL does not work.
    pub expires_at: Timestamp,
}

/// A held consent's code, and the one that takes its place: whoever posts the first back gets the other.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeSwap {
    /// The authorization whose consent is held.
    pub authorization: AuthorizationId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Hash of the code that is held.
    pub old: Digest,
    /// Hash of the code that is held from now on.
    pub new: Digest,
    /// Until when the new one counts.
    pub expires_at: Timestamp,
}

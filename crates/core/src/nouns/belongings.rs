//! What a team keeps beside its connectors: secrets, invitations, MCP servers, icons.

use serde_json::{Map, Value};

use super::{Actor, Role, Sealed, Words};
use crate::Timestamp;
use crate::ids::{InviteId, McpServerId, SecretId, TeamId};

/// A named value that can be set and never read back.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSecret {
    /// Id.
    pub id: SecretId,
    /// Its team.
    pub team: TeamId,
    /// Unique within the team.
    pub name: String,
    /// What a dialect without unique names calls it, where `name` had to be another one.
    pub label: Option<String>,
    /// The MCP server that it belongs to and ends with; none for what a person made.
    pub owner: Option<McpServerId>,
    /// The value, sealed in the place (team, `secrets`, id, `value`).
    pub value: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name or value was changed last.
    pub updated_at: Timestamp,
}

/// An image of a team, for its connectors' pages. Whoever knows team and digest may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icon {
    /// SHA-1 of `content`, 40 hex digits in lower case: its name on the wire (reference/vercel-connect §4).
    pub digest: String,
    /// Its team.
    pub team: TeamId,
    /// `image/png` or `image/jpeg`.
    pub media_type: String,
    /// The file.
    pub content: Vec<u8>,
    /// When it was uploaded last.
    pub created_at: Timestamp,
}

/// An invitation of somebody, known by a mail address, into a team. It is accepted when
/// `accepted_at` is set, else pending until `expires_at`.
#[derive(Clone, Debug, PartialEq)]
pub struct Invite {
    /// Id.
    pub id: InviteId,
    /// Into this team.
    pub team: TeamId,
    /// Of whom. One address can be invited more than once.
    pub email: String,
    /// What they may do there; never [`Role::TokenOnly`].
    pub role: Role,
    /// How a dialect says that.
    pub words: Words,
    /// Who invites.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it cannot be accepted; never when absent.
    pub expires_at: Option<Timestamp>,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
}

/// A Model Context Protocol server that a team's agents use.
#[derive(Clone, Debug, PartialEq)]
pub struct McpServer {
    /// Id.
    pub id: McpServerId,
    /// Its team.
    pub team: TeamId,
    /// For people.
    pub name: String,
    /// Where it is, an http(s) URL.
    pub base_url: String,
    /// How it is spoken to, as its dialect says it; no secret.
    pub data: Map<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

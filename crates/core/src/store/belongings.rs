//! Secrets, invitations, MCP servers, icons: what a team keeps beside its connectors.
//!
//! A `put_*` makes the row exist as given, by its id, and keeps who made it and when. It returns
//! whether anything changed, and writes `event` only then. `Missing("team")`; `Taken("….id")` when
//! the id is another team's. Lists are a team's rows, newest first; the page's sort value is
//! `created_at` in microseconds.

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{InviteId, McpServerId, SecretId, TeamId};
use crate::nouns::{Event, Icon, Invite, McpServer, Membership, NamedSecret};

/// A list of a team's rows by time, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// [`super::ConnectorStore::connectors`]
    Connectors,
    /// [`super::ConnectionStore::connections`]
    Connections,
    /// [`BelongingStore::secrets`]
    Secrets,
    /// [`BelongingStore::invites`]
    Invites,
    /// [`BelongingStore::mcp_servers`]
    McpServers,
}

/// Rows that hang on nothing but their team. None of them is cached.
#[async_trait]
pub trait BelongingStore: Send + Sync + 'static {
    /// Makes the secret exist as given. A value is sealed anew each time, so `value_changed` says
    /// whether it is another one; the stored bytes stay when it is not. `Taken("secret.name")`.
    async fn put_secret(
        &self,
        secret: &NamedSecret,
        value_changed: bool,
        event: &Event,
    ) -> Stored<bool>;
    /// Changes a secret that is still as `old`. `Missing("secret")`, `Taken("secret.name")`.
    async fn update_secret(
        &self,
        old: &NamedSecret,
        new: &NamedSecret,
        event: &Event,
    ) -> Stored<()>;
    /// One secret, by id or name; an id beats a name.
    async fn secret(&self, team: &TeamId, id_or_name: &str) -> Stored<Option<NamedSecret>>;
    /// A team's secrets, without those that belong to an MCP server.
    async fn secrets(&self, team: &TeamId, page: &Page) -> Stored<Vec<NamedSecret>>;
    /// Deletes a secret; its value is destroyed with the row. `Missing("secret")`.
    async fn delete_secret(&self, team: &TeamId, id: &SecretId, event: &Event) -> Stored<()>;

    /// Where the row of this id stands in `list`, or stood: of one that was deleted it is kept for a week.
    async fn list_place(&self, team: &TeamId, list: Listed, id: &str) -> Stored<Option<Timestamp>>;

    /// Makes the invitation exist as given.
    async fn put_invite(&self, invite: &Invite, event: &Event) -> Stored<bool>;
    /// The same of one that is accepted at once: the person is a member as given, unless they are one already.
    /// `Missing("user")` for who is not of the team's account.
    async fn put_accepted_invite(
        &self,
        invite: &Invite,
        membership: &Membership,
        event: &Event,
    ) -> Stored<bool>;
    /// One invitation.
    async fn invite(&self, team: &TeamId, id: &InviteId) -> Stored<Option<Invite>>;
    /// A team's invitations, of one address when `email` is given, pending or not.
    async fn invites(&self, team: &TeamId, email: Option<&str>, page: &Page)
    -> Stored<Vec<Invite>>;
    /// Deletes an invitation. `Missing("invite")`.
    async fn delete_invite(&self, team: &TeamId, id: &InviteId, event: &Event) -> Stored<()>;

    /// Makes the MCP server exist as given.
    async fn put_mcp_server(&self, server: &McpServer, event: &Event) -> Stored<bool>;
    /// Makes a new MCP server, and the secret that it owns. `InUse("team.mcp_servers")` when the team has
    /// `at_most` already.
    async fn create_mcp_server(
        &self,
        server: &McpServer,
        secret: Option<&NamedSecret>,
        at_most: usize,
        event: &Event,
    ) -> Stored<()>;
    /// Replaces the server that is still as `old`, and makes `secret` the one that it owns; with `drops` it owns none
    /// but that. `Missing("mcp_server")`.
    async fn change_mcp_server(
        &self,
        old: &McpServer,
        new: &McpServer,
        secret: Option<&NamedSecret>,
        drops: bool,
        event: &Event,
    ) -> Stored<()>;
    /// One MCP server.
    async fn mcp_server(&self, team: &TeamId, id: &McpServerId) -> Stored<Option<McpServer>>;
    /// A team's MCP servers.
    async fn mcp_servers(&self, team: &TeamId, page: &Page) -> Stored<Vec<McpServer>>;
    /// Deletes an MCP server with the secrets that it owns. `Missing("mcp_server")`.
    async fn delete_mcp_server(&self, team: &TeamId, id: &McpServerId, event: &Event)
    -> Stored<()>;

    /// Makes the image exist; of one that does, its time is set anew. `Missing("team")`.
    async fn put_icon(&self, icon: &Icon, event: &Event) -> Stored<()>;
    /// One image of a team.
    async fn icon(&self, team: &TeamId, digest: &str) -> Stored<Option<Icon>>;
    /// Whether the team has the image.
    async fn has_icon(&self, team: &TeamId, digest: &str) -> Stored<bool>;
}

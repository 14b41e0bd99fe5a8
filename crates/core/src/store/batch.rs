//! Many declared rows in one transaction: what `apply` writes.

use async_trait::async_trait;

use super::{Declared, Stored};
use crate::nouns::{
    Account, Connection, Connector, Event, Invite, Key, Link, McpServer, Membership, NamedSecret,
    Project, Service, Team, TokenSet, User,
};

/// A row that shall exist as given; what its own method does.
pub enum Put {
    /// [`super::TenancyStore::put_account`]
    Account(Account),
    /// [`super::TenancyStore::put_team`]
    Team(Team),
    /// [`super::TenancyStore::put_user`]
    User(User),
    /// [`super::TenancyStore::put_membership`]
    Membership(Membership),
    /// [`super::TenancyStore::put_project`]
    Project(Project),
    /// [`super::TenancyStore::put_service`]
    Service(Service),
    /// [`super::KeyStore::put_key`]
    Key(Key),
    /// [`super::BelongingStore::put_secret`], with whether the value is another one.
    Secret(NamedSecret, bool),
    /// [`super::ConnectorStore::put_connector`].
    Connector(Box<Connector>, Declared),
    /// [`super::ConnectorStore::put_link`]
    Link(Link),
    /// [`super::ConnectionStore::import_connection`]
    Connection(Box<Connection>, TokenSet),
    /// [`super::BelongingStore::put_mcp_server`]
    McpServer(McpServer),
    /// [`super::BelongingStore::put_invite`]
    Invite(Invite),
}

/// Several rows together.
#[async_trait]
pub trait BatchStore: Send + Sync + 'static {
    /// Puts all rows, in their order, or none, each with its event. The error is that of the first
    /// that fails; one that would change nothing fails too, with `Missing("difference")`.
    async fn put_all(&self, puts: &[(Put, Event)]) -> Stored<()>;
}

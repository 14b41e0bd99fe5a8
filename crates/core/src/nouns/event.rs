//! The append-only log of acts. The audit view is the same rows, chained.

use serde_json::{Map, Value};

use super::Actor;
use crate::Timestamp;
use crate::ids::{ConnectionId, ConnectorId, EventId, TeamId};

/// One line of the log. Holds ids and fixed words, never a secret or a provider's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Id.
    pub id: EventId,
    /// Whose log it is in; `None` for acts above teams.
    pub team: Option<TeamId>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: Actor,
    /// To which connector.
    pub connector: Option<ConnectorId>,
    /// To which connection.
    pub connection: Option<ConnectionId>,
    /// Details by kind.
    pub data: Map<String, Value>,
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What happened; the words are API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $name,)* }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// From the word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

event_kinds! {
    /// A declared row was made or changed by `apply`.
    Applied = "apply.row",
    /// An account was made.
    AccountCreated = "account.created",
    /// An account was changed.
    AccountUpdated = "account.updated",
    /// An account was deleted with its people and keys.
    AccountDeleted = "account.deleted",
    /// A team was made.
    TeamCreated = "team.created",
    /// A team was changed.
    TeamUpdated = "team.updated",
    /// A team was deleted with everything in it.
    TeamDeleted = "team.deleted",
    /// A person was made.
    UserCreated = "user.created",
    /// A person was changed.
    UserUpdated = "user.updated",
    /// A person was deleted; their keys and memberships ended.
    UserDeleted = "user.deleted",
    /// A person got a role in a team.
    MembershipPut = "membership.put",
    /// A person is no longer in a team.
    MembershipDeleted = "membership.deleted",
    /// A project was made.
    ProjectCreated = "project.created",
    /// A project was changed.
    ProjectUpdated = "project.updated",
    /// A project was deleted; its keys and links ended.
    ProjectDeleted = "project.deleted",
    /// A project got an environment.
    EnvironmentCreated = "environment.created",
    /// An environment was renamed.
    EnvironmentUpdated = "environment.updated",
    /// A project lost an environment; keys and links in it ended.
    EnvironmentDeleted = "environment.deleted",
    /// The catalogue got a row of this server's own.
    ServicePut = "service.put",
    /// A row of this server's own left the catalogue.
    ServiceDeleted = "service.deleted",
    /// A key was made.
    KeyCreated = "key.created",
    /// A key was renamed, or ends at another time.
    KeyUpdated = "key.updated",
    /// A key was revoked.
    KeyRevoked = "key.revoked",
    /// A workload token was minted.
    WorkloadTokenMinted = "workload_token.minted",
    /// A signing key of the server was made and published.
    SigningKeyAdded = "signing_key.added",
    /// A signing key was ended: none of its tokens is believed any more.
    SigningKeyRetired = "signing_key.retired",
    /// An image was uploaded for connectors.
    IconPut = "icon.put",
    /// Somebody asked for a connector that a person has yet to register at its service.
    SetupRequested = "setup.requested",
    /// Such a request was taken back.
    SetupCanceled = "setup.canceled",
    /// A connector was made.
    ConnectorCreated = "connector.created",
    /// A connector was changed.
    ConnectorUpdated = "connector.updated",
    /// An admin was shown a connector's client secret.
    ConnectorRevealed = "connector.revealed",
    /// A connector's client was registered at its authorization server, without anybody typing an id.
    ConnectorRegistered = "connector.registered",
    /// A connector was deleted.
    ConnectorDeleted = "connector.deleted",
    /// The provider refuses a connector's client.
    ConnectorFaulted = "connector.faulted",
    /// The provider accepts the client again.
    ConnectorRecovered = "connector.recovered",
    /// A stored key of a connector runs out in `data.days` days at most.
    ConnectorKeyExpiring = "connector.key_expiring",
    /// A connector's search endpoint was asked.
    ConnectorSearched = "connector.searched",
    /// A project may use a connector.
    LinkPut = "link.put",
    /// A project may no longer use a connector.
    LinkDeleted = "link.deleted",
    /// Somebody signed in through a connector: an application redeemed their code.
    SignedIn = "sign_in.completed",
    /// A sign-in goes on: its refresh token was replaced.
    SignInRefreshed = "sign_in.refreshed",
    /// A sign-in was ended.
    SignInEnded = "sign_in.ended",
    /// An installation was made or changed.
    InstallationPut = "installation.put",
    /// A provider said that an installation changed: its tokens are fetched anew.
    InstallationChanged = "installation.changed",
    /// An installation was removed.
    InstallationDeleted = "installation.deleted",
    /// A secret was made, renamed or given a new value.
    SecretPut = "secret.put",
    /// A secret was deleted.
    SecretDeleted = "secret.deleted",
    /// Somebody was invited, or their invitation changed.
    InvitePut = "invite.put",
    /// An invitation was taken back.
    InviteDeleted = "invite.deleted",
    /// An MCP server was made or changed.
    McpServerPut = "mcp_server.put",
    /// An MCP server was deleted.
    McpServerDeleted = "mcp_server.deleted",
    /// Somebody asked for a consent.
    AuthorizationRequested = "authorization.requested",
    /// A consent was completed.
    AuthorizationCompleted = "authorization.completed",
    /// A user consented; the requester has yet to confirm it.
    AuthorizationHeld = "authorization.held",
    /// A consent failed or was refused.
    AuthorizationFailed = "authorization.failed",
    /// A webhook's receiver took the news that a consent ended.
    WebhookDelivered = "webhook.delivered",
    /// A webhook's receiver never took the news.
    WebhookFailed = "webhook.failed",
    /// A team's webhooks are signed with a new secret.
    WebhookSecretRotated = "webhook_secret.rotated",
    /// An admin was shown what a team's webhooks are signed with.
    WebhookSecretRead = "webhook_secret.read",
    /// A grant that existed already was taken in.
    ConnectionImported = "connection.imported",
    /// A connection got another name.
    ConnectionUpdated = "connection.updated",
    /// A link flow's tokens were handed out to its requester.
    ConnectionRevealed = "connection.revealed",
    /// A link flow's code was exchanged for a handle.
    LinkExchanged = "link.exchanged",
    /// A connection was ended.
    ConnectionRevoked = "connection.revoked",
    /// A connection needs a new consent.
    ConnectionNeedsReauth = "connection.needs_reauth",
    /// A late answer made a connection whole again.
    ConnectionRecovered = "connection.recovered",
    /// A new pair was stored.
    TokenRefreshed = "token.refreshed",
    /// A pair arrived too late and was dropped: a newer one is stored.
    TokenDropped = "token.dropped",
    /// A token was minted by client credentials.
    TokenMinted = "token.minted",
    /// A token was read: the first time in a minute by this principal, or `data.count` further times.
    TokenRead = "token.read",
    /// The provider confirmed a revocation.
    ProviderRevoked = "provider.revoked",
    /// The provider never confirmed a revocation.
    ProviderRevokeFailed = "provider.revoke_failed",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_words_are_unique_and_read_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
        }
    }
}

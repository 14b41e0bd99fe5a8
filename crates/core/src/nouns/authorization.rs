//! Pending consents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Actor, Digest, Grant, Sealed, TokenSet};
use crate::Timestamp;
use crate::ids::{AuthorizationId, ConnectionId, ConnectorId, TeamId};

/// One consent that somebody asked for. It lives until it ends or `expires_at`; its link may be
/// opened any number of times (design §7).
#[derive(Clone, Debug, PartialEq)]
pub struct Authorization {
    /// Id; also the link.
    pub id: AuthorizationId,
    /// Its team.
    pub team: TeamId,
    /// What will be granted, and to whom.
    pub grant: Grant,
    /// Who asked.
    pub requested_by: Actor,
    /// How the requester is called on the page: the project's or the team's name.
    pub requester: String,
    /// Hash of the handle under which the requester polls for the result.
    pub verifier: Digest,
    /// Shown to the requester and on the page, so that a person can compare them.
    pub device_code: Option<String>,
    /// Where the browser goes at the end; checked against the allow-list at start and at the end.
    pub return_url: Option<String>,
    /// `prompt` parameter for the provider.
    pub prompt: Option<String>,
    /// Extra parameters for the provider's authorization endpoint.
    pub additional_params: Map<String, Value>,
    /// The consent counts once the requester posts back the code that its return URL received (design §7).
    pub confirm: bool,
    /// Its page may stand in an app's window, and tells that window how it ended.
    pub embed: Option<Embed>,
    /// Where its requester is told that it ended.
    pub webhook: Option<String>,
    /// It installs the connector's application in a tenant, in place of connecting a person.
    pub install: Option<Install>,
    /// How far it has come.
    pub state: AuthorizationState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// From when on it cannot be completed.
    pub expires_at: Timestamp,
}

/// What of an installation its requester named before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// The provider's id of the installation: a standing one that is to be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The provider's id of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// An authorization whose requester has yet to be told how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct DueWebhook {
    /// What it asked for.
    pub authorization: Authorization,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Tries so far.
    pub tries: u32,
    /// When it was due: who moves that on has the next try.
    pub due: Timestamp,
}

/// What a team's webhooks are signed with (Standard Webhooks).
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSecret {
    /// The team.
    pub team: TeamId,
    /// The secret.
    pub secret: Sealed,
    /// The one before, which signs along until `previous_until`.
    pub previous: Option<Sealed>,
    /// See there.
    pub previous_until: Option<Timestamp>,
    /// When it was made.
    pub made_at: Timestamp,
}

/// For whom a consent page speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embed {
    /// The one origin; the team's return origins when absent.
    pub origin: Option<String>,
}

/// How far an authorization has come. Only `Pending` and `Unconfirmed` ever change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum AuthorizationState {
    /// Nobody has consented yet.
    Pending,
    /// The user has consented; the requester has not confirmed that it was its own user (design §7).
    Unconfirmed,
    /// A connection was stored.
    Success {
        /// The connection.
        connection: ConnectionId,
    },
    /// The provider or the exchange failed.
    Error {
        /// A fixed word or a registered OAuth error code.
        code: String,
    },
    /// The user said no.
    Canceled,
}

/// What a consent brought, kept apart from the connections until its requester confirms it (design §7).
#[derive(Clone)]
pub struct HeldConsent {
    /// The authorization that it answers.
    pub authorization: AuthorizationId,
    /// Its team.
    pub team: TeamId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Hash of the code that went to the return URL.
    pub code: Digest,
    /// The account's name at the provider.
    pub name: Option<String>,
    /// The account's id at the provider.
    pub external_subject: Option<String>,
    /// The user has said that another account may take the place of the connected one (requirement 21).
    pub replaces: bool,
    /// The pair, sealed as it will be stored. Its `connection` is the one that it makes.
    pub set: TokenSet,
    /// From when on it cannot be confirmed.
    pub expires_at: Timestamp,
}

/// One press of the consent button: what the callback is checked against. Single use.
#[derive(Clone)]
pub struct Flow {
    /// Hash of the `state` parameter.
    pub state: Digest,
    /// Its team.
    pub team: TeamId,
    /// The authorization that was on the page.
    pub authorization: AuthorizationId,
    /// Hash of the cookie that binds the flow to one browser (requirement 6).
    pub browser: Digest,
    /// The PKCE verifier.
    pub verifier: Sealed,
    /// The authorization server as it was when the button was pressed: issuer and endpoints are
    /// frozen here, so a change of the connector cannot mix servers up (requirement 1).
    pub server: Value,
    /// The redirect URI that was sent.
    pub redirect_uri: String,
    /// The user has said that another account may take the place of the connected one (requirement 21).
    pub replaces: bool,
    /// [`Connector::terms_at`](crate::nouns::Connector::terms_at) as it was then: what is consented to.
    pub terms_at: Option<Timestamp>,
    /// When the button was pressed.
    pub created_at: Timestamp,
    /// 10 minutes later.
    pub expires_at: Timestamp,
    /// When the callback took it.
    pub used_at: Option<Timestamp>,
}

//! Tokens, consents, connections.

use grantry_core::nouns::{
    Authorization as AuthorizationRow, Connection as ConnectionRow, ConnectionState, Grant,
};
use grantry_engine::{ConsentResult, Requested, Revoked, ServedToken};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Actor, Named, Progress, Subject, Time};

/// A token.
#[derive(Serialize, ToSchema)]
pub struct Token<'a> {
    token: &'a str,
    token_id: &'a str,
    /// `null` when nobody knows.
    expires_at: Option<Time>,
    scope: Option<&'a str>,
    connector: Named<'a>,
    /// `null` for a connector's stored key.
    connection: Option<&'a str>,
    name: Option<&'a str>,
    external_subject: Option<&'a str>,
    metadata: &'a Map<String, Value>,
    /// What the connector forwards of the ID token.
    claims: &'a Map<String, Value>,
}

impl<'a> From<&'a ServedToken> for Token<'a> {
    /// The one place where the native API exposes a token.
    fn from(served: &'a ServedToken) -> Self {
        let connection = served.connection.as_deref().map(|live| &live.connection);
        Self {
            token: served.token.expose(),
            token_id: served.token_set.as_str(),
            expires_at: served.expires_at.map(Time),
            scope: served.scope.as_deref(),
            connector: Named::from(&served.connector.connector),
            connection: connection.map(|connection| connection.id.as_str()),
            name: connection.and_then(|connection| connection.name.as_deref()),
            external_subject: connection
                .and_then(|connection| connection.external_subject.as_deref()),
            metadata: &served.metadata,
            claims: &served.claims,
        }
    }
}

/// A consent that was asked for.
#[derive(Serialize, ToSchema)]
pub struct Authorization<'a> {
    id: &'a str,
    url: &'a str,
    verifier: &'a str,
    device_code: Option<&'a str>,
    expires_at: Time,
    connector: Named<'a>,
}

impl<'a> From<&'a Requested> for Authorization<'a> {
    fn from(requested: &'a Requested) -> Self {
        Self {
            id: requested.id.as_str(),
            url: &requested.url,
            verifier: requested.verifier.expose(),
            device_code: requested.device_code.as_deref(),
            expires_at: Time(requested.expires_at),
            connector: Named::from(&requested.connector.connector),
        }
    }
}

/// How far a consent has come.
#[derive(Serialize, ToSchema)]
pub struct Outcome<'a> {
    #[serde(flatten)]
    state: Progress<'a>,
    connector: &'a str,
}

impl<'a> From<&'a ConsentResult> for Outcome<'a> {
    fn from(result: &'a ConsentResult) -> Self {
        Self {
            state: Progress::from(&result.state),
            connector: &result.connector,
        }
    }
}

/// What a consent or a connection is for.
#[derive(Serialize, ToSchema)]
struct Granted<'a> {
    connector: &'a str,
    subject: Subject<'a>,
    environment: &'a str,
    installation: Option<&'a str>,
    /// `["*"]` stands for the connector's own.
    scopes: Vec<String>,
    audience: &'a [String],
    resources: &'a [String],
    authorization_details: &'a [Value],
}

impl<'a> From<&'a Grant> for Granted<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            connector: grant.connector.as_str(),
            subject: Subject::from(&grant.subject),
            environment: grant.environment.as_str(),
            installation: grant.installation.as_deref(),
            scopes: grant.scopes.to_list(),
            audience: &grant.audience,
            resources: &grant.resources,
            authorization_details: &grant.details,
        }
    }
}

/// A request for consent, as its team sees it.
#[derive(Serialize, ToSchema)]
pub struct Request<'a> {
    /// Also the end of its link.
    id: &'a str,
    #[serde(flatten)]
    state: Progress<'a>,
    #[serde(flatten)]
    granted: Granted<'a>,
    requested_by: Actor<'a>,
    /// How the page calls them.
    requester: &'a str,
    return_url: Option<&'a str>,
    /// Whether the consent counts only once it is confirmed.
    confirm: bool,
    created_at: Time,
    /// When its link ends.
    expires_at: Time,
}

impl<'a> From<&'a AuthorizationRow> for Request<'a> {
    fn from(row: &'a AuthorizationRow) -> Self {
        Self {
            id: row.id.as_str(),
            state: Progress::from(&row.state),
            granted: Granted::from(&row.grant),
            requested_by: Actor::from(&row.requested_by),
            requester: &row.requester,
            return_url: row.return_url.as_deref(),
            confirm: row.confirm,
            created_at: Time(row.created_at),
            expires_at: Time(row.expires_at),
        }
    }
}

/// A connection. Its tokens are read by `POST /tokens`.
#[derive(Serialize, ToSchema)]
pub struct Connection<'a> {
    id: &'a str,
    #[serde(flatten)]
    granted: Granted<'a>,
    /// `active`, `needs_reauth` or `revoked`.
    state: &'static str,
    /// Why the subject has to connect again.
    reason: Option<&'static str>,
    name: Option<&'a str>,
    external_subject: Option<&'a str>,
    created_at: Time,
    updated_at: Time,
}

impl<'a> From<&'a ConnectionRow> for Connection<'a> {
    fn from(row: &'a ConnectionRow) -> Self {
        let (state, reason) = match row.state {
            ConnectionState::Active => ("active", None),
            ConnectionState::NeedsReauth(reason) => ("needs_reauth", Some(reason.as_str())),
            ConnectionState::Revoked => ("revoked", None),
        };
        Self {
            id: row.id.as_str(),
            granted: Granted::from(&row.grant),
            state,
            reason,
            name: row.name.as_deref(),
            external_subject: row.external_subject.as_deref(),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

/// What became of a revocation.
#[derive(Serialize, ToSchema)]
pub struct Ended {
    deleted: u64,
    provider_revoked: u64,
    provider_skipped: u64,
    provider_failed: u64,
}

impl From<Revoked> for Ended {
    fn from(revoked: Revoked) -> Self {
        Self {
            deleted: revoked.deleted,
            provider_revoked: revoked.provider_revoked,
            provider_skipped: revoked.provider_skipped,
            provider_failed: revoked.provider_failed,
        }
    }
}

/// What became of some of many.
#[derive(Serialize, ToSchema)]
pub struct EndedSome {
    #[serde(flatten)]
    ended: Ended,
    /// How many are left to end: call again until it is 0.
    remaining: u64,
}

impl EndedSome {
    /// What was ended, and how many are left.
    pub fn of(revoked: Revoked, remaining: u64) -> Self {
        Self {
            ended: Ended::from(revoked),
            remaining,
        }
    }
}

//! The native API's JSON.

use grantry_core::Timestamp;
use grantry_core::nouns::{
    Actor, AuthorizationState, Connection as ConnectionRow, ConnectionState, Event as EventRow,
    Grant, Key as KeyRow, KeyLevel, Link as LinkRow, Project as ProjectRow, Role, Scopes, Subject,
};
use grantry_engine::{
    ApplyReport, Change, ConnectorView, ConsentResult, CursorPage, Requested, Revoked, ServedToken,
    WorkloadToken,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::kit::cursor;

/// RFC 3339.
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// One page of a list.
#[derive(Serialize)]
pub struct List<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> List<T> {
    /// `page` with each row as `show` shows it.
    pub fn of<'a, R>(page: &'a CursorPage<R>, show: impl Fn(&'a R) -> T) -> Self {
        Self {
            data: page.data.iter().map(show).collect(),
            next_cursor: page.next.as_ref().map(cursor::encode),
        }
    }
}

/// A connector.
#[derive(Serialize)]
pub struct Connector<'a> {
    id: &'a str,
    team: &'a str,
    uid: &'a str,
    name: &'a str,
    r#type: &'static str,
    service: &'a str,
    service_name: &'a str,
    redirect_uri: &'a str,
    data: &'a Map<String, Value>,
    has_secrets: bool,
    metadata: &'a Map<String, Value>,
    subjects: &'a [&'static str],
    supports_revocation: bool,
    links: Vec<Link<'a>>,
    icon: Option<&'a str>,
    background_color: Option<&'a str>,
    accent_color: Option<&'a str>,
    /// Set while the provider refuses the client itself.
    fault: Option<Fault<'a>>,
    created_by: &'a Actor,
    updated_by: &'a Actor,
    created_at: Time,
    updated_at: Time,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    count: u32,
    at: Time,
}

impl<'a> From<&'a ConnectorView> for Connector<'a> {
    fn from(view: &'a ConnectorView) -> Self {
        let row = &view.connector;
        Self {
            id: row.id.as_str(),
            team: row.team.as_str(),
            uid: &row.uid,
            name: &row.name,
            r#type: row.kind.as_str(),
            service: &row.service,
            service_name: &view.service_name,
            redirect_uri: &row.redirect_uri,
            data: &row.data,
            has_secrets: view.has_secrets,
            metadata: &row.metadata,
            subjects: &view.capabilities.subjects,
            supports_revocation: view.capabilities.revocation,
            links: view.links.iter().map(Link::from).collect(),
            icon: row.icon.as_deref(),
            background_color: row.background_color.as_deref(),
            accent_color: row.accent_color.as_deref(),
            fault: row.fault.as_ref().map(|fault| Fault {
                code: &fault.code,
                count: fault.count,
                at: Time(fault.at),
            }),
            created_by: &row.created_by,
            updated_by: &row.updated_by,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

/// A link.
#[derive(Serialize)]
pub struct Link<'a> {
    connector: &'a str,
    project: &'a str,
    environments: Vec<&'a str>,
    created_at: Time,
    updated_at: Time,
}

impl<'a> From<&'a LinkRow> for Link<'a> {
    fn from(link: &'a LinkRow) -> Self {
        Self {
            connector: link.connector.as_str(),
            project: link.project.as_str(),
            environments: link.environments.iter().map(|one| one.as_str()).collect(),
            created_at: Time(link.created_at),
            updated_at: Time(link.updated_at),
        }
    }
}

/// A token.
#[derive(Serialize)]
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
}

#[derive(Serialize)]
struct Named<'a> {
    id: &'a str,
    uid: &'a str,
    name: &'a str,
    r#type: &'static str,
}

impl<'a> From<&'a grantry_core::nouns::Connector> for Named<'a> {
    fn from(row: &'a grantry_core::nouns::Connector) -> Self {
        Self {
            id: row.id.as_str(),
            uid: &row.uid,
            name: &row.name,
            r#type: row.kind.as_str(),
        }
    }
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
        }
    }
}

/// A consent that was asked for.
#[derive(Serialize)]
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
#[derive(Serialize)]
pub struct Outcome<'a> {
    #[serde(flatten)]
    state: &'a AuthorizationState,
    connector: &'a str,
}

impl<'a> From<&'a ConsentResult> for Outcome<'a> {
    fn from(result: &'a ConsentResult) -> Self {
        Self {
            state: &result.state,
            connector: &result.connector,
        }
    }
}

/// A connection. Its tokens are read by `POST /tokens`.
#[derive(Serialize)]
pub struct Connection<'a> {
    id: &'a str,
    connector: &'a str,
    subject: &'a Subject,
    environment: &'a str,
    installation: Option<&'a str>,
    scopes: &'a Scopes,
    audience: &'a [String],
    resources: &'a [String],
    authorization_details: &'a [Value],
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
        let Grant {
            connector,
            subject,
            environment,
            installation,
            scopes,
            audience,
            resources,
            details,
        } = &row.grant;
        let (state, reason) = match row.state {
            ConnectionState::Active => ("active", None),
            ConnectionState::NeedsReauth(reason) => ("needs_reauth", Some(reason.as_str())),
            ConnectionState::Revoked => ("revoked", None),
        };
        Self {
            id: row.id.as_str(),
            connector: connector.as_str(),
            subject,
            environment: environment.as_str(),
            installation: installation.as_deref(),
            scopes,
            audience,
            resources,
            authorization_details: details,
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
#[derive(Serialize)]
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

/// A project.
#[derive(Serialize)]
pub struct Project<'a> {
    id: &'a str,
    name: &'a str,
    custom_environments: &'a [grantry_core::nouns::CustomEnvironment],
    base_urls: &'a std::collections::BTreeMap<String, String>,
    created_at: Time,
}

impl<'a> From<&'a ProjectRow> for Project<'a> {
    fn from(row: &'a ProjectRow) -> Self {
        Self {
            id: row.id.as_str(),
            name: &row.name,
            custom_environments: &row.custom_environments,
            base_urls: &row.base_urls,
            created_at: Time(row.created_at),
        }
    }
}

/// A line of the event log.
#[derive(Serialize)]
pub struct Event<'a> {
    id: &'a str,
    at: Time,
    kind: &'static str,
    actor: &'a Actor,
    connector: Option<&'a str>,
    connection: Option<&'a str>,
    data: &'a Map<String, Value>,
}

impl<'a> From<&'a EventRow> for Event<'a> {
    fn from(row: &'a EventRow) -> Self {
        Self {
            id: row.id.as_str(),
            at: Time(row.at),
            kind: row.kind.as_str(),
            actor: &row.actor,
            connector: row.connector.as_ref().map(|id| id.as_str()),
            connection: row.connection.as_ref().map(|id| id.as_str()),
            data: &row.data,
        }
    }
}

/// A key, without its text.
#[derive(Serialize)]
pub struct Key<'a> {
    id: &'a str,
    /// The first characters of its text.
    hint: &'a str,
    name: &'a str,
    level: KeyLevel,
    role: Role,
    user: Option<&'a str>,
    project: Option<&'a str>,
    environment: Option<&'a str>,
    created_at: Time,
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
}

impl<'a> From<&'a KeyRow> for Key<'a> {
    fn from(row: &'a KeyRow) -> Self {
        Self {
            id: row.id.as_str(),
            hint: &row.hint,
            name: &row.name,
            level: row.level,
            role: row.role,
            user: row.user.as_ref().map(|id| id.as_str()),
            project: row.project.as_ref().map(|id| id.as_str()),
            environment: row.environment.as_ref().map(|one| one.as_str()),
            created_at: Time(row.created_at),
            expires_at: row.expires_at.map(Time),
            revoked_at: row.revoked_at.map(Time),
        }
    }
}

/// A key that was just made: the only answer that shows its text.
#[derive(Serialize)]
pub struct NewKey<'a> {
    /// The text.
    pub key: &'a str,
    /// The row.
    #[serde(flatten)]
    pub row: Key<'a>,
}

/// A workload token.
#[derive(Serialize)]
pub struct Minted<'a> {
    token: &'a str,
    expires_at: Time,
}

impl<'a> From<&'a WorkloadToken> for Minted<'a> {
    fn from(minted: &'a WorkloadToken) -> Self {
        Self {
            token: minted.token.expose(),
            expires_at: Time(minted.expires_at),
        }
    }
}

/// What an apply did.
#[derive(Serialize)]
pub struct Applied<'a> {
    dry_run: bool,
    rows: Vec<AppliedRow<'a>>,
}

#[derive(Serialize)]
struct AppliedRow<'a> {
    table: &'a str,
    /// From 1.
    row: usize,
    id: &'a str,
    change: &'static str,
    /// The text of a key that was generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> From<&'a ApplyReport> for Applied<'a> {
    fn from(report: &'a ApplyReport) -> Self {
        let row = |row: &'a grantry_engine::AppliedRow| AppliedRow {
            table: &row.table,
            row: row.row,
            id: &row.id,
            change: Change::as_str(row.change),
            key: row.key.as_ref().map(|key| key.expose()),
        };
        Self {
            dry_run: report.dry_run,
            rows: report.rows.iter().map(row).collect(),
        }
    }
}

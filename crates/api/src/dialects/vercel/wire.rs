//! The dialect's JSON: supersets of what its clients read (reference/vercel-connect §3, §6, §7).
//! Times are numbers of milliseconds.

mod links;

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use grantry_core::Timestamp;
use grantry_core::limits::{INCLUDED_LINKS_MAX, TOKEN_LIFE_ASSUMED};
use grantry_core::nouns::{Actor, AuthorizationState, TriggerDestination};
use grantry_engine::{
    ConnectorView, ConsentResult, Requested, Revoked, ServedToken, SetupProgress, SetupView,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

pub use links::{ConnectorConnections, Link, Links, ProjectConnections, Projects, Updated};

use crate::kit::cursor;

/// Whose parser reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `@vercel/sdk`, which takes `supportsIcon` as a string only.
    Sdk,
    /// Everybody else: as documented.
    Other,
}

impl Reader {
    /// Tells them apart by the user agent.
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(header::USER_AGENT) {
            Some(agent) if agent.as_bytes().starts_with(b"speakeasy-sdk/") => Self::Sdk,
            _ => Self::Other,
        }
    }
}

/// A connector, from every endpoint that answers with one.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelConnector)]
#[serde(rename_all = "camelCase")]
pub struct Connector<'a> {
    id: &'a str,
    uid: &'a str,
    owner_id: &'a str,
    name: &'a str,
    display_name: &'a str,
    r#type: &'static str,
    type_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    docsite: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    devsite: Option<&'a str>,
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    connection_method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<&'a str>,
    created_at: i64,
    updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    created_by: Option<Principal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    updated_by: Option<Principal<'a>>,
    creation_mode: &'static str,
    public: bool,
    redirect_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    default_installation_id: Option<&'a str>,
    /// Since when an installation has to be made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reinstall_at: Option<i64>,
    data: Cow<'a, Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    icon: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    background_color: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accent_color: Option<&'a str>,
    supported_subject_types: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    app_tokens: Option<Tokens<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_tokens: Option<Tokens<'a>>,
    supports_installation: bool,
    supports_revocation: bool,
    supports_triggers: bool,
    supports_icon: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    triggers: Option<Switch>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    events: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false, value_type = Vec<Object>)]
    trigger_destinations: &'a [TriggerDestination],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    includes: Option<Includes<'a>>,
}

/// `data` as `@vercel/connect` reads it: telephone numbers as the lines that it looks for, too (its `vendor.lines`).
fn with_lines(data: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let Some(numbers) = data.get("phoneNumbers").and_then(Value::as_array) else {
        return Cow::Borrowed(data);
    };
    let lines = numbers.iter().map(|number| json!({"phone_number": number}));
    let mut all = data.clone();
    all.insert("lines".to_owned(), lines.collect());
    Cow::Owned(all)
}

/// What a list was asked to tell along with each connector.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelIncludes)]
struct Includes<'a> {
    projects: IncludedLinks<'a>,
}

/// A connector's first links.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelIncludedLinks)]
#[serde(rename_all = "camelCase")]
struct IncludedLinks<'a> {
    items: Vec<Link<'a>>,
    has_more: bool,
    /// Where the connector's own list of links goes on.
    cursor: Option<String>,
}

/// Types whose providers send events (reference/vercel-connect §5).
const WITH_EVENTS: &[&str] = &[
    "discord",
    "github",
    "linear",
    "linq",
    "microsoft-teams",
    "photon",
    "sendblue",
    "slack",
];

/// Who made or changed a connector. Clients know these two kinds only; others are left out.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelPrincipal)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Principal<'a> {
    User { id: &'a str },
    Project { id: &'a str, environment: &'a str },
}

/// What tokens of one kind of subject can be asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelTokens)]
#[serde(rename_all = "camelCase")]
struct Tokens<'a> {
    cross_installation: bool,
    supports_refinement: bool,
    /// Tokens of one resource can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    supports_resources: Option<bool>,
    /// What the connector asks for; left out where that is the provider's to say.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    scopes: &'a [String],
    /// The provider's page where its permissions are declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    permissions_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    manual_credential_input: Option<bool>,
    /// Installing again is what changes it, for all environments: no environment has a token of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    requires_reinstallation: Option<bool>,
    /// Types of `authorizationDetails` that narrow it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    supported_authorization_details: &'static [&'static str],
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelSwitch)]
struct Switch {
    enabled: bool,
}

impl<'a> Connector<'a> {
    /// `view` as `reader` takes it.
    pub fn of(view: &'a ConnectorView, reader: Reader) -> Self {
        let (row, can) = (&view.connector, &view.capabilities);
        let tokens = |subject: &str| {
            let at = usize::from(subject == "user");
            can.subjects.contains(&subject).then(|| Tokens {
                cross_installation: false,
                supports_refinement: can.refinement,
                supports_resources: can.resources[at].then_some(true),
                scopes: &can.scopes[at],
                permissions_url: can.permissions_url.as_deref().filter(|_| subject == "app"),
                manual_credential_input: (can.manual_input && subject == "user").then_some(true),
                requires_reinstallation: (subject == "app" && can.reinstallation).then_some(true),
                supported_authorization_details: match subject {
                    "app" => can.details,
                    _ => &[],
                },
            })
        };
        Self {
            id: row.id.as_str(),
            uid: &row.uid,
            owner_id: row.team.as_str(),
            name: &row.name,
            display_name: &row.name,
            r#type: row.kind.as_str(),
            type_name: can.type_name,
            docsite: view.pages[0].as_deref(),
            devsite: view.pages[1].as_deref(),
            service: &row.service,
            connection_method: row.connection_method.as_deref(),
            target: row.target.as_deref(),
            created_at: row.created_at.as_millis(),
            updated_at: row.updated_at.as_millis(),
            created_by: Principal::of(&row.created_by),
            updated_by: Principal::of(&row.updated_by),
            creation_mode: "manual",
            public: false,
            redirect_uri: &row.redirect_uri,
            client_url: can.client_url.as_deref(),
            default_installation_id: row.default_installation.as_deref(),
            reinstall_at: row.reinstall_at.map(Timestamp::as_millis),
            data: with_lines(&row.data),
            icon: row.icon.as_deref(),
            background_color: row.background_color.as_deref(),
            accent_color: row.accent_color.as_deref(),
            supported_subject_types: &can.subjects,
            app_tokens: tokens("app"),
            user_tokens: tokens("user"),
            supports_installation: can.installation,
            supports_revocation: can.revocation,
            supports_triggers: WITH_EVENTS.contains(&row.kind.as_str()),
            // "Whether the connector icon can propagate to the provider": it is shown on our pages only.
            supports_icon: match reader {
                Reader::Sdk => Value::from("false"),
                Reader::Other => Value::from(false),
            },
            triggers: row.triggers_enabled.then_some(Switch { enabled: true }),
            events: &row.events,
            trigger_destinations: &row.trigger_destinations,
            includes: None,
        }
    }

    /// The connector with its first links, whose projects are among `projects`.
    pub fn including(self, view: &'a ConnectorView, projects: &'a Projects) -> Self {
        let shown = view.links.iter().take(INCLUDED_LINKS_MAX);
        let last = view.links.get(INCLUDED_LINKS_MAX - 1);
        let more = view.links.len() > INCLUDED_LINKS_MAX;
        Self {
            includes: Some(Includes {
                projects: IncludedLinks {
                    items: Link::all(shown, projects),
                    has_more: more,
                    cursor: last.filter(|_| more).map(|link| {
                        cursor::encode(&(link.project.to_string(), link.connector.to_string()))
                    }),
                },
            }),
            ..self
        }
    }
}

impl<'a> Principal<'a> {
    fn of(actor: &'a Actor) -> Option<Self> {
        match actor {
            Actor::User { id } => Some(Self::User { id }),
            Actor::Project {
                id, environment, ..
            } => Some(Self::Project {
                id,
                environment: environment.as_str(),
            }),
            Actor::Server | Actor::Key { .. } | Actor::EndUser | Actor::System => None,
        }
    }
}

/// A4's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelClients)]
pub struct Clients<'a> {
    /// One page.
    pub clients: Vec<Connector<'a>>,
    /// Where the next one starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cursor: Option<String>,
}

/// A5's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelConnectors)]
pub struct Connectors<'a> {
    /// One page.
    pub connectors: Vec<Connector<'a>>,
    /// The SDK requires it.
    pub pagination: Pagination,
}

/// See [`Connectors`].
#[derive(Serialize, ToSchema)]
#[schema(as = VercelPagination)]
pub struct Pagination {
    /// Where the next page starts.
    pub next: Option<String>,
}

/// D1's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelToken)]
#[serde(rename_all = "camelCase")]
pub struct Token<'a> {
    token: &'a str,
    token_id: &'a str,
    /// An hour from now when nobody knows: ask again then.
    expires_at: i64,
    connector: TokenConnector<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    installation_id: Option<&'a str>,
    /// The provider's tenant that the installation is in, where that has another id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    external_subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(required = false)]
    metadata: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(required = false)]
    claims: &'a Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelTokenConnector)]
struct TokenConnector<'a> {
    id: &'a str,
    uid: &'a str,
    r#type: &'static str,
}

impl<'a> Token<'a> {
    /// The one place where this dialect exposes a token. Its clients count on an end: without one, one reads 1970, one
    /// makes `NaN` of it and none caches.
    pub fn of(served: &'a ServedToken, now: Timestamp) -> Self {
        let connector = &served.connector.connector;
        let connection = served.connection.as_deref().map(|live| &live.connection);
        Self {
            token: served.token.expose(),
            token_id: served.token_set.as_str(),
            expires_at: served
                .expires_at
                .unwrap_or(now.after(TOKEN_LIFE_ASSUMED))
                .as_millis(),
            connector: TokenConnector {
                id: connector.id.as_str(),
                uid: &connector.uid,
                r#type: connector.kind.as_str(),
            },
            name: connection.and_then(|connection| connection.name.as_deref()),
            installation_id: connection
                .and_then(|connection| connection.grant.installation.as_deref()),
            tenant_id: served.tenant.as_deref(),
            external_subject: connection
                .and_then(|connection| connection.external_subject.as_deref()),
            metadata: &served.metadata,
            claims: &served.claims,
        }
    }
}

/// D3's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelCounts)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    tokens_found: u64,
    deleted: u64,
    provider_revoked: u64,
    provider_skipped: u64,
    provider_failed: u64,
}

impl From<Revoked> for Counts {
    fn from(revoked: Revoked) -> Self {
        Self {
            tokens_found: revoked.found,
            deleted: revoked.deleted,
            provider_revoked: revoked.provider_revoked,
            provider_skipped: revoked.provider_skipped,
            provider_failed: revoked.provider_failed,
        }
    }
}

/// E1's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelAuthorization)]
#[serde(rename_all = "camelCase")]
pub struct Authorization<'a> {
    url: &'a str,
    request: &'a str,
    verifier: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    device_code: Option<&'a str>,
    expires_at: i64,
    connector: AuthorizationConnector<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelAuthorizationConnector)]
#[serde(rename_all = "camelCase")]
struct AuthorizationConnector<'a> {
    id: &'a str,
    uid: &'a str,
    r#type: &'static str,
    service: &'a str,
    service_name: &'a str,
    name: &'a str,
}

impl<'a> Authorization<'a> {
    /// What was asked for.
    pub fn of(requested: &'a Requested) -> Self {
        let connector = &requested.connector.connector;
        Self {
            url: &requested.url,
            request: requested.id.as_str(),
            verifier: requested.verifier.expose(),
            device_code: requested.device_code.as_deref(),
            expires_at: requested.expires_at.as_millis(),
            connector: AuthorizationConnector {
                id: connector.id.as_str(),
                uid: &connector.uid,
                r#type: connector.kind.as_str(),
                service: &connector.service,
                service_name: &requested.connector.service_name,
                name: &connector.name,
            },
        }
    }
}

/// E3's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelOutcome)]
pub struct Outcome<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    progress: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data: Option<OutcomeData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<OutcomeError<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelOutcomeData)]
#[serde(rename_all = "camelCase")]
struct OutcomeData<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    installation_id: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = VercelOutcomeError)]
struct OutcomeError<'a> {
    code: &'a str,
    message: &'static str,
}

impl<'a> Outcome<'a> {
    /// Nobody has asked for anything with this verifier's code yet.
    pub const fn not_begun() -> Self {
        Self {
            status: "pending",
            progress: None,
            data: None,
            error: None,
        }
    }

    /// How far a consent has come.
    pub fn of(result: &'a ConsentResult) -> Self {
        let (status, done, error) = match &result.state {
            AuthorizationState::Pending | AuthorizationState::Unconfirmed => {
                ("pending", false, None)
            }
            AuthorizationState::Success { .. } => ("success", true, None),
            AuthorizationState::Error { code } => ("error", false, Some(code)),
            AuthorizationState::Canceled => ("canceled", false, None),
        };
        Self {
            status,
            progress: None,
            data: done.then_some(OutcomeData {
                client_id: &result.connector,
                installation_id: result.installation.as_deref(),
            }),
            error: error.map(|code| OutcomeError {
                code,
                message: "The account was not connected.",
            }),
        }
    }
}

impl<'a> Outcome<'a> {
    /// How far a connector has come that a person registers.
    pub fn of_setup(view: &'a SetupView) -> Self {
        let (status, progress, installation_id) = match &view.progress {
            SetupProgress::Pending => ("pending", None, None),
            SetupProgress::Installing => ("partial", Some("Waiting for the installation"), None),
            SetupProgress::Done { installation } => ("success", None, installation.as_deref()),
            SetupProgress::Canceled => ("canceled", None, None),
            SetupProgress::Expired => ("error", None, None),
        };
        let error = (view.progress == SetupProgress::Expired).then_some(OutcomeError {
            code: "expired",
            message: "Nobody registered the connector in time.",
        });
        Self {
            status,
            progress,
            data: view.connector().map(|id| OutcomeData {
                client_id: id.as_str(),
                installation_id,
            }),
            error,
        }
    }
}

/// What a project's token is answered with.
#[derive(Serialize, ToSchema)]
#[schema(as = VercelProjectToken)]
pub struct ProjectToken<'a> {
    /// A workload token of our issuer.
    pub token: &'a str,
}

//! The dialect's JSON (reference/datagrid §2). What may be absent is left out, unless `null` is one of its values.

use grantry_core::Timestamp;
use grantry_core::nouns::{
    Connection, ConnectionState, Connector, Invite, McpServer, Team, User, Words,
};
use grantry_engine::{Identity as Who, KeptSecret, ServiceView, types};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::map;

/// A list.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridList)]
pub struct List<T> {
    object: &'static str,
    data: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    has_more: Option<bool>,
}

impl<T> List<T> {
    /// A page of one.
    pub const fn paged(data: Vec<T>, has_more: bool) -> Self {
        Self {
            object: "list",
            data,
            has_more: Some(has_more),
        }
    }

    /// All of one that has no pages.
    pub const fn whole(data: Vec<T>) -> Self {
        Self {
            object: "list",
            data,
            has_more: None,
        }
    }
}

/// An OAuth client of a service.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridConnectionProvider)]
pub struct Provider {
    object: &'static str,
    id: String,
    name: String,
    connector_id: String,
    client_id: String,
    client_secret_id: String,
    created_at: Time,
    updated_at: Time,
}

impl Provider {
    /// A connector, whatever dialect it was made in; `None` for one without a client of its own, of which this dialect
    /// has no form. Of a public client the secret's id is empty.
    pub fn of(row: Connector) -> Option<Self> {
        let client_id = types::client_id(&row);
        let client_id = client_id.filter(|id| !id.is_empty())?.to_owned();
        let secret = row.client_secret.map(|secret| secret.id.to_string());
        Some(Self {
            object: "connection_provider",
            id: row.id.to_string(),
            name: row.name,
            connector_id: row.service,
            client_id,
            client_secret_id: secret.unwrap_or_default(),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        })
    }
}

/// A service.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridConnector)]
pub struct Service {
    object: &'static str,
    id: String,
    name: String,
    oauth_app_settings: Option<AppSettings>,
}

/// What an OAuth app of a service has to allow.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridOauthAppSettings)]
struct AppSettings {
    redirect_uri: String,
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Value>,
}

impl Service {
    /// A row of the catalogue.
    pub fn of(row: &ServiceView, redirect_uri: &str) -> Self {
        let name = row.data.get("name").and_then(Value::as_str);
        Self {
            object: "connector",
            id: row.id.clone(),
            name: name.unwrap_or(&row.id).to_owned(),
            oauth_app_settings: map::has_apps(&row.data).then(|| AppSettings {
                redirect_uri: redirect_uri.to_owned(),
                scopes: row.data.get("common_scopes").cloned(),
            }),
        }
    }
}

/// A connection. `value`, whose meaning is not public, is left out.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridConnection)]
pub struct Linked {
    object: &'static str,
    id: String,
    name: String,
    teamspace_id: String,
    connector_id: String,
    valid: bool,
    created_at: Time,
    updated_at: Time,
}

impl Linked {
    /// A connection of a service. One that has no name is called like the account, else like the service.
    pub fn of(row: Connection, service: String) -> Self {
        let name = row.name.or(row.external_subject);
        Self {
            object: "connection",
            id: row.id.to_string(),
            name: name.unwrap_or_else(|| service.clone()),
            teamspace_id: row.team.to_string(),
            connector_id: service,
            valid: row.state == ConnectionState::Active,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

/// Where a user goes on.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridRedirectUrl)]
pub struct Redirect {
    object: &'static str,
    redirect_url: String,
}

impl Redirect {
    /// To `url`.
    pub const fn to(url: String) -> Self {
        Self {
            object: "redirect_url",
            redirect_url: url,
        }
    }
}

/// A secret.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridSecret)]
pub struct Secret {
    object: &'static str,
    id: String,
    name: String,
    created_at: Time,
}

impl From<KeptSecret> for Secret {
    fn from(secret: KeptSecret) -> Self {
        Self {
            object: "secret",
            id: secret.id.to_string(),
            name: secret.name,
            created_at: Time(secret.created_at),
        }
    }
}

/// Who a key is.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridIdentity)]
pub struct Identity {
    object: &'static str,
    user_id: String,
    current_teamspace_id: String,
    teamspaces: Vec<Seat>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DatagridSeat)]
struct Seat {
    teamspace_id: String,
    permissions: Permissions,
}

impl From<Who> for Identity {
    fn from(who: Who) -> Self {
        let seat = |seat: grantry_engine::Seat| Seat {
            teamspace_id: seat.team.to_string(),
            permissions: match seat.role {
                Some(role) => Permissions::of(map::word_of(role), &seat.words),
                None => Permissions::of(map::WORKLOAD, &Words::new()),
            },
        };
        Self {
            object: "identity",
            user_id: who.user,
            current_teamspace_id: who.team.to_string(),
            teamspaces: who.seats.into_iter().map(seat).collect(),
        }
    }
}

/// What somebody may do.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridPermissions)]
pub struct Permissions {
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Vec<String>)]
    agent_ids: Option<Value>,
}

impl Permissions {
    fn of(role: &str, words: &Words) -> Self {
        let word = words.get("role").and_then(Value::as_str);
        Self {
            role: word.unwrap_or(role).to_owned(),
            agent_ids: words.get("agent_ids").cloned(),
        }
    }
}

/// A teamspace.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridTeamspace)]
pub struct Teamspace {
    id: String,
    name: String,
    access: String,
    cloud_provider: String,
    created_at: Time,
}

impl From<Team> for Teamspace {
    fn from(team: Team) -> Self {
        let word = |name: &str, default: &str| {
            let word = team.words.get(name).and_then(Value::as_str);
            word.unwrap_or(default).to_owned()
        };
        Self {
            access: word("access", "closed"),
            cloud_provider: word("cloud_provider", "gcp"),
            id: team.id.to_string(),
            name: team.name,
            created_at: Time(team.created_at),
        }
    }
}

/// A person of a teamspace or of the organization.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridUser)]
pub struct Person {
    id: String,
    email: String,
    first_name: String,
    last_name: String,
    permissions: Permissions,
}

impl Person {
    /// With a role in this dialect's words.
    pub fn of(user: User, role: &str, words: &Words) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email,
            first_name: user.first_name,
            last_name: user.last_name,
            permissions: Permissions::of(role, words),
        }
    }
}

/// An invitation.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridInvite)]
pub struct Invitation {
    id: String,
    email: String,
    permissions: Permissions,
    status: &'static str,
    accepted_at: Option<Time>,
}

impl From<Invite> for Invitation {
    fn from(invite: Invite) -> Self {
        Self {
            id: invite.id.to_string(),
            email: invite.email,
            permissions: Permissions::of(map::word_of(invite.role), &invite.words),
            status: match invite.accepted_at {
                Some(_) => "accepted",
                None => "pending",
            },
            accepted_at: invite.accepted_at.map(Time),
        }
    }
}

/// What may still be used up.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridCredits)]
pub struct Credits {
    remaining: usize,
    consumed: usize,
    total: usize,
}

impl Credits {
    /// Of so many, of which nothing uses any.
    pub const fn of(total: usize) -> Self {
        Self {
            remaining: total,
            consumed: 0,
            total,
        }
    }
}

/// An MCP server. It is never asked anything here, so nothing is known of its tools.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridMcpServer)]
pub struct Mcp {
    object: &'static str,
    id: String,
    name: String,
    base_url: String,
    status: &'static str,
    transport: String,
    icon_url: Option<String>,
    protocol_version: Option<String>,
    authorization_secret_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    created_at: Time,
    updated_at: Time,
}

impl From<McpServer> for Mcp {
    fn from(server: McpServer) -> Self {
        let text = |name: &str| {
            let text = server.data.get(name).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        Self {
            object: "mcp_server",
            status: "active",
            transport: text("transport").unwrap_or_else(|| "http".to_owned()),
            icon_url: text("icon_url"),
            protocol_version: text("protocol_version"),
            authorization_secret_id: text("authorization_secret_id"),
            metadata: None,
            id: server.id.to_string(),
            name: server.name,
            base_url: server.base_url,
            created_at: Time(server.created_at),
            updated_at: Time(server.updated_at),
        }
    }
}

/// ISO 8601 with milliseconds, as in their samples.
#[derive(ToSchema)]
#[schema(as = DatagridTime, value_type = String, format = DateTime)]
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = Timestamp::from_millis(self.0.as_millis());
        serializer.collect_str(&whole)
    }
}

//! Rows as they are declared, and what one field of a row says about another. An optional field is
//! absent where the row leaves it out: what is stored then stays, and a new row gets the empty value.

use std::collections::BTreeMap;

use grantry_core::ids::{
    AccountId, ConnectionId, ConnectorId, InviteId, KeyId, McpServerId, ProjectId, SecretId,
    TeamId, UserId,
};
use grantry_core::nouns::{CustomEnvironment, Environment, KeyLevel, Role, Subject};
use grantry_core::{Secret, Timestamp};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::schema::{self, Field};

/// A kind of row.
pub trait Row: DeserializeOwned {
    /// Its table.
    const TABLE: &'static str;
    /// Its fields.
    const FIELDS: &'static [Field];

    /// The fields whose values no two rows of a file may share, with the values.
    fn unique(&self) -> Vec<(&'static str, String)>;

    /// What the fields say that cannot be together: field, message.
    fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
}

#[derive(Deserialize)]
pub struct AccountRow {
    pub id: AccountId,
    pub name: String,
}

#[derive(Deserialize)]
pub struct TeamRow {
    pub id: Option<TeamId>,
    pub account: AccountId,
    pub slug: String,
    pub name: Option<String>,
    pub return_origins: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub struct UserRow {
    pub id: UserId,
    pub account: Option<AccountId>,
    team: Option<String>,
    role: Option<Role>,
    #[serde(default)]
    memberships: Vec<MembershipRow>,
    pub email: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

#[derive(Clone, Deserialize)]
pub struct MembershipRow {
    pub team: String,
    pub role: Role,
}

#[derive(Deserialize)]
pub struct ProjectRow {
    pub id: Option<ProjectId>,
    pub team: String,
    pub name: String,
    pub custom_environments: Option<Vec<CustomEnvironment>>,
    pub base_urls: Option<BTreeMap<String, String>>,
    pub provisions: Option<bool>,
    pub sign_in_uris: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub struct KeyRow {
    pub id: Option<KeyId>,
    pub name: Option<String>,
    level: Option<KeyLevel>,
    pub team: Option<String>,
    pub account: Option<AccountId>,
    pub user: Option<UserId>,
    pub project: Option<String>,
    pub environment: Option<Environment>,
    pub role: Option<Role>,
    pub token: Option<Secret>,
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
pub struct ServiceRow {
    pub id: String,
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

#[derive(Deserialize)]
pub struct SecretRow {
    pub id: Option<SecretId>,
    pub team: String,
    pub name: String,
    pub value: Secret,
}

#[derive(Deserialize)]
pub struct ConnectorRow {
    pub id: Option<ConnectorId>,
    pub uid: Option<String>,
    pub team: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub service: Option<String>,
    pub data: Map<String, Value>,
    pub metadata: Option<Map<String, Value>>,
    pub links: Option<Vec<LinkRow>>,
    pub redirect: Option<Redirect>,
    pub icon: Option<String>,
    pub background_color: Option<String>,
    pub accent_color: Option<String>,
    pub default_installation: Option<String>,
    pub triggers_enabled: Option<bool>,
    pub events: Option<Vec<String>>,
    pub trigger_destinations: Option<Vec<DestinationRow>>,
}

/// Which of the server's redirect URIs is registered with the provider (design §7).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirect {
    /// `/callback`
    Server,
    /// `/callback/{team}`
    Team,
}

#[derive(Deserialize)]
pub struct DestinationRow {
    pub project: String,
    pub branch: Option<String>,
    pub custom_environment: Option<String>,
    pub path: Option<String>,
}

#[derive(Deserialize)]
pub struct LinkRow {
    pub project: String,
    pub environments: Option<Vec<Environment>>,
}

#[derive(Deserialize)]
pub struct ConnectionRow {
    pub id: Option<ConnectionId>,
    pub team: Option<String>,
    pub connector: String,
    pub environment: Option<Environment>,
    subject: Option<SubjectRow>,
    pub installation: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub audience: Vec<String>,
    #[serde(default)]
    pub resources: Vec<String>,
    pub name: Option<String>,
    pub external_subject: Option<String>,
    pub access_token: Secret,
    pub refresh_token: Option<Secret>,
    pub expires_in: Option<u64>,
}

#[derive(Deserialize)]
pub struct McpServerRow {
    pub id: Option<McpServerId>,
    pub team: String,
    pub name: String,
    pub base_url: String,
}

#[derive(Deserialize)]
pub struct InviteRow {
    pub id: Option<InviteId>,
    pub team: String,
    pub email: String,
    pub role: Option<Role>,
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct SubjectRow {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    issuer: Option<String>,
}

/// RFC 3339 text, which the field's shape has checked.
fn instant<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(field)?;
    let read = text.map(|text| Timestamp::from_rfc3339(&text).ok_or(text));
    read.transpose()
        .map_err(|text| D::Error::custom(format!("{text:?} is no date and time")))
}

impl Row for AccountRow {
    const TABLE: &'static str = "accounts";
    const FIELDS: &'static [Field] = schema::ACCOUNTS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        vec![("id", self.id.to_string())]
    }
}

impl Row for TeamRow {
    const TABLE: &'static str = "teams";
    const FIELDS: &'static [Field] = schema::TEAMS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        let id = self.id.as_ref().map(|id| ("id", id.to_string()));
        id.into_iter()
            .chain([("slug", self.slug.clone())])
            .collect()
    }
}

impl Row for UserRow {
    const TABLE: &'static str = "users";
    const FIELDS: &'static [Field] = schema::USERS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        vec![("id", self.id.to_string())]
    }

    fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        match (&self.team, &self.role) {
            (Some(_), None) => found.push(("role", "is required: what they may do in `team`")),
            (None, Some(_)) => found.push(("team", "is required: where they have the `role`")),
            _ => {}
        }
        if self.account.is_none() && self.team.is_none() && self.memberships.is_empty() {
            found.push(("account", "is required, or a `team` whose account it is"));
        }
        found
    }
}

impl UserRow {
    /// All declared memberships; `team` and `role` are short for one.
    pub fn memberships(&self) -> Vec<MembershipRow> {
        let short = self.team.clone().zip(self.role);
        let short = short.map(|(team, role)| MembershipRow { team, role });
        short
            .into_iter()
            .chain(self.memberships.iter().cloned())
            .collect()
    }
}

impl Row for ProjectRow {
    const TABLE: &'static str = "projects";
    const FIELDS: &'static [Field] = schema::PROJECTS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        named_in_team(self.id.as_ref(), &self.team, "name", &self.name)
    }
}

impl Row for KeyRow {
    const TABLE: &'static str = "keys";
    const FIELDS: &'static [Field] = schema::KEYS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        let id = self.id.as_ref().map(|id| ("id", id.to_string()));
        let token = self
            .token
            .as_ref()
            .map(|token| ("token", token.expose().to_owned()));
        id.into_iter().chain(token).collect()
    }

    fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        let mut refuse = |given: bool, field: &'static str, message: &'static str| {
            if given {
                found.push((field, message));
            }
        };
        let (team, account) = (self.team.is_some(), self.account.is_some());
        let (user, project) = (self.user.is_some(), self.project.is_some());
        match self.level() {
            KeyLevel::Team => {
                refuse(
                    !team,
                    "team",
                    "is required, or `account` with level = \"account\"",
                );
                refuse(account, "account", "does not go with a key of one team");
            }
            KeyLevel::Account => {
                refuse(!account, "account", "is required for level = \"account\"");
                refuse(team, "team", "does not go with level = \"account\"");
                refuse(project, "project", "does not go with level = \"account\"");
            }
            KeyLevel::Server => {
                refuse(team, "team", "does not go with level = \"server\"");
                refuse(account, "account", "does not go with level = \"server\"");
                refuse(user, "user", "does not go with level = \"server\"");
                refuse(project, "project", "does not go with level = \"server\"");
            }
        }
        refuse(
            user && project,
            "user",
            "does not go with `project`: a key acts for a person or for a workload",
        );
        refuse(
            !project && self.environment.is_some(),
            "environment",
            "needs a `project`",
        );
        let needs_role = !project && self.level() != KeyLevel::Server;
        refuse(
            needs_role && self.role.is_none(),
            "role",
            "is required: admin, member or token-only",
        );
        let signed = self
            .token
            .as_ref()
            .is_some_and(|token| crate::workload::looks_like_token(token.expose()));
        refuse(
            signed,
            "token",
            "must not have two dots: it would be taken for a signed token",
        );
        found
    }
}

impl KeyRow {
    /// The declared level, else the one that goes with the declared owner.
    pub fn level(&self) -> KeyLevel {
        self.level.unwrap_or(match (&self.team, &self.account) {
            (None, Some(_)) => KeyLevel::Account,
            _ => KeyLevel::Team,
        })
    }
}

impl Row for ServiceRow {
    const TABLE: &'static str = "services";
    const FIELDS: &'static [Field] = schema::SERVICES;

    fn unique(&self) -> Vec<(&'static str, String)> {
        vec![("id", self.id.clone())]
    }
}

/// The fields of a row that is known by its id, else by a name within its team.
fn named_in_team<I: ToString>(
    id: Option<&I>,
    team: &str,
    field: &'static str,
    name: &str,
) -> Vec<(&'static str, String)> {
    let id = id.map(|id| ("id", id.to_string()));
    id.into_iter()
        .chain([(field, format!("{team}\0{name}"))])
        .collect()
}

impl Row for SecretRow {
    const TABLE: &'static str = "secrets";
    const FIELDS: &'static [Field] = schema::SECRETS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        named_in_team(self.id.as_ref(), &self.team, "name", &self.name)
    }
}

impl Row for McpServerRow {
    const TABLE: &'static str = "mcp_servers";
    const FIELDS: &'static [Field] = schema::MCP_SERVERS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        named_in_team(self.id.as_ref(), &self.team, "name", &self.name)
    }
}

impl Row for InviteRow {
    const TABLE: &'static str = "invites";
    const FIELDS: &'static [Field] = schema::INVITES;

    fn unique(&self) -> Vec<(&'static str, String)> {
        named_in_team(self.id.as_ref(), &self.team, "email", &self.email)
    }
}

impl Row for ConnectorRow {
    const TABLE: &'static str = "connectors";
    const FIELDS: &'static [Field] = schema::CONNECTORS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        let id = self.id.as_ref().map(|id| ("id", id.to_string()));
        let uid = self
            .uid
            .as_ref()
            .map(|uid| ("uid", format!("{}\0{uid}", self.team)));
        id.into_iter().chain(uid).collect()
    }

    fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        let destinations = self.trigger_destinations.as_ref().map_or(0, Vec::len);
        if destinations > 0 && self.triggers_enabled != Some(true) {
            found.push(("trigger_destinations", "needs triggers_enabled = true"));
        }
        if self.icon.as_deref().is_some_and(crate::connectors::is_url) {
            found.push((
                "icon",
                "must be the SHA-1 of an image that was uploaded: apply fetches none",
            ));
        }
        if destinations > grantry_core::limits::TRIGGER_DESTINATIONS_MAX {
            found.push(("trigger_destinations", "must be at most 3"));
        }
        found
    }
}

impl Row for ConnectionRow {
    const TABLE: &'static str = "connections";
    const FIELDS: &'static [Field] = schema::CONNECTIONS;

    fn unique(&self) -> Vec<(&'static str, String)> {
        let id = self.id.as_ref().map(|id| ("id", id.to_string()));
        id.into_iter().collect()
    }

    fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        let Some(subject) = &self.subject else {
            return Vec::new();
        };
        let mut found = Vec::new();
        match (subject.kind.as_str(), &subject.id) {
            ("app", Some(_)) => found.push(("subject.id", "does not go with type = \"app\"")),
            ("user" | "connection", None) => found.push(("subject.id", "is required")),
            _ => {}
        }
        if subject.issuer.is_some() && subject.kind != "user" {
            found.push(("subject.issuer", "goes with type = \"user\" only"));
        }
        found
    }
}

impl ConnectionRow {
    /// The declared subject.
    pub fn subject(&self) -> Option<Subject> {
        let SubjectRow { kind, id, issuer } = self.subject.as_ref()?;
        Some(match (kind.as_str(), id) {
            ("user", Some(id)) => Subject::User {
                id: id.clone(),
                issuer: issuer.clone(),
            },
            ("connection", Some(id)) => Subject::Connection { id: id.clone() },
            _ => Subject::App,
        })
    }
}

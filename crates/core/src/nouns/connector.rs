//! Connectors, links and catalogue overlays.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Actor, Environment, Registration, Sealed};
use crate::Timestamp;
use crate::ids::{ConnectorId, ProjectId, SecretId, TeamId};

/// Declares the types with their words, so that no list of them can miss one.
macro_rules! connector_types {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// What kind of third-party application a connector is registered as. The words are the Vercel dialect's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ConnectorType {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $name,)+
        }

        impl ConnectorType {
            /// All of them, by their words.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Their words, in the same order.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// The word on the wire and in the store.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

connector_types! {
    /// Stored API keys.
    ApiKey = "api-key",
    /// AWS, which takes tokens of our own issuer for a role.
    AwsAlpha = "aws-alpha",
    /// An OAuth client where it has a client id; else none: what it reaches asks for no credential, or for one that
    /// its callers bring.
    Custom = "custom",
    /// A Discord application and its bot.
    Discord = "discord",
    /// A GitHub App.
    Github = "github",
    /// A Linear application.
    Linear = "linear",
    /// A Linq API token.
    Linq = "linq",
    /// An application of Microsoft Entra ID.
    MicrosoftEntra = "microsoft-entra",
    /// A Microsoft Teams bot.
    MicrosoftTeams = "microsoft-teams",
    /// Any OAuth 2.0 client.
    Oauth = "oauth",
    /// A Photon project.
    Photon = "photon",
    /// A Salesforce connected app.
    Salesforce = "salesforce",
    /// A Sendblue API key.
    Sendblue = "sendblue",
    /// A Slack app.
    Slack = "slack",
    /// A Snowflake account, by a security integration or a key pair.
    Snowflake = "snowflake",
    /// A Snowflake account that takes tokens of our own issuer.
    SnowflakeWif = "snowflake-wif",
}

impl ConnectorType {
    /// From the word; `None` for one that is no type.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// A team's registered client of a service.
#[derive(Clone)]
pub struct Connector {
    /// Id, minted in the creating dialect's form.
    pub id: ConnectorId,
    /// Its team.
    pub team: TeamId,
    /// The team's own name for it, unique among the team's live connectors.
    pub uid: String,
    /// For people.
    pub name: String,
    /// What it is registered as.
    pub kind: ConnectorType,
    /// Catalogue id or host of the third party; never empty.
    pub service: String,
    /// By which of the service's ways it was made, where one was chosen.
    pub connection_method: Option<String>,
    /// For which of the service's parts, where one was chosen.
    pub target: Option<String>,
    /// The type's configuration without its secrets.
    pub data: Map<String, Value>,
    /// The type's secrets, sealed as one JSON object; `None` when there are none or they were destroyed.
    pub secrets: Option<Sealed>,
    /// What its client secret is known by, where it has one: every new secret is another one.
    pub client_secret: Option<SecretRef>,
    /// How its client is known to the authorization server, where Grantry saw to that.
    pub registration: Option<Registration>,
    /// The secrets of that, sealed as one JSON object.
    pub registration_secrets: Option<Sealed>,
    /// The caller's own annotations, kept to the byte.
    pub metadata: Map<String, Value>,
    /// The exact redirect URI registered with the provider (design §7).
    pub redirect_uri: String,
    /// Used when a token request names no installation.
    pub default_installation: Option<String>,
    /// When what its application asks for in a tenant, or as whom, became what it is; `None` since it was made.
    pub terms_at: Option<Timestamp>,
    /// Since when an installation has to be made again: it was made under other terms. Only the store writes it.
    pub reinstall_at: Option<Timestamp>,
    /// Whether provider events are taken in.
    pub triggers_enabled: bool,
    /// Events the team wants.
    pub events: Vec<String>,
    /// Where events go, at most 3.
    pub trigger_destinations: Vec<TriggerDestination>,
    /// Branding icon: SHA-1 of an uploaded image.
    pub icon: Option<String>,
    /// `#rrggbb`.
    pub background_color: Option<String>,
    /// `#rrggbb`.
    pub accent_color: Option<String>,
    /// Set while the provider refuses the client itself.
    pub fault: Option<Fault>,
    /// The last code exchange, where it brought no token.
    pub failed_exchange: Option<FailedExchange>,
    /// Who made it.
    pub created_by: Actor,
    /// Who changed it last.
    pub updated_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted. The row stays so that its own team is told so (410); its secrets do not.
    pub deleted_at: Option<Timestamp>,
}

impl Connector {
    /// The keys that it stores: their ids, and when they run out.
    pub fn stored_keys(&self) -> impl Iterator<Item = (&str, Option<Timestamp>)> {
        let values = self.data.get("values").and_then(Value::as_array);
        values.into_iter().flatten().filter_map(|value| {
            let expires = value.get("expiresAt").and_then(Value::as_i64);
            let id = value.get("id")?.as_str()?;
            Some((id, expires.map(Timestamp::from_millis)))
        })
    }

    /// When the first of them runs out.
    pub fn first_expiry(&self) -> Option<Timestamp> {
        self.stored_keys().filter_map(|(_, expires)| expires).min()
    }
}

/// A secret that lies with the row that uses it, as those may know of it who must not read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Its id; never used again.
    pub id: SecretId,
    /// When it was given.
    pub at: Timestamp,
}

/// The provider refuses the connector's client (`invalid_client`): an alarm and a breaker (design §6d).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The OAuth error code.
    pub code: String,
    /// Consecutive refusals with that code.
    pub count: u32,
    /// The latest one.
    pub at: Timestamp,
    /// No request is sent before this instant.
    pub not_before: Timestamp,
}

/// A code exchange that brought no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedExchange {
    /// A fixed word of ours or a registered OAuth error code.
    pub code: String,
    /// When.
    pub at: Timestamp,
}

/// Where a provider's events are forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerDestination {
    /// The project.
    pub project_id: ProjectId,
    /// Git branch; excludes `custom_environment_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// A custom environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_environment_id: Option<String>,
    /// Path at the project's base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A project's permission to use a connector, in some of its environments.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The team of both.
    pub team: TeamId,
    /// The connector.
    pub connector: ConnectorId,
    /// The project.
    pub project: ProjectId,
    /// Never empty, no duplicates.
    pub environments: Vec<Environment>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A deployment's addition to, or override of, the built-in catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Catalogue id.
    pub id: String,
    /// Field names of the built-in catalogue.
    pub data: Map<String, Value>,
}

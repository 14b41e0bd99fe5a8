//! The ways in which a service can be connected (reference/vercel-connect §9 F1), read from the catalogue, and
//! connectors that are made by naming one of them.

use grantry_core::nouns::{ConnectorType, Service};
use grantry_core::{Error, Problem, Result};
use serde_json::{Map, Value, json};
use url::Url;

use super::NewConnector;
use super::data::{asked_fields, is_web_url, schema, sealed_fields};
use super::discovered::At;
use super::types;
use crate::catalogue::Catalogue;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// Kind of a catalogue row, the way's word, the connector type, and what people call it.
const WAYS: &[(&str, &str, &str, &str)] = &[
    ("slack", "slack-app", "slack", "Slack app"),
    ("github_app", "github-app", "github", "GitHub App"),
    ("salesforce", "connected-app", "salesforce", "Connected app"),
    (
        "snowflake",
        "security-integration",
        "snowflake",
        "Security integration",
    ),
    (
        "snowflake",
        "workload-identity",
        "snowflake-wif",
        "Workload identity",
    ),
    ("oauth2", "oauth", "oauth", "OAuth app"),
    ("salesforce", "oauth", "oauth", "OAuth app"),
    ("snowflake", "oauth", "oauth", "OAuth app"),
    ("api_key", "api-key", "api-key", "API key"),
];

/// Ways of single services, which go before those of their kind: the service, then as above. A row of the catalogue is
/// that of any OAuth app or key; what Grantry has a type of its own for is more than that.
const OWN_WAYS: &[(&str, &str, &str, &str)] = &[
    ("discord", "discord-app", "discord", "Discord app"),
    ("aws", "iam-role", "aws-alpha", "IAM role"),
    // An app is what GitHub recommends, and what a manifest makes.
    ("github", "github-app", "github", "GitHub App"),
    ("linear", "linear-app", "linear", "Linear app"),
    ("linq", "linq-token", "linq", "Linq API token"),
    (
        "microsoft-entra",
        "entra-app",
        "microsoft-entra",
        "Microsoft Entra application",
    ),
    (
        "microsoft-teams",
        "teams-bot",
        "microsoft-teams",
        "Microsoft Teams bot",
    ),
    ("photon", "photon-project", "photon", "Photon project"),
    ("sendblue", "sendblue-keys", "sendblue", "Sendblue API keys"),
];

/// A way to connect a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// What `connectionMethod` names.
    pub word: &'static str,
    /// For people.
    pub label: &'static str,
    /// The type that its connectors have.
    pub kind: ConnectorType,
    /// Where its application is registered.
    pub settings_url: Option<String>,
    /// Where it is documented.
    pub docs_url: Option<String>,
    /// What of its endpoints each connector has to fill in.
    pub variables: Vec<Variable>,
    /// What `data` holds unless the caller says otherwise.
    pub defaults: Map<String, Value>,
}

/// A part of a service's endpoints that differs between its customers.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// What `params` names.
    pub key: String,
    /// The text when nothing is given.
    pub default: Option<String>,
    /// What it has to match, whole.
    pub pattern: Option<String>,
    /// One that is like those of its customers.
    pub example: Option<String>,
}

impl Variable {
    /// What has to be said of it, for who types one: what one looks like, else by what it is judged.
    pub fn help(&self) -> Option<String> {
        let example = self.example.as_ref().map(|like| format!("Such as {like}"));
        example.or_else(|| Some(format!("Must match {}", self.pattern.as_ref()?)))
    }
}

/// A service, as who is about to connect it sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceWays {
    /// Its id, or the host of its URL.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Where its authorization server is discovered from.
    pub server_url: Option<String>,
    /// The ways; none for a service that is only known by its URL.
    pub ways: Vec<Way>,
}

impl Way {
    /// What a new connector's `data` may hold, as a JSON schema.
    pub fn schema(&self) -> Value {
        schema(self.kind)
    }

    /// Whether somebody is sent back to this server from the service, which has to know where to.
    pub fn redirects(&self) -> bool {
        types::of(self.kind).client.is_some()
    }

    /// The fields of `data` that whoever has registered an application fills in; whether each has to be there.
    pub fn asked_fields(&self) -> Vec<(String, bool)> {
        let fields = asked_fields(self.kind).into_iter();
        fields.map(|field| (field.name, field.required)).collect()
    }

    /// The fields of `data` that are never given back.
    pub fn sealed_fields(&self) -> Vec<&'static str> {
        sealed_fields(self.kind)
    }
}

/// What a connector's `data` of this type may hold, as a JSON schema.
pub fn input_schema(kind: ConnectorType) -> Value {
    schema(kind)
}

fn text(row: &Service, name: &str) -> Option<String> {
    row.data.get(name)?.as_str().map(str::to_owned)
}

fn variables(row: &Service) -> Vec<Variable> {
    let declared = row.data.get("variables").and_then(Value::as_object);
    let text = |of: &Value, name: &str| of.get(name)?.as_str().map(str::to_owned);
    let variable = |(key, of): (&String, &Value)| Variable {
        key: key.clone(),
        default: text(of, "default"),
        pattern: text(of, "pattern"),
        example: text(of, "example"),
    };
    declared.into_iter().flatten().map(variable).collect()
}

/// The ways of a row, in the order of the table.
pub fn ways(row: &Service) -> Vec<Way> {
    let of_kind = text(row, "kind").unwrap_or_default();
    let with_users = row.data.contains_key("authorization_endpoint");
    let own = OWN_WAYS.iter().filter(|(service, ..)| *service == row.id);
    let of_its_kind = WAYS.iter().filter(|(kind, ..)| *kind == of_kind);
    own.chain(of_its_kind)
        .filter_map(|(_, word, kind, label)| {
            let kind = ConnectorType::from_word(kind)?;
            let grant = match with_users {
                true => "userAuthorization",
                false => "clientCredentials",
            };
            let mut defaults = Map::new();
            if kind == ConnectorType::Oauth {
                defaults.insert(grant.to_owned(), json!({"enabled": true}));
            }
            Some(Way {
                word,
                label,
                kind,
                settings_url: text(row, "app_settings_url"),
                docs_url: text(row, "docs_url"),
                variables: match kind {
                    ConnectorType::Oauth => variables(row),
                    _ => Vec::new(),
                },
                defaults,
            })
        })
        .collect()
}

/// The host and the whole of a service that is named by its URL, with a scheme or without: `mcp.example.com/mcp`. The
/// whole is as it was written: a slash at the end can make another issuer.
pub fn as_url(named: &str) -> Option<(String, String)> {
    let whole = match named.contains("://") {
        true => named.to_owned(),
        false => format!("https://{named}"),
    };
    let url = Url::parse(&whole).ok()?;
    let host = url.host_str()?.to_owned();
    let known_by_name = host.contains('.') || url.port().is_some();
    (is_web_url(&whole) && known_by_name).then_some((host, whole))
}

impl Engine {
    /// A service by its id in the catalogue, or by the URL of a server that says how it authorizes.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what is neither.
    pub async fn service_ways(&self, caller: &Caller, named: &str) -> Result<ServiceWays> {
        caller.require(Act::ReadLists)?;
        let catalogue = self.catalogue().await?;
        if let Some(row) = catalogue.service(named) {
            return Ok(ServiceWays {
                id: row.id.clone(),
                name: text(row, "name").unwrap_or_else(|| row.id.clone()),
                server_url: text(row, "discovery_url")
                    .or_else(|| text(row, "issuer"))
                    .filter(|url| !url.contains('{')),
                ways: ways(row),
            });
        }
        let unknown = Error::NotFound("service");
        let (host, url) = as_url(named).ok_or(unknown.clone())?;
        let (http, clock) = (&*self.ports.http, &*self.ports.clock);
        let found = self.discovered.get(http, clock, At::Url(&url)).await;
        found.map_err(|_| unknown)?;
        Ok(ServiceWays {
            name: host.clone(),
            id: host,
            server_url: Some(url),
            ways: Vec::new(),
        })
    }

    /// `new` with what its connection method supplies: type, endpoints and defaults.
    pub(crate) fn preset(
        &self,
        catalogue: &Catalogue,
        mut new: NewConnector,
    ) -> Result<NewConnector> {
        let Some(method) = new
            .connection_method
            .clone()
            .filter(|word| !word.is_empty())
        else {
            let needs = |field: &str| Error::invalid(field, "needs connectionMethod");
            return match (&new.target, new.params.is_empty()) {
                (Some(_), _) => Err(needs("target")),
                (None, false) => Err(needs("params")),
                (None, true) => Ok(NewConnector {
                    connection_method: None,
                    ..new
                }),
            };
        };
        let mut problems = Vec::new();
        let mut problem =
            |field: &str, message: String| problems.push(Problem::new(field, message));
        let service = new.service.as_deref().map(str::trim).unwrap_or_default();
        let Some(row) = catalogue.service(service) else {
            let message = match service {
                "" => "is required with connectionMethod".to_owned(),
                other => format!("{other} is not in the catalogue of services"),
            };
            return Err(Error::invalid("service", message));
        };
        let ways = ways(row);
        let Some(way) = ways.iter().find(|way| way.word == method) else {
            let known: Vec<_> = ways.iter().map(|way| way.word).collect();
            let message = match known.is_empty() {
                true => format!("is not offered: {service} has no connection methods here"),
                false => format!("is none of {service}; it has {}", known.join(", ")),
            };
            return Err(Error::invalid("connectionMethod", message));
        };
        if !new.kind.is_empty() && new.kind != way.kind.as_str() {
            problem(
                "type",
                format!("must be left out, or {}", way.kind.as_str()),
            );
        }
        if new.target.is_some() {
            problem(
                "target",
                format!("is not offered: {service} has no targets"),
            );
        }
        let known: Vec<&str> = way.variables.iter().map(|one| one.key.as_str()).collect();
        for key in new
            .params
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
        {
            let message = match known.is_empty() {
                true => {
                    "is not asked for: this connection method has no template fields".to_owned()
                }
                false => format!("is not a template field; known are {}", known.join(", ")),
            };
            problem(&format!("params.{key}"), message);
        }
        if !new.params.is_empty() && new.data.contains_key("variables") {
            problem(
                "data.variables",
                "is what params says: give one of them".to_owned(),
            );
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        new.kind = way.kind.as_str().to_owned();
        if !new.params.is_empty() {
            let variables = std::mem::take(&mut new.params);
            new.data
                .insert("variables".to_owned(), Value::Object(variables));
        }
        let grants = ["userAuthorization", "clientCredentials"];
        if grants.iter().all(|grant| !new.data.contains_key(*grant)) {
            new.data.extend(way.defaults.clone());
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::row_of;

    #[test]
    fn a_type_of_its_own_is_the_first_way_to_its_service() {
        for kind in ConnectorType::ALL {
            let row = match types::of(*kind).service.unwrap_or(kind.as_str()) {
                // They are of no service.
                "api-key" | "custom" | "oauth" => continue,
                service => row_of(&[], service).unwrap(),
            };
            // Snowflake has two, and one of them is the second.
            let at = usize::from(*kind == ConnectorType::SnowflakeWif);
            assert_eq!(ways(&row)[at].kind, *kind, "{}", row.id);
        }
    }

    #[test]
    fn a_service_is_named_by_its_url_with_or_without_a_scheme() {
        for (named, url) in [
            ("mcp.example.com/mcp", Some("https://mcp.example.com/mcp")),
            ("https://mcp.example.com", Some("https://mcp.example.com")),
            ("http://127.0.0.1:9/mcp", Some("http://127.0.0.1:9/mcp")),
            ("slack", None),
            ("", None),
            ("ftp://x.example", None),
            ("https://u@x.example", None),
        ] {
            let read = as_url(named);
            assert_eq!(
                read.as_ref().map(|(_, whole)| whole.as_str()),
                url,
                "{named}"
            );
        }
    }
}

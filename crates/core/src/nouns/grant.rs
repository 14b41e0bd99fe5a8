//! What a token is asked for: the key under which connections are stored and found.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::ConnectorId;

/// `production`, `preview`, `development` or a custom environment's id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(Arc<str>);

impl Environment {
    /// The three that every project has.
    pub const BUILT_IN: [&'static str; 3] = ["production", "preview", "development"];

    /// Where a principal without an environment acts (design §2).
    pub fn production() -> Self {
        Self::from("production")
    }

    /// Its name or id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Environment {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Subject {
    /// The application itself (client credentials, a stored API key).
    App,
    /// A person of the application's; `id` is the application's own name for them.
    User {
        /// Free text, at most 512 bytes.
        id: String,
        /// Tells apart users of several identity providers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
    /// Somebody whom the connector speaks for, in an assertion that it signs (RFC 7523 §2.1). What is absent is the
    /// connector's to say.
    JwtBearer {
        /// `sub`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sub: Option<String>,
        /// `iss`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iss: Option<String>,
        /// `aud`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aud: Option<String>,
        /// Further claims: a JSON object as text, its members sorted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claims: Option<String>,
    },
    /// Whoever a token names that the caller brings along (RFC 8693). The token is no part of what is stored, and what
    /// it is exchanged for is not stored either.
    Token,
    /// One of many connections of a connector, named by its own id (Datagrid connections, Sequin credentials).
    Connection {
        /// Connection id.
        id: String,
    },
}

impl Subject {
    /// The word on the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::App => "app",
            Self::User { .. } => "user",
            Self::JwtBearer { .. } => "jwt-bearer",
            Self::Token => "token",
            Self::Connection { .. } => "connection",
        }
    }

    /// Whether its tokens are asked for with what the connector itself has, whenever they are needed.
    pub const fn is_minted(&self) -> bool {
        matches!(self, Self::App | Self::JwtBearer { .. })
    }
}

/// A set of OAuth scopes, or the connector's defaults.
///
/// Absent, empty and `["*"]` are the same `*`; all else is compared as a sorted set, exactly (design §2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scopes {
    /// The connector's defaults for the subject.
    #[default]
    Default,
    /// These; sorted, no duplicates, never empty.
    Exactly(Vec<String>),
}

impl Scopes {
    /// From the list a caller sent.
    pub fn from_list(list: impl IntoIterator<Item = String>) -> Self {
        let mut list: Vec<String> = list.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        if list.is_empty() || list == ["*"] {
            Self::Default
        } else {
            Self::Exactly(list)
        }
    }

    /// As a list; `["*"]` for the defaults.
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::Default => vec!["*".to_owned()],
            Self::Exactly(list) => list.clone(),
        }
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => ["*"].serialize(serializer),
            Self::Exactly(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from_list)
    }
}

/// Everything that tells one connection of a connector from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Which client it was granted to.
    pub connector: ConnectorId,
    /// Whose it is.
    pub subject: Subject,
    /// Grants are partitioned by environment.
    pub environment: Environment,
    /// Provider tenant, for connectors that have installations.
    pub installation: Option<String>,
    /// What was asked for (not what was granted: that is kept on the token set).
    pub scopes: Scopes,
    /// `audience` parameters, sorted.
    pub audience: Vec<String>,
    /// RFC 8707 resource indicators, sorted.
    pub resources: Vec<String>,
    /// RFC 9396 authorization details, in the caller's order.
    pub details: Vec<Value>,
}

impl Grant {
    /// The canonical text of the grant without its connector: equal grants, equal text.
    ///
    /// With the connector and the team it is the unique key of live connections.
    pub fn key(&self) -> String {
        let Self {
            connector: _,
            subject,
            environment,
            installation,
            scopes,
            audience,
            resources,
            details,
        } = self;
        let details: Vec<Value> = details.iter().map(canonical).collect();
        let parts = (
            subject,
            environment,
            installation,
            scopes,
            as_set(audience),
            as_set(resources),
            details,
        );
        #[expect(
            clippy::expect_used,
            reason = "text, lists of text and JSON values always serialise"
        )]
        serde_json::to_string(&parts).expect("text and JSON values serialise")
    }
}

/// Sorted and without duplicates; not copied when it is so already, as it nearly always is.
fn as_set(list: &[String]) -> Cow<'_, [String]> {
    if list.is_sorted_by(|a, b| a < b) {
        return Cow::Borrowed(list);
    }
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    Cow::Owned(list)
}

/// The same JSON value with object keys sorted at every depth.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            entries
                .into_iter()
                .map(|(key, value)| (key.clone(), canonical(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grant() -> Grant {
        Grant {
            connector: "scl_1".into(),
            subject: Subject::User {
                id: "u1".to_owned(),
                issuer: None,
            },
            environment: Environment::production(),
            installation: None,
            scopes: Scopes::Default,
            audience: vec![],
            resources: vec![],
            details: vec![],
        }
    }

    #[test]
    fn absent_empty_and_star_scopes_are_the_same() {
        for list in [
            vec![],
            vec!["*".to_owned()],
            vec!["*".to_owned(), "*".to_owned()],
        ] {
            assert_eq!(Scopes::from_list(list), Scopes::Default);
        }
        assert_eq!(
            Scopes::from_list(["b".to_owned(), "a".to_owned(), "b".to_owned()]),
            Scopes::Exactly(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn the_key_ignores_order_where_order_means_nothing() {
        let one = Grant {
            resources: vec!["r1".to_owned(), "r2".to_owned()],
            details: vec![serde_json::from_str(r#"{"type":"x","a":{"c":1,"b":2}}"#).unwrap()],
            ..grant()
        };
        let two = Grant {
            resources: vec!["r2".to_owned(), "r1".to_owned(), "r1".to_owned()],
            details: vec![serde_json::from_str(r#"{"a":{"b":2,"c":1},"type":"x"}"#).unwrap()],
            ..grant()
        };
        assert_eq!(one.key(), two.key());
    }

    #[test]
    fn every_part_of_a_grant_changes_its_key() {
        let base = grant();
        let others = [
            Grant {
                subject: Subject::App,
                ..base.clone()
            },
            Grant {
                subject: Subject::User {
                    id: "u1".to_owned(),
                    issuer: Some("i".to_owned()),
                },
                ..base.clone()
            },
            Grant {
                environment: "preview".into(),
                ..base.clone()
            },
            Grant {
                installation: Some("T1".to_owned()),
                ..base.clone()
            },
            Grant {
                scopes: Scopes::from_list(["a".to_owned()]),
                ..base.clone()
            },
            Grant {
                audience: vec!["x".to_owned()],
                ..base.clone()
            },
            Grant {
                resources: vec!["x".to_owned()],
                ..base.clone()
            },
            Grant {
                details: vec![json!({"type": "x"})],
                ..base.clone()
            },
        ];
        let mut keys: Vec<String> = others.iter().chain([&base]).map(Grant::key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
    }
}

//! Flags that make or change a connector, and the request that they stand for. What every OAuth client has (an id, a
//! secret, scopes) has a flag of its own, whatever its type calls it.

use std::path::PathBuf;

use grantry_core::http::Method;
use grantry_core::nouns::ConnectorType;
use grantry_engine::{input_schema, types};
use serde_json::{Map, Value, json};

use crate::client::{Client, Content, segment};
use crate::commands::target::{object, read_object, secret_in};
use crate::failure::Failure;

#[derive(clap::Args)]
pub struct Update {
    /// Its id or uid
    pub connector: String,
    /// Another name for people
    #[arg(long)]
    name: Option<String>,
    /// Another uid
    #[arg(long)]
    uid: Option<String>,
    #[command(flatten)]
    client: ClientFlags,
    /// Data to change, as a JSON object; null takes a field away
    #[arg(long, value_name = "JSON", value_parser = object)]
    data: Option<Map<String, Value>>,
    /// The redirect URI that is registered with the provider
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// The whole request as JSON, as in the API; flags go before it. `-` is standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Create {
    /// For people
    #[arg(long)]
    name: Option<String>,
    /// A name of your own, unique in the team, such as oauth/acme
    #[arg(long)]
    uid: Option<String>,
    /// oauth, api-key … [default: oauth]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// The service of the catalogue
    #[arg(long)]
    service: Option<String>,
    #[command(flatten)]
    client: ClientFlags,
    /// Let this project use it, by id or name
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// The redirect URI to register with the provider [default: /callback at the public URL]
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// Further data of the type, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    data: Option<Map<String, Value>>,
    /// The whole request as JSON, as in the API; flags go before it. `-` is standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What an OAuth client is made of.
#[derive(clap::Args, Clone, Debug, Default)]
struct ClientFlags {
    /// The client id that the service gave you, whatever the type calls it
    #[arg(long)]
    client_id: Option<String>,
    /// The environment variable that holds the client secret
    #[arg(long, value_name = "VAR")]
    client_secret_env: Option<String>,
    /// Scopes to ask users for, separated by spaces or commas
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<String>,
}

impl ClientFlags {
    fn are_given(&self) -> bool {
        self.client_id.is_some() || self.client_secret_env.is_some() || self.scopes.is_some()
    }

    /// Puts them into `data` under the names that the type has for them.
    ///
    /// # Errors
    /// [`crate::failure::Exit::Usage`] for a type that has no such field.
    fn fill(self, kind: &str, data: &mut Map<String, Value>) -> Result<(), Failure> {
        // The server says what is no type.
        let kind = ConnectorType::from_word(kind).unwrap_or(ConnectorType::Oauth);
        let row = types::of(kind);
        let none = |flag: &str| {
            let message = format!("a connector of the type {} has no {flag}", kind.as_str());
            let hint = format!("--data takes its fields: {}", fields(kind).join(", "));
            Failure::usage(message).hint(hint)
        };
        if let Some(id) = self.client_id {
            let client = row.client.ok_or_else(|| none("--client-id"))?;
            data.insert(client.id.to_owned(), id.into());
        }
        if let Some(name) = self.client_secret_env {
            let client = row.client.ok_or_else(|| none("--client-secret-env"))?;
            let secret = secret_in(&name)?;
            data.insert(client.secret.to_owned(), secret.expose().into());
        }
        if let Some(scopes) = self.scopes {
            let words = scopes.split([' ', ',']).filter(|word| !word.is_empty());
            let words: Value = words.collect();
            match row.user_scopes {
                Some(field) => {
                    data.insert(field.to_owned(), words);
                }
                None if fields(kind).iter().any(|field| field == GRANT) => {
                    let grant = data
                        .entry(GRANT)
                        .or_insert_with(|| json!({"enabled": true}));
                    let Some(grant) = grant.as_object_mut() else {
                        return Err(Failure::usage(format!(
                            "data.{GRANT} must be a JSON object"
                        )));
                    };
                    grant.insert("scopes".to_owned(), words);
                }
                None => return Err(none("--scopes")),
            }
        }
        Ok(())
    }
}

/// Where a type that has no field for users' scopes has them.
const GRANT: &str = "userAuthorization";

/// The fields of a type's `data`.
fn fields(kind: ConnectorType) -> Vec<String> {
    let schema = input_schema(kind);
    let fields = schema.get("properties").and_then(Value::as_object);
    fields.into_iter().flat_map(Map::keys).cloned().collect()
}

impl Update {
    /// The request: what the file says, and before it the flags.
    pub async fn body(self, client: &Client) -> Result<Value, Failure> {
        let mut body = match &self.file {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        put(
            &mut body,
            [
                ("name", self.name),
                ("uid", self.uid),
                ("redirect_uri", self.redirect_uri),
            ],
        );
        let mut data = self.data.unwrap_or_default();
        if self.client.are_given() {
            // Only its type says what they are called.
            let path = format!("/connectors/{}", segment(&self.connector));
            let row = client.demand(Method::Get, &path, &[], Content::None);
            let kind = row.await?["type"].as_str().unwrap_or_default().to_owned();
            self.client.fill(&kind, &mut data)?;
        }
        if !data.is_empty() {
            data_of(&mut body)?.extend(data);
        }
        Ok(Value::Object(body))
    }
}

impl Create {
    /// The request: what the file says, and before it the flags.
    pub fn body(self) -> Result<Value, Failure> {
        let mut body = match &self.file {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        if !body.contains_key("type") {
            body.insert("type".to_owned(), json!("oauth"));
        }
        put(
            &mut body,
            [
                ("name", self.name),
                ("uid", self.uid),
                ("type", self.kind),
                ("service", self.service),
                ("project", self.project),
                ("redirect_uri", self.redirect_uri),
            ],
        );
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        let data = data_of(&mut body)?;
        data.extend(self.data.unwrap_or_default());
        self.client.fill(&kind, data)?;
        Ok(Value::Object(body))
    }
}

fn put<const N: usize>(body: &mut Map<String, Value>, flags: [(&str, Option<String>); N]) {
    let given = flags
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?.into())));
    body.extend(given);
}

fn data_of(body: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, Failure> {
    let data = body.entry("data").or_insert_with(|| json!({}));
    data.as_object_mut()
        .ok_or_else(|| Failure::usage("data must be a JSON object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(kind: &str, data: &Value) -> Result<Value, Failure> {
        let flags = ClientFlags {
            client_id: Some("me".to_owned()),
            client_secret_env: None,
            scopes: Some("a, b".to_owned()),
        };
        let mut data = data.as_object().cloned().unwrap_or_default();
        flags.fill(kind, &mut data)?;
        Ok(Value::Object(data))
    }

    #[test]
    fn a_client_is_called_what_its_type_calls_it() {
        let scopes = json!(["a", "b"]);
        for (kind, id, user) in [
            ("slack", "clientId", "userScopes"),
            ("salesforce", "consumerKey", "userScopes"),
            ("discord", "applicationId", "userScopes"),
            ("microsoft-teams", "appId", "userScopes"),
        ] {
            let expected = json!({id: "me", user: scopes});
            assert_eq!(filled(kind, &json!({})).ok(), Some(expected), "{kind}");
        }
        let expected = json!({"clientId": "me", GRANT: {"enabled": true, "scopes": scopes}});
        assert_eq!(filled("oauth", &json!({})).ok(), Some(expected));
        let off = json!({GRANT: {"enabled": false}});
        let expected = json!({"clientId": "me", GRANT: {"enabled": false, "scopes": scopes}});
        assert_eq!(filled("custom", &off).ok(), Some(expected));
    }

    #[test]
    fn a_flag_that_a_type_has_no_field_for_is_refused() {
        for (kind, flag) in [("linq", "--client-id"), ("github", "--scopes")] {
            let refused = filled(kind, &json!({})).err().map(|error| error.message);
            let expected = format!("a connector of the type {kind} has no {flag}");
            assert_eq!(refused, Some(expected));
        }
    }
}

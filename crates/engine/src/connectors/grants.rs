//! What a connector's configuration lets users and the application be given.

use grantry_core::nouns::{Connector, ConnectorType};
use serde_json::{Map, Value};

use super::types;

/// Whether users may connect: unless switched off.
pub fn user_enabled(data: &Map<String, Value>) -> bool {
    enabled(data, "userAuthorization").unwrap_or(true)
}

/// Whether the connector may ask for tokens of its own.
pub fn app_enabled(data: &Map<String, Value>) -> bool {
    enabled(data, "clientCredentials").unwrap_or(false)
}

fn enabled(data: &Map<String, Value>, grant: &str) -> Option<bool> {
    data.get(grant)?.get("enabled")?.as_bool()
}

/// The scopes that `*` means for users.
pub fn user_scopes(connector: &Connector) -> Vec<String> {
    let row = types::of(connector.kind);
    let mut scopes = default_scopes(&connector.data, row.user_scopes, "userAuthorization");
    if scopes.is_empty() {
        scopes = row
            .usual_user_scopes
            .iter()
            .copied()
            .map(str::to_owned)
            .collect();
    }
    // A session begins in this role unless the user's scopes name one (docs.snowflake.com, custom OAuth clients).
    let role = connector
        .data
        .get("defaultSessionRole")
        .and_then(Value::as_str);
    let named = scopes.iter().any(|scope| scope.starts_with("session:role"));
    if let (ConnectorType::Snowflake, Some(role), false) = (connector.kind, role, named) {
        scopes.push(format!("session:role:{role}"));
    }
    scopes
}

/// The scopes that `*` means for the application itself.
pub fn app_scopes(connector: &Connector) -> Vec<String> {
    let row = types::of(connector.kind);
    let scopes = default_scopes(&connector.data, row.app_scopes, "clientCredentials");
    if scopes.is_empty() {
        return row
            .usual_app_scopes
            .iter()
            .copied()
            .map(str::to_owned)
            .collect();
    }
    scopes
}

/// The list in `field`, else that of a grant.
/// The scopes that `*` means for whom the connector speaks (`jwtBearer`).
pub fn bearer_scopes(connector: &Connector) -> Vec<String> {
    default_scopes(&connector.data, None, "jwtBearer")
}

fn default_scopes(data: &Map<String, Value>, field: Option<&str>, grant: &str) -> Vec<String> {
    let of_grant = || data.get(grant).and_then(|grant| grant.get("scopes"));
    let scopes = field.and_then(|field| data.get(field)).or_else(of_grant);
    let scopes = scopes.and_then(Value::as_array);
    scopes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

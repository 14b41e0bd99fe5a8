//! From checked bodies and queries to what the engine takes.

use grantry_core::ids::ConnectorId;
use grantry_core::store::ConnectorFilter;
use grantry_core::{Error, Problem, Result};
use grantry_engine::{ConnectorChange, HealthStatus, NewConnector};
use serde_json::{Map, Value};

use super::wire;
use crate::kit::fields::Fields;

/// A new app: an `oauth` connector of the provider's service, under an id in this dialect's form. What its provider
/// needs beside a client (a tenant's host) may come later.
pub fn app(mut body: Fields, id: String) -> Result<NewConnector> {
    no_empty(&body, &["provider", "client_id", "client_secret", "name"])?;
    let mut data = Map::new();
    for (theirs, ours) in [("client_id", "clientId"), ("client_secret", "clientSecret")] {
        data.insert(ours.to_owned(), body.take_text(theirs).into());
    }
    if let Some(variables) = body.take_map("variables") {
        data.insert("variables".to_owned(), variables.into());
    }
    Ok(NewConnector {
        id: Some(ConnectorId::from(id)),
        kind: "oauth".to_owned(),
        name: body.take_text("name"),
        service: body.take_text("provider"),
        data,
        incomplete: true,
        metadata: body.take_map("metadata").unwrap_or_default(),
        ..NewConnector::default()
    })
}

/// What of an app shall change; what is not sent stays.
pub fn app_change(mut body: Fields) -> Result<ConnectorChange> {
    no_empty(&body, &["client_secret", "name"])?;
    let mut data = Map::new();
    if let Some(secret) = body.take_text("client_secret") {
        data.insert("clientSecret".to_owned(), secret.into());
    }
    if let Some(variables) = body.take_map("variables") {
        data.insert("variables".to_owned(), variables.into());
    }
    Ok(ConnectorChange {
        name: body.take_text("name"),
        data: (!data.is_empty()).then_some(data),
        metadata: body.take_map("metadata"),
        ..ConnectorChange::default()
    })
}

/// Refuses texts that were sent and say nothing: elsewhere an empty one takes a value away.
pub fn no_empty(body: &Fields, names: &[&str]) -> Result<()> {
    let empty = names
        .iter()
        .filter(|name| body.text(name).is_some_and(|text| text.trim().is_empty()));
    let problems: Vec<Problem> = empty
        .map(|name| Problem::new(*name, "must not be empty"))
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::Invalid(problems)),
    }
}

/// Which apps or credentials a list is of.
pub struct Filter {
    service: Option<String>,
    health: Option<String>,
    metadata: Map<String, Value>,
}

/// A parameter that says something.
pub fn named<'a>(query: &'a Fields, name: &str) -> Option<&'a str> {
    query.text(name).filter(|text| !text.is_empty())
}

/// The metadata that rows have to contain.
fn wanted_metadata(query: &Fields) -> Result<Map<String, Value>> {
    match named(query, "metadata").map(serde_json::from_str) {
        None => Ok(Map::new()),
        Some(Ok(Value::Object(metadata))) => Ok(metadata),
        Some(_) => {
            let message = "must be a JSON object such as {\"custom_property\":42}";
            Err(Error::invalid("metadata", message))
        }
    }
}

impl Filter {
    /// The filters of a query.
    pub fn of(query: &Fields) -> Result<Self> {
        let text = |name| named(query, name).map(str::to_owned);
        Ok(Self {
            service: text("provider"),
            health: text("health.status"),
            metadata: wanted_metadata(query)?,
        })
    }

    /// What of it the store can tell of apps.
    pub fn rows(&self) -> ConnectorFilter {
        ConnectorFilter {
            services: self.service.iter().cloned().collect(),
            ..ConnectorFilter::default()
        }
    }

    /// Whether those of this service are wanted.
    pub fn of_service(&self, service: &str) -> bool {
        self.service
            .as_deref()
            .is_none_or(|wanted| wanted == service)
    }

    /// Whether one is wanted that has these metadata, if it has any, and does so.
    pub fn wants(&self, metadata: Option<&Map<String, Value>>, status: HealthStatus) -> bool {
        let status = wire::word(status);
        self.health.as_deref().is_none_or(|wanted| wanted == status)
            && (self.metadata.is_empty()
                || metadata.is_some_and(|metadata| contains(metadata, &self.metadata)))
    }
}

/// Whether `outer` has every pair of `inner`; of objects in it, what they contain.
pub fn contains(outer: &Map<String, Value>, inner: &Map<String, Value>) -> bool {
    inner
        .iter()
        .all(|(name, wanted)| match (outer.get(name), wanted) {
            (Some(Value::Object(outer)), Value::Object(inner)) => contains(outer, inner),
            (Some(found), wanted) => found == wanted,
            (None, _) => false,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_match_when_they_contain_what_is_asked_for() {
        let outer = json!({"a": 1, "b": {"c": true, "d": null}, "e": [1, 2]});
        for (inner, expected) in [
            (json!({}), true),
            (json!({"a": 1}), true),
            (json!({"a": 1.5}), false),
            (json!({"a": "1"}), false),
            (json!({"b": {"c": true}}), true),
            (json!({"b": {"c": false}}), false),
            (json!({"b": {"d": null}}), true),
            (json!({"z": null}), false),
            (json!({"e": [1, 2]}), true),
            (json!({"e": [1]}), false),
        ] {
            let (outer, inner) = (outer.as_object().unwrap(), inner.as_object().unwrap());
            assert_eq!(contains(outer, inner), expected, "{inner:?}");
        }
    }
}

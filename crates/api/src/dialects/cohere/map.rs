//! From checked bodies to what the engine takes.

use grantry_core::nouns::ConnectorType;
use grantry_core::{Error, Result};
use grantry_engine::{ConnectorChange, NewConnector};
use serde_json::{Map, Value, json};

use crate::kit::fields::Fields;

/// A new connector, under an id in this dialect's form, with the redirect URI of this dialect. An OAuth client may
/// be filled in step by step.
pub fn connector(mut body: Fields, redirect_uri: String) -> Result<NewConnector> {
    let (kind, data) = data(&mut body)?;
    Ok(NewConnector {
        named_id: true,
        kind: kind.unwrap_or(ConnectorType::Custom).as_str().to_owned(),
        name: body.take_text("name"),
        data,
        incomplete: true,
        redirect_uri: Some(redirect_uri),
        ..NewConnector::default()
    })
}

/// A change: what is not named stays, in `oauth` too.
pub fn change(mut body: Fields) -> Result<ConnectorChange> {
    let (kind, data) = data(&mut body)?;
    Ok(ConnectorChange {
        name: body.take_text("name"),
        kind,
        data: (!data.is_empty()).then_some(data),
        nested: true,
        incomplete: true,
        ..ConnectorChange::default()
    })
}

/// The connector's type, where the body says it, and the data it names.
fn data(body: &mut Fields) -> Result<(Option<ConnectorType>, Map<String, Value>)> {
    let (oauth, service_auth) = (body.take_object("oauth"), body.take_object("service_auth"));
    let mut search = Map::new();
    let texts = ["url", "description"].map(|name| (name, body.take_text(name).map(Value::from)));
    let flags = [
        ("active", "active"),
        ("continue_on_failure", "continueOnFailure"),
    ];
    let flags = flags.map(|(theirs, ours)| (ours, body.flag(theirs).map(Value::from)));
    let excludes = [("excludes", body.take_texts("excludes").map(Value::from))];
    let named = texts.into_iter().chain(flags).chain(excludes);
    search.extend(named.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let (kind, mut data) = match (oauth, service_auth) {
        (Some(_), Some(_)) => {
            let message = "cannot be given together with oauth: a connector has one of them";
            return Err(Error::invalid("service_auth", message));
        }
        (Some(oauth), None) => (Some(ConnectorType::Oauth), client(oauth)),
        (None, Some(mut key)) => {
            search.insert("scheme".to_owned(), key.take_text("type").into());
            let value = json!([{ "value": key.take_text("token") }]);
            let data = Map::from_iter([("values".to_owned(), value)]);
            (Some(ConnectorType::ApiKey), data)
        }
        (None, None) => (None, Map::new()),
    };
    if !search.is_empty() {
        data.insert("search".to_owned(), search.into());
    }
    Ok((kind, data))
}

fn client(mut oauth: Fields) -> Map<String, Value> {
    let mut data = Map::new();
    for (theirs, ours) in [("client_id", "clientId"), ("client_secret", "clientSecret")] {
        if let Some(text) = oauth.take_text(theirs) {
            data.insert(ours.to_owned(), text.into());
        }
    }
    let mut server = Map::new();
    for (theirs, ours) in [
        ("authorize_url", "authorization_endpoint"),
        ("token_url", "token_endpoint"),
    ] {
        if let Some(text) = oauth.take_text(theirs) {
            server.insert(ours.to_owned(), text.into());
        }
    }
    if !server.is_empty() {
        data.insert("serverConfig".to_owned(), server.into());
    }
    if let Some(scope) = oauth.take_text("scope") {
        let scopes: Vec<&str> = scope.split_whitespace().collect();
        let grant = json!({ "enabled": true, "scopes": scopes });
        data.insert("userAuthorization".to_owned(), grant);
    }
    data
}

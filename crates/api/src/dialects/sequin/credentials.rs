//! Credentials: the team's connections in Sequin's words.

use axum::response::Response;
use grantry_core::{Error, Result};
use grantry_engine::{ConnectorView, NewCredential};
use serde_json::Value;

use super::{kinds, map, wire};
use crate::kit::answer;
use crate::kit::call::Call;
use crate::kit::cursor::all_pages;

pub(super) async fn list(call: Call) -> Result<Response> {
    let (caller, filter) = (call.caller()?, map::Filter::of(&call.query)?);
    let engine = &call.engine;
    let page = |page| async move { engine.credentials(caller, &page).await };
    let mut found = all_pages(page).await?;
    let kind = map::named(&call.query, "kind");
    found.retain(|view| {
        let metadata = view.kept.as_ref().map(|kept| &kept.metadata);
        filter.of_service(&view.connector.connector.service)
            && kind.is_none_or(|wanted| wanted == wire::kind(view))
            && filter.wants(metadata, view.health().status)
    });
    answer::ok(&wire::Credentials {
        data: found.iter().map(wire::Credential::of).collect(),
    })
}

pub(super) async fn get(call: Call) -> Result<Response> {
    let id = call.path("connection");
    let found = call.engine.credential(call.caller()?, id).await;
    answer::ok(&wire::Credential::of(&found.map_err(of_credential)?))
}

pub(super) async fn create(mut call: Call) -> Result<Response> {
    let app = app_named(&call).await?;
    let sent = call.body.take_map("properties").unwrap_or_default();
    let word = match sent.get("kind") {
        Some(Value::String(word)) => word.clone(),
        Some(_) => return Err(Error::invalid("properties.kind", "must be a string")),
        None => return Err(Error::invalid("properties.kind", "is required")),
    };
    let kind = kinds::of(&word, &app.connector.service)
        .map_err(|why| Error::invalid("properties.kind", why))?;
    map::no_empty(&call.body, &["name"])?;
    let read = kind.read(sent)?;
    let new = NewCredential {
        connector: app.connector.id.to_string(),
        kind: word,
        account: read.account,
        name: call.body.take_text("name").or(read.name),
        properties: read.shown,
        metadata: call.body.take_map("metadata"),
        tokens: read.tokens,
    };
    let made = call.engine.import_credential(call.caller()?, new).await?;
    answer::ok(&wire::Credential::of(&made))
}

pub(super) async fn update(mut call: Call) -> Result<Response> {
    map::no_empty(&call.body, &["name"])?;
    let (name, metadata) = (call.body.take_text("name"), call.body.take_map("metadata"));
    let (caller, id) = (call.caller()?, call.path("connection"));
    let changed = call.engine.update_credential(caller, id, name, metadata);
    answer::ok(&wire::Credential::of(
        &changed.await.map_err(of_credential)?,
    ))
}

/// The app that a body names. What is none is wrong in the body, and not a path that does not exist.
pub(super) async fn app_named(call: &Call) -> Result<ConnectorView> {
    let id = call.body.text("oauth_app_id").unwrap_or_default();
    match call.engine.connector(call.caller()?, id).await {
        Err(Error::NotFound(_) | Error::Gone(_)) => Err(Error::invalid(
            "oauth_app_id",
            "is no OAuth app of this team",
        )),
        found => found,
    }
}

/// Connections are credentials here.
fn of_credential(error: Error) -> Error {
    match error {
        Error::NotFound("connection") | Error::Gone("connection") => Error::NotFound("credential"),
        error => error,
    }
}

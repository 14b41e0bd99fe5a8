//! Connectors.

use axum::response::Response;
use grantry_core::nouns::{ConnectorType, Environment, TriggerDestination};
use grantry_core::store::{ConnectorFilter, ConnectorSort, Page};
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{ConnectorChange, NewConnector, NewLink, Which};
use serde_json::Value;

use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::fields::{Fields, present};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor, subject};

const MANAGE: Access = Access::Act(Act::ManageConnectors);

/// Connections that one call ends when it does not say how many: a few seconds' work of a provider.
const REVOKED_AT_ONCE: u32 = 100;

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/connectors",
        Access::Act(Act::ReadLists),
        "list_connectors",
        |route| call(route, list),
    )
    .about("The team's connectors, newest first.")
    .query(fields::CONNECTORS)
    .json::<wire::List<wire::Connector>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/connectors",
        MANAGE,
        "create_connector",
        |route| call(route, create),
    )
    .about("Makes a connector, and links it to a project where one is named.")
    .takes(Takes::Json(fields::CONNECTOR))
    .json::<wire::Connector>(201, "The connector.")
    .refuses(&[409, 422]),
    Route::new(
        Method::Get,
        "/api/v1/connectors/{connector}",
        Access::Act(Act::ReadConnector),
        "get_connector",
        |route| call(route, get),
    )
    .about("One connector, by id or uid; a workload reads those it is linked to.")
    .json::<wire::Connector>(200, "The connector."),
    Route::new(
        Method::Get,
        "/api/v1/connectors/{connector}/manifest",
        Access::Act(Act::ReadConnector),
        "get_connector_manifest",
        |route| call(route, manifest),
    )
    .about(
        "The manifest of a `slack` connector's app, with this server's URLs in it: what Slack makes an app of, or changes \
         one by. Slack takes `https` URLs only.",
    )
    .json::<Value>(200, "The manifest, in Slack's words.")
    .refuses(&[422]),
    Route::new(
        Method::Patch,
        "/api/v1/connectors/{connector}",
        MANAGE,
        "update_connector",
        |route| call(route, update),
    )
    .about(
        "Changes a connector, its secrets among it; what is not named stays, and connections keep their tokens. A \
         change that makes it present secrets at another server takes `clientSecret` anew in the same request, and \
         tokens are presented only where they came from: when a connection's access token ends it needs a new consent.",
    )
    .takes(Takes::Json(fields::CONNECTOR_CHANGE))
    .json::<wire::Connector>(200, "The connector.")
    .refuses(&[409, 422]),
    Route::new(
        Method::Post,
        "/api/v1/connectors/{connector}/revoke",
        Access::Act(Act::RevokeOwn),
        "revoke_connections",
        |route| call(route, revoke),
    )
    .about("Ends a connector's connections, the oldest first, so many at a time, and says how many are left.")
    .takes(Takes::OptionalJson(fields::REVOKE))
    .json::<wire::EndedSome>(200, "What became of them."),
    Route::new(
        Method::Post,
        "/api/v1/connectors/{connector}/rotate_key",
        MANAGE,
        "rotate_connector_key",
        |route| call(route, rotate_key),
    )
    .about(
        "Makes the next key of a connector that signs (`private_key_jwt`, `jwtBearer`): it is published at once at the \
         connector's `/oauth/clients/{id}/jwks`, signs from a day later, and a day after that the one before is gone.",
    )
    .json::<wire::Connector>(200, "The connector.")
    .refuses(&[409, 422]),
    Route::new(
        Method::Delete,
        "/api/v1/connectors/{connector}",
        MANAGE,
        "delete_connector",
        |route| call(route, delete),
    )
    .about(
        "Deletes a connector: its links are removed, its connections ended, and its secrets destroyed as soon as its \
         provider has revoked its last token, within a day.",
    )
    .nothing("Deleted."),
];

async fn list(call: Call) -> Result<Response> {
    let text = |name: &str| call.query.text(name).filter(|text| !text.is_empty());
    let project = match text("project") {
        Some(named) => Some(call.engine.project(call.caller()?, named).await?.id),
        None => None,
    };
    let filter = ConnectorFilter {
        project,
        kinds: text("type")
            .and_then(ConnectorType::from_word)
            .into_iter()
            .collect(),
        services: text("service").into_iter().flat_map(listed).collect(),
        search: text("search").map(str::to_owned),
        since: call.query.time("created_since"),
        until: call.query.time("created_until"),
        sort: match text("sort") {
            Some("name") => ConnectorSort::Name,
            Some("updated_at") => ConnectorSort::Updated,
            _ => ConnectorSort::Created,
        },
        ..ConnectorFilter::default()
    };
    let page = match filter.sort {
        // A list by name begins with the first one, and is turned round to end with it.
        ConnectorSort::Name => Page {
            oldest_first: text("order") == Some("desc"),
            ..cursor::page_by_name(&call.query)?
        },
        _ => cursor::page(&call.query)?,
    };
    let found = call
        .engine
        .connectors(call.caller()?, &filter, &page)
        .await?;
    answer::ok(&wire::List::of(&found, wire::Connector::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let environments = body.take_texts("environments").map(environments);
    let project = present(body.take_text("project"));
    if environments.is_some() && project.is_none() {
        return Err(Error::invalid("environments", "needs project"));
    }
    let new = NewConnector {
        kind: body.take_text("type").unwrap_or_default(),
        uid: body.take_text("uid"),
        name: body.take_text("name"),
        service: body.take_text("service"),
        data: body.take_map("data").unwrap_or_default(),
        metadata: body.take_map("metadata").unwrap_or_default(),
        link: project.map(|project| NewLink {
            project,
            environments,
        }),
        redirect_uri: body.take_text("redirect_uri"),
        triggers_enabled: body.flag("triggers").unwrap_or_default(),
        events: body.take_texts("events").unwrap_or_default(),
        icon: body.take_text("icon"),
        background_color: body.take_text("background_color"),
        accent_color: body.take_text("accent_color"),
        ..NewConnector::default()
    };
    let made = call.engine.create_connector(call.caller()?, new).await?;
    answer::created(&wire::Connector::from(&made))
}

async fn get(call: Call) -> Result<Response> {
    let found = call
        .engine
        .connector(call.caller()?, call.path("connector"))
        .await?;
    answer::ok(&wire::Connector::from(&found))
}

async fn manifest(call: Call) -> Result<Response> {
    let connector = call.path("connector");
    let manifest = call.engine.connector_manifest(call.caller()?, connector);
    answer::ok(&manifest.await?)
}

async fn update(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let destinations = body.take_objects("trigger_destinations");
    let change = ConnectorChange {
        uid: body.take_text("uid"),
        name: body.take_text("name"),
        data: body.take_map("data"),
        metadata: body.take_map("metadata"),
        triggers_enabled: body.flag("triggers"),
        events: body.take_texts("events"),
        trigger_destinations: destinations
            .map(|items| items.into_iter().map(destination).collect()),
        redirect_uri: body.take_text("redirect_uri"),
        icon: body.take_change("icon"),
        background_color: body.take_change("background_color"),
        accent_color: body.take_change("accent_color"),
        ..ConnectorChange::default()
    };
    let changed = call
        .engine
        .update_connector(call.caller()?, call.path("connector"), change)
        .await?;
    answer::ok(&wire::Connector::from(&changed))
}

fn destination(mut item: Fields) -> TriggerDestination {
    TriggerDestination {
        project_id: item.take_text("project").unwrap_or_default().into(),
        branch: present(item.take_text("branch")),
        custom_environment_id: present(item.take_text("custom_environment")),
        path: present(item.take_text("path")),
    }
}

async fn revoke(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let subject = body.take_object("subject");
    let which = Which {
        subject: subject.map(|fields| subject::of(fields, &[])).transpose()?,
        environment: body.text("environment").map(Into::into),
        installation: body.take_text("installation"),
    };
    let limit = body
        .count("limit")
        .and_then(|limit| u32::try_from(limit).ok());
    let (revoked, remaining) = call
        .engine
        .revoke_some(
            call.caller()?,
            call.path("connector"),
            which,
            limit.unwrap_or(REVOKED_AT_ONCE),
        )
        .await?;
    answer::ok(&wire::EndedSome::of(revoked, remaining))
}

async fn rotate_key(call: Call) -> Result<Response> {
    let connector = call.path("connector");
    let rotated = call
        .engine
        .rotate_client_key(call.caller()?, connector)
        .await?;
    answer::ok(&wire::Connector::from(&rotated))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_connector(call.caller()?, call.path("connector"))
        .await?;
    answer::nothing()
}

/// The words of a list that is separated by commas.
fn listed(words: &str) -> impl Iterator<Item = String> {
    let words = words.split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

pub(super) fn environments(words: Vec<String>) -> Vec<Environment> {
    words.iter().map(|word| word.as_str().into()).collect()
}

//! Connectors and their links.

use axum::response::Response;
use grantry_core::nouns::{ConnectorType, Environment};
use grantry_core::store::ConnectorFilter;
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{NewConnector, NewLink};

use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::fields::present;
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};

const MANAGE: Access = Access::Act(Act::ManageConnectors);

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
    .refuses(&[409]),
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
        Method::Delete,
        "/api/v1/connectors/{connector}",
        MANAGE,
        "delete_connector",
        |route| call(route, delete),
    )
    .about(
        "Deletes a connector: its secrets are destroyed, its links removed, its connections ended.",
    )
    .nothing("Deleted."),
    Route::new(
        Method::Put,
        "/api/v1/connectors/{connector}/projects/{project}",
        MANAGE,
        "put_link",
        |route| call(route, put_link),
    )
    .about("Links a project, or replaces the environments of its link.")
    .takes(Takes::Json(fields::LINK))
    .json::<wire::Link>(200, "The link."),
    Route::new(
        Method::Get,
        "/api/v1/connectors/{connector}/projects/{project}",
        Access::Act(Act::ReadLists),
        "get_link",
        |route| call(route, get_link),
    )
    .about("A project's link.")
    .json::<wire::Link>(200, "The link."),
    Route::new(
        Method::Delete,
        "/api/v1/connectors/{connector}/projects/{project}",
        MANAGE,
        "delete_link",
        |route| call(route, delete_link),
    )
    .about("Removes a link.")
    .nothing("Removed."),
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
        services: text("service").map(str::to_owned).into_iter().collect(),
        search: text("search").map(str::to_owned),
    };
    let page = cursor::page(&call.query)?;
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

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_connector(call.caller()?, call.path("connector"))
        .await?;
    answer::nothing()
}

async fn put_link(mut call: Call) -> Result<Response> {
    let environments = environments(call.body.take_texts("environments").unwrap_or_default());
    let (connector, project) = (call.path("connector"), call.path("project"));
    let (link, _) = call
        .engine
        .put_link(call.caller()?, connector, project, environments)
        .await?;
    answer::ok(&wire::Link::from(&link))
}

async fn get_link(call: Call) -> Result<Response> {
    let (link, _) = call
        .engine
        .link(call.caller()?, call.path("connector"), call.path("project"))
        .await?;
    answer::ok(&wire::Link::from(&link))
}

async fn delete_link(call: Call) -> Result<Response> {
    call.engine
        .delete_link(call.caller()?, call.path("connector"), call.path("project"))
        .await?;
    answer::nothing()
}

fn environments(words: Vec<String>) -> Vec<Environment> {
    words.iter().map(|word| word.as_str().into()).collect()
}

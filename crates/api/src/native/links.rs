//! Which projects may use a connector.

use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;

use super::connectors::environments;
use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};

const MANAGE: Access = Access::Act(Act::ManageConnectors);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/connectors/{connector}/projects",
        Access::Act(Act::ReadLists),
        "list_links",
        |route| call(route, list),
    )
    .about("A connector's links, by project id.")
    .query(fields::PAGE)
    .json::<wire::List<wire::Link>>(200, "One page."),
    Route::new(
        Method::Get,
        "/api/v1/projects/{project}/connectors",
        Access::Act(Act::ReadLists),
        "list_project_links",
        |route| call(route, list_of_project),
    )
    .about("A project's links, by connector id.")
    .query(fields::PAGE)
    .json::<wire::List<wire::Link>>(200, "One page."),
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
    let page = cursor::page_by_name(&call.query)?;
    let found = call
        .engine
        .links(call.caller()?, call.path("connector"), &page)
        .await?;
    answer::ok(&wire::List::of(&found, wire::Link::from))
}

async fn list_of_project(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let found = call
        .engine
        .project_links(call.caller()?, call.path("project"), &page)
        .await?;
    answer::ok(&wire::List::of(&found, wire::Link::from))
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

//! The catalogue of services.

use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;

use super::{fields, search, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};
use crate::native::wire::List;

const READ: Access = Access::Act(Act::ReadCatalogue);
const MANAGE: Access = Access::Act(Act::ManageServer);

/// Its rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/services",
        READ,
        "list_services",
        |route| call(route, list),
    )
    .about("The catalogue of third parties, by id.")
    .query(fields::SERVICES)
    .json::<List<wire::Service>>(200, "One page."),
    Route::new(
        Method::Get,
        "/api/v1/services/{service}",
        READ,
        "get_service",
        |route| call(route, get),
    )
    .about("One row of the catalogue.")
    .json::<wire::Service>(200, "The service."),
    Route::new(
        Method::Put,
        "/api/v1/services/{service}",
        MANAGE,
        "put_service",
        |route| call(route, put),
    )
    .about(
        "Gives the catalogue a row of this server's own, or lays its fields over a built-in one.",
    )
    .takes(Takes::Json(fields::SERVICE))
    .json::<wire::Service>(200, "The service."),
    Route::new(
        Method::Delete,
        "/api/v1/services/{service}",
        MANAGE,
        "delete_service",
        |route| call(route, delete),
    )
    .about("Takes this server's own fields of a service away; a built-in row is as it was.")
    .nothing("Removed."),
];

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let found = call
        .engine
        .services(call.principal()?, search(&call), &page)
        .await?;
    answer::ok(&List::of(&found, wire::Service::from))
}

async fn get(call: Call) -> Result<Response> {
    let found = call
        .engine
        .read_service(call.principal()?, call.path("service"))
        .await?;
    answer::ok(&wire::Service::from(&found))
}

async fn put(mut call: Call) -> Result<Response> {
    let data = call.body.take_map("data").unwrap_or_default();
    let put = call
        .engine
        .put_service(call.steward()?, call.path("service"), data)
        .await?;
    answer::ok(&wire::Service::from(&put))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_service(call.steward()?, call.path("service"))
        .await?;
    answer::nothing()
}

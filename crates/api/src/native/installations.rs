//! Installations: in which provider tenants a connector's application is.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::nouns::InstallationStatus;
use grantry_engine::permissions::Act;
use grantry_engine::{CursorPage, InstallationChange, NewInstallation};

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
        "/api/v1/connectors/{connector}/installations",
        Access::Act(Act::ReadLists),
        "list_installations",
        |route| call(route, list),
    )
    .about("A connector's installations, newest first.")
    .query(fields::PAGE_BY_TIME)
    .json::<wire::List<wire::Installation>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/connectors/{connector}/installations",
        MANAGE,
        "create_installation",
        |route| call(route, create),
    )
    .about("Takes in that a connector's application is installed in a provider tenant.")
    .takes(Takes::Json(fields::NEW_INSTALLATION))
    .json::<wire::Installation>(201, "The installation.")
    .refuses(&[409]),
    Route::new(
        Method::Post,
        "/api/v1/connectors/{connector}/installations/sync",
        MANAGE,
        "sync_installations",
        |route| call(route, sync),
    )
    .about(
        "Asks GitHub which installations the connector's app has, and brings the status of those that are known here up \
         to date.",
    )
    .json::<wire::List<wire::Installation>>(200, "Those whose status changed.")
    .refuses(&[422, 502, 504]),
    Route::new(
        Method::Get,
        "/api/v1/installations/{installation}",
        Access::Act(Act::ReadLists),
        "get_installation",
        |route| call(route, get),
    )
    .about("One installation.")
    .json::<wire::Installation>(200, "The installation."),
    Route::new(
        Method::Patch,
        "/api/v1/installations/{installation}",
        MANAGE,
        "update_installation",
        |route| call(route, update),
    )
    .about("Changes an installation, suspends it, or makes it the one that is used where a request names none.")
    .takes(Takes::Json(fields::INSTALLATION_CHANGE))
    .json::<wire::Installation>(200, "The installation.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/installations/{installation}",
        MANAGE,
        "delete_installation",
        |route| call(route, delete),
    )
    .about("Removes an installation and ends its connections.")
    .json::<wire::Ended>(200, "What became of its connections."),
];

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page(&call.query)?;
    let found = call
        .engine
        .installations(call.caller()?, call.path("connector"), &page)
        .await?;
    answer::ok(&wire::List::of(&found, wire::Installation::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let new = NewInstallation {
        external_id: body.take_text("external_id").unwrap_or_default(),
        tenant: present(body.take_text("tenant")),
        name: present(body.take_text("name")),
        default: body.flag("default").unwrap_or_default(),
    };
    let made = call
        .engine
        .create_installation(call.caller()?, call.path("connector"), new)
        .await?;
    answer::created(&wire::Installation::from(&made))
}

async fn sync(call: Call) -> Result<Response> {
    let data = call
        .engine
        .sync_installations(call.caller()?, call.path("connector"))
        .await?;
    let changed = CursorPage { data, next: None };
    answer::ok(&wire::List::of(&changed, wire::Installation::from))
}

async fn get(call: Call) -> Result<Response> {
    let id = call.path("installation").into();
    let found = call.engine.installation(call.caller()?, &id).await?;
    answer::ok(&wire::Installation::from(&found))
}

async fn update(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let change = InstallationChange {
        tenant: body.take_change("tenant"),
        name: body.take_change("name"),
        status: body.text("status").map(|word| match word {
            "suspended" => InstallationStatus::Suspended,
            _ => InstallationStatus::Active,
        }),
        default: body.flag("default"),
    };
    let id = call.path("installation").into();
    let changed = call
        .engine
        .update_installation(call.caller()?, &id, change)
        .await?;
    answer::ok(&wire::Installation::from(&changed))
}

async fn delete(call: Call) -> Result<Response> {
    let id = call.path("installation").into();
    let ended = call.engine.delete_installation(call.caller()?, &id).await?;
    answer::ok(&wire::Ended::from(ended))
}

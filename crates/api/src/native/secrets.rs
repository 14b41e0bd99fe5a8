//! Named secrets: set, and never read back.

use axum::response::Response;
use grantry_core::{Result, Secret};
use grantry_engine::permissions::Act;

use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};

const MANAGE: Access = Access::Act(Act::ManageSecrets);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/secrets",
        MANAGE,
        "list_secrets",
        |route| call(route, list),
    )
    .about("The team's secrets, newest first, without their values.")
    .query(fields::PAGE_BY_TIME)
    .json::<wire::List<wire::Secret>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/secrets",
        MANAGE,
        "create_secret",
        |route| call(route, create),
    )
    .about("Stores a value under a name.")
    .takes(Takes::Json(fields::SECRET))
    .json::<wire::Secret>(201, "The secret, without its value.")
    .refuses(&[409]),
    Route::new(
        Method::Get,
        "/api/v1/secrets/{secret}",
        MANAGE,
        "get_secret",
        |route| call(route, get),
    )
    .about("One secret, by id or name, without its value.")
    .json::<wire::Secret>(200, "The secret, without its value."),
    Route::new(
        Method::Patch,
        "/api/v1/secrets/{secret}",
        MANAGE,
        "update_secret",
        |route| call(route, update),
    )
    .about("Gives a secret another name or another value.")
    .takes(Takes::Json(fields::SECRET_CHANGE))
    .json::<wire::Secret>(200, "The secret, without its value.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/secrets/{secret}",
        MANAGE,
        "delete_secret",
        |route| call(route, delete),
    )
    .about("Deletes a secret; its value is destroyed.")
    .nothing("Deleted."),
];

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page(&call.query)?;
    let found = call.engine.secrets(call.caller()?, &page).await?;
    answer::ok(&wire::List::of(&found, wire::Secret::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let name = call.body.take_text("name").unwrap_or_default();
    let value = Secret::new(call.body.take_text("value").unwrap_or_default());
    let made = call
        .engine
        .create_secret(call.caller()?, &name, &value)
        .await?;
    answer::created(&wire::Secret::from(&made))
}

async fn get(call: Call) -> Result<Response> {
    let found = call
        .engine
        .secret(call.caller()?, call.path("secret"))
        .await?;
    answer::ok(&wire::Secret::from(&found))
}

async fn update(mut call: Call) -> Result<Response> {
    let name = call.body.take_text("name");
    let value = call.body.take_text("value").map(Secret::new);
    let changed = call.engine.update_secret(
        call.caller()?,
        call.path("secret"),
        name.as_deref(),
        value.as_ref(),
    );
    answer::ok(&wire::Secret::from(&changed.await?))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_secret(call.caller()?, call.path("secret"))
        .await?;
    answer::nothing()
}

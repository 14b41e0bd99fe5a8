//! Accounts.

use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;

use super::{fields, search, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};
use crate::native::wire::List;

const SERVER: Access = Access::Act(Act::ManageServer);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/accounts",
        SERVER,
        "list_accounts",
        |route| call(route, list),
    )
    .about("All accounts, by id.")
    .query(fields::SEARCHED)
    .json::<List<wire::Account>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/accounts",
        SERVER,
        "create_account",
        |route| call(route, create),
    )
    .about("Makes an account.")
    .takes(Takes::Json(fields::NEW_ACCOUNT))
    .json::<wire::Account>(201, "The account."),
    Route::new(
        Method::Get,
        "/api/v1/accounts/{account}",
        Access::Act(Act::ReadAccount),
        "get_account",
        |route| call(route, get),
    )
    .about("One account: any for the server, its own for an account's key.")
    .json::<wire::Account>(200, "The account."),
    Route::new(
        Method::Patch,
        "/api/v1/accounts/{account}",
        Access::Act(Act::ManageAccount),
        "update_account",
        |route| call(route, update),
    )
    .about("Renames an account.")
    .takes(Takes::Json(fields::ACCOUNT))
    .json::<wire::Account>(200, "The account.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/accounts/{account}",
        SERVER,
        "delete_account",
        |route| call(route, delete),
    )
    .about("Deletes an account with its people and its own keys; refused while it has teams.")
    .nothing("Deleted.")
    .refuses(&[409]),
];

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let found = call
        .engine
        .accounts(call.steward()?, search(&call), &page)
        .await?;
    answer::ok(&List::of(&found, wire::Account::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let name = call.body.take_text("name").unwrap_or_default();
    let made = call.engine.create_account(call.steward()?, name).await?;
    answer::created(&wire::Account::from(&made))
}

async fn get(call: Call) -> Result<Response> {
    let found = call.engine.read_account(call.steward()?).await?;
    answer::ok(&wire::Account::from(&found))
}

async fn update(mut call: Call) -> Result<Response> {
    let name = call.body.take_text("name");
    let updated = call.engine.update_account(call.steward()?, name).await?;
    answer::ok(&wire::Account::from(&updated))
}

async fn delete(call: Call) -> Result<Response> {
    let id = call.path("account").into();
    call.engine.delete_account(call.steward()?, &id).await?;
    answer::nothing()
}

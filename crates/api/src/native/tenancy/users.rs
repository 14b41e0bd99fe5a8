//! People of an account.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::nouns::{Membership, User};
use grantry_core::store::UserFilter;
use grantry_engine::permissions::Act;
use grantry_engine::{NewUser, UserPatch};

use super::{fields, search, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};
use crate::native::wire::List;

const READ: Access = Access::Act(Act::ReadAccount);
const MANAGE: Access = Access::Act(Act::ManageAccount);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/api/v1/users", READ, "list_users", |route| {
        call(route, list)
    })
    .about("The account's people, by mail address.")
    .query(fields::USERS)
    .json::<List<wire::User>>(200, "One page."),
    Route::new(Method::Post, "/api/v1/users", MANAGE, "create_user", |route| {
        call(route, create)
    })
    .about("Makes a person of the account.")
    .takes(Takes::Json(fields::NEW_USER))
    .json::<wire::User>(201, "The person.")
    .refuses(&[409]),
    Route::new(Method::Get, "/api/v1/users/{user}", READ, "get_user", |route| {
        call(route, get)
    })
    .about("One person, by id or mail address, with their places in teams.")
    .json::<wire::Person>(200, "The person."),
    Route::new(
        Method::Patch,
        "/api/v1/users/{user}",
        MANAGE,
        "update_user",
        |route| call(route, update),
    )
    .about("Changes a person's mail address and name.")
    .takes(Takes::Json(fields::USER))
    .json::<wire::User>(200, "The person.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/users/{user}",
        MANAGE,
        "delete_user",
        |route| call(route, delete),
    )
    .about("Deletes a person: memberships go, keys are revoked, connections stay until they are ended.")
    .nothing("Deleted.")
    .refuses(&[409]),
];

async fn list(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let filter = UserFilter {
        email: call.query.text("email").map(str::to_owned),
        search: search(&call).map(str::to_owned),
        by_id: false,
    };
    let found = call.engine.users(call.steward()?, &filter, &page).await?;
    answer::ok(&List::of(&found, wire::User::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let new = NewUser {
        email: body.take_text("email").unwrap_or_default(),
        first_name: body.take_text("first_name").unwrap_or_default(),
        last_name: body.take_text("last_name").unwrap_or_default(),
    };
    let made = call.engine.create_user(call.steward()?, new).await?;
    answer::created(&wire::User::from(&made))
}

async fn get(call: Call) -> Result<Response> {
    let (user, memberships): (User, Vec<Membership>) =
        call.engine.user(call.steward()?, call.path("user")).await?;
    answer::ok(&wire::Person {
        user: wire::User::from(&user),
        memberships: memberships.iter().map(wire::Place::from).collect(),
    })
}

async fn update(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let mut name = |field: &str| match body.cleared(field) {
        true => Some(String::new()),
        false => body.take_text(field),
    };
    let (first_name, last_name) = (name("first_name"), name("last_name"));
    let patch = UserPatch {
        email: body.take_text("email"),
        first_name,
        last_name,
    };
    let updated = call
        .engine
        .update_user(call.steward()?, call.path("user"), patch)
        .await?;
    answer::ok(&wire::User::from(&updated))
}

async fn delete(call: Call) -> Result<Response> {
    call.engine
        .delete_user(call.steward()?, call.path("user"))
        .await?;
    answer::nothing()
}

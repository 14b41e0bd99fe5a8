//! Keys of teams, of accounts and of the server: the same calls at three places.

use axum::response::Response;
use grantry_core::nouns::Environment;
use grantry_core::store::KeyFilter;
use grantry_core::{Error, Result};
use grantry_engine::permissions::Act;
use grantry_engine::{KeyPatch, KeyPlace, NewKey};

use super::{fields, role, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};
use crate::native::wire::List;

const TEAM: Access = Access::Act(Act::ManageKeys);
const ACCOUNT: Access = Access::Act(Act::ManageAccount);
const SERVER: Access = Access::Act(Act::ManageServer);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/api/v1/keys", TEAM, "list_keys", |route| {
        call(route, list)
    })
    .about("The team's keys, newest first, without their texts.")
    .query(fields::KEYS)
    .json::<List<wire::Key>>(200, "One page."),
    Route::new(Method::Post, "/api/v1/keys", TEAM, "create_key", |route| {
        call(route, create)
    })
    .about("Makes a key of the team, yours or a project's.")
    .takes(Takes::Json(fields::NEW_KEY))
    .json::<wire::NewKey>(201, "The key, with its text, which is never shown again."),
    Route::new(
        Method::Get,
        "/api/v1/keys/{key}",
        TEAM,
        "get_key",
        |route| call(route, get),
    )
    .about("One key of the team, without its text.")
    .json::<wire::Key>(200, "The key."),
    Route::new(
        Method::Patch,
        "/api/v1/keys/{key}",
        TEAM,
        "update_key",
        |route| call(route, update),
    )
    .about("Renames a key of the team, or lets it end at another time.")
    .takes(Takes::Json(fields::KEY))
    .json::<wire::Key>(200, "The key.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/keys/{key}",
        TEAM,
        "revoke_key",
        |route| call(route, revoke),
    )
    .about("Revokes a key of the team; it is refused everywhere within 2 s.")
    .nothing("Revoked."),
    Route::new(
        Method::Get,
        "/api/v1/accounts/{account}/keys",
        ACCOUNT,
        "list_account_keys",
        |route| call(route, list),
    )
    .about("The account's own keys, newest first, without their texts.")
    .query(fields::ACCOUNT_KEYS)
    .json::<List<wire::Key>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/accounts/{account}/keys",
        ACCOUNT,
        "create_account_key",
        |route| call(route, create),
    )
    .about("Makes a key of the account, for all of its teams.")
    .takes(Takes::Json(fields::NEW_ACCOUNT_KEY))
    .json::<wire::NewKey>(201, "The key, with its text, which is never shown again."),
    Route::new(
        Method::Get,
        "/api/v1/accounts/{account}/keys/{key}",
        ACCOUNT,
        "get_account_key",
        |route| call(route, get),
    )
    .about("One key of the account, without its text.")
    .json::<wire::Key>(200, "The key."),
    Route::new(
        Method::Patch,
        "/api/v1/accounts/{account}/keys/{key}",
        ACCOUNT,
        "update_account_key",
        |route| call(route, update),
    )
    .about("Renames a key of the account, or lets it end at another time.")
    .takes(Takes::Json(fields::KEY))
    .json::<wire::Key>(200, "The key.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/accounts/{account}/keys/{key}",
        ACCOUNT,
        "revoke_account_key",
        |route| call(route, revoke),
    )
    .about("Revokes a key of the account; it is refused everywhere within 2 s.")
    .nothing("Revoked."),
    Route::new(
        Method::Get,
        "/api/v1/server-keys",
        SERVER,
        "list_server_keys",
        |route| call(route, list),
    )
    .about("The server's own keys, newest first, without their texts.")
    .query(fields::SERVER_KEYS)
    .json::<List<wire::Key>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/server-keys",
        SERVER,
        "create_server_key",
        |route| call(route, create),
    )
    .about("Makes a key that may do everything.")
    .takes(Takes::Json(fields::NEW_SERVER_KEY))
    .json::<wire::NewKey>(201, "The key, with its text, which is never shown again."),
    Route::new(
        Method::Get,
        "/api/v1/server-keys/{key}",
        SERVER,
        "get_server_key",
        |route| call(route, get),
    )
    .about("One key of the server, without its text.")
    .json::<wire::Key>(200, "The key."),
    Route::new(
        Method::Patch,
        "/api/v1/server-keys/{key}",
        SERVER,
        "update_server_key",
        |route| call(route, update),
    )
    .about("Renames a key of the server, or lets it end at another time.")
    .takes(Takes::Json(fields::KEY))
    .json::<wire::Key>(200, "The key.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/server-keys/{key}",
        SERVER,
        "revoke_server_key",
        |route| call(route, revoke),
    )
    .about("Revokes a key of the server; it is refused everywhere within 2 s.")
    .nothing("Revoked."),
];

/// Whose keys a route is about: its act says where the caller is.
fn place(call: &Call) -> Result<KeyPlace<'_>> {
    match call.caller() {
        Ok(caller) => Ok(KeyPlace::Team(caller)),
        Err(_) => call.steward().map(KeyPlace::Above),
    }
}

async fn list(call: Call) -> Result<Response> {
    let text = |name: &str| call.query.text(name).filter(|text| !text.is_empty());
    let place = place(&call)?;
    let project = match (text("project"), place) {
        (Some(named), KeyPlace::Team(caller)) => Some(call.engine.project(caller, named).await?.id),
        _ => None,
    };
    let filter = KeyFilter {
        user: text("user").map(Into::into),
        project,
        include_revoked: call.query.flag("include_revoked").unwrap_or_default(),
    };
    let page = cursor::page(&call.query)?;
    let found = call.engine.keys(place, &filter, &page).await?;
    answer::ok(&List::of(&found, wire::Key::from))
}

async fn create(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let environment = body.text("environment").map(Environment::from);
    if environment.is_some() && body.text("project").is_none() {
        return Err(Error::invalid("environment", "is a project's: name one"));
    }
    let new = NewKey {
        name: body.take_text("name").unwrap_or_default(),
        role: role(body),
        user: match body.cleared("user") {
            true => Some(None),
            false => body.take_text("user").map(Some),
        },
        workload: body
            .take_text("project")
            .map(|project| (project, environment.unwrap_or_else(Environment::production))),
        expires_at: body.time("expires_at"),
    };
    let (row, text) = call.engine.create_key(place(&call)?, new).await?;
    answer::created(&wire::NewKey {
        key: text.expose(),
        row: wire::Key::from(&row),
    })
}

async fn get(call: Call) -> Result<Response> {
    let id = call.path("key").into();
    let found = call.engine.key(place(&call)?, &id).await?;
    answer::ok(&wire::Key::from(&found))
}

async fn update(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let patch = KeyPatch {
        name: match body.cleared("name") {
            true => Some(String::new()),
            false => body.take_text("name"),
        },
        expires_at: match body.cleared("expires_at") {
            true => Some(None),
            false => body.time("expires_at").map(Some),
        },
    };
    let id = call.path("key").into();
    let updated = call.engine.update_key(place(&call)?, &id, patch).await?;
    answer::ok(&wire::Key::from(&updated))
}

async fn revoke(call: Call) -> Result<Response> {
    let id = call.path("key").into();
    call.engine.revoke_key(place(&call)?, &id).await?;
    answer::nothing()
}

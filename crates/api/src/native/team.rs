//! A team's keys, projects and workload tokens.

use std::time::Duration;

use axum::response::Response;
use grantry_core::nouns::{Environment, Role};
use grantry_core::{Error, Result};
use grantry_engine::NewKey;
use grantry_engine::permissions::Act;

use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};

const KEYS: Access = Access::Act(Act::ManageKeys);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/api/v1/keys", KEYS, "list_keys", |route| {
        call(route, list_keys)
    })
    .about("The team's keys, newest first, without their texts.")
    .query(fields::PAGE)
    .json::<wire::List<wire::Key>>(200, "One page."),
    Route::new(Method::Post, "/api/v1/keys", KEYS, "create_key", |route| {
        call(route, create_key)
    })
    .about("Makes a key of the team, yours or a project's.")
    .takes(Takes::Json(fields::KEY))
    .json::<wire::NewKey>(201, "The key, with its text, which is never shown again."),
    Route::new(
        Method::Delete,
        "/api/v1/keys/{key}",
        KEYS,
        "revoke_key",
        |route| call(route, revoke_key),
    )
    .about("Revokes a key; it is refused everywhere within 2 s.")
    .nothing("Revoked."),
    Route::new(
        Method::Get,
        "/api/v1/projects",
        Access::Act(Act::ReadLists),
        "list_projects",
        |route| call(route, list_projects),
    )
    .about("The team's projects, by name.")
    .query(fields::PAGE)
    .json::<wire::List<wire::Project>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/workload-tokens",
        Access::Act(Act::MintWorkloadTokens),
        "mint_workload_token",
        |route| call(route, mint),
    )
    .about("A token of our issuer that proves which project runs where.")
    .query(fields::WORKLOAD_TOKEN_QUERY)
    .takes(Takes::Json(fields::WORKLOAD_TOKEN))
    .json::<wire::Minted>(201, "The token."),
];

async fn list_keys(call: Call) -> Result<Response> {
    let page = cursor::page(&call.query)?;
    let found = call.engine.keys(call.caller()?, &page).await?;
    answer::ok(&wire::List::of(&found, wire::Key::from))
}

async fn create_key(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let expires_at = body.time("expires_at");
    let role = body.text("role").and_then(role);
    let environment = body.text("environment").map(Environment::from);
    if environment.is_some() && body.text("project").is_none() {
        return Err(Error::invalid("environment", "is a project's: name one"));
    }
    let new = NewKey {
        name: body.take_text("name").unwrap_or_default(),
        role,
        workload: body
            .take_text("project")
            .map(|project| (project, environment.unwrap_or_else(Environment::production))),
        expires_at,
    };
    let (row, text) = call.engine.create_key(call.caller()?, new).await?;
    answer::created(&wire::NewKey {
        key: text.expose(),
        row: wire::Key::from(&row),
    })
}

async fn revoke_key(call: Call) -> Result<Response> {
    let id = call.path("key").into();
    call.engine.revoke_key(call.caller()?, &id).await?;
    answer::nothing()
}

async fn list_projects(call: Call) -> Result<Response> {
    let page = cursor::page_by_name(&call.query)?;
    let found = call.engine.projects(call.caller()?, &page).await?;
    answer::ok(&wire::List::of(&found, wire::Project::from))
}

async fn mint(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let project = body.take_text("project").unwrap_or_default();
    let environment = body.text("environment").map(Environment::from);
    let ttl = body.count("ttl_ms").map(Duration::from_millis);
    let environment = environment.unwrap_or_else(Environment::production);
    let minted = call
        .engine
        .mint_workload_token(call.caller()?, &project, environment, ttl)
        .await?;
    answer::created(&wire::Minted::from(&minted))
}

fn role(word: &str) -> Option<Role> {
    serde_json::from_value(word.into()).ok()
}

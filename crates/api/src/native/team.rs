//! Workload tokens.

use std::time::Duration;

use axum::response::Response;
use grantry_core::Result;
use grantry_core::nouns::Environment;
use grantry_engine::permissions::Act;

use super::{fields, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};

/// Their row of the route table.
pub const ROUTES: &[Route] = &[Route::new(
    Method::Post,
    "/api/v1/workload-tokens",
    Access::Act(Act::MintWorkloadTokens),
    "mint_workload_token",
    |route| call(route, mint),
)
.about("A token of our issuer that proves which project runs where.")
.query(fields::WORKLOAD_TOKEN_QUERY)
.takes(Takes::Json(fields::WORKLOAD_TOKEN))
.json::<wire::Minted>(201, "The token.")];

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

//! Searching what a connector reaches.

use axum::response::Response;
use grantry_core::{Result, Secret};
use grantry_engine::AskSearch;
use grantry_engine::permissions::Act;

use super::connections::ask;
use super::{fields, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::present;
use crate::kit::route::{Access, Method, Route, Takes};

/// Its row of the route table.
pub const ROUTES: &[Route] = &[Route::new(
    Method::Post,
    "/api/v1/connectors/{connector}/search",
    Access::Act(Act::ReadToken),
    "search_connector",
    |route| call(route, search),
)
.about(
    "Asks a connector's search endpoint (`data.search`) with the subject's token, which stays here: the endpoint \
     gets `{\"query\"}` and answers `{\"results\"}`.",
)
.takes(Takes::Json(fields::SEARCH))
.json::<wire::Searched>(200, "What it found, or why it found nothing.")
.refuses(&[422, 502, 504])];

async fn search(mut call: Call) -> Result<Response> {
    let token = ask(&mut call.body)?;
    let body = &mut call.body;
    let ask = AskSearch {
        query: body.take_text("query").unwrap_or_default(),
        token,
        own_token: present(body.take_text("access_token")).map(Secret::new),
        continue_on_failure: body.flag("continue_on_failure"),
    };
    let connector = call.path("connector");
    let found = call.engine.search(call.caller()?, connector, ask).await?;
    match &found.results {
        Err(failure) if !found.continues => Err(failure.error.clone()),
        _ => answer::ok(&wire::Searched::from(&found)),
    }
}

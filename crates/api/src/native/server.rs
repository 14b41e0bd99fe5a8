//! The server itself: health, the OpenAPI document, and `apply`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use grantry_core::Result;
use grantry_core::limits::Limits;
use grantry_engine::permissions::Act;

use super::{apply, error, fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::made::Made;
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, openapi};

/// Its rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/healthz",
        Access::Public("says only that the process runs"),
        "health",
        |route| call(route, health),
    )
    .about("The process runs.")
    .text("text/plain; charset=utf-8", "It does."),
    Route::new(
        Method::Get,
        "/readyz",
        Access::Public("says only whether the server can serve"),
        "ready",
        |route| call(route, ready),
    )
    .about("The store answers, so requests can be served.")
    .text("text/plain; charset=utf-8", "They can; 503 when they cannot.")
    .refuses(&[503]),
    Route::new(
        Method::Get,
        "/api/v1/openapi.json",
        Access::Public("documentation, the same for everybody"),
        "openapi",
        |route| call(route, document),
    )
    .about("This document.")
    .json::<wire::OpenApi>(200, "OpenAPI 3.1."),
    Route::new(
        Method::Post,
        "/api/v1/apply",
        Access::Act(Act::Apply),
        "apply",
        |route| call(route, apply::apply),
    )
    .about(
        "Makes the rows of an apply file exist. Fields that end in `_env` have to be resolved before. \
         `Accept: application/x-ndjson` asks for progress: lines of `{done, total}`, then one of `{report}` or `{problem}`.",
    )
    .query(fields::APPLY)
    .takes(Takes::Text("application/toml", Limits::apply_bytes_max))
    .json::<wire::Applied>(200, "What became of each row.")
    .refuses(&[409]),
];

async fn health(_: Call) -> Result<Response> {
    Ok("ok\n".into_response())
}

async fn ready(call: Call) -> Result<Response> {
    Ok(match call.engine.unready().await {
        None => "ready\n".into_response(),
        Some(why) => error::not_ready(why),
    })
}

async fn document(call: Call) -> Result<Response> {
    static MADE: Made = Made::new();
    let url = call.engine.settings().url("");
    let made = MADE.of(url, |url| {
        answer::json(StatusCode::OK, &wire::OpenApi(openapi::document(url)))
    });
    Ok(made.await)
}

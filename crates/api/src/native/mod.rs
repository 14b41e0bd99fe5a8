//! The native API: snake case, RFC 3339 times, `?limit=&cursor=` → `{data, next_cursor}`, problem+json.

pub mod error;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use grantry_core::Result;

use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route};

/// The native rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/healthz",
        Access::Public("says only that the process runs"),
        "health",
        |route| call(route, health),
    )
    .about("The process runs."),
    Route::new(
        Method::Get,
        "/readyz",
        Access::Public("says only that the server can serve"),
        "ready",
        |route| call(route, ready),
    )
    .about("The store answers, so requests can be served; 503 otherwise."),
];

async fn health(_: Call) -> Result<Response> {
    Ok((StatusCode::OK, "ok\n").into_response())
}

async fn ready(call: Call) -> Result<Response> {
    call.engine.ping().await?;
    Ok((StatusCode::OK, "ready\n").into_response())
}

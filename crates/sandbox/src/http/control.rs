//! The levers: orders for faults, the log, the counts. No authentication: nothing here is worth it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::faults::{self, Order};
use crate::log::{Entry, Stats};
use crate::pages;
use crate::sandbox::Sandbox;

/// `GET /`: what this is and how to use it.
pub(super) async fn home(State(sandbox): State<Sandbox>) -> Response {
    pages::home(&sandbox)
}

/// `GET /_control`: the orders in force, and all faults.
pub(super) async fn show(State(sandbox): State<Sandbox>) -> Json<Value> {
    let armed = json!(sandbox.lock().orders.armed());
    Json(json!({"armed": armed, "faults": faults::listing()}))
}

/// `POST /_control`: an [`Order`], whatever the content type says (so that `curl -d` is enough).
pub(super) async fn order(State(sandbox): State<Sandbox>, body: Bytes) -> Response {
    let done = serde_json::from_slice::<Order>(&body)
        .map_err(|error| error.to_string())
        .and_then(|order| sandbox.order(order).map_err(|error| error.to_string()));
    match done {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, Json(json!({"error": why}))).into_response(),
    }
}

/// `DELETE /_control`: [`Sandbox::reset`].
pub(super) async fn reset(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.reset();
    StatusCode::NO_CONTENT
}

/// `GET /_log`
pub(super) async fn log(State(sandbox): State<Sandbox>) -> Json<Vec<Entry>> {
    Json(sandbox.log())
}

/// `GET /_stats`
pub(super) async fn stats(State(sandbox): State<Sandbox>) -> Json<Stats> {
    Json(sandbox.stats())
}

/// Where the redirect faults lead. Who comes here followed one, and gets a token that is no good.
pub(super) async fn trap(State(sandbox): State<Sandbox>) -> Json<Value> {
    sandbox.lock().log.stats.trapped += 1;
    Json(json!({"access_token": "at_trap", "token_type": "Bearer", "expires_in": 3600}))
}

//! What the team's webhooks are signed with.

use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;

use super::wire;
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route};

const MANAGE: Access = Access::Act(Act::ManageSecrets);

/// Its rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/webhook-secret",
        MANAGE,
        "read_webhook_secret",
        |route| call(route, read),
    )
    .about("What the team's webhooks are signed with (Standard Webhooks). That it was read is in the event log.")
    .json::<wire::WebhookSecret>(200, "The secret."),
    Route::new(
        Method::Post,
        "/api/v1/webhook-secret",
        MANAGE,
        "rotate_webhook_secret",
        |route| call(route, rotate),
    )
    .about("Makes a new one; the one before signs along for a day.")
    .json::<wire::WebhookSecret>(201, "The new secret.")
    .refuses(&[409]),
];

async fn read(call: Call) -> Result<Response> {
    let (row, secret) = call.engine.webhook_secret(call.caller()?).await?;
    answer::ok(&wire::WebhookSecret::of(&row, &secret))
}

async fn rotate(call: Call) -> Result<Response> {
    let (row, secret) = call.engine.rotate_webhook_secret(call.caller()?).await?;
    answer::created(&wire::WebhookSecret::of(&row, &secret))
}

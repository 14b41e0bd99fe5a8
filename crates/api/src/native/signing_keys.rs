//! The keys that sign the server's own tokens: the operator's business.

use std::time::Duration;

use axum::response::Response;
use grantry_core::Result;
use grantry_core::store::SigningPurpose;
use grantry_engine::CursorPage;
use grantry_engine::permissions::Act;

use super::{fields, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route, Takes};

const MANAGE: Access = Access::Act(Act::ManageServer);

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/signing-keys",
        MANAGE,
        "list_signing_keys",
        |route| call(route, list),
    )
    .about("The keys that sign our own tokens, oldest first; all of them are published.")
    .json::<wire::List<wire::SigningKey<'_>>>(200, "The keys: never more than a few, so always one page."),
    Route::new(
        Method::Post,
        "/api/v1/signing-keys",
        MANAGE,
        "rotate_signing_key",
        |route| call(route, rotate),
    )
    .about("Makes and publishes a new signing key, which takes over from that of its purpose after a lead.")
    .takes(Takes::OptionalJson(fields::SIGNING_KEY))
    .json::<wire::SigningKey<'_>>(201, "The new key.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/signing-keys/{kid}",
        MANAGE,
        "retire_signing_key",
        |route| call(route, retire),
    )
    .about("Ends a signing key now, and with it every token it signed: refused everywhere here within 2 s.")
    .nothing("Retired."),
];

async fn list(call: Call) -> Result<Response> {
    let page = CursorPage {
        data: call.engine.published_keys(call.steward()?).await?,
        next: None,
    };
    answer::ok(&wire::List::of(&page, wire::SigningKey::from))
}

async fn rotate(call: Call) -> Result<Response> {
    let lead = call.body.count("lead_ms").map(Duration::from_millis);
    let purpose = call.body.text("purpose");
    let purpose = purpose.and_then(SigningPurpose::from_word);
    let purpose = purpose.unwrap_or(SigningPurpose::Workload);
    let made = call
        .engine
        .rotate_signing_key(call.steward()?, purpose, lead)
        .await?;
    answer::created(&wire::SigningKey::from(&made))
}

async fn retire(call: Call) -> Result<Response> {
    let kid = call.path("kid");
    call.engine.retire_signing_key(call.steward()?, kid).await?;
    answer::nothing()
}

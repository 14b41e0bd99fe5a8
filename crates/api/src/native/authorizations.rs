//! Consents: asked for, followed, confirmed, taken back. Who asked knows one by its verifier, the team by its id.

use std::time::Duration;

use axum::response::Response;
use grantry_core::store::AuthorizationFilter;
use grantry_core::{Result, Secret};
use grantry_engine::AskConsent;
use grantry_engine::permissions::Act;

use super::connections::ask;
use super::{fields, wire};
use crate::kit::call::{Call, call};
use crate::kit::fields::present;
use crate::kit::route::{Access, Method, Route, Takes};
use crate::kit::{answer, cursor};

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/api/v1/authorizations",
        Access::Act(Act::ReadLists),
        "list_authorizations",
        |route| call(route, list),
    )
    .about("Requests for consent, newest first: the team's for an admin, those for themselves for a member. Ended ones are kept for a week.")
    .query(fields::AUTHORIZATIONS)
    .json::<wire::List<wire::Request>>(200, "One page."),
    Route::new(
        Method::Post,
        "/api/v1/authorizations",
        Access::Act(Act::Authorize),
        "create_authorization",
        |route| call(route, authorize),
    )
    .about("Makes the link that a user opens to connect.")
    .takes(Takes::Json(fields::AUTHORIZATION))
    .json::<wire::Authorization>(201, "The link, and the verifier of its result.")
    .refuses(&[422]),
    Route::new(
        Method::Get,
        "/api/v1/authorizations/{authorization}",
        Access::Public(
            "the verifier is the proof: 256 random bits that only the requester was given",
        ),
        "get_authorization",
        |route| call(route, outcome),
    )
    .about("How far a consent has come; by its verifier.")
    .json::<wire::Outcome>(200, "Its status: pending, unconfirmed, success, error or canceled.")
    .refuses(&[503, 507]),
    Route::new(
        Method::Get,
        "/api/v1/authorizations/{authorization}/details",
        Access::Act(Act::ReadLists),
        "get_authorization_details",
        |route| call(route, details),
    )
    .about("One request for consent as its team sees it; by its id.")
    .json::<wire::Request>(200, "The request."),
    Route::new(
        Method::Post,
        "/api/v1/authorizations/{authorization}/confirm",
        Access::Act(Act::Authorize),
        "confirm_authorization",
        |route| call(route, confirm),
    )
    .about("Makes a consent count that was asked for with `confirm`; by its verifier. A wrong code changes nothing.")
    .takes(Takes::Json(fields::CONFIRM))
    .json::<wire::Outcome>(200, "Its status: success.")
    .refuses(&[409]),
    Route::new(
        Method::Delete,
        "/api/v1/authorizations/{authorization}",
        Access::Act(Act::Authorize),
        "cancel_authorization",
        |route| call(route, cancel),
    )
    .about("Takes a request for consent back; by its id. What a consent to it brought is revoked.")
    .nothing("Canceled.")
    .refuses(&[409]),
];

async fn list(call: Call) -> Result<Response> {
    let open = call.query.flag("open").unwrap_or_default();
    let filter = AuthorizationFilter {
        id: call.query.text("id").map(Into::into),
        connector: super::connector_named(&call).await?,
        subject: super::subject_named(&call),
        open_at: open.then(|| call.engine.now()),
    };
    let page = cursor::page(&call.query)?;
    let found = call
        .engine
        .authorizations(call.caller()?, &filter, &page)
        .await?;
    answer::ok(&wire::List::of(&found, wire::Request::from))
}

async fn details(call: Call) -> Result<Response> {
    let id = call.path("authorization").into();
    let found = call.engine.authorization(call.caller()?, &id).await?;
    answer::ok(&wire::Request::from(&found))
}

async fn confirm(mut call: Call) -> Result<Response> {
    let code = Secret::new(call.body.take_text("code").unwrap_or_default());
    let verifier = call.path("authorization");
    let result = call
        .engine
        .confirm_consent(call.caller()?, verifier, &code)
        .await?;
    answer::ok(&wire::Outcome::from(&result))
}

async fn cancel(call: Call) -> Result<Response> {
    let id = call.path("authorization").into();
    call.engine
        .cancel_authorization(call.caller()?, &id)
        .await?;
    answer::nothing()
}

async fn authorize(mut call: Call) -> Result<Response> {
    let body = &mut call.body;
    let ask = AskConsent {
        token: ask(body)?,
        return_url: body.take_text("return_url"),
        prompt: body.take_text("prompt"),
        device_code: body.flag("device_code").unwrap_or_default(),
        expires_in: body.count("expires_in_ms").map(Duration::from_millis),
        additional_params: body.take_map("additional_params").unwrap_or_default(),
        confirm: body.flag("confirm").unwrap_or_default(),
        webhook: present(body.take_text("webhook")),
        ..AskConsent::default()
    };
    let connector = body.take_text("connector").unwrap_or_default();
    let requested = call
        .engine
        .authorize(call.caller()?, &connector, ask)
        .await?;
    answer::created(&wire::Authorization::from(&requested))
}

async fn outcome(call: Call) -> Result<Response> {
    let (_, result) = call
        .engine
        .consent_result(call.path("authorization"))
        .await?;
    answer::ok(&wire::Outcome::from(&result))
}

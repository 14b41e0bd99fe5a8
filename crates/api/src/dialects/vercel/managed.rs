//! A2 of reference/vercel-connect §4: a connector of which only the service is named. No application of this server's
//! owner is at any service, so a person registers one, on our page; or the service's server does it by itself.

use axum::http::StatusCode;
use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;
use grantry_engine::{AskSetup, Asked};
use serde::Serialize;

use super::code;
use super::fields::{
    ACCENT_COLOR, BACKGROUND_COLOR, ENVIRONMENTS, EVENTS, ICON, NAME, PROJECT, TRIGGER_DESTINATION,
    TRIGGERS,
};
use super::map;
use super::wire::{Connector, Reader};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, optional, present, required};
use crate::kit::route::{Access, Method, Route, Takes};

/// The dialect's call for such connectors.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Post,
        "/v1/connect/connectors/managed",
        Access::Act(Act::ManageConnectors),
        "createManagedConnector",
        |route| call(route, create),
    )
    .about(
        "A2: makes a connector where the service registers clients by itself; else 422 `registration_required` with the \
         `registerUrl` at which a person registers it. The same `request_code` is answered as the first time.",
    )
    .query(&[optional(
        "autoinstall",
        Shape::Bool,
        "The result is `partial` until the application is installed, too.",
    )])
    .takes(Takes::Json(MANAGED))
    .json::<Connector>(201, "The connector."),
];

const MANAGED: &[Field] = &[
    required(
        "service",
        Shape::Text(512),
        "Catalogue id of the third party, or the URL of a server.",
    ),
    optional(
        "connectionMethod",
        Shape::Text(64),
        "One of those that the service has; the first when absent.",
    ),
    optional(
        "target",
        Shape::Text(64),
        "One of those that the service has.",
    ),
    NAME,
    PROJECT,
    ENVIRONMENTS,
    TRIGGERS,
    EVENTS,
    TRIGGER_DESTINATION,
    ICON,
    BACKGROUND_COLOR,
    ACCENT_COLOR,
    optional(
        "request_code",
        Shape::Text(64),
        "SHA-256 of a verifier, in base64url: the result is polled with the verifier.",
    ),
];

/// What tells the client to open a browser.
#[derive(Serialize)]
struct Required<'a> {
    error: RequiredError<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequiredError<'a> {
    code: &'static str,
    message: String,
    register_url: &'a str,
    expires_at: i64,
}

async fn create(mut call: Call) -> Result<Response> {
    let code = call.body.take_text("request_code");
    let code = present(code).map(|code| code::digest(&code)).transpose()?;
    let ask = AskSetup {
        host: None,
        new: map::connector(std::mem::take(&mut call.body))?,
        autoinstall: call.query.flag("autoinstall").unwrap_or_default(),
        code,
    };
    let Asked { view, made } = call.engine.ask_setup(call.caller()?, ask).await?;
    if let Some(made) = made {
        return answer::created(&Connector::of(&made, Reader::of(&call.headers)));
    }
    let error = RequiredError {
        code: "registration_required",
        message: format!(
            "{} has to be registered by a person: open {}",
            view.setup.ask.service, view.url
        ),
        register_url: &view.url,
        expires_at: view.setup.expires_at.as_millis(),
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(answer::json(status, &Required { error }))
}

//! E2: the link under which an application is installed in a tenant.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::limits::EXTERNAL_ID_BYTES_MAX;
use grantry_core::nouns::{Install, Subject};
use grantry_engine::permissions::Act;

use super::super::{fields, map, wire};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, optional, present};
use crate::kit::route::{Access, Method, Route, Takes};

pub(super) const INSTALL: Route = Route::new(
    Method::Post,
    "/v1/connect/install/{connector}",
    Access::Act(Act::Authorize),
    "createConnectorInstallationRequest",
    |route| call(route, install),
)
.about("E2: makes the link under which the connector's application is installed in a tenant of its provider.")
.takes(Takes::OptionalJson(BODY))
.json::<wire::Authorization>(200, "The link, and the verifier of its result.");

const BODY: &[Field] = &[
    optional(
        "installationId",
        Shape::Text(EXTERNAL_ID_BYTES_MAX),
        "The one that is to come of it: another one is not taken.",
    ),
    optional(
        "tenantId",
        Shape::Text(EXTERNAL_ID_BYTES_MAX),
        "The tenant it shall be in: another one is not taken.",
    ),
    fields::AUDIENCE,
    fields::SCOPES,
    fields::RESOURCES,
    fields::DETAILS,
    fields::BUFFER,
    fields::RETURN_URL,
    fields::WEBHOOK,
    fields::DEVICE_CODE,
    fields::EXPIRES_IN,
];

async fn install(mut call: Call) -> Result<Response> {
    let external_id = present(call.body.take_text("installationId"));
    let tenant = present(call.body.take_text("tenantId"));
    let body = std::mem::take(&mut call.body);
    let mut ask = map::consent(body, call.caller()?)?;
    ask.token.subject = Some(Subject::App);
    ask.install = Some(Install {
        external_id,
        tenant,
    });
    let requested = call
        .engine
        .authorize(call.caller()?, call.path("connector"), ask)
        .await?;
    answer::ok(&wire::Authorization::of(&requested))
}

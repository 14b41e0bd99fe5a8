//! A3: a workload makes the connector that it needs (reference/vercel-connect §4).

use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;

use super::wire::{self, Reader};
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::fields::{Field, Shape, required};
use crate::kit::route::{Access, Method, Route, Takes};

/// Its row of the route table.
pub const ROUTES: &[Route] = &[Route::new(
    Method::Post,
    "/v1/connect/connectors/managed/oauth",
    Access::Act(Act::Provision),
    "provisionOauthConnector",
    |route| call(route, provision),
)
.about("A3: makes an `oauth` connector from its server's URL, or links the one that there is, for the workload that asks. Its project has to be allowed to.")
.takes(Takes::Json(BODY))
.json::<wire::Connector>(200, "The connector.")];

const BODY: &[Field] = &[
    required(
        "serverUrl",
        Shape::Text(2048),
        "An MCP server or an authorization server that registers clients.",
    ),
    required(
        "uid",
        Shape::Text(256),
        "What the connector is called, and its name.",
    ),
];

async fn provision(call: Call) -> Result<Response> {
    let text = |name: &str| call.body.text(name).unwrap_or_default();
    let (uid, url) = (text("uid"), text("serverUrl"));
    let made = call
        .engine
        .provision_connector(call.caller()?, uid, url)
        .await?;
    answer::ok(&wire::Connector::of(&made, Reader::of(&call.headers)))
}

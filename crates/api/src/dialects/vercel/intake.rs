//! C2: where providers deliver what happens to an application (reference/vercel-connect §8, "Intake").

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use grantry_core::limits::Limits;
use grantry_core::{Error, Result};
use grantry_engine::{Delivery, Taken};
use serde_json::json;

use super::error;
use crate::kit::answer;
use crate::kit::call::{Call, call, deciding_header};
use crate::kit::route::{Access, Method, Route, Takes};

/// The rows of the route table.
pub const ROUTES: &[Route] = &[Route::new(
    Method::Post,
    "/trigger/{connector}",
    Access::Public("the provider's signature over the whole body is the proof"),
    "takeEvent",
    |route| call(route, take),
)
.about("C2: takes in what a connector's provider delivers: installations that changed, tokens that it ended.")
.takes(Takes::Bytes(Limits::event_bytes_max))
.gives(200, "Taken in, and done.")];

async fn take(call: Call) -> Result<Response> {
    // One that is sent twice is none.
    let header = |name: &str| deciding_header(&call.headers, name).ok().flatten();
    let delivery = Delivery {
        header: &header,
        body: &call.bytes,
    };
    let id = call.path("connector").into();
    match call.engine.take_delivery(&id, &delivery).await {
        Ok(Taken::Done) => Ok(StatusCode::OK.into_response()),
        Ok(Taken::Challenge(challenge)) => answer::ok(&json!({"challenge": challenge})),
        Ok(Taken::Unforwarded) => Ok(error::unforwarded()),
        Err(Error::Unauthenticated) => Ok(error::invalid_signature()),
        Err(error) => Err(error),
    }
}

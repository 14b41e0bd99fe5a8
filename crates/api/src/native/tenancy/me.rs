//! Who one is.

use axum::response::Response;
use grantry_core::Result;
use grantry_engine::permissions::Act;

use super::wire;
use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route};

/// Its row of the route table.
pub const ROUTES: &[Route] = &[Route::new(
    Method::Get,
    "/api/v1/me",
    Access::Act(Act::ReadSelf),
    "me",
    |route| call(route, me),
)
.about("Who one is: the credential, and the account, team, person or project that it acts for.")
.json::<wire::Me>(200, "Oneself.")];

async fn me(call: Call) -> Result<Response> {
    let me = call.engine.me(call.principal()?).await?;
    answer::ok(&wire::Me::from(&me))
}

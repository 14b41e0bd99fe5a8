//! What authorization servers read of our clients: the document of one that is known by its URL, and its public keys.
//! Neither holds a secret, nor anything of a team's but what the server is told anyway (requirement 27).

use axum::response::Response;
use grantry_core::Result;

use crate::kit::answer;
use crate::kit::call::{Call, call};
use crate::kit::route::{Access, Method, Route};

/// The rows of the route table.
pub const ROUTES: &[Route] = &[
    Route::new(
        Method::Get,
        "/oauth/clients/{connector}",
        Access::Public("authorization servers read it: it is the client's id"),
        "getClientDocument",
        |route| call(route, document),
    )
    .about("The document of a client that is known by its URL (client id metadata document).")
    .gives(200, "Client metadata (RFC 7591 §2)."),
    Route::new(
        Method::Get,
        "/oauth/clients/{connector}/jwks",
        Access::Public("public keys"),
        "getClientJwks",
        |route| call(route, jwks),
    )
    .about("The public keys of a connector's client (RFC 7517 §5).")
    .gives(200, "The key set."),
];

async fn document(call: Call) -> Result<Response> {
    let id = call.path("connector").into();
    answer::public(&call.engine.client_document(&id).await?)
}

async fn jwks(call: Call) -> Result<Response> {
    let id = call.path("connector").into();
    answer::public(&call.engine.client_jwks(&id).await?)
}

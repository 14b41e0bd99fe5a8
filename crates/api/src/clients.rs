//! What authorization servers read of our clients: the document of one that is known by its URL, its public keys and its
//! icon. None holds a secret, nor anything of a team's but what the server is told anyway (requirement 27).

use axum::http::header;
use axum::response::Response;
use grantry_core::Result;

use crate::kit::answer;
use crate::kit::call::{Call, call, header_text};
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
    Route::new(
        Method::Get,
        "/oauth/clients/{connector}/logo",
        Access::Public("authorization servers show it with the client (`logo_uri`)"),
        "getClientLogo",
        |route| call(route, logo),
    )
    .about("The icon of a connector, as its authorization server may show it (RFC 7591 §2, `logo_uri`).")
    .gives(200, "The image.")
    .or(304, "It is the one that `If-None-Match` names."),
];

async fn document(call: Call) -> Result<Response> {
    let id = call.path("connector").into();
    answer::public(&call.engine.client_document(&id).await?)
}

async fn jwks(call: Call) -> Result<Response> {
    let id = call.path("connector").into();
    answer::public(&call.engine.client_jwks(&id).await?)
}

/// Which image it is changes with the connector: for five minutes it is not asked for again, then only whether it is another.
async fn logo(call: Call) -> Result<Response> {
    let id = call.path("connector").into();
    let icon = call.engine.client_logo(&id).await?;
    let known = header_text(&call.headers, header::IF_NONE_MATCH.as_str());
    answer::image(icon, "public, max-age=300", known)
}

//! Metadata (RFC 8414, OpenID Connect Discovery, RFC 9728) and the key set.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::Pairs;
use crate::answer::Answer;
use crate::faults::Endpoint;
use crate::sandbox::{Sandbox, Visit};

/// `/.well-known/oauth-authorization-server` and `/.well-known/openid-configuration`.
pub(super) async fn server(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let body = document(sandbox.issuer());
    answer(&sandbox, Endpoint::Metadata, &Pairs::query(&uri), body).await
}

/// `/.well-known/oauth-protected-resource/api/me`
pub(super) async fn resource(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let issuer = sandbox.issuer();
    let body = json!({
        "resource": format!("{issuer}/api/me"),
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "Grantry sandbox",
    });
    answer(&sandbox, Endpoint::Metadata, &Pairs::query(&uri), body).await
}

/// `/meta/{fault}`: the server's metadata under a fault, for clients that take a metadata URL.
pub(super) async fn faulty(
    State(sandbox): State<Sandbox>,
    Path(fault): Path<String>,
    uri: Uri,
) -> Response {
    let mut query = Pairs::query(&uri);
    query.0.push(("fault".to_owned(), fault));
    let body = document(sandbox.issuer());
    answer(&sandbox, Endpoint::Metadata, &query, body).await
}

/// `/jwks`
pub(super) async fn jwks(State(sandbox): State<Sandbox>, uri: Uri) -> Response {
    let body = sandbox.jwks();
    answer(&sandbox, Endpoint::Jwks, &Pairs::query(&uri), body).await
}

async fn answer(sandbox: &Sandbox, endpoint: Endpoint, query: &Pairs, body: Value) -> Response {
    let visit = Visit {
        endpoint,
        client_id: None,
        grant_type: None,
        refresh_token: None,
        query: &query.0,
        echo: "",
    };
    sandbox.perform(visit, |_, _, _| Answer::json(body)).await
}

/// One document serves both discovery standards.
fn document(issuer: &str) -> Value {
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

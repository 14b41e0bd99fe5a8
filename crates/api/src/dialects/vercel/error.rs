//! Every core error as Vercel says it (reference/vercel-connect §1): `{"error":{"code","message"}}`.

use axum::http::StatusCode as Status;
use axum::response::Response;
use grantry_core::Error;
use grantry_core::error::Body;
use serde_json::json;

use crate::kit::answer;

/// The answer to a request that failed. Its 422s carry `authorizationUrl` where a link was minted.
pub fn answer(error: &Error) -> Response {
    let (status, code) = status_and_code(error);
    let mut inner = json!({ "code": code, "message": error.to_string() });
    if let Error::AuthorizationRequired(reconnect) | Error::InstallationRequired(reconnect) = error
        && let Some(url) = &reconnect.url
    {
        inner["authorizationUrl"] = json!(url);
    }
    answer::with_retry(answer::json(status, &json!({ "error": inner })), error)
}

/// Codes that clients match on are from the reference; where it saw none (400, 405, 413, 415, 5xx) they are ours.
const fn status_and_code(error: &Error) -> (Status, &'static str) {
    match error {
        Error::Unauthenticated => (Status::UNAUTHORIZED, "unauthorized"),
        Error::Forbidden(_) => (Status::FORBIDDEN, "forbidden"),
        Error::NotFound(_) => (Status::NOT_FOUND, "not_found"),
        Error::Gone(_) => (Status::GONE, "gone"),
        Error::Conflict { .. } => (Status::CONFLICT, "conflict"),
        Error::Invalid(_) | Error::DestinationRefused | Error::Body(Body::Malformed { .. }) => {
            (Status::BAD_REQUEST, "bad_request")
        }
        Error::Body(Body::TooLarge { .. }) => (Status::PAYLOAD_TOO_LARGE, "payload_too_large"),
        Error::Body(Body::MediaType { .. }) => {
            (Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        }
        Error::MethodNotAllowed => (Status::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Error::AuthorizationRequired(_) => {
            (Status::UNPROCESSABLE_ENTITY, "user_authorization_required")
        }
        Error::InstallationRequired(_) => {
            (Status::UNPROCESSABLE_ENTITY, "client_installation_required")
        }
        // A refused client is no 5xx: those are retried at once, and only its owner can mend it.
        Error::Unresolvable { .. } | Error::ConnectorFault => {
            (Status::UNPROCESSABLE_ENTITY, "unresolved_token")
        }
        Error::Provider { timeout: true, .. } => (Status::GATEWAY_TIMEOUT, "provider_timeout"),
        Error::Provider { timeout: false, .. } => (Status::BAD_GATEWAY, "provider_error"),
        Error::RateLimited { .. } => (Status::TOO_MANY_REQUESTS, "rate_limited"),
        Error::Unavailable => (Status::SERVICE_UNAVAILABLE, "service_unavailable"),
        Error::Internal => (Status::INTERNAL_SERVER_ERROR, "internal_server_error"),
    }
}

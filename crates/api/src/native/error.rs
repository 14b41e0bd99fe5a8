//! Every core error as problem+json (RFC 9457) with a stable `code`.

use axum::http::StatusCode as Status;
use axum::response::Response;
use grantry_core::error::Body;
use grantry_core::{Error, Problem};
use serde::Serialize;

use crate::kit::answer;

/// What a failed request is answered with.
#[derive(Serialize)]
struct Details<'a> {
    /// No document describes the problem types: `code` tells them apart.
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Problem>,
    /// Why the subject has to connect (again).
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Where the subject can do so, where a link was minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_url: Option<&'a str>,
}

/// The answer to a request that failed.
pub fn answer(error: &Error) -> Response {
    let (status, code) = status_and_code(error);
    let reconnect = match error {
        Error::AuthorizationRequired(reconnect) | Error::InstallationRequired(reconnect) => {
            Some(reconnect)
        }
        _ => None,
    };
    let errors = match error {
        Error::Invalid(problems) => problems.iter().map(in_our_spelling).collect(),
        _ => vec![],
    };
    let detail = match errors.as_slice() {
        [] => error.to_string(),
        errors => Error::Invalid(errors.to_vec()).to_string(),
    };
    let details = Details {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        code,
        errors,
        reason: reconnect.map(|reconnect| reconnect.reason.as_str()),
        authorization_url: reconnect.and_then(|reconnect| reconnect.url.as_deref()),
    };
    let answer = answer::typed(status, "application/problem+json", &details);
    answer::with_retry(answer, error)
}

/// The engine names fields as the Vercel dialect does; here their first segment is in snake case. What
/// is below it (`data.clientId`) is spelled alike in both.
fn in_our_spelling(problem: &Problem) -> Problem {
    let end = problem
        .field
        .find(['.', '['])
        .unwrap_or(problem.field.len());
    let (first, rest) = problem.field.split_at(end);
    let mut field = String::with_capacity(problem.field.len() + 4);
    for letter in first.chars() {
        if letter.is_ascii_uppercase() {
            field.push('_');
        }
        field.push(letter.to_ascii_lowercase());
    }
    field.push_str(rest);
    Problem::new(field, problem.message.clone())
}

const fn status_and_code(error: &Error) -> (Status, &'static str) {
    match error {
        Error::Unauthenticated => (Status::UNAUTHORIZED, "unauthenticated"),
        Error::Forbidden(_) => (Status::FORBIDDEN, "forbidden"),
        Error::NotFound(_) | Error::Gone(_) => (Status::NOT_FOUND, "not_found"),
        Error::Conflict { .. } => (Status::CONFLICT, "conflict"),
        Error::Invalid(_) => (Status::BAD_REQUEST, "invalid"),
        Error::Body(Body::Malformed { .. }) => (Status::BAD_REQUEST, "malformed_body"),
        Error::Body(Body::TooLarge { .. }) => (Status::PAYLOAD_TOO_LARGE, "body_too_large"),
        Error::Body(Body::MediaType { .. }) => {
            (Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        }
        Error::MethodNotAllowed => (Status::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Error::AuthorizationRequired(_) => (Status::UNPROCESSABLE_ENTITY, "authorization_required"),
        Error::InstallationRequired(_) => (Status::UNPROCESSABLE_ENTITY, "installation_required"),
        Error::Unresolvable { .. } => (Status::UNPROCESSABLE_ENTITY, "unresolvable"),
        Error::DestinationRefused => (Status::BAD_REQUEST, "destination_refused"),
        Error::ConnectorFault => (Status::UNPROCESSABLE_ENTITY, "connector_fault"),
        Error::Provider { timeout: true, .. } => (Status::GATEWAY_TIMEOUT, "provider_timeout"),
        Error::Provider { timeout: false, .. } => (Status::BAD_GATEWAY, "provider_error"),
        Error::RateLimited { .. } => (Status::TOO_MANY_REQUESTS, "rate_limited"),
        Error::Unavailable => (Status::SERVICE_UNAVAILABLE, "unavailable"),
        Error::Internal => (Status::INTERNAL_SERVER_ERROR, "internal"),
    }
}

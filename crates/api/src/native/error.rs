//! Every core error as problem+json (RFC 9457) with a stable `code`.

use axum::http::StatusCode as Status;
use axum::response::Response;
use grantry_core::error::Body;
use grantry_core::{Error, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::answer;

/// What a failed request is answered with (RFC 9457). `code` is stable.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub struct Details<'a> {
    /// No document describes the problem types: `code` tells them apart.
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Wrong<'a>>,
    /// Why the subject has to connect (again).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// Where the subject can do so, where a link was minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authorization_url: Option<&'a str>,
}

/// One wrong field.
#[derive(Serialize, ToSchema)]
struct Wrong<'a> {
    /// Path in the caller's own spelling: `data.clientId`, `environments[1]`. Empty for the whole body.
    field: &'a str,
    /// What is wrong and what would be right, for people.
    message: &'a str,
}

impl<'a> From<&'a Problem> for Wrong<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            field: &problem.field,
            message: &problem.message,
        }
    }
}

/// The answer to a request that failed.
pub fn answer(error: &Error) -> Response {
    let (status, details) = details(error);
    let answer = answer::typed(status, "application/problem+json", &details);
    answer::with_headers(answer, error)
}

/// Status and body of [`answer`].
pub fn details(error: &Error) -> (Status, Details<'_>) {
    let (status, code) = status_and_code(&error.hiding());
    let reconnect = match error {
        Error::AuthorizationRequired(reconnect) | Error::InstallationRequired(reconnect) => {
            Some(reconnect)
        }
        _ => None,
    };
    let errors = match error {
        Error::Invalid(problems) => problems.iter().map(Wrong::from).collect(),
        _ => vec![],
    };
    let details = Details {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: error.hiding().to_string(),
        code,
        errors,
        reason: reconnect.map(|reconnect| reconnect.reason.as_str()),
        authorization_url: reconnect.and_then(|reconnect| reconnect.url.as_deref()),
    };
    (status, details)
}

/// The answer of `/readyz` while requests should go elsewhere.
pub fn not_ready(why: &'static str) -> Response {
    let (status, code) = status_and_code(&Error::Unavailable);
    let details = Details {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: why.to_owned(),
        code,
        errors: vec![],
        reason: None,
        authorization_url: None,
    };
    answer::typed(status, "application/problem+json", &details)
}

/// Fields that the engine, which names them as the Vercel dialect does, and this API spell differently.
/// What is below a field (`data.clientId`) is spelled alike in both.
const SPELLINGS: [(&str, &str); 9] = [
    ("accentColor", "accent_color"),
    ("additionalParams", "additional_params"),
    ("backgroundColor", "background_color"),
    ("expiresInMs", "expires_in_ms"),
    ("installationId", "installation"),
    ("projectId", "project"),
    ("redirectUri", "redirect_uri"),
    ("returnUrl", "return_url"),
    ("triggerDestinations", "trigger_destinations"),
];

/// What a handler failed with, in the spelling of this API. Not for what was found wrong before: those
/// problems quote the caller.
pub fn in_our_spelling(error: Error) -> Error {
    let respell = |problem: Problem| {
        let (head, below) = match problem.field.find(['[', '.']) {
            Some(at) => problem.field.split_at(at),
            None => (problem.field.as_str(), ""),
        };
        match SPELLINGS.iter().find(|(theirs, _)| *theirs == head) {
            Some((_, ours)) => Problem::new(format!("{ours}{below}"), problem.message),
            None => problem,
        }
    };
    match error {
        Error::Invalid(problems) => Error::Invalid(problems.into_iter().map(respell).collect()),
        error => error,
    }
}

/// What each status of [`status_and_code`] means, for the document.
pub const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request is wrong: `errors` says what, where, and what would be right.",
        401 => "No credential, or none that holds.",
        403 => "The caller may not do this.",
        404 => "It does not exist, or not for this caller.",
        409 => "It is taken, or was changed meanwhile.",
        413 => "The body is too large.",
        415 => "The body is of another content type.",
        422 => "It cannot be done with what is there: `code` says why.",
        429 => "Too many requests: `Retry-After` says when to come back.",
        502 => "The provider gave no usable answer.",
        503 => "Temporarily unavailable: repeat it.",
        504 => "The provider gave no answer in time.",
        507 => "The server's disk is full: nothing was stored, and what is there can be read.",
        _ => "A defect of the server.",
    }
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
        Error::RateLimited { .. } | Error::Busy { .. } => {
            (Status::TOO_MANY_REQUESTS, "rate_limited")
        }
        Error::Unavailable => (Status::SERVICE_UNAVAILABLE, "unavailable"),
        Error::Full => (Status::INSUFFICIENT_STORAGE, "storage_full"),
        Error::Internal => (Status::INTERNAL_SERVER_ERROR, "internal"),
    }
}

//! Every core error as Datagrid says it: one flat object (reference/datagrid §3), of which only the 429 is public.

use axum::http::{HeaderName, HeaderValue, StatusCode as Status};
use axum::response::Response;
use grantry_core::error::Body;
use grantry_core::{Error, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::answer;
use crate::kit::dialect::{respelled, spelled};

/// What a failed request is answered with.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridError)]
pub struct Refusal {
    status_code: u16,
    /// The same under its older name.
    #[serde(rename = "statusCode")]
    old_status_code: u16,
    error: &'static str,
    message: String,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mitigation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    details: Option<Details>,
}

/// More on why.
#[derive(Serialize, ToSchema)]
#[schema(as = DatagridErrorDetails)]
pub struct Details {
    reason: &'static str,
}

/// The header by which the vendor's SDKs are told not to try again what will fail again.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The answer to a request that failed.
pub fn answer(error: &Error) -> Response {
    let error = &*error.hiding();
    let (status, code) = known(error);
    let limited = matches!(error, Error::RateLimited { .. } | Error::Busy { .. });
    let passing = matches!(error, Error::Conflict { passing: true, .. });
    let retryable = limited || passing || status.is_server_error();
    let refusal = Refusal {
        status_code: status.as_u16(),
        old_status_code: status.as_u16(),
        error: code,
        message: message(error),
        retryable,
        mitigation: limited
            .then_some("Retry with exponential backoff, with growing delays between the requests."),
        details: limited.then_some(Details {
            reason: "The rate limit has been reached: retry after the current window resets.",
        }),
    };
    let mut response = answer::with_headers(answer::json(status, &refusal), error);
    if status == Status::CONFLICT && !passing {
        // The SDKs take a 409 for a race and send it twice more; these stay what they are.
        let never = HeaderValue::from_static("false");
        response.headers_mut().insert(SHOULD_RETRY, never);
    }
    response
}

fn message(error: &Error) -> String {
    match error {
        Error::Invalid(problems) => {
            let lines: Vec<String> = problems.iter().map(sentence).collect();
            lines.join("; ")
        }
        Error::RateLimited { .. } => "Rate limit exceeded".to_owned(),
        Error::NotFound(thing) => format!("{} not found", their_noun(thing)),
        error => error.to_string(),
    }
}

fn sentence(Problem { field, message }: &Problem) -> String {
    if message.starts_with("is not a known field") {
        format!("property {field} should not exist")
    } else if field.is_empty() {
        message.clone()
    } else {
        format!("{field}: {message}")
    }
}

/// Our nouns in this dialect's words.
fn their_noun(thing: &'static str) -> &'static str {
    match thing {
        "connector" => "connection provider",
        "team" => "teamspace",
        "membership" => "user",
        "mcp_server" => "MCP server",
        "account" => "organization",
        thing => thing,
    }
}

/// The engine's names of fields, in this dialect's words.
const SPELLINGS: [(&str, &str); 10] = [
    ("data.clientId", "client_id"),
    ("data.clientSecret", "client_secret"),
    ("data.variables", "variables"),
    ("data.userAuthorization.scopes", "scopes"),
    ("service", "connector_id"),
    ("connector", "connection_provider_id"),
    ("connection", "connection_id"),
    ("origin", "embed_origin"),
    ("team", "Datagrid-Teamspace"),
    ("account", "organization"),
];

/// What a handler failed with, its fields named as this dialect names them.
pub fn in_their_spelling(error: Error) -> Error {
    respelled(error, |problem| Problem {
        field: spelled(problem.field, &SPELLINGS),
        ..problem
    })
}

const fn known(error: &Error) -> (Status, &'static str) {
    match error {
        Error::Unauthenticated => (Status::UNAUTHORIZED, "no_authentication"),
        Error::Forbidden(_) => (Status::FORBIDDEN, "forbidden"),
        // Their server knows no other answer to a method that a path does not take.
        Error::NotFound(_) | Error::Gone(_) | Error::MethodNotAllowed => {
            (Status::NOT_FOUND, "resource_not_found")
        }
        Error::Conflict { .. } => (Status::CONFLICT, "conflict"),
        Error::Invalid(_)
        | Error::Body(Body::Malformed { .. })
        | Error::DestinationRefused
        | Error::AuthorizationRequired(_)
        | Error::InstallationRequired(_)
        | Error::Unresolvable { .. }
        | Error::ConnectorFault => (Status::BAD_REQUEST, "validation_failed"),
        Error::Body(Body::TooLarge { .. }) => (Status::PAYLOAD_TOO_LARGE, "payload_too_large"),
        Error::Body(Body::MediaType { .. }) => {
            (Status::UNSUPPORTED_MEDIA_TYPE, "validation_failed")
        }
        Error::RateLimited { .. } | Error::Busy { .. } => {
            (Status::TOO_MANY_REQUESTS, "rate_limit_exceeded")
        }
        Error::Provider { timeout: true, .. } => (Status::GATEWAY_TIMEOUT, "internal_error"),
        Error::Provider { timeout: false, .. } => (Status::BAD_GATEWAY, "internal_error"),
        Error::Unavailable => (Status::SERVICE_UNAVAILABLE, "internal_error"),
        Error::Full => (Status::INSUFFICIENT_STORAGE, "internal_error"),
        Error::Internal => (Status::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_said_in_the_callers_words() {
        let problems = vec![
            Problem::new("data.clientId", "is required"),
            Problem::new("data.variables.shop", "is required"),
            Problem::new("servicex", "is not a known field; known are name"),
            Problem::new("service", "is not a service of the catalogue"),
        ];
        let told = message(&in_their_spelling(Error::Invalid(problems)));
        assert_eq!(
            told,
            "client_id: is required; variables.shop: is required; property servicex should not exist; \
             connector_id: is not a service of the catalogue"
        );
        assert_eq!(
            message(&Error::Gone("connector").hiding()),
            "connection provider not found"
        );
    }
}

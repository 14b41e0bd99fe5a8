//! Every core error as Sequin says it: `{"summary"}`, and with a 422 `validation_errors` per field.

use std::collections::BTreeMap;

use axum::http::StatusCode as Status;
use axum::response::Response;
use grantry_core::error::Body;
use grantry_core::{Error, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::answer;
use crate::kit::dialect::{respelled, spelled};

/// What a failed request is answered with.
#[derive(Serialize, ToSchema)]
#[schema(as = SequinError)]
pub struct Refusal {
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    validation_errors: Option<BTreeMap<String, Vec<String>>>,
}

/// The answer to a request that failed.
pub fn answer(error: &Error) -> Response {
    let validation_errors = match error {
        Error::Invalid(problems) => Some(by_field(problems)),
        _ => None,
    };
    let summary = match error {
        Error::Invalid(_) => "Validation failed".to_owned(),
        error => error.hiding().to_string(),
    };
    let refusal = Refusal {
        summary,
        validation_errors,
    };
    answer::with_headers(answer::json(status(&error.hiding()), &refusal), error)
}

fn by_field(problems: &[Problem]) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for problem in problems {
        let reasons = fields.entry(problem.field.clone()).or_default();
        reasons.push(problem.message.clone());
    }
    fields
}

/// The engine's names of fields, in this dialect's words.
const SPELLINGS: [(&str, &str); 7] = [
    ("data.clientId", "client_id"),
    ("data.clientSecret", "client_secret"),
    ("data.variables", "variables"),
    ("service", "provider"),
    ("connector", "oauth_app_id"),
    ("returnUrl", "redirect_url"),
    ("subject", "properties"),
];

/// What a handler failed with, its fields named as this dialect names them.
pub fn in_their_spelling(error: Error) -> Error {
    respelled(error, |problem| Problem {
        field: spelled(problem.field, &SPELLINGS),
        ..problem
    })
}

const fn status(error: &Error) -> Status {
    match error {
        Error::Unauthenticated => Status::UNAUTHORIZED,
        Error::Forbidden(_) => Status::FORBIDDEN,
        Error::NotFound(_) | Error::Gone(_) => Status::NOT_FOUND,
        Error::Conflict { .. } => Status::CONFLICT,
        Error::Body(Body::Malformed { .. }) | Error::DestinationRefused => Status::BAD_REQUEST,
        Error::Body(Body::TooLarge { .. }) => Status::PAYLOAD_TOO_LARGE,
        Error::Body(Body::MediaType { .. }) => Status::UNSUPPORTED_MEDIA_TYPE,
        Error::MethodNotAllowed => Status::METHOD_NOT_ALLOWED,
        Error::Invalid(_)
        | Error::AuthorizationRequired(_)
        | Error::InstallationRequired(_)
        | Error::Unresolvable { .. }
        | Error::ConnectorFault => Status::UNPROCESSABLE_ENTITY,
        Error::RateLimited { .. } | Error::Busy { .. } => Status::TOO_MANY_REQUESTS,
        Error::Provider { timeout: true, .. } => Status::GATEWAY_TIMEOUT,
        Error::Provider { timeout: false, .. } => Status::BAD_GATEWAY,
        Error::Unavailable => Status::SERVICE_UNAVAILABLE,
        Error::Full => Status::INSUFFICIENT_STORAGE,
        Error::Internal => Status::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_the_caller_named_them() {
        let problems = [
            "data.clientId",
            "data.variables.shop",
            "service",
            "name",
            "services",
        ];
        let error = Error::Invalid(problems.map(|field| Problem::new(field, "x")).into());
        let Error::Invalid(told) = in_their_spelling(error) else {
            panic!("another error")
        };
        let fields: Vec<String> = told.into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "client_id",
                "variables.shop",
                "provider",
                "name",
                "services"
            ]
        );
    }
}

//! Every core error as Sequin says it: `{"summary"}`, and with a 422 `validation_errors` per field.

use std::collections::BTreeMap;

use axum::http::StatusCode as Status;
use axum::response::Response;
use grantry_core::{Error, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kit::answer;
use crate::kit::dialect::{respelled, spelled};

/// The status of what is wrong field by field.
const WRONG: Status = Status::UNPROCESSABLE_ENTITY;

/// The field that names an app.
const APP: &str = "oauth_app_id";

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
    let status = answer::status(&error.hiding(), WRONG);
    let validation_errors = match error {
        Error::Invalid(problems) => Some(by_field(problems)),
        // Whatever else is asked for and cannot be done is asked of an app that cannot do it.
        error if status == WRONG => Some(by_field(&[Problem::new(APP, error.to_string())])),
        _ => None,
    };
    let summary = match (error, status) {
        (_, WRONG) => "Validation failed".to_owned(),
        (error, _) => error.hiding().to_string(),
    };
    let refusal = Refusal {
        summary,
        validation_errors,
    };
    answer::with_headers(answer::json(status, &refusal), error)
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
    ("connector", APP),
    ("returnUrl", "redirect_url"),
    ("subject", "properties"),
];

/// The engine's name of a field, in this dialect's words.
pub fn spelling(field: String) -> String {
    spelled(field, &SPELLINGS)
}

/// What a handler failed with, its fields named as this dialect names them.
pub fn in_their_spelling(error: Error) -> Error {
    respelled(error, |problem| Problem {
        field: spelling(problem.field),
        ..problem
    })
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

//! Every core error as Cohere says it: `{"message"}`, in the known texts (reference/cohere-sequin §1.5). Never
//! 409, which the Python client repeats.

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
#[schema(as = CohereError)]
pub struct Refusal {
    message: String,
}

/// The answer to a request that failed.
pub fn answer(error: &Error) -> Response {
    let error = &*error.hiding();
    let message = match error {
        Error::Unauthenticated => "invalid api token".to_owned(),
        Error::NotFound("path") => "404 page not found".to_owned(),
        Error::NotFound(thing) => format!("{thing} not found."),
        Error::Invalid(_) | Error::Conflict { .. } => format!("invalid request: {error}"),
        Error::Body(Body::Malformed { detail, .. }) => format!("invalid json syntax: {detail}"),
        error => error.to_string(),
    };
    refusal(status(error), message, error)
}

/// The answer for a connector that is not the team's: its id is the caller's own text.
pub fn unknown_connector(id: &str) -> Response {
    let error = Error::NotFound("connector");
    refusal(
        status(&error),
        format!("connector '{id}' not found."),
        &error,
    )
}

fn refusal(status: Status, message: String, error: &Error) -> Response {
    answer::with_headers(answer::json(status, &Refusal { message }), error)
}

/// The engine's names of fields, in this dialect's words; longer ones before what they begin with.
const SPELLINGS: [(&str, &str); 10] = [
    ("data.search.continueOnFailure", "continue_on_failure"),
    ("data.search.scheme", "service_auth.type"),
    ("data.search.", ""),
    (
        "data.serverConfig.authorization_endpoint",
        "oauth.authorize_url",
    ),
    ("data.serverConfig.token_endpoint", "oauth.token_url"),
    ("data.clientId", "oauth.client_id"),
    ("data.clientSecret", "oauth.client_secret"),
    ("data.userAuthorization.scopes", "oauth.scope"),
    ("data.values[0].value", "service_auth.token"),
    ("returnUrl", "after_token_redirect"),
];

/// What a handler failed with, its fields named as this dialect names them.
pub fn in_their_spelling(error: Error) -> Error {
    respelled(error, |problem| {
        if problem.field == "subject" {
            let message = "the key belongs to no user, and what is connected is a user's: ask with a user's own key";
            return Problem::new("", message);
        }
        // Where else we would have looked is nothing that these clients can say.
        let message = match problem.message.split_once(':') {
            Some(("is required", _)) => "is required".to_owned(),
            _ => problem.message,
        };
        Problem {
            field: spelled(problem.field, &SPELLINGS),
            message,
        }
    })
}

/// Whatever clashes is a wrong request, too.
fn status(error: &Error) -> Status {
    match error {
        Error::Conflict { .. } => Status::BAD_REQUEST,
        error => answer::status(error, Status::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_the_caller_named_them() {
        for (ours, theirs) in [
            ("data.search.url", "url"),
            ("data.search.continueOnFailure", "continue_on_failure"),
            ("data.serverConfig.token_endpoint", "oauth.token_url"),
            ("data.values[0].value", "service_auth.token"),
            ("name", "name"),
        ] {
            let told = in_their_spelling(Error::invalid(ours, "is required: for a reason"));
            assert_eq!(told, Error::invalid(theirs, "is required"));
        }
    }
}

//! The fault table: every answer of requirements 29 to 36, 44, 45, 47 and 55, and of the differential oracle (B.2).

mod failed;
mod granted;
mod properties;
mod requests;

use grantry_core::http::{Failure, Response};
use serde_json::json;

use super::*;
use crate::{
    tests::{NOW, answer},
    text::Redaction,
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn read(service: &str, result: Result<Response, Failure>) -> Result<TokenSet, TokenError> {
    parse(result, &Quirks::of(service), &Redaction::new(&[]), NOW)
}

fn tokens(service: &str, content_type: &str, body: impl AsRef<[u8]>) -> TokenSet {
    read(service, Ok(answer(200, content_type, body))).unwrap_or_else(|error| panic!("{error}"))
}

fn failure(service: &str, result: Result<Response, Failure>) -> TokenError {
    read(service, result)
        .err()
        .expect("a token where none should be")
}

/// A good answer with `members` put over it; `null` removes one.
fn with(members: Value) -> String {
    let mut body = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 3600});
    let (Some(body_members), Value::Object(members)) = (body.as_object_mut(), members) else {
        panic!("not an object");
    };
    for (name, value) in members {
        match value {
            Value::Null => drop(body_members.remove(&name)),
            value => drop(body_members.insert(name, value)),
        }
    }
    body.to_string()
}

//! One question to a provider's GraphQL API, by a token that has just come (GraphQL over HTTP, POST with JSON).

use grantry_core::Secret;
use grantry_core::http::{Failure, Method, Purpose, Request, Response};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::json;

/// Asks `query` of the API at `api`.
pub fn ask(api: Url, query: &str, token: &Secret) -> Request {
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    let bearer = format!("Bearer {}", token.expose());
    Request {
        method: Method::Post,
        url: api,
        headers: vec![
            ("accept", plain("application/json")),
            ("content-type", plain("application/json")),
            ("authorization", Zeroizing::new(bearer)),
        ],
        body: Zeroizing::new(json!({ "query": query }).to_string().into_bytes()),
        purpose: Purpose::Token,
    }
}

/// The `data` of an answer; `None` where there is none, whatever the reason. Errors come under status 200 too, and beside
/// data that is not whole: then nothing of it counts.
pub fn data(result: Result<Response, Failure>) -> Option<Map<String, Value>> {
    let response = result.ok().filter(|response| response.status == 200)?;
    let mut members = json::object(&response.body)?;
    if members
        .get("errors")
        .is_some_and(|errors| !errors.is_null())
    {
        return None;
    }
    match members.remove("data")? {
        Value::Object(data) => Some(data),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::answer;

    #[test]
    fn only_an_answer_without_errors_says_anything() {
        for (status, body, told) in [
            (200, r#"{"data":{"viewer":{"id":"u"}}}"#, true),
            (200, r#"{"data":{"viewer":{"id":"u"}},"errors":null}"#, true),
            (
                200,
                r#"{"data":{"viewer":{"id":"u"}},"errors":[{"message":"no"}]}"#,
                false,
            ),
            (200, r#"{"errors":[{"message":"no"}]}"#, false),
            (200, r#"{"data":null}"#, false),
            (200, r#"{"data":[]}"#, false),
            (200, "<html>", false),
            (401, r#"{"data":{"viewer":{"id":"u"}}}"#, false),
            (500, "", false),
        ] {
            let read = data(Ok(answer(status, "application/json", body)));
            assert_eq!(read.is_some(), told, "{status} {body}");
        }
        assert!(data(Err(Failure::NotSent)).is_none());
    }

    #[test]
    fn the_token_goes_into_a_header_and_nowhere_else() {
        let api = Url::parse("https://api.example/graphql").unwrap();
        let asked = ask(api, "{ viewer { id } }", &Secret::new("tok"));
        assert_eq!(asked.url.as_str(), "https://api.example/graphql");
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(body, json!({"query": "{ viewer { id } }"}));
        let header = asked
            .headers
            .iter()
            .find(|(name, _)| *name == "authorization");
        assert_eq!(header.unwrap().1.as_str(), "Bearer tok");
    }
}

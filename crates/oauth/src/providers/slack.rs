//! Slack apps: what departs from OAuth beyond the rows of `rows.rs` and `codes.rs` (docs.slack.dev).

use grantry_core::Secret;
use grantry_core::http::{Failure, Method, Purpose, Request, Response};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::json;
use crate::revoke::Revoked;

/// Ends a bot's or a user's token (`auth.revoke`): the token speaks for itself.
pub fn revoke(api: &Url, token: &Secret) -> Option<Request> {
    call(api, "auth.revoke", token)
}

/// Asks whose a bot's or a user's token is (`auth.test`).
pub fn test(api: &Url, token: &Secret) -> Option<Request> {
    call(api, "auth.test", token)
}

fn call(api: &Url, method: &str, token: &Secret) -> Option<Request> {
    let mut url = api.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push(method);
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    Some(Request {
        method: Method::Post,
        url,
        headers: vec![
            ("accept", plain("application/json")),
            ("content-type", plain("application/x-www-form-urlencoded")),
            (
                "authorization",
                Zeroizing::new(format!("Bearer {}", token.expose())),
            ),
        ],
        body: Zeroizing::default(),
        purpose: Purpose::Token,
    })
}

/// Errors that say that there is nothing left to end.
const OVER: [&str; 5] = [
    "account_inactive",
    "invalid_auth",
    "not_authed",
    "token_expired",
    "token_revoked",
];

/// Errors that say that a token which had not run out has ended. `invalid_auth` does not: Slack says it of a token that is
/// shown from an address that its workspace does not allow, too.
const ENDED: [&str; 2] = ["account_inactive", "token_revoked"];

/// Errors that say nothing.
const BUSY: [&str; 4] = [
    "ratelimited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
];

/// Reads what came of [`test`]: whether Slack says that the token has ended. `None` where it says nothing.
pub fn is_over(result: Result<Response, Failure>) -> Option<bool> {
    let response = result.ok().filter(|response| response.status == 200)?;
    let members = json::object(&response.body)?;
    match members.get("error").and_then(Value::as_str) {
        Some(error) if ENDED.contains(&error) => Some(true),
        Some(error) if BUSY.contains(&error) => None,
        Some(_) => Some(false),
        None => (members.get("ok") == Some(&Value::Bool(true))).then_some(false),
    }
}

/// Reads an answer of status 200, under which errors come too.
pub(crate) fn revoked(response: &Response) -> Revoked {
    let Some(members) = json::object(&response.body) else {
        return Revoked::Retry { retry_after: None };
    };
    let is = |name: &str| members.get(name) == Some(&Value::Bool(true));
    let error = members.get("error").and_then(Value::as_str);
    match error {
        None if is("ok") => Revoked::Done,
        Some(error) if OVER.contains(&error) => Revoked::Done,
        Some(error) if BUSY.contains(&error) => Revoked::Retry { retry_after: None },
        _ => Revoked::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::answer;

    #[test]
    fn only_a_definite_word_says_that_a_token_has_ended() {
        for (status, body, expected) in [
            (200, r#"{"ok":true,"team_id":"T1"}"#, Some(false)),
            (200, r#"{"ok":false,"error":"token_revoked"}"#, Some(true)),
            (
                200,
                r#"{"ok":false,"error":"account_inactive"}"#,
                Some(true),
            ),
            (200, r#"{"ok":false,"error":"invalid_auth"}"#, Some(false)),
            (200, r#"{"ok":false,"error":"token_expired"}"#, Some(false)),
            (
                200,
                r#"{"ok":false,"error":"ekm_access_denied"}"#,
                Some(false),
            ),
            (200, r#"{"ok":false,"error":"ratelimited"}"#, None),
            (200, r#"{"ok":false}"#, None),
            (200, "<html>", None),
            (429, r#"{"ok":false,"error":"token_revoked"}"#, None),
            (500, "", None),
        ] {
            let said = is_over(Ok(answer(status, "application/json", body)));
            assert_eq!(said, expected, "{status} {body}");
        }
        assert_eq!(is_over(Err(Failure::NotSent)), None);
    }

    #[test]
    fn a_revocation_fails_under_status_200_too() {
        let later = Revoked::Retry { retry_after: None };
        for (body, expected) in [
            (r#"{"ok":true,"revoked":true}"#, Revoked::Done),
            (r#"{"ok":false,"error":"token_revoked"}"#, Revoked::Done),
            (r#"{"ok":false,"error":"invalid_auth"}"#, Revoked::Done),
            (r#"{"ok":false,"error":"ratelimited"}"#, later),
            (
                r#"{"ok":false,"error":"ekm_access_denied"}"#,
                Revoked::Failed,
            ),
            (r#"{"ok":false}"#, Revoked::Failed),
            ("<html>", later),
        ] {
            assert_eq!(
                revoked(&answer(200, "application/json", body)),
                expected,
                "{body}"
            );
        }
        let api = Url::parse("https://slack.com/api").unwrap();
        let request = revoke(&api, &Secret::new("xoxb-1")).unwrap();
        assert_eq!(request.url.as_str(), "https://slack.com/api/auth.revoke");
    }
}

//! Answers that bring none, and silence: what each says about the grant.

use std::time::Duration;

use grantry_core::{http::Silence, limits::TOKEN_BYTES_MAX};
use serde_json::json;

use super::*;

#[test]
fn an_answer_that_may_hide_a_rotated_token_is_unknown_and_invalid() {
    let good = with(json!({}));
    let half = &good[..good.len() - 2];
    let deep = format!(
        "{{\"access_token\":{}{}}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    let doubled = good.replacen('{', r#"{"access_token":"other","#, 1);
    let huge = with(json!({"access_token": "x".repeat(1024 * 1024)}));
    let hugeat = with(json!({"access_token": "x".repeat(TOKEN_BYTES_MAX + 1)}));
    let cases: &[(&str, &str, &str)] = &[
        ("empty", JSON, ""),
        ("json_arr", JSON, "[]"),
        (
            "nulat",
            JSON,
            r#"{"access_token":null,"token_type":"bearer"}"#,
        ),
        ("emptyat", JSON, &with(json!({"access_token": ""}))),
        (
            "number for a token",
            JSON,
            &with(json!({"access_token": 7})),
        ),
        ("no token", JSON, r#"{"token_type":"bearer"}"#),
        ("wrongtype", JSON, &with(json!({"token_type": "mac"}))),
        ("DPoP", JSON, &with(json!({"token_type": "DPoP"}))),
        (
            "type of another service",
            JSON,
            &with(json!({"token_type": "bot"})),
        ),
        (
            "type is no text",
            JSON,
            &with(json!({"token_type": ["bearer"]})),
        ),
        ("dupkey", JSON, &doubled),
        ("crlf_at", JSON, &with(json!({"access_token": "a\r\nX: y"}))),
        (
            "NUL in the token",
            JSON,
            &with(json!({"access_token": "a\u{0}"})),
        ),
        ("nonascii_at", JSON, &with(json!({"access_token": "té"}))),
        ("hugeat", JSON, &hugeat),
        ("huge", JSON, &huge),
        ("deep", JSON, &deep),
        ("lostmid: half a body", JSON, half),
        (
            "trailing junk",
            JSON,
            &format!("{good}<!-- served by x -->"),
        ),
        ("two objects", JSON, &format!("{good}{good}")),
        ("HTML", "text/html", "<html>Welcome</html>"),
        (
            "a form that nobody announced",
            "text/plain",
            "access_token=a&token_type=bearer",
        ),
        (
            "a form with a doubled name",
            FORM,
            "access_token=a&access_token=b",
        ),
        (
            "a form with a line break in the token",
            FORM,
            "access_token=a%0Ab",
        ),
        (
            "both a token and an error",
            JSON,
            &with(json!({"error": "invalid_grant"})),
        ),
        (
            "both a token and ok:false",
            JSON,
            &with(json!({"ok": false})),
        ),
    ];
    for (case, content_type, body) in cases {
        let error = failure("", Ok(answer(200, content_type, body)));
        assert_eq!(
            (error.outcome, error.code()),
            (Outcome::Unknown, "invalid_response"),
            "{case}"
        );
        assert!(!error.timeout);
    }
}

#[test]
fn requirement_29_an_error_under_status_200_is_an_error() {
    use Outcome::{ClientFault, Config, NotProcessed, Rejected, Unknown};
    let cases = [
        (
            "slack",
            r#"{"ok":false,"error":"invalid_refresh_token"}"#,
            Rejected,
            "invalid_refresh_token",
        ),
        (
            "slack-user",
            r#"{"ok":false,"error":"token_revoked"}"#,
            Rejected,
            "token_revoked",
        ),
        (
            "slack",
            r#"{"ok":false,"error":"bad_client_secret"}"#,
            ClientFault,
            "bad_client_secret",
        ),
        (
            "slack",
            r#"{"ok":false,"error":"internal_error"}"#,
            Unknown,
            "internal_error",
        ),
        (
            "slack",
            r#"{"ok":false,"error":"ratelimited"}"#,
            NotProcessed { retry_after: None },
            "ratelimited",
        ),
        (
            "slack",
            r#"{"ok":false,"error":"something_new"}"#,
            Unknown,
            "unrecognised",
        ),
        ("slack", r#"{"ok":false}"#, Unknown, "unrecognised"),
        (
            "github",
            r#"{"error":"bad_refresh_token"}"#,
            Rejected,
            "bad_refresh_token",
        ),
        (
            "github",
            "error=bad_refresh_token&error_description=x",
            Rejected,
            "bad_refresh_token",
        ),
        (
            "github",
            r#"{"error":"incorrect_client_credentials"}"#,
            ClientFault,
            "incorrect_client_credentials",
        ),
        (
            "",
            r#"{"error":"invalid_grant"}"#,
            Rejected,
            "invalid_grant",
        ),
        ("", r#"{"error":"invalid_scope"}"#, Config, "invalid_scope"),
        // GitHub's word from somebody else proves nothing.
        (
            "",
            r#"{"error":"bad_refresh_token"}"#,
            Unknown,
            "unrecognised",
        ),
    ];
    for (service, body, outcome, code) in cases {
        let error = failure(service, Ok(answer(200, "application/json", body)));
        assert_eq!(
            (error.outcome, error.fixed_code()),
            (outcome, code),
            "{service} {body}"
        );
    }
}

#[test]
fn an_error_is_read_by_its_code_whatever_the_status() {
    use Outcome::{ClientFault, Config, NotProcessed, Rejected, Unknown};
    let cases = [
        (
            "",
            400,
            r#"{"error":"invalid_grant"}"#,
            Rejected,
            "invalid_grant",
        ),
        (
            "",
            401,
            r#"{"error":"invalid_grant"}"#,
            Rejected,
            "invalid_grant",
        ),
        (
            "",
            403,
            r#"{"error":"Invalid_Grant"}"#,
            Rejected,
            "invalid_grant",
        ),
        (
            "",
            401,
            r#"{"error":"invalid_client"}"#,
            ClientFault,
            "invalid_client",
        ),
        (
            "",
            400,
            r#"{"error":"invalid_client"}"#,
            ClientFault,
            "invalid_client",
        ),
        (
            "",
            400,
            r#"{"error":"unauthorized_client"}"#,
            ClientFault,
            "unauthorized_client",
        ),
        ("", 401, "", ClientFault, "unauthorized"),
        ("", 401, "<html>login</html>", ClientFault, "unauthorized"),
        (
            "",
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            NotProcessed { retry_after: None },
            "temporarily_unavailable",
        ),
        (
            "",
            400,
            r#"{"error":"slow_down"}"#,
            NotProcessed { retry_after: None },
            "slow_down",
        ),
        (
            "",
            400,
            r#"{"error":"server_error"}"#,
            Unknown,
            "server_error",
        ),
        (
            "",
            400,
            r#"{"error":"invalid_request"}"#,
            Config,
            "invalid_request",
        ),
        ("", 400, r#"{"error":"made_up"}"#, Config, "unrecognised"),
        (
            "",
            400,
            r#"{"error":"Two words\r\n"}"#,
            Config,
            "unrecognised",
        ),
        ("", 400, r#"{"error":{"code":190}}"#, Config, "http_error"),
        (
            "",
            400,
            r#"{"error":"invalid_grant","error":"x"}"#,
            Config,
            "http_error",
        ),
        ("", 400, "<html>blocked</html>", Config, "http_error"),
        ("", 404, "", Config, "http_error"),
        (
            "hubspot",
            400,
            r#"{"status":"BAD_REFRESH_TOKEN","message":"m"}"#,
            Rejected,
            "bad_refresh_token",
        ),
        (
            "fitbit",
            400,
            r#"{"errors":[{"errorType":"invalid_grant","message":"m"}],"success":false}"#,
            Rejected,
            "invalid_grant",
        ),
        (
            "microsoft-entra",
            400,
            r#"{"error":"interaction_required"}"#,
            Rejected,
            "interaction_required",
        ),
        (
            "",
            400,
            r#"{"error":"interaction_required"}"#,
            Config,
            "unrecognised",
        ),
    ];
    for (service, status, body, outcome, code) in cases {
        let error = failure(service, Ok(answer(status, JSON, body)));
        assert_eq!(
            (error.outcome, error.fixed_code()),
            (outcome, code),
            "{service} {status} {body}"
        );
    }
}

#[test]
fn requirement_44_a_status_that_speaks_for_the_machine_kills_nothing() {
    // Whatever the body says.
    let body = r#"{"error":"invalid_grant"}"#;
    let not_processed = Outcome::NotProcessed { retry_after: None };
    let cases = [
        (408, Outcome::Unknown, "request_timeout"),
        (425, not_processed, "rate_limited"),
        (429, not_processed, "rate_limited"),
        (500, Outcome::Unknown, "server_error"),
        (502, Outcome::Unknown, "server_error"),
        (503, Outcome::Unknown, "server_error"),
        (504, Outcome::Unknown, "server_error"),
        (599, Outcome::Unknown, "server_error"),
        (100, Outcome::Unknown, "server_error"),
        // Requirement 47.
        (301, Outcome::Config, "redirect"),
        (302, Outcome::Config, "redirect"),
        (307, Outcome::Config, "redirect"),
        (308, Outcome::Config, "redirect"),
    ];
    for (status, outcome, code) in cases {
        let error = failure("", Ok(answer(status, JSON, body)));
        assert_eq!((error.outcome, error.code()), (outcome, code), "{status}");
    }
}

#[test]
fn requirement_45_retry_after_is_honoured() {
    for (status, value, expected) in [
        (
            429,
            "7",
            Outcome::NotProcessed {
                retry_after: Some(Duration::from_secs(7)),
            },
        ),
        (429, "garbage", Outcome::NotProcessed { retry_after: None }),
        (
            429,
            "1000000000",
            Outcome::NotProcessed {
                retry_after: Some(Duration::from_secs(3600)),
            },
        ),
        (
            503,
            "7",
            Outcome::NotProcessed {
                retry_after: Some(Duration::from_secs(7)),
            },
        ),
        // Nothing says that a 503 with garbage was deliberate.
        (503, "garbage", Outcome::Unknown),
        (502, "7", Outcome::Unknown),
    ] {
        let mut response = answer(status, "text/html", "");
        response.headers.push(("retry-after".into(), value.into()));
        assert_eq!(
            failure("", Ok(response)).outcome,
            expected,
            "{status} {value}"
        );
    }
}

#[test]
fn silence_is_unknown_unless_nothing_was_sent() {
    let cases = [
        (
            Failure::NotSent,
            Outcome::NotProcessed { retry_after: None },
            "unreachable",
            false,
        ),
        (
            Failure::Refused,
            Outcome::Config,
            "destination_refused",
            false,
        ),
        (
            Failure::Unknown(Silence::Timeout),
            Outcome::Unknown,
            "timeout",
            true,
        ),
        (
            Failure::Unknown(Silence::Cut),
            Outcome::Unknown,
            "cut",
            false,
        ),
        (
            Failure::Unknown(Silence::BadBody),
            Outcome::Unknown,
            "invalid_response",
            false,
        ),
        (
            Failure::Unknown(Silence::Redirect),
            Outcome::Config,
            "redirect",
            false,
        ),
    ];
    for (failed, outcome, code, timeout) in cases {
        let error = failure("", Err(failed));
        assert_eq!(
            (error.outcome, error.code(), error.timeout),
            (outcome, code, timeout)
        );
    }
}

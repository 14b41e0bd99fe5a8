//! The fault table: every answer of requirements 29 to 36, 44, 45, 47 and of the differential oracle (requirements B.2).

use std::time::Duration;

use grantry_core::{
    http::{Failure, Request, Response, Silence},
    limits::{EXPIRES_IN_MAX, TOKEN_BYTES_MAX},
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    client::AuthMethod,
    tests::{NOW, answer},
    text::{Redaction, is_vschar},
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

#[test]
fn a_good_answer_is_read_whole() {
    let set = tokens(
        "",
        JSON,
        with(json!({
            "refresh_token": "rt",
            "scope": "a b  a",
            "id_token": "e30.e30.sig",
            "refresh_expires_in": 7200,
            "instance_url": "https://x.example",
            "token_note": "x",
            "team": {"id": "T1", "bot_token": "xoxb", "list": [{"Client_Secret": "s", "n": 1}]},
        })),
    );
    assert_eq!(set.access_token.expose(), "at");
    assert_eq!(set.refresh_token.unwrap().expose(), "rt");
    assert_eq!(set.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(set.refresh_expires_in, Some(Duration::from_secs(7200)));
    assert_eq!(set.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(set.id_token.unwrap().expose(), "e30.e30.sig");
    assert_eq!(
        Value::Object(set.extra),
        json!({"instance_url": "https://x.example", "team": {"id": "T1", "list": [{"n": 1}]}})
    );
}

#[test]
fn accepted_answers() {
    let plain = with(json!({}));
    let bom = format!("\u{FEFF}{plain}");
    let form = "access_token=gho_1&scope=repo%2Cuser&token_type=bearer";
    let longest = with(json!({"access_token": "x".repeat(TOKEN_BYTES_MAX)}));
    let cases: &[(&str, &str, &str, &str)] = &[
        // (case, service, content type, body)
        (
            "htmlok: JSON called HTML",
            "",
            "text/html; charset=utf-8",
            &plain,
        ),
        ("JSON called a form", "", FORM, &plain),
        ("no content type", "", "", &plain),
        ("byte order mark", "", JSON, &bom),
        ("white space around", "", JSON, &format!("\r\n {plain}\n")),
        ("ghform: a form that says so", "", FORM, form),
        (
            "ghform: GitHub's form under any name",
            "github",
            "text/plain",
            form,
        ),
        (
            "type in another case",
            "",
            JSON,
            &with(json!({"token_type": "BEARER"})),
        ),
        ("no type", "", JSON, &with(json!({"token_type": null}))),
        (
            "Slack's type",
            "slack",
            JSON,
            &with(json!({"ok": true, "token_type": "bot"})),
        ),
        ("empty error", "", JSON, &with(json!({"error": ""}))),
        ("largest token", "", JSON, &longest),
    ];
    for (case, service, content_type, body) in cases {
        let result = read(service, Ok(answer(200, content_type, body)));
        assert!(result.is_ok(), "{case}");
    }
    assert!(read("", Ok(answer(201, JSON, &plain))).is_ok());
}

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
        ("", 401, "", ClientFault, "invalid_client"),
        ("", 401, "<html>login</html>", ClientFault, "invalid_client"),
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

#[test]
fn requirement_34_35_a_lifetime_is_believed_when_it_makes_sense() {
    let hour = Some(Duration::from_secs(3600));
    let cases = [
        ("strexp", json!("3600"), hour),
        ("floatexp", json!(3600.9), hour),
        ("float in a text", json!(" 3600.5 "), hour),
        ("zeroexp", json!(0), None),
        ("negexp", json!(-5), None),
        ("hugeexp", json!(1e18), Some(EXPIRES_IN_MAX)),
        (
            "hugeexp as text",
            json!("99999999999999999999999999"),
            Some(EXPIRES_IN_MAX),
        ),
        ("largest integer", json!(u64::MAX), Some(EXPIRES_IN_MAX)),
        ("noexp", Value::Null, None),
        ("no number", json!("never"), None),
        ("infinity", json!("inf"), None),
        ("not a number", json!("NaN"), None),
        ("less than a second", json!(0.5), None),
        ("list", json!([3600]), None),
    ];
    for (case, value, expected) in cases {
        let set = tokens("", JSON, with(json!({ "expires_in": value })));
        assert_eq!(set.expires_in, expected, "{case}");
    }
    assert_eq!(
        Quirks::of("salesforce").default_expires_in,
        Some(Duration::from_secs(7200))
    );
}

#[test]
fn requirement_36_a_refresh_token_that_makes_no_sense_is_absent() {
    for value in [
        Value::Null,
        json!(""),
        json!(false),
        json!("a\nb"),
        json!("é"),
        json!({}),
    ] {
        let set = tokens("", JSON, with(json!({ "refresh_token": value })));
        assert!(set.refresh_token.is_none(), "{value}");
    }
}

#[test]
fn requirement_20_the_granted_scope_is_kept_as_granted() {
    let cases = [
        ("", json!("a b"), Some(vec!["a", "b"])),
        ("", json!("a,b"), Some(vec!["a,b"])),
        ("github", json!("repo,user"), Some(vec!["repo", "user"])),
        (
            "slack",
            json!("chat:write,users:read"),
            Some(vec!["chat:write", "users:read"]),
        ),
        ("", json!(["a", "b c", 7]), Some(vec!["a", "b", "c"])),
        ("", json!(""), Some(vec![])),
        ("", json!("a \u{7} b\u{e9}\" c"), Some(vec!["a", "c"])),
        ("", json!(7), None),
        ("", json!("x ".repeat(20_000)), None),
        ("", Value::Null, None),
    ];
    for (service, value, expected) in cases {
        let set = tokens(service, JSON, with(json!({ "scope": value })));
        let expected = expected.map(|names| names.into_iter().map(String::from).collect());
        assert_eq!(set.scope, expected, "{service} {value:.40}");
    }
}

#[test]
fn one_answer_of_slack_holds_two_token_sets() {
    let body = json!({
        "ok": true, "access_token": "xoxb-1", "refresh_token": "xoxe-1", "expires_in": 43200, "token_type": "bot",
        "scope": "chat:write", "team": {"id": "T1"},
        "authed_user": {"id": "U1", "access_token": "xoxp-1", "refresh_token": "xoxe-2", "token_type": "user", "scope": "a,b"},
    })
    .to_string();
    let bot = tokens("slack", JSON, &body);
    assert_eq!(bot.access_token.expose(), "xoxb-1");
    assert_eq!(
        Value::Object(bot.extra),
        json!({"team": {"id": "T1"}, "authed_user": {"id": "U1", "scope": "a,b"}})
    );
    let user = tokens("slack-user", JSON, &body);
    assert_eq!(user.access_token.expose(), "xoxp-1");
    assert_eq!(user.refresh_token.unwrap().expose(), "xoxe-2");
    assert_eq!(user.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
    let nested = tokens(
        "withings",
        JSON,
        r#"{"status":0,"body":{"access_token":"w"}}"#,
    );
    assert_eq!(nested.access_token.expose(), "w");
}

#[test]
fn extra_members_are_bounded() {
    let set = tokens("", JSON, with(json!({"a": "x".repeat(20_000)})));
    assert!(set.extra.is_empty());
}

/// The pieces that requests are built from.
struct Fixture {
    server: Server,
    client: Client,
    quirks: Quirks,
    resources: Vec<String>,
}

impl Fixture {
    fn new(auth: AuthMethod, service: &str) -> Self {
        Self {
            server: Server {
                token_endpoint: Some("https://as.example/token?v=1".into()),
                ..Server::default()
            },
            client: Client {
                id: "cid".into(),
                secret: Some(Secret::new("s&cret=1")),
                auth,
            },
            quirks: Quirks::of(service),
            resources: vec![],
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            server: &self.server,
            client: &self.client,
            quirks: &self.quirks,
            resources: &self.resources,
        }
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| value.as_str())
}

fn sent(request: Result<Request, Misconfigured>) -> Vec<(String, String)> {
    let request = request.ok().unwrap();
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.purpose, Purpose::Token);
    assert_eq!(request.url.as_str(), "https://as.example/token?v=1");
    assert_eq!(header(&request, "accept"), Some(JSON));
    assert_eq!(header(&request, "content-type"), Some(FORM));
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn each_grant_sends_its_parameters_and_no_others() {
    let fixture = Fixture::new(AuthMethod::Post, "");
    let exchange = fixture.exchange();
    let secret = Secret::new("p/q");
    let code = AuthorizationCode {
        code: &secret,
        redirect_uri: "https://g.example/callback",
        verifier: &Secret::new("v"),
    };
    let client = [("client_id", "cid"), ("client_secret", "s&cret=1")];
    let expect = |grant: &[(&str, &str)]| pairs(&[grant, &client].concat());
    assert_eq!(
        sent(exchange.authorization_code(&code)),
        expect(&[
            ("grant_type", "authorization_code"),
            ("code", "p/q"),
            ("redirect_uri", "https://g.example/callback"),
            ("code_verifier", "v"),
        ])
    );
    // Requirement 20: no scope, so never more than was granted.
    assert_eq!(
        sent(exchange.refresh(&secret)),
        expect(&[("grant_type", "refresh_token"), ("refresh_token", "p/q")])
    );
    assert_eq!(
        sent(exchange.client_credentials("a b", "")),
        expect(&[("grant_type", "client_credentials"), ("scope", "a b")])
    );
    assert_eq!(
        sent(exchange.jwt_bearer(&secret, "")),
        expect(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", "p/q"),
        ])
    );
    assert_eq!(
        sent(exchange.token_exchange(&secret, "urn:ietf:params:oauth:token-type:jwt", "", "aud")),
        expect(&[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange"
            ),
            ("subject_token", "p/q"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("audience", "aud"),
        ])
    );
}

#[test]
fn requirement_24_every_request_of_a_grant_names_its_resources() {
    let mut fixture = Fixture::new(AuthMethod::None, "");
    fixture.resources = vec!["https://r.example/1".into(), "https://r.example/2".into()];
    let secret = Secret::new("x");
    let code = AuthorizationCode {
        code: &secret,
        redirect_uri: "https://g.example/callback",
        verifier: &secret,
    };
    let exchange = fixture.exchange();
    for request in [
        exchange.authorization_code(&code),
        exchange.refresh(&secret),
        exchange.client_credentials("", ""),
    ] {
        let sent = sent(request);
        let resources: Vec<_> = sent.iter().filter(|(name, _)| name == "resource").collect();
        assert_eq!(resources.len(), 2);
        assert!(!sent.iter().any(|(name, _)| name == "client_secret"));
    }
}

#[test]
fn a_service_that_takes_json_gets_json() {
    let mut fixture = Fixture::new(AuthMethod::Basic, "notion");
    fixture.resources = vec!["r1".into(), "r2".into()];
    let request = fixture.exchange().refresh(&Secret::new("rt")).ok().unwrap();
    assert_eq!(header(&request, "content-type"), Some(JSON));
    assert!(
        header(&request, "authorization")
            .unwrap()
            .starts_with("Basic ")
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({"grant_type": "refresh_token", "refresh_token": "rt", "resource": ["r1", "r2"]})
    );
}

#[test]
fn a_services_fixed_parameters_are_sent() {
    let fixture = Fixture::new(AuthMethod::Post, "withings");
    let sent = sent(fixture.exchange().refresh(&Secret::new("rt")));
    assert!(sent.contains(&("action".to_owned(), "requesttoken".to_owned())));
}

#[test]
fn requirement_55_an_error_that_reflects_the_request_gives_nothing_away() {
    for (auth, service) in [
        (AuthMethod::Post, ""),
        (AuthMethod::Basic, ""),
        (AuthMethod::BasicRaw, ""),
        (AuthMethod::PrivateKeyJwt, ""),
        (AuthMethod::Post, "notion"),
    ] {
        let fixture = Fixture::new(auth, service);
        let request = fixture
            .exchange()
            .refresh(&Secret::new("rt-very+secret"))
            .ok()
            .unwrap();
        let redaction = Redaction::of(&request);
        let header = header(&request, "authorization").unwrap_or_default();
        let body = std::str::from_utf8(&request.body).unwrap();
        for reflected in [
            "secret s&cret=1 for rt-very+secret is wrong",
            header,
            &body[body.len().saturating_sub(150)..],
            &body[..body.len().min(150)],
        ] {
            let answered = json!({"error": "x-s&cret=1", "error_description": reflected});
            let answered = answer(400, JSON, answered.to_string());
            let error = parse(Ok(answered), &fixture.quirks, &redaction, NOW)
                .err()
                .unwrap();
            let shown = error.to_string();
            for secret in ["s&cret", "s%26cret", "rt-very", "cmV"] {
                assert!(!shown.contains(secret), "{auth:?} {service}: {shown}");
            }
            let credentials = header.trim_start_matches("Basic ");
            assert!(
                credentials.is_empty() || !shown.contains(credentials),
                "{shown}"
            );
        }
    }
}

#[test]
fn a_short_secret_does_not_hide_a_known_code() {
    let redaction = Redaction::new(&[&Secret::new("grant")]);
    let answered = answer(400, JSON, r#"{"error":"invalid_grant"}"#);
    let error = parse(Ok(answered), &Quirks::STANDARD, &redaction, NOW)
        .err()
        .unwrap();
    assert_eq!(error.outcome, Outcome::Rejected);
}

/// JSON with the names that the parser looks at.
fn any_answer() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "\\PC{0,40}".prop_map(|text| Value::from(text).to_string()),
        ".{0,40}".prop_map(|text| Value::from(text).to_string()),
        Just("\"bearer\"".to_owned()),
        Just("\"invalid_grant\"".to_owned()),
    ];
    let name = prop_oneof![
        Just("access_token"),
        Just("refresh_token"),
        Just("token_type"),
        Just("expires_in"),
        Just("scope"),
        Just("error"),
        Just("ok"),
        Just("id_token"),
        Just("authed_user"),
    ];
    let member = (name, leaf).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let object =
        proptest::collection::vec(member, 0..6).prop_map(|m| format!("{{{}}}", m.join(",")));
    prop_oneof![4 => object, 1 => ".{0,100}"]
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused_within_bounds(
        status in prop_oneof![Just(200_u16), Just(400), 0_u16..700],
        content_type in prop_oneof![Just(JSON), Just(FORM), Just("text/html")],
        service in prop_oneof![Just(""), Just("slack"), Just("slack-user"), Just("github")],
        body in any_answer(),
    ) {
        match read(service, Ok(answer(status, content_type, &body))) {
            Ok(set) => {
                prop_assert!((200..300).contains(&status));
                let secrets = [Some(set.access_token), set.refresh_token, set.id_token];
                for secret in secrets.iter().flatten() {
                    prop_assert!(is_vschar(secret.expose(), TOKEN_BYTES_MAX));
                }
                prop_assert!(set.expires_in.is_none_or(|life| life <= EXPIRES_IN_MAX && !life.is_zero()));
            }
            Err(error) => {
                prop_assert!(crate::text::code(error.code()).is_some());
                prop_assert!(!error.detail.chars().any(char::is_control));
                prop_assert!(error.detail.chars().count() <= crate::text::TEXT_CHARS_MAX);
                // Only an explicit answer may end a grant.
                let words = ["invalid_grant", "bad_", "token_", "invalid_", "account_inactive", "not_found", "code_"];
                let explicit = words.iter().any(|word| body.contains(word));
                prop_assert!(error.outcome != Outcome::Rejected || explicit);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_never_panic(status in 0_u16..700, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let outcome = read("github", Ok(answer(status, FORM, body))).err().map(|error| error.outcome);
        prop_assert_ne!(outcome, Some(Outcome::Rejected));
    }

    #[test]
    fn what_is_printed_is_read_back(
        access in "[ -~]{1,200}",
        refresh in proptest::option::of("[ -~]{1,200}"),
        life in 1_u64..31_536_000,
        scope in proptest::collection::btree_set("[!#-\\[\\]-~]{1,20}", 0..5),
    ) {
        let scope: Vec<String> = scope.into_iter().collect();
        let body = json!({
            "access_token": access, "refresh_token": refresh, "expires_in": life, "token_type": "bearer",
            "scope": scope.join(" "),
        });
        let set = tokens("", JSON, body.to_string());
        prop_assert_eq!(set.access_token.expose(), access);
        prop_assert_eq!(set.refresh_token.as_ref().map(Secret::expose), refresh.as_deref());
        prop_assert_eq!(set.expires_in, Some(Duration::from_secs(life)));
        prop_assert_eq!(set.scope, Some(scope));
    }
}

//! What is sent, and that none of it comes back in an error.

use grantry_core::http::Request;
use serde_json::json;

use super::*;
use crate::client::AuthMethod;

/// The pieces that requests are built from.
struct Fixture {
    server: Server,
    client: Client,
    quirks: Quirks,
    resources: Vec<String>,
    details: Vec<Value>,
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
            details: vec![],
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            server: &self.server,
            client: &self.client,
            quirks: &self.quirks,
            resources: &self.resources,
            details: &self.details,
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
        sent(exchange.jwt_bearer(&secret, "", "")),
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
    fixture.details = vec![json!({"type": "t"})];
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
        let details = (
            "authorization_details".to_owned(),
            r#"[{"type":"t"}]"#.to_owned(),
        );
        assert!(sent.contains(&details));
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

use serde_json::json;

use super::*;
use crate::tests::answer;

/// What a made-up web serves: (path, status, content type, body).
type Web<'a> = &'a [(&'a str, u16, &'a str, String)];

/// Runs discovery against `web`; returns the paths asked for, and the end.
fn discover(base: &str, web: Web<'_>) -> (Vec<String>, Result<Server, DiscoveryError>) {
    let mut asked = Vec::new();
    let mut step = Discovery::start(base);
    loop {
        step = match step {
            Step::Fetch(discovery, request) => {
                assert_eq!(request.purpose, Purpose::Discovery);
                let path = request.url.path().to_owned();
                let page = web.iter().find(|(p, ..)| *p == path);
                asked.push(path);
                discovery.next(Ok(match page {
                    Some((_, status, content_type, body)) => answer(*status, content_type, body),
                    None => answer(404, "text/html", "not here"),
                }))
            }
            Step::Done(server) => return (asked, Ok(*server)),
            Step::Failed(error) => return (asked, Err(error)),
        };
    }
}

fn document(issuer: &str, more: Value) -> String {
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": "https://as.example/auth",
        "token_endpoint": "https://as.example/token",
    });
    if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    document.to_string()
}

const JSON: &str = "application/json; charset=utf-8";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const ISSUER: &str = "https://as.example";

#[test]
fn an_issuer_without_a_path_is_asked_at_two_places() {
    let (asked, server) = discover(ISSUER, &[(OAUTH, 200, JSON, document(ISSUER, json!({})))]);
    assert_eq!(asked, [OAUTH, OPENID]);
    assert_eq!(server.unwrap().issuer.as_deref(), Some(ISSUER));
}

#[test]
fn an_issuer_with_a_path_is_asked_before_its_origin() {
    let (asked, server) = discover("https://as.example/a/b", &[]);
    assert_eq!(server, Err(DiscoveryError::NotFound));
    assert_eq!(
        asked,
        [
            "/.well-known/oauth-authorization-server/a/b",
            "/a/b/.well-known/openid-configuration",
            "/.well-known/openid-configuration/a/b",
            OAUTH,
            OPENID,
        ]
    );
}

#[test]
fn the_origin_answers_for_an_api_but_never_for_an_issuer_that_answers_itself() {
    let origin = (OAUTH, 200, JSON, document(ISSUER, json!({"x": "origin"})));
    let (_, server) = discover("https://as.example/mcp", std::slice::from_ref(&origin));
    assert_eq!(server.unwrap().extra["x"], "origin");

    let own = document("https://as.example/mcp", json!({"x": "own"}));
    let web = [
        origin.clone(),
        ("/mcp/.well-known/openid-configuration", 200, JSON, own),
    ];
    let (_, server) = discover("https://as.example/mcp", &web);
    assert_eq!(server.unwrap().extra["x"], "own");

    let failing = (
        "/mcp/.well-known/openid-configuration",
        502,
        JSON,
        String::new(),
    );
    let (_, server) = discover("https://as.example/mcp", &[origin, failing]);
    assert_eq!(server, Err(DiscoveryError::Unavailable));
}

#[test]
fn the_oauth_document_wins_and_the_openid_document_fills_its_gaps() {
    let web = [
        (
            OAUTH,
            200,
            JSON,
            document(ISSUER, json!({"scopes_supported": ["a"]})),
        ),
        (
            OPENID,
            200,
            JSON,
            document(
                ISSUER,
                json!({"scopes_supported": ["b"], "userinfo_endpoint": "https://as.example/me"}),
            ),
        ),
    ];
    let server = discover(ISSUER, &web).1.unwrap();
    assert_eq!(server.scopes_supported, Some(vec!["a".to_owned()]));
    assert_eq!(
        server.userinfo_endpoint.as_deref(),
        Some("https://as.example/me")
    );
}

#[test]
fn documents_that_disagree_about_the_token_endpoint_are_refused() {
    let other = json!({"token_endpoint": "https://evil.example/token"});
    let web = [
        (OAUTH, 200, JSON, document(ISSUER, json!({}))),
        (OPENID, 200, JSON, document(ISSUER, other)),
    ];
    assert_eq!(discover(ISSUER, &web).1, Err(DiscoveryError::Disagreement));
}

#[test]
fn requirement_4_a_document_for_another_issuer_is_refused() {
    for found in [
        "https://x",
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "http://as.example",
        "",
    ] {
        let web = [(OAUTH, 200, JSON, document(found, json!({})))];
        let expected = DiscoveryError::IssuerMismatch {
            asked: ISSUER.into(),
            found: found.into(),
        };
        assert_eq!(discover(ISSUER, &web).1, Err(expected), "{found}");
    }
}

#[test]
fn requirement_3_an_issuer_is_asked_for_as_written() {
    let slashed = "http://127.0.0.1:4410/";
    let web = [(OAUTH, 200, JSON, document(slashed, json!({})))];
    assert_eq!(
        discover(slashed, &web).1.unwrap().issuer.as_deref(),
        Some(slashed)
    );
    assert!(matches!(
        discover("http://127.0.0.1:4410", &web).1,
        Err(DiscoveryError::IssuerMismatch { .. })
    ));
}

#[test]
fn an_origin_that_nobody_wrote_down_has_two_spellings() {
    for (found, accepted) in [
        ("https://as.example", true),
        ("https://as.example/", true),
        ("https://as.example//", false),
        ("https://as.example/mcp", false),
    ] {
        let web = [(OAUTH, 200, JSON, document(found, json!({})))];
        let server = discover("https://as.example/mcp", &web).1;
        assert_eq!(server.is_ok(), accepted, "{found}");
    }
}

#[test]
fn what_is_no_document_is_passed_over() {
    let good = document(ISSUER, json!({}));
    let doubled = good.replacen('{', r#"{"issuer":"https://x","#, 1);
    for (status, content_type, body) in [
        (200, "text/html", good.clone()),
        (200, "", good.clone()),
        (203, JSON, good.clone()),
        (200, JSON, format!("[{good}]")),
        (200, JSON, doubled),
        (200, JSON, String::new()),
        (
            200,
            JSON,
            format!("{good}{}", " ".repeat(Purpose::Discovery.body_bytes_max())),
        ),
    ] {
        let web = [(OAUTH, status, content_type, body)];
        let end = discover(ISSUER, &web).1;
        assert_eq!(
            end,
            Err(DiscoveryError::NotFound),
            "{status} {content_type}"
        );
    }
}

#[test]
fn a_document_with_a_bad_endpoint_is_refused_whole() {
    for (member, value) in [
        ("token_endpoint", json!(null)),
        ("token_endpoint", json!("/token")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        (
            "registration_endpoint",
            json!("https://u:p@as.example/register"),
        ),
        ("jwks_uri", json!("")),
    ] {
        let web = [(OAUTH, 200, JSON, document(ISSUER, json!({ member: value })))];
        assert_eq!(
            discover(ISSUER, &web).1,
            Err(DiscoveryError::BadMember(member)),
            "{member}"
        );
    }
    let web = [(
        OAUTH,
        200,
        JSON,
        document(ISSUER, json!({"scopes_supported": 7})),
    )];
    assert_eq!(
        discover(ISSUER, &web).1,
        Err(DiscoveryError::BadMember("members"))
    );
}

#[test]
fn a_failing_openid_document_does_not_spoil_a_good_oauth_document() {
    let web = [
        (OAUTH, 200, JSON, document(ISSUER, json!({}))),
        (OPENID, 500, "text/html", String::new()),
    ];
    assert!(discover(ISSUER, &web).1.is_ok());
}

#[test]
fn silence_and_policy_have_names_of_their_own() {
    for (failure, expected) in [
        (Failure::Refused, DiscoveryError::Refused),
        (Failure::NotSent, DiscoveryError::Unavailable),
        (
            Failure::Unknown(Silence::Timeout),
            DiscoveryError::Unavailable,
        ),
        (
            Failure::Unknown(Silence::Redirect),
            DiscoveryError::NotFound,
        ),
    ] {
        let mut step = Discovery::start(ISSUER);
        let end = loop {
            step = match step {
                Step::Fetch(discovery, _) => discovery.next(Err(failure)),
                Step::Done(_) => panic!("found a server in silence"),
                Step::Failed(error) => break error,
            }
        };
        assert_eq!(end, expected);
    }
}

#[test]
fn only_a_plain_web_url_is_a_base() {
    for base in [
        "",
        "as.example",
        "ftp://as.example",
        "https://u@as.example",
        "https://as.example?x",
        "https://as.example#x",
        "file:///etc/passwd",
    ] {
        assert_eq!(
            discover(base, &[]).1,
            Err(DiscoveryError::BadBase),
            "{base}"
        );
    }
}

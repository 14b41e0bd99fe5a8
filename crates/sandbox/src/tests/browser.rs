//! `/authorize`: the consent page, and every fault of the authorization response.

use axum::http::StatusCode;

use super::support::*;
use crate::{Endpoint, FAULTS, Order};

fn page() -> Bench {
    Bench::with(|_| {})
}

async fn decide(bench: &Bench, query: &str, user: &str, decision: &str) -> Reply {
    let pairs = [("query", query), ("user", user), ("decision", decision)];
    bench.post("/authorize", None, &pairs).await.unwrap()
}

fn query_of(path: &str) -> &str {
    path.split_once('?').unwrap().1
}

async fn user_of(bench: &Bench, answer: &Reply) -> String {
    let tokens = bench.redeem(&answer.param("code").unwrap()).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    let me = bench.bearer("/api/me", access).await.json();
    me["user"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_says_sandbox_and_lets_one_choose_who_signs_in() {
    let bench = page();
    let path = Bench::authorize_path(&[("login_hint", "bob")]);
    let shown = bench.get(&path).await;
    assert_eq!(shown.status, StatusCode::OK);
    let html = shown.text();
    for part in [
        "Sandbox.",
        "Demo wants",
        "Alice Archer",
        "value=\"bob\" checked",
        "name=\"viewport\"",
        "<code>email</code>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("<script"));
    assert!(
        shown
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for user in ["alice", "bob"] {
        let answer = decide(&bench, query_of(&path), user, "allow").await;
        assert_eq!(user_of(&bench, &answer).await, user);
    }
}

#[tokio::test]
async fn denying_sends_back_access_denied_with_the_state() {
    let bench = page();
    let path = Bench::authorize_path(&[]);
    let answer = decide(&bench, query_of(&path), "alice", "deny").await;
    assert_eq!(answer.param("error").as_deref(), Some("access_denied"));
    assert_eq!(answer.param("state").as_deref(), Some("s1"));
    assert_eq!(answer.param("code"), None);
}

#[tokio::test]
async fn values_from_the_request_are_escaped_on_the_page() {
    let bench = page();
    let scope = "\"><script>alert(1)</script>";
    let html = bench.authorize(&[("scope", scope)]).await.text();
    assert!(!html.contains("<script"), "{html}");
}

#[tokio::test]
async fn nothing_is_sent_to_an_unproven_redirect_uri() {
    let bench = Bench::new();
    let twice = format!("{}&state=s2", Bench::authorize_path(&[]));
    for path in [
        Bench::authorize_path(&[("client_id", "nobody")]),
        Bench::authorize_path(&[("client_id", "")]),
        Bench::authorize_path(&[("redirect_uri", "https://evil.example/callback")]),
        Bench::authorize_path(&[("redirect_uri", "")]),
        twice,
    ] {
        let shown = bench.get(&path).await;
        assert_eq!(shown.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(!shown.headers.contains_key("location"), "{path}");
    }
    let path = Bench::authorize_path(&[]);
    let forged = decide(&bench, query_of(&path), "mallory", "allow").await;
    assert_eq!(forged.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn wrong_requests_of_a_known_client_come_back_as_errors() {
    let bench = Bench::new();
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("response_mode", "form_post"), "invalid_request"),
    ] {
        let answer = bench.authorize(&[change]).await;
        assert_eq!(answer.param("error").as_deref(), Some(error), "{change:?}");
        assert_eq!(answer.param("state").as_deref(), Some("s1"), "{change:?}");
    }
}

#[tokio::test]
async fn prompt_none_never_shows_a_page() {
    let silent = [("prompt", "none")];
    let answer = page().authorize(&silent).await;
    assert_eq!(answer.param("error").as_deref(), Some("login_required"));
    assert!(
        Bench::new()
            .authorize(&silent)
            .await
            .param("code")
            .is_some()
    );
}

#[tokio::test]
async fn automatic_consent_signs_in_the_hinted_user_or_the_first() {
    let bench = Bench::new();
    for (hint, user) in [("", "alice"), ("bob", "bob"), ("nobody", "alice")] {
        let answer = bench.authorize(&[("login_hint", hint)]).await;
        assert_eq!(user_of(&bench, &answer).await, user, "{hint}");
    }
}

type Check = fn(&Reply);

/// What each fault leaves of the response.
const PLAYED: &[(&str, Check)] = &[
    ("iss", |r| {
        assert_eq!(r.param("iss").unwrap(), "https://evil.example")
    }),
    ("noiss", |r| assert_eq!(r.param("iss"), None)),
    ("wrongstate", |r| {
        assert_eq!(r.param("state").unwrap(), "wrong")
    }),
    ("nostate", |r| assert_eq!(r.param("state"), None)),
    ("dup", |r| {
        let count = |name| r.callback().iter().filter(|(key, _)| key == name).count();
        assert_eq!((count("code"), count("state")), (2, 2));
    }),
    ("codeerror", |r| {
        assert!(r.param("code").is_some());
        assert_eq!(r.param("error").unwrap(), "access_denied");
    }),
    ("err", |r| {
        assert_eq!(r.param("code"), None);
        assert_eq!(r.param("error").unwrap(), "access_denied");
    }),
    ("xss", |r| {
        let text = r.param("error_description").unwrap();
        assert!(text.contains("<script>") && text.contains("\r\n"));
    }),
    ("longerr", |r| {
        assert_eq!(r.param("error_description").unwrap().len(), 102_400)
    }),
    ("frag", |r| {
        assert!(r.header("location")[CALLBACK.len()..].starts_with("#code="))
    }),
    ("formpost", |r| {
        assert_eq!(r.status, StatusCode::OK);
        let html = r.text();
        assert!(html.contains(&format!("method=\"post\" action=\"{CALLBACK}\"")));
        assert!(html.contains("name=\"code\""));
    }),
    ("swap", |r| assert!(r.param("code").is_some())),
];

#[tokio::test]
async fn every_fault_of_the_authorization_response_plays_by_order_and_by_query() {
    let of_table = FAULTS
        .iter()
        .filter(|f| f.endpoints.contains(&Endpoint::Authorize));
    let tested: Vec<_> = PLAYED.iter().map(|(name, _)| *name).collect();
    assert_eq!(of_table.map(|f| f.name).collect::<Vec<_>>(), tested);
    for (name, check) in PLAYED {
        let bench = Bench::new();
        check(&bench.authorize(&[(name, "1")]).await);
        bench.sandbox.order(Order::once(*name)).unwrap();
        check(&bench.authorize(&[]).await);
        let honest = bench.authorize(&[]).await;
        assert_eq!(honest.callback().len(), 3, "{name} outlived its order");
    }
}

#[tokio::test]
async fn faults_in_the_query_take_values_and_combine() {
    let bench = Bench::new();
    let answer = bench.authorize(&[("iss", "https://other.test")]).await;
    assert_eq!(answer.param("iss").unwrap(), "https://other.test");
    let answer = bench
        .authorize(&[("xss", "1"), ("err", "server_error")])
        .await;
    assert_eq!(answer.param("error").unwrap(), "server_error");
    assert!(
        answer
            .param("error_description")
            .unwrap()
            .contains("<script>")
    );
}

#[tokio::test]
async fn the_account_swap_signs_in_somebody_else() {
    let bench = Bench::new();
    for (hint, user) in [("alice", "bob"), ("bob", "alice")] {
        let answer = bench
            .authorize(&[("login_hint", hint), ("swap", "1")])
            .await;
        assert_eq!(user_of(&bench, &answer).await, user);
    }
}

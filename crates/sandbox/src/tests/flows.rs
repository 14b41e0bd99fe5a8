//! The honest provider.

use std::time::Duration;

use axum::http::StatusCode;
use grantry_core::Secret;
use serde_json::json;

use super::support::*;
use crate::{Client, crypto};

#[tokio::test]
async fn a_code_flow_gives_tokens_that_open_the_api() {
    let bench = Bench::new();
    let answer = bench.authorize(&[("scope", "openid email")]).await;
    assert_eq!(answer.param("state").as_deref(), Some("s1"));
    assert_eq!(answer.param("iss").as_deref(), Some(ISSUER));
    let reply = bench.redeem(&answer.param("code").unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), "no-store");
    let tokens = reply.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["scope"], "openid email");
    let claims = crypto::claims(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER, "sub": "alice", "aud": "demo", "nonce": "n1",
            "iat": 784_111_777, "exp": 784_115_377,
        })
    );

    let access = tokens["access_token"].as_str().unwrap();
    let me = bench.bearer("/api/me", access).await.json();
    assert_eq!(
        me["user"],
        json!({"id": "alice", "name": "Alice Archer", "email": "alice@sandbox.test"})
    );
    assert_eq!(
        bench.bearer("/userinfo", access).await.json()["sub"],
        "alice"
    );

    bench.clock.advance(Duration::from_secs(3600));
    let expired = bench.bearer("/api/me", access).await;
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
    assert!(
        expired
            .header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
}

#[tokio::test]
async fn a_refresh_rotates_and_reuse_ends_the_family() {
    let bench = Bench::new();
    let first = bench.consented().await;
    let second = bench.refresh(&first).await.unwrap().json();
    let second = second["refresh_token"].as_str().unwrap();
    assert!(bench.is_current(second));
    let reuse = bench.refresh(&first).await.unwrap();
    assert_eq!(reuse.status, StatusCode::BAD_REQUEST);
    assert_eq!(reuse.error(), "invalid_grant");
    assert_eq!(
        bench.refresh(second).await.unwrap().error(),
        "invalid_grant"
    );
    assert_eq!(bench.sandbox.stats().families_killed_by_reuse, 1);
}

#[tokio::test]
async fn a_grace_period_answers_a_repeat_with_the_same_pair() {
    let bench = Bench::with(|config| {
        config.auto_consent = true;
        config.grace = Duration::from_secs(60);
    });
    let first = bench.consented().await;
    let second = bench.refresh(&first).await.unwrap().json();
    bench.clock.advance(Duration::from_secs(59));
    let again = bench.refresh(&first).await.unwrap().json();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    assert_eq!(again["access_token"], second["access_token"]);
    assert_eq!(again["expires_in"], 3541);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(
        bench.refresh(&first).await.unwrap().error(),
        "invalid_grant"
    );
}

#[tokio::test]
async fn clients_authenticate_by_basic_post_or_as_public() {
    let bench = Bench::with(|config| {
        config.clients.push(Client {
            id: "we:ird id".into(),
            name: "Odd".into(),
            secret: Some(Secret::new("s%+ :é")),
            redirect_uris: vec![],
            assertion_key: None,
        });
        config.clients.push(Client {
            id: "public".into(),
            name: "Public".into(),
            secret: None,
            redirect_uris: vec![],
            assertion_key: None,
        });
    });
    let own = ("grant_type", "client_credentials");
    let good = Some(basic("demo", "demo-secret"));
    let odd = Some(basic("we%3Aird+id", "s%25%2B+%3A%C3%A9"));
    let raw = Some(basic("we:ird id", "s%+ :é"));
    let id = ("client_id", "demo");
    let secret = ("client_secret", "demo-secret");
    for (header, pairs, error) in [
        (good.clone(), &[own][..], ""),
        (odd, &[own], ""),
        (None, &[own, id, secret], ""),
        (good.clone(), &[own, id], ""),
        (raw, &[own], "invalid_request"),
        (Some(basic("demo", "wrong")), &[own], "invalid_client"),
        (
            None,
            &[own, id, ("client_secret", "wrong")],
            "invalid_client",
        ),
        (None, &[own, id], "invalid_client"),
        (None, &[own], "invalid_client"),
        (None, &[own, ("client_id", "nobody")], "invalid_client"),
        (None, &[own, ("client_id", "public")], "unauthorized_client"),
        (good.clone(), &[own, id, secret], "invalid_request"),
        (
            good.clone(),
            &[own, ("client_id", "public")],
            "invalid_request",
        ),
        (good.clone(), &[own, own], "invalid_request"),
        (good.clone(), &[], "invalid_request"),
        (
            good,
            &[("grant_type", "password")],
            "unsupported_grant_type",
        ),
    ] {
        let basic = header.is_some();
        let reply = bench.post("/token", header, pairs).await.unwrap();
        assert_eq!(reply.error(), error, "{pairs:?}");
        let status = match error {
            "" => 200,
            "invalid_client" => 401,
            _ => 400,
        };
        assert_eq!(reply.status, status, "{pairs:?}");
        let challenged = reply.headers.contains_key("www-authenticate");
        assert_eq!(challenged, basic && status == 401, "{pairs:?}");
    }
    let reply = bench
        .try_call("POST", "/token", &[], form(&[own, id, secret]))
        .await;
    assert_eq!(reply.unwrap().error(), "invalid_request", "no content type");
}

#[tokio::test]
async fn a_clients_own_token_has_no_user_and_no_refresh_token() {
    let bench = Bench::new();
    let pairs = [("grant_type", "client_credentials"), ("scope", "jobs")];
    let tokens = bench.demo("/token", &pairs).await.unwrap().json();
    assert_eq!(tokens.get("refresh_token"), None);
    let access = tokens["access_token"].as_str().unwrap();
    let me = bench.bearer("/api/me", access).await.json();
    assert_eq!(
        me,
        json!({"user": null, "client_id": "demo", "scope": "jobs"})
    );
    assert_eq!(bench.bearer("/userinfo", access).await.status, 401);
}

#[tokio::test]
async fn introspection_tells_live_tokens_and_the_place_of_refresh_tokens() {
    let bench = Bench::new();
    let first = bench.consented().await;
    let tokens = bench.refresh(&first).await.unwrap().json();
    let ask = async |token: &str| {
        let reply = bench.demo("/introspect", &[("token", token)]).await;
        reply.unwrap().json()
    };
    let access = ask(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(access["active"], true);
    assert_eq!(access["sub"], "alice");
    assert_eq!(access["exp"], 784_115_377);
    let newest = ask(tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(
        newest["sandbox_place"],
        json!({"family": 0, "generation": 1, "current": true})
    );
    assert_eq!(ask(&first).await, json!({"active": false}));
    assert_eq!(ask("unknown").await, json!({"active": false}));
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_access_tokens() {
    let bench = Bench::new();
    let first = bench.consented().await;
    let tokens = bench.refresh(&first).await.unwrap().json();
    let access = tokens["access_token"].as_str().unwrap();
    for token in ["unknown", tokens["refresh_token"].as_str().unwrap()] {
        assert_eq!(bench.bearer("/api/me", access).await.status, 200);
        let reply = bench.demo("/revoke", &[("token", token)]).await.unwrap();
        assert_eq!(reply.status, 200);
    }
    assert_eq!(bench.bearer("/api/me", access).await.status, 401);
    let stranger = bench.post("/revoke", None, &[("token", access)]).await;
    assert_eq!(stranger.unwrap().error(), "invalid_client");
}

#[tokio::test]
async fn a_registered_client_can_run_the_flow() {
    let bench = Bench::new();
    let register = async |body: serde_json::Value| {
        let reply = bench.try_call("POST", "/register", &[], body.to_string());
        reply.await.unwrap()
    };
    let reply = register(json!({"redirect_uris": [CALLBACK], "client_name": "Mine"})).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let client = reply.json();
    assert_eq!(client["client_secret_expires_at"], 0);
    let id = client["client_id"].as_str().unwrap();
    let answer = bench.authorize(&[("client_id", id)]).await;
    let code = answer.param("code").unwrap();
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let credentials = basic(id, client["client_secret"].as_str().unwrap());
    let tokens = bench.post("/token", Some(credentials), &pairs).await;
    assert_eq!(tokens.unwrap().status, 200);

    let public = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
    assert_eq!(register(public).await.json().get("client_secret"), None);
    for (body, error) in [
        (json!([]), "invalid_client_metadata"),
        (json!({}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": ["http://app.test/"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["https://app.test/#f"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["http://127.0.0.1:*/x"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "magic"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [CALLBACK], "grant_types": ["password"]}),
            "invalid_client_metadata",
        ),
    ] {
        let reply = register(body.clone()).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.error(), error, "{body}");
    }
}

//! Metadata, the key set, and the faults of metadata, registration and revocation.

use serde_json::{Value, json};

use super::support::*;
use crate::{Endpoint, FAULTS, Order};

const SERVER: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn both_discovery_documents_are_honest_and_equal() {
    let bench = Bench::new();
    let document = bench.get(SERVER).await.json();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(document["token_endpoint"], format!("{ISSUER}/token"));
    assert_eq!(
        document["code_challenge_methods_supported"],
        json!(["S256"])
    );
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        true
    );
    let openid = bench.get("/.well-known/openid-configuration").await;
    assert_eq!(openid.json(), document);
}

#[tokio::test]
async fn the_api_leads_an_unknown_client_to_its_authorization_server() {
    let bench = Bench::new();
    let challenge = bench.get("/api/me").await;
    assert_eq!(challenge.status, 401);
    let url = format!("{ISSUER}/.well-known/oauth-protected-resource/api/me");
    assert_eq!(
        challenge.header("www-authenticate"),
        format!("Bearer resource_metadata=\"{url}\"")
    );
    let document = bench.get(url.strip_prefix(ISSUER).unwrap()).await.json();
    assert_eq!(document["resource"], format!("{ISSUER}/api/me"));
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
}

#[tokio::test]
async fn the_key_set_holds_the_key_of_the_id_tokens() {
    let keys = Bench::new().get("/jwks").await.json();
    assert_eq!(keys["keys"][0]["alg"], "RS256");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}

type Check = fn(&Reply);

fn is(reply: &Reply, field: &str, wanted: Value) {
    assert_eq!(reply.json()[field], wanted, "{field}");
}

const METADATA: &[(&str, Check)] = &[
    ("issuer", |r| is(r, "issuer", json!("https://evil.example"))),
    ("resource", |r| {
        is(r, "resource", json!("https://evil.example"))
    }),
    ("nopkce", |r| {
        is(r, "code_challenge_methods_supported", Value::Null)
    }),
    ("plainpkce", |r| {
        is(r, "code_challenge_methods_supported", json!(["plain"]))
    }),
    ("noissflag", |r| {
        is(
            r,
            "authorization_response_iss_parameter_supported",
            Value::Null,
        )
    }),
    ("evil", |r| {
        is(
            r,
            "token_endpoint",
            json!("http://169.254.169.254/latest/meta-data"),
        )
    }),
    ("redir-private", |r| {
        assert_eq!(r.status, 302);
        assert!(r.header("location").starts_with("http://10.0.0.1/"));
    }),
    ("loop", |r| {
        assert_eq!(r.status, 302);
        assert_eq!(r.header("location"), format!("{ISSUER}/meta/loop"));
    }),
];

const REGISTER: &[(&str, Check)] = &[
    ("insecure", |r| {
        is(r, "token_endpoint_auth_method", json!("trust_me"));
        is(r, "client_id", json!("evil\r\nX-Injected: 1"));
    }),
    ("redirect", |r| {
        is(r, "redirect_uris", json!(["https://evil.example/callback"]))
    }),
    ("crlf", |r| {
        is(r, "client_id", json!("evil\r\nX-Injected: 1"))
    }),
    ("method", |r| {
        is(r, "token_endpoint_auth_method", json!("trust_me"))
    }),
    ("uri", |r| {
        is(
            r,
            "registration_client_uri",
            json!("http://169.254.169.254/"),
        )
    }),
    ("expires", |r| {
        is(r, "client_secret_expires_at", json!(784_111_837))
    }),
];

fn only_at(endpoint: Endpoint) -> Vec<&'static str> {
    let rows = FAULTS.iter().filter(|fault| fault.endpoints == [endpoint]);
    rows.map(|fault| fault.name).collect()
}

fn names(tests: &[(&'static str, Check)]) -> Vec<&'static str> {
    tests.iter().map(|(name, _)| *name).collect()
}

#[tokio::test]
async fn every_fault_of_the_metadata_plays_by_path_by_query_and_by_order() {
    assert_eq!(only_at(Endpoint::Metadata), names(METADATA));
    for (name, check) in METADATA {
        let bench = Bench::new();
        check(&bench.get(&format!("/meta/{name}")).await);
        check(&bench.get(&format!("{SERVER}?{name}=1")).await);
        bench.sandbox.order(Order::once(*name)).unwrap();
        check(&bench.get(SERVER).await);
        assert_eq!(bench.get(SERVER).await.json()["issuer"], ISSUER, "{name}");
    }
    let bench = Bench::new();
    let named = bench.get(&format!("{SERVER}?issuer=https://x.test")).await;
    is(&named, "issuer", json!("https://x.test"));
    assert_eq!(bench.get("/meta/huge").await.body.len(), (4 << 20) + 17);
}

#[tokio::test]
async fn every_fault_of_the_registration_plays_by_its_mode() {
    assert_eq!(only_at(Endpoint::Register), names(REGISTER));
    for (name, check) in REGISTER {
        let bench = Bench::new();
        let body = json!({"redirect_uris": [CALLBACK]}).to_string();
        let path = format!("/register?mode={name}");
        let reply = bench.try_call("POST", &path, &[], body).await.unwrap();
        assert_eq!(reply.status, 201, "{name}");
        check(&reply);
    }
}

#[tokio::test]
async fn revocation_fails_as_its_mode_says() {
    for (mode, status, ended) in [
        ("unsupported", Some(400), false),
        ("s503", Some(503), false),
        ("r307", Some(307), false),
        ("hang", None, false),
        ("silence", None, true),
        ("s502", Some(502), true),
        ("ok", Some(200), true),
    ] {
        let bench = Bench::new();
        let token = bench.consented().await;
        let path = format!("/revoke?m={mode}");
        let reply = bench.demo(&path, &[("token", &token)]).await;
        assert_eq!(reply.map(|r| r.status.as_u16()), status, "{mode}");
        assert_eq!(!bench.is_current(&token), ended, "{mode}");
    }
}

//! ID tokens of workloads.

use serde_json::{Value, json};

use super::support::*;
use crate::crypto;

#[tokio::test]
async fn a_build_and_a_service_account_get_tokens_with_the_claims_of_their_kind() {
    let bench = Bench::new();
    let token = bench
        .get("/actions/id-token?audience=a&repository=acme/web&ref=refs/tags/v1")
        .await
        .json();
    let claims = crypto::claims(token["value"].as_str().unwrap()).unwrap();
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], "repo:acme/web:ref:refs/tags/v1");
    assert_eq!(
        (&claims["aud"], &claims["repository_owner"]),
        (&json!("a"), &json!("acme"))
    );
    let life = |claims: &Value| claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life(&claims), 300);

    let asked = json!({"spec": {"audiences": ["b"], "expirationSeconds": 600}});
    let path = "/api/v1/namespaces/shop/serviceaccounts/api/token";
    let answer = bench.post_text(path, &asked.to_string()).await.json();
    let claims = crypto::claims(answer["status"]["token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["sub"], "system:serviceaccount:shop:api");
    assert_eq!(claims["aud"], json!(["b"]));
    assert_eq!(claims["kubernetes.io"]["namespace"], "shop");
    assert_eq!(life(&claims), 600);
}

#[tokio::test]
async fn any_token_can_be_minted_and_a_rotation_changes_its_key() {
    let bench = Bench::new();
    let asked = json!({"claims": {"sub": "x", "exp": null}, "header": {"typ": null, "jku": "https://evil.example"}});
    let token = bench.post_text("/_mint", &asked.to_string()).await.json();
    let token = token["token"].as_str().unwrap().to_owned();
    assert_eq!(crypto::claims(&token).unwrap().get("exp"), None);
    let kids = async || -> Vec<String> {
        let keys = bench.get("/jwks").await.json();
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = kids().await;
    bench.post_text("/_rotate", "").await;
    let both = kids().await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    bench.post_text("/_rotate?forget=true", "").await;
    let last = kids().await;
    assert!(last.len() == 1 && !both.contains(&last[0]));
    let unknown = bench.post_text("/_mint", "{\"claim\": 1}").await;
    assert_eq!(unknown.status, 400);
}

//! The signing keys over the wire. What rotation means for tokens is tested in `it`.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Server, request};

async fn states(server: &Server) -> Vec<(String, String)> {
    let listed = server.local("GET /api/v1/signing-keys", None).await;
    let listed = listed.expect(200);
    assert_eq!(listed["next_cursor"], Value::Null);
    let word = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let keys = listed["data"].as_array().unwrap().iter();
    keys.map(|key| (word(key, "kid"), word(key, "state")))
        .collect()
}

async fn published(server: &Server) -> Vec<String> {
    let keys = server
        .send(request(None, "GET /.well-known/jwks", None))
        .await
        .expect(200);
    let keys = keys["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_operator_rotates_and_retires_signing_keys() {
    let server = Server::start().await;
    assert_eq!(states(&server).await, []);
    let [first] = &published(&server).await[..] else {
        panic!("no key was made");
    };
    let made = server
        .local("POST /api/v1/signing-keys", None)
        .await
        .expect(201);
    let second = made["kid"].as_str().unwrap();
    assert_eq!(
        made,
        json!({
            "kid": second, "purpose": "workload", "state": "pending", "verifies_until": null,
            "created_at": "2026-01-01T00:00:00Z", "signs_from": "2026-01-01T01:00:00Z",
        })
    );
    assert_eq!(published(&server).await, [first.as_str(), second]);
    let state = |kid: &str, state: &str| (kid.to_owned(), state.to_owned());
    let listed = states(&server).await;
    assert_eq!(listed, [state(first, "active"), state(second, "pending")]);

    let sooner = json!({"lead_ms": 3_599_999});
    let refused = server
        .local("POST /api/v1/signing-keys", Some(&sooner))
        .await
        .expect(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains(second) && detail.contains("retire it first"),
        "{detail}"
    );
    server.clock.advance(Duration::from_secs(3600));
    let listed = states(&server).await;
    assert_eq!(listed, [state(first, "verifying"), state(second, "active")]);

    let retire = |kid: &str| format!("DELETE /api/v1/signing-keys/{kid}");
    server.local(&retire(first), None).await.expect(204);
    let again = server.local(&retire(first), None).await.expect(404);
    assert_eq!(again["detail"], "signing key not found");
    assert_eq!(published(&server).await, [second]);

    // The last one is replaced at once.
    server.local(&retire(second), None).await.expect(204);
    let listed = states(&server).await;
    assert_eq!((listed.len(), listed[0].1.as_str()), (1, "active"));
    assert!(listed[0].0 != second);
}

#[tokio::test]
async fn keys_of_sign_ins_are_rotated_by_their_purpose_and_no_others_by_that() {
    let server = Server::start().await;
    let rotate = async |body: Value, status| {
        let answer = server.local("POST /api/v1/signing-keys", Some(&body)).await;
        answer.expect(status)
    };
    let of = async |purpose: &str| {
        let listed = server.local("GET /api/v1/signing-keys", None).await;
        let listed = listed.expect(200);
        let keys = listed["data"].as_array().unwrap().iter();
        let ours = keys.filter(|key| key["purpose"] == purpose);
        ours.map(|key| key["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let made = rotate(json!({"purpose": "sign_in"}), 201).await;
    assert_eq!(
        (&made["purpose"], &made["state"]),
        (&json!("sign_in"), &json!("pending"))
    );
    assert_eq!(
        (of("sign_in").await, of("workload").await),
        (vec!["active".to_owned(), "pending".to_owned()], vec![])
    );
    let keys = server.send(request(None, "GET /oauth/jwks", None)).await;
    let kids = keys.expect(200)["keys"].as_array().unwrap().clone();
    assert!(
        kids.iter().any(|key| key["kid"] == made["kid"]),
        "it is published"
    );
    // Without a purpose it is the workloads'.
    rotate(json!({}), 201).await;
    assert_eq!(
        (of("sign_in").await.len(), of("workload").await.len()),
        (2, 2)
    );
    let refused = rotate(json!({"purpose": "both"}), 400).await;
    assert!(refused.to_string().contains("purpose"), "{refused}");
    assert_eq!(
        (of("sign_in").await.len(), of("workload").await.len()),
        (2, 2)
    );
}

#[tokio::test]
async fn a_project_token_is_made_by_id_or_name_in_the_named_team() {
    let server = Server::start().await;
    for (key, route, body, status) in [
        ("tok_admin", "prj_1/token?teamId=team_1", None, 200),
        (
            "tok_admin",
            "web/token?slug=acme",
            Some(json!({"source": "sdk"})),
            200,
        ),
        ("tok_admin", "web/token", Some(json!({})), 200),
        ("tok_account", "web/token?slug=acme", None, 200),
        ("tok_account", "web/token", None, 400),
        ("tok_admin", "none/token", None, 404),
        ("tok_admin", "web/token?teamId=team_2", None, 404),
        ("tok_admin", "web/token", Some(json!({"sauce": 1})), 400),
        ("tok_member", "web/token", None, 403),
        ("tok_token_only", "web/token", None, 403),
        ("tok_workload", "web/token", None, 403),
        ("tok_stranger", "web/token", None, 404),
    ] {
        let route = format!("POST /v1/projects/{route}");
        let answer = server.call(key, &route, body.as_ref()).await;
        assert_eq!(answer.status, status, "{key} {route}: {}", answer.text);
        if status == 200 {
            let answer = answer.json();
            let token = answer["token"].as_str().unwrap();
            assert_eq!(answer, json!({"token": token}), "nothing beside it");
            let claims = claims(token);
            assert_eq!(
                (&claims["sub"], &claims["aud"], &claims["iss"]),
                (
                    &json!("owner:acme:project:web:environment:development"),
                    &json!("https://connect.example/acme"),
                    &json!("https://connect.example")
                )
            );
            let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            assert_eq!(life, 12 * 3600);
        }
    }
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

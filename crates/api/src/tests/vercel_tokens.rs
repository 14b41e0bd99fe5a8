//! Tokens, consents and the issuer in the Vercel dialect.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::server::{Server, request};

#[tokio::test]
async fn a_workload_gets_the_token_of_any_user_where_it_is_linked() {
    let server = Server::start().await;
    let ask = json!({"subject": {"type": "user", "id": "u1"}, "scopes": ["*"], "validityBufferMs": 30_000});
    let route = "POST /v1/connect/token/oauth%2Facme";
    let token = server
        .call("tok_workload", route, Some(&ask))
        .await
        .expect(200);
    assert!(token["tokenId"].as_str().unwrap().starts_with("stk_"));
    let expected = json!({
        "token": "at_1",
        "tokenId": token["tokenId"],
        "expiresAt": 1_767_225_600_000_i64 + 3_600_000,
        "connector": {"id": "scl_1", "uid": "oauth/acme", "type": "oauth"},
        "name": "Alice at Acme",
        "externalSubject": "acme-77",
    });
    assert_eq!(token, expected);
}

#[tokio::test]
async fn a_token_that_cannot_be_had_says_why_in_the_codes_that_clients_know() {
    let server = Server::start().await;
    let user = |id: &str| json!({"subject": {"type": "user", "id": id}});
    for (key, connector, ask, status, code, words) in [
        (
            "tok_workload",
            "scl_1",
            user("u2"),
            422,
            "user_authorization_required",
            "",
        ),
        (
            "tok_workload",
            "scl_unlinked",
            user("u1"),
            403,
            "forbidden",
            "connector is not linked to this project",
        ),
        (
            "tok_workload",
            "scl_preview",
            user("u1"),
            403,
            "forbidden",
            "environment",
        ),
        (
            "tok_member",
            "scl_1",
            user("u1"),
            403,
            "forbidden",
            "Token subject is not accessible to this requester",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"subject": {"type": "app"}}),
            422,
            "unresolved_token",
            "",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"subject": {"type": "jwt-bearer", "sub": "x"}}),
            422,
            "unresolved_token",
            "jwt-bearer",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"subject": {"type": "pigeon"}}),
            422,
            "unresolved_token",
            "pigeon",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"subject": {"type": "user"}}),
            400,
            "bad_request",
            "subject.id",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"subject": "u1"}),
            400,
            "bad_request",
            "subject",
        ),
        (
            "tok_workload",
            "scl_1",
            user(&"u".repeat(513)),
            400,
            "bad_request",
            "subject.id",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"scopes": "a b"}),
            400,
            "bad_request",
            "scopes",
        ),
        (
            "tok_workload",
            "scl_1",
            json!({"validityBufferMs": -1}),
            400,
            "bad_request",
            "validityBufferMs",
        ),
        (
            "tok_workload",
            "scl_none",
            user("u1"),
            404,
            "not_found",
            "connector",
        ),
    ] {
        let route = format!("POST /v1/connect/token/{connector}");
        let answer = server.call(key, &route, Some(&ask)).await;
        let error = answer.expect(status);
        assert_eq!(error["error"]["code"], code, "{ask}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{ask}: {message}");
    }
}

#[tokio::test]
async fn a_consent_is_asked_for_and_its_result_polled_without_a_key() {
    let server = Server::start().await;
    let ask = json!({
        "subject": {"type": "user", "id": "u2"}, "scopes": ["*"], "deviceCode": true,
        "expiresInMs": 60_000, "additionalParams": {"hd": "acme.example"},
    });
    let asked = server
        .call(
            "tok_workload",
            "POST /v1/connect/authorize/scl_1",
            Some(&ask),
        )
        .await;
    let asked = asked.expect(200);
    let request_id = asked["request"].as_str().unwrap();
    assert!(request_id.starts_with("sca_"));
    assert_eq!(
        asked["url"],
        format!("https://connect.example/authorize/{request_id}")
    );
    assert_eq!(asked["expiresAt"], 1_767_225_600_000_i64 + 60_000);
    assert!(asked["deviceCode"].is_string());
    assert_eq!(
        asked["connector"],
        json!({
            "id": "scl_1", "uid": "oauth/acme", "type": "oauth", "service": "provider.example",
            "serviceName": "provider.example", "name": "Acme",
        })
    );
    let poll = format!(
        "GET /v1/connect/result/{}",
        asked["verifier"].as_str().unwrap()
    );
    let result = server.send(request(None, &poll, None)).await.expect(200);
    assert_eq!(result, json!({"status": "pending"}));
    server.clock.advance(std::time::Duration::from_secs(61));
    let result = server.send(request(None, &poll, None)).await.expect(200);
    assert_eq!(
        (&result["status"], &result["error"]["code"]),
        (&json!("error"), &json!("expired"))
    );
    server
        .send(request(None, "GET /v1/connect/result/nonsense", None))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_wrong_consent_names_its_field() {
    let server = Server::start().await;
    for (field, value) in [
        ("returnUrl", json!("https://evil.example/")),
        ("returnUrl", json!("javascript:alert(1)")),
        ("returnUrl", json!("//evil.example")),
        ("webhook", json!("http://example.com/")),
        ("webhook", json!("https://user@example.com/")),
        ("expiresInMs", json!(0)),
        ("expiresInMs", json!(86_400_001)),
        ("additionalParams", json!({"state": "x"})),
        ("additionalParams.prompt", json!({"prompt": "create"})),
        ("prompt", json!("create")),
        ("prompt", json!("none login")),
        ("prompt", json!(["login"])),
        ("deviceCode", json!("yes")),
    ] {
        let mut ask = json!({"subject": {"type": "user", "id": "u2"}});
        ask[field.split('.').next().unwrap()] = value;
        let refused = server
            .call(
                "tok_workload",
                "POST /v1/connect/authorize/scl_1",
                Some(&ask),
            )
            .await;
        let refused = refused.expect(400);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{field}: {message}");
    }
}

#[tokio::test]
async fn a_revocation_counts_and_takes_no_body_or_one() {
    let server = Server::start().await;
    let route = "DELETE /v1/connect/connectors/scl_1/tokens";
    let whose = json!({"subject": {"type": "user", "id": "u1"}});
    let revoked = server
        .call("tok_workload", route, Some(&whose))
        .await
        .expect(200);
    assert_eq!(
        revoked,
        json!({
            "tokensFound": 1, "deleted": 1, "providerRevoked": 0, "providerSkipped": 1,
            "providerFailed": 0,
        })
    );
    let token = server
        .call("tok_workload", "POST /v1/connect/token/scl_1", Some(&whose))
        .await;
    assert_eq!(
        token.expect(422)["error"]["code"],
        "user_authorization_required"
    );

    server.call("tok_workload", route, None).await.expect(403);
    assert_eq!(
        server.call("tok_admin", route, None).await.expect(200)["tokensFound"],
        0
    );
    assert_eq!(
        server
            .call("tok_admin", route, Some(&json!({})))
            .await
            .expect(200)["deleted"],
        0
    );
}

#[tokio::test]
async fn an_account_key_names_its_team_by_id_or_slug() {
    let server = Server::start().await;
    for (query, status) in [
        ("?teamId=team_1", 200),
        ("?slug=acme", 200),
        ("?teamId=team_1&slug=", 200),
        // There are two.
        ("", 400),
        ("?teamId=team_none", 404),
        ("?teamId=team_1&slug=acme", 400),
    ] {
        let route = format!("GET /v1/connect/connectors/scl_1{query}");
        server
            .call("tok_account", &route, None)
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn our_issuer_can_be_discovered_and_its_tokens_are_taken() {
    let server = Server::start().await;
    let discovery = server
        .send(request(None, "GET /.well-known/openid-configuration", None))
        .await;
    let discovery = discovery.expect(200);
    assert_eq!(discovery["issuer"], "https://connect.example");
    assert_eq!(
        discovery["jwks_uri"],
        "https://connect.example/.well-known/jwks"
    );

    // As @vercel/oidc sends it: a POST without a body or a content type.
    let mint = "POST /v1/projects/web/token?source=vercel-oidc-refresh&teamId=team_1";
    let minted = server
        .send(request(Some("tok_admin"), mint, None))
        .await
        .expect(200);
    let token = minted["token"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3);
    let keys = server
        .send(request(None, "GET /.well-known/jwks", None))
        .await;
    assert_eq!(keys.headers["cache-control"], "public, max-age=300");
    let keys = keys.expect(200);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert!(
        keys["keys"][0].get("d").is_none(),
        "a private key was published"
    );

    // The token is of the environment development, which is not linked.
    let refused = server
        .call(token, "GET /v1/connect/connectors/scl_1", None)
        .await
        .expect(403);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("environment")
    );
    server
        .clock
        .advance(std::time::Duration::from_secs(12 * 3600));
    server
        .call(token, "GET /v1/connect/connectors/scl_1", None)
        .await
        .expect(401);
}

#[tokio::test]
async fn the_scheme_of_the_credential_is_read_without_case_and_given_once() {
    let server = Server::start().await;
    let ask = |values: &[&str]| {
        let mut asked = Request::get("/v1/connect/connectors/scl_1");
        for value in values {
            asked = asked.header("authorization", *value);
        }
        server.send(asked.body(Body::empty()).unwrap())
    };
    ask(&["bearer tok_admin"]).await.expect(200);
    ask(&["BEARER  tok_admin "]).await.expect(200);
    ask(&["Basic tok_admin"]).await.expect(401);
    ask(&["tok_admin"]).await.expect(401);
    ask(&["Bearer tok_admin", "Bearer tok_admin"])
        .await
        .expect(401);
}

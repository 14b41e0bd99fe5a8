//! The Vercel dialect on the wire.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::server::{Server, request};

fn connector() -> Value {
    json!({
        "type": "oauth", "name": "Acme CRM", "uid": "oauth/crm",
        "data": {
            "clientId": "cid", "clientSecret": "never-shown",
            "serverConfig": {
                "authorization_endpoint": "https://crm.example.com/authorize",
                "token_endpoint": "https://crm.example.com/token",
                "revocation_endpoint": "https://crm.example.com/revoke",
                "scopes_supported": ["read", "write"],
            },
            "userAuthorization": {"enabled": true, "scopes": ["read"]},
        },
    })
}

/// The names of the seed page's required response properties (seed 003, "201").
const REQUIRED: [&str; 16] = [
    "createdAt",
    "data",
    "id",
    "name",
    "ownerId",
    "public",
    "service",
    "supportedSubjectTypes",
    "supportsIcon",
    "supportsInstallation",
    "supportsRevocation",
    "supportsTriggers",
    "type",
    "typeName",
    "uid",
    "updatedAt",
];

#[tokio::test]
async fn a_connector_is_answered_with_everything_the_page_requires_and_no_secret() {
    let server = Server::start().await;
    let mut body = connector();
    body["projectId"] = json!("prj_1");
    body["environments"] = json!(["production", "env_qa", "production"]);
    body["backgroundColor"] = json!("#0a84ff");
    let answer = server
        .call("tok_admin", "POST /v1/connect/connectors", Some(&body))
        .await;
    let made = answer.expect(201);
    for name in REQUIRED {
        assert!(!made[name].is_null(), "{name} is missing: {made}");
    }
    assert!(made["id"].as_str().unwrap().starts_with("scl_"));
    // 2026-01-01T00:00:00Z, in milliseconds.
    assert_eq!(made["createdAt"], 1_767_225_600_000_i64);
    assert_eq!(
        made["createdBy"],
        json!({"type": "user", "id": "usr_alice"})
    );
    assert_eq!(made["service"], "crm.example.com");
    assert_eq!(made["supportedSubjectTypes"], json!(["user"]));
    assert_eq!(
        made["userTokens"],
        json!({"crossInstallation": false, "supportsRefinement": true, "scopes": ["read", "write"]})
    );
    assert_eq!(made["supportsRevocation"], true);
    assert_eq!(made["supportsIcon"], false);
    assert_eq!(made["redirectUri"], "https://connect.example/callback");
    assert_eq!(made["backgroundColor"], "#0a84ff");
    assert!(made.get("triggers").is_none());
    assert!(!answer.text.contains("never-shown"));

    let id = made["id"].as_str().unwrap();
    let link = format!("GET /v1/connect/connectors/{id}/projects/web");
    let link = server.call("tok_admin", &link, None).await.expect(200);
    assert_eq!(link["enabledEnvironments"], json!(["production", "env_qa"]));
    assert_eq!(link["environments"], link["enabledEnvironments"]);
    assert_eq!(
        (&link["clientId"], &link["connectorId"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(
        link["project"],
        json!({"id": "prj_1", "name": "web", "customEnvironments": [{"id": "env_qa", "slug": "qa"}]})
    );
}

#[tokio::test]
async fn the_sdk_gets_supports_icon_as_text() {
    let server = Server::start().await;
    for (agent, expected) in [
        (
            "speakeasy-sdk/typescript 1.28.35 2.0 1.0 @vercel/sdk",
            json!("false"),
        ),
        ("curl/8", json!(false)),
    ] {
        let mut asked = request(Some("tok_admin"), "GET /v1/connect/connectors/scl_1", None);
        asked
            .headers_mut()
            .insert("user-agent", agent.parse().unwrap());
        assert_eq!(
            server.send(asked).await.expect(200)["supportsIcon"],
            expected,
            "{agent}"
        );
    }
}

#[tokio::test]
async fn a_uid_with_a_slash_is_one_segment() {
    let server = Server::start().await;
    let get = |path: &'static str| server.call("tok_admin", path, None);
    let found = get("GET /v1/connect/connectors/oauth%2Facme")
        .await
        .expect(200);
    assert_eq!(found["id"], "scl_1");
    get("GET /v1/connect/connectors/oauth%2Facme/projects/prj_1")
        .await
        .expect(200);
    get("GET /v1/connect/connectors/oauth/acme")
        .await
        .expect(404);
}

#[tokio::test]
async fn triggers_are_spelled_in_two_ways() {
    let server = Server::start().await;
    for (n, (sent, shown)) in [
        (json!(true), json!({"enabled": true})),
        (json!({"enabled": true}), json!({"enabled": true})),
        (json!(false), Value::Null),
        (json!({"enabled": false}), Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = connector();
        body["uid"] = json!(format!("oauth/t{n}"));
        body["triggers"] = sent;
        let made = server
            .call("tok_admin", "POST /v1/connect/connectors", Some(&body))
            .await;
        assert_eq!(made.expect(201)["triggers"], shown);
    }
}

#[tokio::test]
async fn a_wrong_connector_names_its_fields_and_is_not_made() {
    let server = Server::start().await;
    let change = |path: &str, value: Value| {
        let mut body = connector();
        match body.pointer_mut(path) {
            Some(place) => *place = value,
            None => body[&path[1..]] = value,
        }
        body
    };
    for (path, value, named) in [
        ("/type", json!("pigeon"), "type: \"pigeon\""),
        ("/type", json!(7), "type"),
        ("/type", Value::Null, "type"),
        ("/data", json!([]), "data"),
        ("/data/clientId", json!({}), "data.clientId"),
        ("/data/clientId", Value::Null, "data.clientId"),
        (
            "/data/serverConfig/token_endpoint",
            json!("x"),
            "token_endpoint",
        ),
        ("/name", json!("n".repeat(100_000)), "name"),
        ("/name", json!("a\u{7}b"), "name"),
        ("/uid", json!("oauth/a#b"), "uid"),
        ("/uid", json!("scl_mine"), "uid"),
        ("/backgroundColor", json!("red"), "backgroundColor"),
        ("/environments", json!("production"), "environments"),
        ("/icon", json!("https://example.com/i.png"), "icon"),
        ("/connectionMethod", json!("oauth"), "connectionMethod"),
        (
            "/triggerDestination",
            json!({"path": "/x"}),
            "triggerDestination.projectId",
        ),
    ] {
        let body = change(path, value);
        let answer = server
            .call("tok_admin", "POST /v1/connect/connectors", Some(&body))
            .await;
        let error = answer.expect(400);
        assert_eq!(error["error"]["code"], "bad_request");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(named), "{path}: {message}");
    }
    let all = server
        .call("tok_admin", "GET /v1/connect/connectors", None)
        .await
        .expect(200);
    assert_eq!(all["clients"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_uid_in_use_is_a_conflict_and_free_again_once_deleted() {
    let server = Server::start().await;
    let create = || async {
        server
            .call(
                "tok_admin",
                "POST /v1/connect/connectors",
                Some(&connector()),
            )
            .await
    };
    let first = create().await.expect(201);
    assert_eq!(create().await.expect(409)["error"]["code"], "conflict");
    let deleted = server
        .call(
            "tok_admin",
            "DELETE /v1/connect/connectors/oauth%2Fcrm",
            None,
        )
        .await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    let old = format!(
        "GET /v1/connect/connectors/{}",
        first["id"].as_str().unwrap()
    );
    assert_eq!(
        server.call("tok_admin", &old, None).await.expect(410)["error"]["code"],
        "gone"
    );
    server.call("tok_stranger", &old, None).await.expect(404);
    assert_ne!(create().await.expect(201)["id"], first["id"]);
}

#[tokio::test]
async fn lists_go_on_where_the_page_before_ended() {
    let server = Server::start().await;
    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = format!("GET /v2/connect/connectors?{query}");
        let page = server.call("tok_member", &page, None).await.expect(200);
        let ids = page["connectors"].as_array().unwrap().iter();
        seen.extend(ids.map(|one| one["id"].as_str().unwrap().to_owned()));
        match page["pagination"]["next"].as_str() {
            Some(next) => query = format!("limit=2&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["scl_1", "scl_preview", "scl_unlinked"]);
}

#[tokio::test]
async fn lists_are_narrowed_by_their_query() {
    let server = Server::start().await;
    for (query, found) in [
        ("projectId=prj_1", 2),
        ("type=oauth,slack", 3),
        ("type=slack", 0),
        ("type=api-key", 0),
        ("service=provider.example,x", 3),
        ("service=x", 0),
        ("search=PREV", 1),
        ("sort=createdAt&limit=&x=1", 3),
    ] {
        let query = query.replace("limit=&", "limit=100&");
        let list = format!("GET /v1/connect/connectors?{query}");
        let list = server.call("tok_admin", &list, None).await.expect(200);
        assert_eq!(list["clients"].as_array().unwrap().len(), found, "{query}");
    }
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=!",
        "sort=name",
        "teamId=team_1&slug=acme",
    ] {
        let list = format!("GET /v2/connect/connectors?{bad}");
        server.call("tok_admin", &list, None).await.expect(400);
    }
}

#[tokio::test]
async fn a_link_is_made_replaced_and_removed() {
    let server = Server::start().await;
    let path = "/v1/connect/connectors/oauth%2Funlinked/projects/prj_1";
    let get = format!("GET {path}");
    server.call("tok_admin", &get, None).await.expect(404);
    for environments in [json!(["production", "preview"]), json!(["development"])] {
        let body = json!({"environments": environments});
        let put = server
            .call("tok_admin", &format!("POST {path}"), Some(&body))
            .await
            .expect(200);
        assert_eq!(put["environments"], environments);
        assert_eq!(server.call("tok_admin", &get, None).await.expect(200), put);
    }
    for bad in [
        json!({}),
        json!({"environments": []}),
        json!({"environments": ["moon"]}),
    ] {
        let refused = server
            .call("tok_admin", &format!("POST {path}"), Some(&bad))
            .await
            .expect(400);
        assert!(
            refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains("environments")
        );
    }
    server
        .call("tok_admin", &format!("DELETE {path}"), None)
        .await
        .expect(204);
    server.call("tok_admin", &get, None).await.expect(404);
    server
        .call("tok_admin", &format!("DELETE {path}"), None)
        .await
        .expect(404);
}

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
            400,
            "bad_request",
            "subject.type",
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
        ("webhook", json!("https://example.com/")),
        ("expiresInMs", json!(0)),
        ("expiresInMs", json!(86_400_001)),
        ("additionalParams", json!({"state": "x"})),
        ("deviceCode", json!("yes")),
    ] {
        let mut ask = json!({"subject": {"type": "user", "id": "u2"}});
        ask[field] = value;
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
        ("", 401),
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
        .await
        .expect(200);
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

//! Connectors and links in the Vercel dialect.

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
        json!({
            "crossInstallation": false, "supportsRefinement": true, "supportsResources": true,
            "scopes": ["read"],
        })
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
        "sort=size",
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
async fn telephone_numbers_are_told_as_the_lines_that_clients_read() {
    let server = Server::start().await;
    let body = json!({
        "type": "sendblue", "name": "Texts",
        "data": {"apiKeyId": "i", "apiSecretKey": "never-shown", "phoneNumbers": ["+14155550100"]},
    });
    let made = server
        .call("tok_admin", "POST /v1/connect/connectors", Some(&body))
        .await;
    let lines = &made.expect(201)["data"]["lines"];
    assert_eq!(*lines, json!([{"phone_number": "+14155550100"}]));
}

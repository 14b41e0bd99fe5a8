//! The native API on the wire.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::server::{Server, request};

const START: &str = "2026-01-01T00:00:00Z";

#[tokio::test]
async fn health_needs_no_key_and_readiness_asks_the_store() {
    let server = Server::start().await;
    for route in ["GET /healthz", "GET /readyz"] {
        let answer = server.send(request(None, route, None)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_connector_goes_from_creation_through_links_to_its_end() {
    let server = Server::start().await;
    let body = json!({
        "type": "api-key", "name": "Maps", "uid": "maps", "metadata": {"plan": "gold"},
        "data": {"values": [{"value": "never-shown"}]},
        "project": "web", "environments": ["production"],
    });
    let made = server
        .call("tok_admin", "POST /api/v1/connectors", Some(&body))
        .await;
    assert!(!made.text.contains("never-shown"));
    let made = made.expect(201);
    assert_eq!(
        (&made["uid"], &made["type"]),
        (&json!("maps"), &json!("api-key"))
    );
    assert_eq!(
        (&made["has_secrets"], &made["metadata"]),
        (&json!(true), &json!({"plan": "gold"}))
    );
    assert_eq!(made["created_at"], START);
    assert_eq!(
        made["created_by"],
        json!({"type": "user", "id": "usr_alice"})
    );
    assert_eq!(made["links"][0]["project"], "prj_1");
    let seen = server
        .call("tok_member", "GET /api/v1/connectors/maps", None)
        .await
        .expect(200);
    assert_eq!(seen, made);

    let link = "/api/v1/connectors/maps/projects/web";
    let body = json!({"environments": ["preview"]});
    server
        .call("tok_admin", &format!("PUT {link}"), Some(&body))
        .await
        .expect(200);
    let seen = server
        .call("tok_admin", &format!("GET {link}"), None)
        .await
        .expect(200);
    assert_eq!(seen["environments"], json!(["preview"]));
    server
        .call("tok_admin", &format!("DELETE {link}"), None)
        .await
        .expect(204);
    server
        .call("tok_admin", &format!("GET {link}"), None)
        .await
        .expect(404);

    let token = json!({"connector": "maps"});
    let token = server
        .call("tok_admin", "POST /api/v1/tokens", Some(&token))
        .await
        .expect(200);
    assert_eq!(
        (&token["token"], &token["connection"]),
        (&json!("never-shown"), &Value::Null)
    );

    server
        .call("tok_admin", "DELETE /api/v1/connectors/maps", None)
        .await
        .expect(204);
    let id = format!("GET /api/v1/connectors/{}", made["id"].as_str().unwrap());
    // Elsewhere than in Vercel's dialect what is deleted is not found.
    assert_eq!(
        server.call("tok_admin", &id, None).await.expect(404)["code"],
        "not_found"
    );
}

#[tokio::test]
async fn wrong_fields_are_listed_one_by_one_in_snake_case() {
    let server = Server::start().await;
    let body = json!({
        "type": "oauth", "background_color": "red", "accent_color": "blue", "name": "n",
        "data": {"clientId": 7},
    });
    let refused = server
        .call("tok_admin", "POST /api/v1/connectors", Some(&body))
        .await
        .expect(400);
    assert_eq!(
        (&refused["code"], &refused["title"]),
        (&json!("invalid"), &json!("Bad Request"))
    );
    let fields: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["data.clientId", "background_color", "accent_color"]
    );

    let ask = json!({
        "connector": "scl_1", "subject": {"type": "user", "id": "usr_alice"},
        "return_url": "https://evil.example/", "prompt": "create", "additional_params": {"prompt": "x"},
    });
    let refused = server
        .call("tok_admin", "POST /api/v1/authorizations", Some(&ask))
        .await
        .expect(400);
    let fields: Vec<&Value> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["field"])
        .collect();
    assert_eq!(fields, ["additional_params.prompt", "prompt", "return_url"]);
}

#[tokio::test]
async fn a_token_is_read_and_what_is_missing_is_said() {
    let server = Server::start().await;
    let ask = json!({"connector": "oauth/acme", "subject": {"type": "user", "id": "u1"}});
    let token = server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    assert_eq!(
        (&token["token"], &token["connection"]),
        (&json!("at_1"), &json!("conn_1"))
    );
    assert_eq!(token["expires_at"], "2026-01-01T01:00:00Z");

    let ask = json!({"connector": "oauth/acme", "subject": {"type": "user", "id": "u2"}});
    let refused = server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(422);
    assert_eq!(
        (&refused["code"], &refused["reason"]),
        (&json!("authorization_required"), &json!("never_connected"))
    );
    // By its own id, as connections of other dialects are named.
    let ask = json!({"connector": "scl_1", "subject": {"type": "connection", "id": "conn_1"}});
    let token = server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    assert_eq!(token["token"], "at_1");
}

#[tokio::test]
async fn a_consent_is_asked_for_and_polled() {
    let server = Server::start().await;
    let ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u2"}, "expires_in_ms": 60_000});
    let asked = server
        .call("tok_workload", "POST /api/v1/authorizations", Some(&ask))
        .await
        .expect(201);
    assert_eq!(asked["expires_at"], "2026-01-01T00:01:00Z");
    assert_eq!(asked["connector"]["uid"], "oauth/acme");
    let poll = format!(
        "GET /api/v1/authorizations/{}",
        asked["verifier"].as_str().unwrap()
    );
    let polled = server.send(request(None, &poll, None)).await.expect(200);
    assert_eq!(polled, json!({"status": "pending", "connector": "scl_1"}));
}

#[tokio::test]
async fn connections_are_imported_listed_read_and_ended() {
    let server = Server::start().await;
    let body = json!({
        "connector": "scl_1", "subject": {"type": "user", "id": "usr_bob"}, "access_token": "at_2",
        "refresh_token": "rt_2", "expires_in": 60, "name": "Bob", "environment": "preview",
    });
    let made = server
        .call("tok_admin", "POST /api/v1/connections", Some(&body))
        .await;
    assert!(!made.text.contains("at_2") && !made.text.contains("rt_2"));
    let made = made.expect(201);
    assert_eq!(
        (&made["state"], &made["environment"]),
        (&json!("active"), &json!("preview"))
    );
    // One that stands keeps its tokens.
    let again = server
        .call("tok_admin", "POST /api/v1/connections", Some(&body))
        .await
        .expect(200);
    assert_eq!(again["id"], made["id"]);

    let list = |key: &'static str, query: &'static str| {
        let server = &server;
        async move {
            let route = format!("GET /api/v1/connections{query}");
            let page = server.call(key, &route, None).await.expect(200);
            page["data"].as_array().unwrap().len()
        }
    };
    assert_eq!(list("tok_admin", "").await, 2);
    assert_eq!(list("tok_admin", "?user=u1").await, 1);
    assert_eq!(list("tok_admin", "?connector=scl_unlinked").await, 0);
    assert_eq!(list("tok_member", "").await, 1, "a member sees their own");

    let own = format!("/api/v1/connections/{}", made["id"].as_str().unwrap());
    server
        .call("tok_member", &format!("GET {own}"), None)
        .await
        .expect(200);
    server
        .call("tok_member", "GET /api/v1/connections/conn_1", None)
        .await
        .expect(404);
    server
        .call("tok_member", "DELETE /api/v1/connections/conn_1", None)
        .await
        .expect(404);
    let ended = server
        .call("tok_member", &format!("DELETE {own}"), None)
        .await
        .expect(200);
    assert_eq!(ended["deleted"], 1);
    assert_eq!(list("tok_admin", "").await, 1);
    assert_eq!(list("tok_admin", "?include_revoked=true").await, 2);
}

#[tokio::test]
async fn keys_are_made_shown_once_and_revoked() {
    let server = Server::start().await;
    let body = json!({"name": "ci", "project": "web", "environment": "env_qa", "expires_at": "2026-01-02T00:00:00Z"});
    let made = server
        .call("tok_admin", "POST /api/v1/keys", Some(&body))
        .await
        .expect(201);
    let text = made["key"].as_str().unwrap();
    assert!(text.starts_with("grk_"));
    assert_eq!(
        (&made["project"], &made["environment"]),
        (&json!("prj_1"), &json!("env_qa"))
    );
    assert_eq!(made["expires_at"], "2026-01-02T00:00:00Z");
    // It works: known, and only not shown the connector because its environment is not linked.
    server
        .call(text, "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(404);
    let list = server
        .call("tok_admin", "GET /api/v1/keys?limit=100", None)
        .await;
    assert!(!list.text.contains(text), "a key was shown again");

    let revoke = format!("DELETE /api/v1/keys/{}", made["id"].as_str().unwrap());
    server.call("tok_admin", &revoke, None).await.expect(204);
    server
        .call(text, "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(401);
    server.call("tok_admin", &revoke, None).await.expect(404);

    for (body, field) in [
        (json!({"role": "emperor"}), "role"),
        (json!({"role": "owner"}), "role"),
        (json!({"role": "member", "project": "web"}), "role"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"environment": "production"}), "environment"),
        (
            json!({"project": "web", "environment": "moon"}),
            "environment",
        ),
    ] {
        let refused = server
            .call("tok_admin", "POST /api/v1/keys", Some(&body))
            .await
            .expect(400);
        assert_eq!(refused["errors"][0]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn the_log_is_read_and_narrowed() {
    let server = Server::start().await;
    let ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u1"}});
    server
        .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
        .await
        .expect(200);
    let log = server
        .call(
            "tok_admin",
            "GET /api/v1/events?kind=token.read&connector=scl_1",
            None,
        )
        .await;
    let log = log.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log}");
    let event = &log["data"][0];
    assert_eq!(
        (&event["kind"], &event["connection"]),
        (&json!("token.read"), &json!("conn_1"))
    );
    assert_eq!(
        event["actor"],
        json!({"type": "project", "id": "prj_1", "environment": "production"})
    );
    server
        .call("tok_admin", "GET /api/v1/events?kind=nonsense", None)
        .await
        .expect(400);
}

#[tokio::test]
async fn lists_go_on_where_the_page_before_ended() {
    let server = Server::start().await;
    for list in ["connectors", "events"] {
        let first = format!("GET /api/v1/{list}?limit=1");
        let first = server.call("tok_admin", &first, None).await.expect(200);
        let next = format!(
            "GET /api/v1/{list}?limit=1&cursor={}",
            first["next_cursor"].as_str().unwrap()
        );
        let next = server.call("tok_admin", &next, None).await.expect(200);
        assert_ne!(next["data"][0]["id"], first["data"][0]["id"], "{list}");
    }
    let projects = server
        .call("tok_member", "GET /api/v1/projects", None)
        .await
        .expect(200);
    assert_eq!(
        (&projects["data"][0]["id"], &projects["next_cursor"]),
        (&json!("prj_1"), &Value::Null)
    );
}

#[tokio::test]
async fn the_operator_at_the_control_socket_names_a_team_or_a_project() {
    let server = Server::start().await;
    let body = json!({"project": "prj_1", "environment": "production", "ttl_ms": 60_000});
    let route = "POST /api/v1/workload-tokens";
    let minted = server
        .local(&format!("{route}?project=prj_1"), Some(&body))
        .await
        .expect(201);
    assert_eq!(minted["expires_at"], "2026-01-01T00:01:00Z");
    let token = minted["token"].as_str().unwrap();
    server
        .call(token, "GET /api/v1/connectors/scl_1", None)
        .await
        .expect(200);
    server
        .local(&format!("{route}?team=acme"), Some(&body))
        .await
        .expect(201);
    let refused = server.local(route, Some(&body)).await.expect(400);
    assert_eq!(refused["errors"][0]["field"], "team");
    server
        .local(&format!("{route}?project=prj_none"), Some(&body))
        .await
        .expect(400);
    // The socket's authority is not the listener's.
    server
        .send(request(None, "GET /api/v1/connectors?team=team_1", None))
        .await
        .expect(401);
    server
        .local("GET /api/v1/connectors?team=team_1", None)
        .await
        .expect(200);
}

fn apply(key: Option<&str>, query: &str, text: &str) -> Request<Body> {
    let mut asked = request(key, &format!("POST /api/v1/apply{query}"), None);
    asked
        .headers_mut()
        .insert("content-type", "application/toml".parse().unwrap());
    *asked.body_mut() = Body::from(text.to_owned());
    asked
}

#[tokio::test]
async fn a_server_key_applies_a_file_and_nobody_else_does() {
    let server = Server::start().await;
    let key = server.engine.first_server_key().await.unwrap().unwrap();
    let key = Some(key.expose());
    let file =
        "[[teams]]\nid = \"team_3\"\naccount = \"acc_1\"\nslug = \"third\"\nname = \"Third\"\n";

    let dry = server
        .send(apply(key, "?dry_run=true", file))
        .await
        .expect(200);
    assert_eq!(
        (&dry["dry_run"], &dry["rows"][0]["change"]),
        (&json!(true), &json!("created"))
    );
    let done = server.send(apply(key, "", file)).await.expect(200);
    assert_eq!(
        done["rows"],
        json!([{"table": "teams", "row": 1, "id": "team_3", "name": "third", "change": "created"}])
    );
    let again = server.send(apply(key, "", file)).await.expect(200);
    assert_eq!(again["rows"][0]["change"], "unchanged");

    // A word that is overlooked would write.
    let typo = server.send(apply(key, "?dryrun=true", file)).await;
    assert_eq!(typo.expect(400)["errors"][0]["field"], "dryrun");

    let refused = server
        .send(apply(key, "?file=acme.toml", "[[teams]]\nslug = 7\n"))
        .await
        .expect(400);
    assert!(
        refused["detail"].as_str().unwrap().contains("acme.toml"),
        "{refused}"
    );
    server
        .send(apply(Some("tok_admin"), "", file))
        .await
        .expect(403);
    server.send(apply(None, "", file)).await.expect(401);
}

#[tokio::test]
async fn an_apply_tells_how_far_it_is_to_who_asks_for_lines() {
    let server = Server::start().await;
    let key = server.engine.first_server_key().await.unwrap().unwrap();
    let in_lines = |query: &str, text: &str| {
        let mut asked = apply(Some(key.expose()), query, text);
        let lines = "application/x-ndjson".parse().unwrap();
        asked.headers_mut().insert("accept", lines);
        asked
    };
    let rows = |count: u32| -> String {
        let row = |number| format!("[[accounts]]\nid = \"acc_n{number}\"\nname = \"N\"\n");
        (0..count).map(row).collect()
    };
    let answer = server.send(in_lines("", &rows(200))).await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, progress) = lines.split_last().unwrap();
    assert_eq!(last["report"]["summary"]["created"], 200);
    let (rows_told, progress) = progress.split_last().unwrap();
    assert_eq!(rows_told["rows"].as_array().unwrap().len(), 200);
    assert_eq!(rows_told["rows"][7]["change"], "created");
    assert_eq!(progress.len(), 100);
    assert_eq!(progress[0], json!({"done": 2, "total": 200}));
    assert_eq!(progress[99], json!({"done": 200, "total": 200}));

    // An empty file has nothing to tell of, and what is wrong is refused before the first line.
    let nothing = server.send(in_lines("", "")).await.expect(200);
    assert_eq!(nothing["report"]["summary"]["created"], 0);
    let wrong = in_lines("", "[[teams]]\nslug = 7\n");
    let refused = server.send(wrong).await.expect(400);
    assert_eq!(refused["code"], "invalid");
    // More rows than one line holds.
    let dry = server.send(in_lines("?dry_run=true", &rows(1200))).await;
    let lines: Vec<Value> = dry
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |at: usize| lines[at]["rows"].as_array().unwrap().len();
    assert_eq!((told(0), told(1), lines.len()), (1000, 200, 3));
    assert_eq!(lines[2]["report"]["dry_run"], true);
    assert_eq!(lines[2]["report"]["summary"]["unchanged"], 200);
}

#[tokio::test]
async fn an_apply_under_an_idempotency_key_is_answered_whole_and_a_failure_frees_the_key() {
    let server = Server::start().await;
    let key = server.engine.first_server_key().await.unwrap().unwrap();
    let keyed = |text: &str| {
        let mut asked = apply(Some(key.expose()), "", text);
        let headers = asked.headers_mut();
        headers.insert("accept", "application/x-ndjson".parse().unwrap());
        headers.insert("idempotency-key", "k1".parse().unwrap());
        asked
    };
    let file = "[[accounts]]\nid = \"acc_k\"\nname = \"K\"\n";
    let first = server.send(keyed(file)).await;
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.expect(200)["summary"]["created"], 1);
    let again = server.send(keyed(file)).await;
    assert_eq!(again.text, first.text);
}

#[tokio::test]
async fn an_id_that_another_grant_has_or_had_is_a_conflict_and_no_import() {
    let server = Server::start().await;
    let import = async |user: &str, status| {
        let body = json!({
            "id": "conn_1", "connector": "scl_1", "subject": {"type": "user", "id": user},
            "environment": "production", "access_token": "at_new",
        });
        let route = "POST /api/v1/connections";
        server
            .call("tok_admin", route, Some(&body))
            .await
            .expect(status)
    };
    let subject = async || {
        let route = "GET /api/v1/connections/conn_1";
        server.call("tok_admin", route, None).await.expect(200)["subject"]["id"].clone()
    };
    import("u1", 200).await;
    assert_eq!(import("u2", 409).await["code"], "conflict");
    server
        .call("tok_admin", "DELETE /api/v1/connections/conn_1", None)
        .await
        .expect(200);
    import("u2", 409).await;
    assert_eq!(subject().await, "u1");
    import("u1", 201).await;

    let key = server.engine.first_server_key().await.unwrap().unwrap();
    let file = "[[connections]]\nteam = 'team_1'\nconnector = 'scl_1'\nid = 'conn_1'\nenvironment = 'production'\n\
                subject = { type = 'user', id = 'u2' }\naccess_token = 'at_2'";
    let refused = server
        .send(apply(Some(key.expose()), "", file))
        .await
        .expect(400);
    let field = refused["errors"][0]["field"].as_str().unwrap();
    assert!(field.ends_with("id"), "{refused}");
    assert_eq!(subject().await, "u1");
}

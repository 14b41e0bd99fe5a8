//! Connectors, links, secrets, installations, authorizations and connections of the native API: what is
//! changed, listed and ended, and what a stranger sees of it.

use serde_json::{Value, json};

use super::server::Server;

async fn ids(server: &Server, path: &str) -> Vec<String> {
    let page = server
        .call("tok_admin", &format!("GET /api/v1/{path}"), None)
        .await
        .expect(200);
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn refused(server: &Server, route: &str, body: &Value, field: &str) {
    let answer = server.call("tok_admin", route, Some(body)).await;
    let answer = answer.expect(400);
    assert_eq!(answer["errors"][0]["field"], field, "{route} {body}");
}

/// What another team's admin asks for is not there, whatever is sent.
async fn hidden(server: &Server, routes: &[(&str, Option<Value>)]) {
    for (route, body) in routes {
        let answer = server.call("tok_stranger", route, body.as_ref()).await;
        assert_eq!(answer.status, 404, "{route}: {}", answer.text);
    }
}

const PATCH: &str = "PATCH /api/v1/connectors/oauth%2Facme";

#[tokio::test]
async fn a_connector_is_changed_field_by_field_and_its_secret_rotated() {
    let server = Server::start().await;
    let body = json!({
        "name": "Renamed", "metadata": {"a": 1}, "triggers": true, "events": ["push"],
        "trigger_destinations": [{"project": "prj_1", "path": "/hook"}],
        "accent_color": "#0a84ff", "data": {"clientSecret": "rotated-secret", "clientName": "N"},
        "redirect_uri": "https://connect.example/callback/team_1",
    });
    let changed = server.call("tok_admin", PATCH, Some(&body)).await;
    assert!(!changed.text.contains("rotated-secret"));
    let changed = changed.expect(200);
    assert_eq!(changed["name"], "Renamed");
    assert_eq!(changed["data"]["clientName"], "N");
    assert_eq!(
        changed["data"]["clientId"], "cid",
        "what is not named stays"
    );
    assert_eq!(changed["redirect_uri"], body["redirect_uri"]);
    assert_eq!(changed["trigger_destinations"][0]["project"], "prj_1");
    assert_eq!(changed["has_secrets"], true);
    assert_eq!(
        changed["updated_by"],
        json!({"type": "user", "id": "usr_alice"})
    );
    let log = "GET /api/v1/events?kind=connector.updated";
    let log = server.call("tok_admin", log, None).await.expect(200);
    let fields = log["data"][0]["data"]["changed"].as_array().unwrap();
    for field in [
        "name",
        "data.clientSecret",
        "redirect_uri",
        "trigger_destinations",
    ] {
        assert!(fields.contains(&json!(field)), "{field} in {fields:?}");
    }

    let same = json!({"name": "Renamed", "accent_color": "#0a84ff"});
    let again = server
        .call("tok_admin", PATCH, Some(&same))
        .await
        .expect(200);
    assert_eq!(again, changed, "no difference, no change");
    let cleared = json!({"accent_color": null, "data": {"clientSecret": "", "clientName": null}});
    let cleared = server
        .call("tok_admin", PATCH, Some(&cleared))
        .await
        .expect(200);
    assert_eq!(cleared["accent_color"], Value::Null);
    assert_eq!(cleared["has_secrets"], false);
    assert!(cleared["data"].get("clientName").is_none());

    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"uid": "scl_x"}), "uid"),
        (json!({"type": "api-key"}), "type"),
        (json!({"data": {"clientId": ""}}), "data.clientId"),
        (json!({"data": {"bogus": 1}}), "data.bogus"),
        (
            json!({"redirect_uri": "https://evil.example/"}),
            "redirect_uri",
        ),
        (json!({"accent_color": "red"}), "accent_color"),
        (
            json!({"trigger_destinations": [{"project": "prj_x"}]}),
            "trigger_destinations[0]",
        ),
        (
            json!({"trigger_destinations": [{"path": "/x"}]}),
            "trigger_destinations[0].project",
        ),
    ] {
        refused(&server, PATCH, &body, field).await;
    }
    let taken = json!({"uid": "oauth/unlinked"});
    server
        .call("tok_admin", PATCH, Some(&taken))
        .await
        .expect(409);
    server
        .call("tok_member", PATCH, Some(&same))
        .await
        .expect(403);
    hidden(&server, &[("PATCH /api/v1/connectors/scl_1", Some(same))]).await;
    let moved = json!({"uid": "oauth/moved"});
    server
        .call("tok_admin", PATCH, Some(&moved))
        .await
        .expect(200);
    server
        .call("tok_admin", PATCH, Some(&moved))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_stored_key_is_rotated_and_served_at_once() {
    let server = Server::start().await;
    let body = json!({"type": "api-key", "name": "Maps", "uid": "maps", "data": {"values": [{"value": "first-key"}]}});
    let made = server
        .call("tok_admin", "POST /api/v1/connectors", Some(&body))
        .await
        .expect(201);
    let id = made["data"]["values"][0]["id"].clone();
    let token = async || {
        let ask = json!({"connector": "maps"});
        let token = server
            .call("tok_admin", "POST /api/v1/tokens", Some(&ask))
            .await;
        token.expect(200)["token"].clone()
    };
    assert_eq!(token().await, "first-key");
    let rotate = json!({"data": {"toUpdate": [{"id": id, "value": "second-key"}]}});
    let route = "PATCH /api/v1/connectors/maps";
    let changed = server.call("tok_admin", route, Some(&rotate)).await;
    assert!(!changed.text.contains("second-key"));
    assert_eq!(changed.expect(200)["data"], made["data"]);
    assert_eq!(token().await, "second-key");
    let replace = json!({"data": {"values": [{"value": "third-key"}]}});
    server
        .call("tok_admin", route, Some(&replace))
        .await
        .expect(200);
    assert_eq!(token().await, "third-key");
    let none = json!({"data": {"values": []}});
    refused(&server, route, &none, "data.values").await;
}

#[tokio::test]
async fn connectors_are_filtered_and_sorted() {
    let server = Server::start().await;
    for (query, expected) in [
        ("sort=name", vec!["scl_1", "scl_preview", "scl_unlinked"]),
        (
            "sort=name&order=desc",
            vec!["scl_unlinked", "scl_preview", "scl_1"],
        ),
        ("service=provider.example,other&search=acme", vec!["scl_1"]),
        ("type=api-key", vec![]),
        ("created_since=2026-01-01T00:00:01Z", vec![]),
        (
            "created_until=2026-01-01T00:00:01Z&project=web&sort=name",
            vec!["scl_1", "scl_preview"],
        ),
    ] {
        assert_eq!(
            ids(&server, &format!("connectors?{query}")).await,
            expected,
            "{query}"
        );
    }
    let first = "GET /api/v1/connectors?sort=name&limit=2";
    let first = server.call("tok_admin", first, None).await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = ids(&server, &format!("connectors?sort=name&cursor={cursor}")).await;
    assert_eq!(rest, ["scl_unlinked"]);
    for query in ["sort=size", "created_since=soon", "order=up"] {
        let line = format!("GET /api/v1/connectors?{query}");
        server.call("tok_admin", &line, None).await.expect(400);
    }
}

#[tokio::test]
async fn links_are_listed_from_both_ends() {
    let server = Server::start().await;
    let list = async |path: &str, key: &str| {
        let line = format!("GET /api/v1/{path}");
        let page = server.call("tok_member", &line, None).await.expect(200);
        let rows = page["data"].as_array().unwrap().clone();
        let of = |row: &Value| row[key].as_str().unwrap().to_owned();
        (
            rows.iter().map(of).collect::<Vec<_>>(),
            page["next_cursor"].clone(),
        )
    };
    let (projects, end) = list("connectors/scl_1/projects", "project").await;
    assert_eq!((projects, end), (vec!["prj_1".to_owned()], Value::Null));
    let (first, next) = list("projects/web/connectors?limit=1", "connector").await;
    assert_eq!(first, ["scl_1"]);
    let next = format!("projects/web/connectors?cursor={}", next.as_str().unwrap());
    let (rest, end) = list(&next, "connector").await;
    assert_eq!((rest, end), (vec!["scl_preview".to_owned()], Value::Null));
    let none = list("connectors/scl_unlinked/projects", "project").await;
    assert_eq!(none, (vec![], Value::Null));
    hidden(
        &server,
        &[
            ("GET /api/v1/connectors/scl_1/projects", None),
            ("GET /api/v1/projects/prj_1/connectors", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_secret_is_set_renamed_rotated_and_never_shown() {
    let server = Server::start().await;
    let pem = "-----BEGIN KEY-----\nnever-shown\n-----END KEY-----\n";
    let body = json!({"name": "SIGNING_KEY", "value": pem});
    let made = server
        .call("tok_admin", "POST /api/v1/secrets", Some(&body))
        .await;
    assert!(!made.text.contains("never-shown"));
    let made = made.expect(201);
    server
        .call("tok_admin", "POST /api/v1/secrets", Some(&body))
        .await
        .expect(409);
    for path in ["SIGNING_KEY", made["id"].as_str().unwrap()] {
        let line = format!("GET /api/v1/secrets/{path}");
        let seen = server.call("tok_admin", &line, None).await;
        assert!(!seen.text.contains("never-shown"));
        assert_eq!(seen.expect(200), made);
    }
    server.clock.advance(std::time::Duration::from_secs(60));
    let own = format!("/api/v1/secrets/{}", made["id"].as_str().unwrap());
    let change = json!({"name": "KEY", "value": "other"});
    let changed = server
        .call("tok_admin", &format!("PATCH {own}"), Some(&change))
        .await
        .expect(200);
    assert_eq!(
        (&changed["name"], &changed["created_at"]),
        (&json!("KEY"), &made["created_at"])
    );
    assert_ne!(changed["updated_at"], made["updated_at"]);
    assert_eq!(
        ids(&server, "secrets").await,
        [made["id"].as_str().unwrap()]
    );

    for (body, field) in [
        (json!({"value": "v"}), "name"),
        (json!({"name": "n"}), "value"),
        (json!({"name": "n", "value": ""}), "value"),
        (json!({"name": "", "value": "v"}), "name"),
        (json!({"name": "n\u{7}", "value": "v"}), "name"),
        (json!({"name": "n", "value": "x".repeat(65_537)}), "value"),
    ] {
        refused(&server, "POST /api/v1/secrets", &body, field).await;
    }
    for route in [format!("GET {own}"), "GET /api/v1/secrets".to_owned()] {
        server.call("tok_member", &route, None).await.expect(403);
    }
    hidden(
        &server,
        &[
            (&format!("GET {own}"), None),
            (&format!("PATCH {own}"), Some(json!({"value": "stolen"}))),
            (&format!("DELETE {own}"), None),
        ],
    )
    .await;
    server
        .call("tok_admin", &format!("DELETE {own}"), None)
        .await
        .expect(204);
    server
        .call("tok_admin", &format!("DELETE {own}"), None)
        .await
        .expect(404);
    let log = "GET /api/v1/events?kind=secret.*";
    let log = server.call("tok_admin", log, None).await;
    assert!(!log.text.contains("SIGNING_KEY"), "events hold ids");
    assert_eq!(log.expect(200)["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_installation_is_used_by_default_suspended_and_removed_with_its_connections() {
    let server = Server::start().await;
    let route = "POST /api/v1/connectors/scl_1/installations";
    let body = json!({"external_id": "T1", "name": "Workspace One", "default": true});
    let one = server
        .call("tok_admin", route, Some(&body))
        .await
        .expect(201);
    assert_eq!(
        (&one["default"], &one["status"]),
        (&json!(true), &json!("active"))
    );
    server
        .call("tok_admin", route, Some(&body))
        .await
        .expect(409);
    let two = json!({"external_id": "T2"});
    let two = server
        .call("tok_admin", route, Some(&two))
        .await
        .expect(201);
    assert_eq!(two["default"], false);
    for (external_id, token) in [("T1", "at_t1"), ("T2", "at_t2")] {
        let import = json!({
            "connector": "scl_1", "subject": {"type": "user", "id": "u9"}, "installation": external_id,
            "access_token": token, "expires_in": 3600,
        });
        server
            .call("tok_admin", "POST /api/v1/connections", Some(&import))
            .await
            .expect(201);
    }
    let token = async |installation: Option<&str>| {
        let mut ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u9"}});
        if let Some(installation) = installation {
            ask["installation"] = json!(installation);
        }
        server
            .call("tok_workload", "POST /api/v1/tokens", Some(&ask))
            .await
    };
    assert_eq!(
        token(None).await.expect(200)["token"],
        "at_t1",
        "the default"
    );
    assert_eq!(token(Some("T2")).await.expect(200)["token"], "at_t2");
    let path = |row: &Value| format!("/api/v1/installations/{}", row["id"].as_str().unwrap());
    let other = json!({"default": true, "name": null});
    let now = server
        .call("tok_admin", &format!("PATCH {}", path(&two)), Some(&other))
        .await;
    assert_eq!(now.expect(200)["default"], true);
    assert_eq!(token(None).await.expect(200)["token"], "at_t2");
    let suspend = json!({"status": "suspended"});
    server
        .call(
            "tok_admin",
            &format!("PATCH {}", path(&two)),
            Some(&suspend),
        )
        .await
        .expect(200);
    assert_eq!(token(None).await.expect(422)["code"], "unresolvable");
    assert_eq!(token(Some("T1")).await.expect(200)["token"], "at_t1");

    let list = "connectors/scl_1/installations?order=asc";
    assert_eq!(ids(&server, list).await.len(), 2);
    refused(&server, route, &json!({"external_id": "*"}), "external_id").await;
    refused(&server, route, &json!({"external_id": ""}), "external_id").await;
    server
        .call("tok_member", route, Some(&body))
        .await
        .expect(403);
    server
        .call("tok_member", &format!("GET {}", path(&one)), None)
        .await
        .expect(200);
    hidden(
        &server,
        &[
            ("GET /api/v1/connectors/scl_1/installations", None),
            (route, Some(body)),
            (&format!("GET {}", path(&one)), None),
            (&format!("PATCH {}", path(&one)), Some(suspend)),
            (&format!("DELETE {}", path(&one)), None),
        ],
    )
    .await;
    let ended = server
        .call("tok_admin", &format!("DELETE {}", path(&two)), None)
        .await
        .expect(200);
    assert_eq!(ended["deleted"], 1);
    let gone = token(Some("T2")).await.expect(422);
    assert_eq!(gone["code"], "authorization_required");
}

async fn consent(server: &Server, key: &str, user: &str) -> Value {
    let ask = json!({"connector": "scl_1", "subject": {"type": "user", "id": user}});
    server
        .call(key, "POST /api/v1/authorizations", Some(&ask))
        .await
        .expect(201)
}

#[tokio::test]
async fn requests_for_consent_are_listed_read_and_taken_back() {
    let server = Server::start().await;
    let one = consent(&server, "tok_workload", "u1").await;
    server.clock.advance(std::time::Duration::from_secs(1));
    let two = consent(&server, "tok_workload", "usr_bob").await;
    let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
    let details = |row: &Value| format!("GET /api/v1/authorizations/{}/details", id(row));
    assert_eq!(
        ids(&server, "authorizations?order=asc").await,
        [id(&one), id(&two)]
    );
    assert_eq!(ids(&server, "authorizations?user=u1").await, [id(&one)]);
    assert!(
        ids(&server, "authorizations?connector=scl_preview")
            .await
            .is_empty()
    );
    assert_eq!(
        ids(&server, &format!("authorizations?id={}", id(&one))).await,
        [id(&one)]
    );
    let seen = server
        .call("tok_admin", &details(&one), None)
        .await
        .expect(200);
    assert_eq!(
        (&seen["status"], &seen["confirm"]),
        (&json!("pending"), &json!(false))
    );
    assert_eq!(
        seen["requested_by"],
        json!({"type": "project", "id": "prj_1", "environment": "production"})
    );
    // A member sees and takes back what is for them.
    server
        .call("tok_member", &details(&one), None)
        .await
        .expect(404);
    server
        .call("tok_member", &details(&two), None)
        .await
        .expect(200);
    let cancel = |row: &Value| format!("DELETE /api/v1/authorizations/{}", id(row));
    server
        .call("tok_member", &cancel(&one), None)
        .await
        .expect(404);
    server
        .call("tok_member", &cancel(&two), None)
        .await
        .expect(204);
    hidden(&server, &[(&details(&one), None), (&cancel(&one), None)]).await;
    let verifier = one["verifier"].as_str().unwrap();
    let confirm = format!("POST /api/v1/authorizations/{verifier}/confirm");
    hidden(&server, &[(&confirm, Some(json!({"code": "x"})))]).await;
    let early = server
        .call("tok_workload", &confirm, Some(&json!({"code": "x"})))
        .await;
    early.expect(409);
    server
        .call("tok_workload", &confirm, Some(&json!({})))
        .await
        .expect(400);

    server
        .call("tok_workload", &cancel(&one), None)
        .await
        .expect(204);
    server
        .call("tok_workload", &cancel(&one), None)
        .await
        .expect(409);
    let polled = format!("GET /api/v1/authorizations/{verifier}");
    let polled = server.call("tok_workload", &polled, None).await.expect(200);
    assert_eq!(polled["status"], "canceled");
    assert!(ids(&server, "authorizations?open=true").await.is_empty());

    let three = consent(&server, "tok_workload", "u3").await;
    server.clock.advance(std::time::Duration::from_secs(3601));
    let over = server
        .call("tok_admin", &details(&three), None)
        .await
        .expect(200);
    assert_eq!(
        (&over["status"], &over["code"]),
        (&json!("error"), &json!("expired"))
    );
    let needs =
        json!({"connector": "scl_1", "subject": {"type": "user", "id": "u4"}, "confirm": true});
    refused(&server, "POST /api/v1/authorizations", &needs, "return_url").await;
}

#[tokio::test]
async fn connections_are_filtered_renamed_and_ended_so_many_at_a_time() {
    let server = Server::start().await;
    for user in ["a", "b", "usr_bob"] {
        let import = json!({
            "connector": "scl_1", "subject": {"type": "user", "id": user}, "access_token": "at",
            "name": format!("Name of {user}"), "environment": "preview",
        });
        server
            .call("tok_admin", "POST /api/v1/connections", Some(&import))
            .await
            .expect(201);
    }
    for (query, count) in [
        ("", 4),
        ("environment=preview", 3),
        ("environment=production", 1),
        ("subject=user", 4),
        ("subject=app", 0),
        ("state=active", 4),
        ("state=needs_reauth", 0),
        ("search=name%20OF%20b", 1),
        ("search=acme-77", 1),
        ("installation=T1", 0),
        ("user=a&issuer=elsewhere", 0),
        ("created_until=2026-01-01T00:00:00Z", 0),
        ("order=asc&limit=100", 4),
    ] {
        assert_eq!(
            ids(&server, &format!("connections?{query}")).await.len(),
            count,
            "{query}"
        );
    }
    for query in ["state=dead", "subject=robot", "created_since=x"] {
        let line = format!("GET /api/v1/connections?{query}");
        server.call("tok_admin", &line, None).await.expect(400);
    }
    let [bobs] = &ids(&server, "connections?user=usr_bob").await[..] else {
        panic!("Bob has one");
    };
    let own = format!("PATCH /api/v1/connections/{bobs}");
    let name = json!({"name": "Bob's"});
    let renamed = server
        .call("tok_member", &own, Some(&name))
        .await
        .expect(200);
    assert_eq!(renamed["name"], "Bob's");
    let unnamed = server
        .call("tok_admin", &own, Some(&json!({"name": null})))
        .await
        .expect(200);
    assert_eq!(unnamed["name"], Value::Null);
    let others = "PATCH /api/v1/connections/conn_1";
    server
        .call("tok_member", others, Some(&name))
        .await
        .expect(404);
    hidden(&server, &[(others, Some(name))]).await;

    let revoke = "POST /api/v1/connectors/scl_1/revoke";
    let preview = json!({"environment": "preview", "limit": 2});
    server
        .call("tok_member", revoke, Some(&preview))
        .await
        .expect(403);
    hidden(&server, &[(revoke, Some(preview.clone()))]).await;
    refused(&server, revoke, &json!({"limit": 0}), "limit").await;
    let some = server
        .call("tok_admin", revoke, Some(&preview))
        .await
        .expect(200);
    assert_eq!(
        (&some["deleted"], &some["remaining"]),
        (&json!(2), &json!(1))
    );
    let rest = server
        .call("tok_admin", revoke, Some(&preview))
        .await
        .expect(200);
    assert_eq!(
        (&rest["deleted"], &rest["remaining"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(ids(&server, "connections").await, ["conn_1"]);
    let all = server.call("tok_admin", revoke, None).await.expect(200);
    assert_eq!((&all["deleted"], &all["remaining"]), (&json!(1), &json!(0)));
    assert_eq!(ids(&server, "connections?state=revoked").await.len(), 4);
}

//! Datagrid's connection providers, connections, secrets (seed 000, reference/datagrid, docs/datagrid.md).

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::server::{Answer, Server, request};

/// The seed's request, of a service that is in the catalogue.
pub(super) fn seed() -> Value {
    json!({
        "client_id": "client_id", "client_secret": "client_secret-1",
        "connector_id": "hubspot", "name": "name",
    })
}

pub(super) const BASE: &str = "/datagrid/v1";

pub(super) async fn ask(server: &Server, key: &str, route: &str, body: Option<&Value>) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    let body = body.map(ToOwned::to_owned);
    let route = format!("{method} {BASE}{path}");
    server.call(key, &route, body.as_ref()).await
}

pub(super) async fn admin(server: &Server, route: &str, body: Option<&Value>) -> Answer {
    ask(server, "tok_admin", route, body).await
}

pub(super) fn id(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

pub(super) fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(id).collect()
}

/// One more request header.
async fn with_header(server: &Server, key: &str, route: &str, header: (&str, &str)) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    let mut asked: Request<Body> = request(Some(key), &format!("{method} {BASE}{path}"), None);
    let name: axum::http::HeaderName = header.0.parse().unwrap();
    asked.headers_mut().insert(name, header.1.parse().unwrap());
    server.send(asked).await
}

pub(super) async fn create(server: &Server, body: &Value) -> Value {
    admin(server, "POST /connection-providers", Some(body))
        .await
        .expect(201)
}

#[tokio::test]
async fn the_seeds_request_makes_a_provider_whose_secret_has_an_id_and_is_never_shown() {
    let server = Server::start().await;
    let made = create(&server, &seed()).await;
    let secret = made["client_secret_id"].as_str().unwrap().to_owned();
    assert_eq!(
        made,
        json!({
            "object": "connection_provider", "id": made["id"], "name": "name",
            "connector_id": "hubspot", "client_id": "client_id", "client_secret_id": secret,
            "created_at": made["created_at"], "updated_at": made["created_at"],
        })
    );
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
    let one = format!("/connection-providers/{}", id(&made));
    let got = admin(&server, &format!("GET {one}"), None).await;
    assert_eq!(got.expect(200), made);
    assert!(!got.text.contains("client_secret-1"));

    // It can be known of, not deleted.
    let kept = admin(&server, &format!("GET /secrets/{secret}"), None).await;
    let kept = kept.expect(200);
    assert_eq!(kept["object"], "secret");
    assert_eq!(kept["created_at"], made["created_at"]);
    let refused = admin(&server, &format!("DELETE /secrets/{secret}"), None).await;
    assert_eq!(refused.expect(409)["error"], "conflict");
    assert_eq!(refused.headers["x-should-retry"], "false");
    let listed = admin(&server, "GET /secrets", None).await.expect(200);
    assert_eq!(ids(&listed), [""; 0]);

    // Nothing changes nothing; another secret is another id.
    let patch = async |body: Value| {
        server.clock.advance(std::time::Duration::from_secs(1));
        admin(&server, &format!("PATCH {one}"), Some(&body))
            .await
            .expect(200)
    };
    assert_eq!(patch(json!({})).await, made);
    let renamed = patch(json!({"name": "other", "client_id": "c2"})).await;
    assert_eq!(renamed["client_secret_id"], made["client_secret_id"]);
    assert_eq!(
        (&renamed["name"], &renamed["client_id"]),
        (&json!("other"), &json!("c2"))
    );
    assert_ne!(renamed["updated_at"], made["updated_at"]);
    let rotated = patch(json!({"client_secret": "client_secret-2"})).await;
    assert_ne!(rotated["client_secret_id"], made["client_secret_id"]);
    let old = admin(&server, &format!("GET /secrets/{secret}"), None).await;
    assert_eq!(old.expect(404)["error"], "resource_not_found");

    admin(&server, &format!("DELETE {one}"), None)
        .await
        .expect(204);
    for route in [format!("GET {one}"), format!("DELETE {one}")] {
        admin(&server, &route, None).await.expect(404);
    }
    let new = rotated["client_secret_id"].as_str().unwrap();
    admin(&server, &format!("GET /secrets/{new}"), None)
        .await
        .expect(404);
}

#[tokio::test]
async fn a_wrong_provider_is_told_by_field_and_not_made() {
    let server = Server::start().await;
    let providers = async || {
        admin(&server, "GET /connection-providers", None)
            .await
            .expect(200)
    };
    let before = providers().await;
    for (change, words) in [
        (json!({"name": null}), "name: is required"),
        (json!({"name": " "}), "name: must not be empty"),
        (
            json!({"name": "é".repeat(301)}),
            "name: must be at most 300 characters",
        ),
        (
            json!({"client_secret": 7}),
            "client_secret: must be a string",
        ),
        (
            json!({"client_secret": ""}),
            "client_secret: must not be empty",
        ),
        (json!({"client_id": ""}), "client_id: must not be empty"),
        (
            json!({"connector_id": "nope"}),
            "connector_id: is not a connector",
        ),
        (
            json!({"connector_id": "sendgrid"}),
            "connector_id: sendgrid has no OAuth apps",
        ),
        (
            json!({"connector_id": "shopify"}),
            "variables.shop: is required",
        ),
        (json!({"bogus": 1}), "property bogus should not exist"),
    ] {
        let mut body = seed();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let refused = admin(&server, "POST /connection-providers", Some(&body)).await;
        let told = refused.expect(400);
        assert_eq!(told["error"], "validation_failed");
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
    }
    assert_eq!(providers().await, before);
    // Names are counted in characters, and need not be unique; ids may be spelled as the vendor's are.
    let mut body = seed();
    body["name"] = json!("é".repeat(300));
    body["connector_id"] = json!("google_drive");
    let (one, two) = (create(&server, &body).await, create(&server, &body).await);
    assert_eq!(one["name"], body["name"]);
    assert_eq!(two["connector_id"], "google-drive");
}

#[tokio::test]
async fn a_connector_of_any_dialect_is_a_provider_and_is_left_alone_by_what_is_none() {
    let server = Server::start().await;
    let made = id(&create(&server, &seed()).await);
    for route in [
        "/api/v1/connectors/",
        "/v1/connect/connectors/",
        "/sequin/v1/oauth-apps/",
    ] {
        let got = server
            .call("tok_admin", &format!("GET {route}{made}"), None)
            .await;
        got.expect(200);
    }
    let sequin = json!({"provider": "stripe", "client_id": "c", "client_secret": "s", "name": "S"});
    let sequin = server
        .call("tok_admin", "POST /sequin/v1/oauth-apps", Some(&sequin))
        .await;
    let sequin = id(&sequin.expect(200));
    let keys = json!({"type": "api-key", "name": "K", "service": "x.example", "data": {"values": [{"value": "v"}]}});
    let keys = server
        .call("tok_admin", "POST /v1/connect/connectors", Some(&keys))
        .await;
    let keys = id(&keys.expect(201));
    let listed = ids(&admin(&server, "GET /connection-providers", None)
        .await
        .expect(200));
    for there in [&made, &sequin, "scl_1"] {
        assert!(listed.iter().any(|id| id == there), "{there}: {listed:?}");
    }
    assert!(!listed.contains(&keys));
    // Of a public client there is no secret.
    let public = admin(&server, "GET /connection-providers/scl_preview", None).await;
    assert_eq!(public.expect(200)["client_secret_id"], "");
    for method in ["GET", "DELETE"] {
        let route = format!("{method} /connection-providers/{keys}");
        admin(&server, &route, None).await.expect(404);
    }
    let only = admin(
        &server,
        "GET /connection-providers?connector_id=stripe",
        None,
    )
    .await;
    assert_eq!(ids(&only.expect(200)), [sequin]);
}

#[tokio::test]
async fn the_catalogue_says_what_an_oauth_app_needs_and_where_there_are_none() {
    let server = Server::start().await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin(
            &server,
            &format!("GET /connectors?limit=50&after={after}"),
            None,
        )
        .await;
        let page = page.expect(200);
        let Some(last) = ids(&page).pop() else { break };
        after = last;
        seen.extend(page["data"].as_array().unwrap().clone());
    }
    assert!(seen.len() > 100, "{}", seen.len());
    let of = |id: &str| seen.iter().find(|row| row["id"] == id).unwrap().clone();
    assert_eq!(
        of("hubspot"),
        json!({
            "object": "connector", "id": "hubspot", "name": "HubSpot",
            "oauth_app_settings": {"redirect_uri": "https://connect.example/callback", "scopes": null},
        })
    );
    assert_eq!(of("sendgrid")["oauth_app_settings"], Value::Null);
}

#[tokio::test]
async fn scopes_of_a_provider_are_what_its_users_are_asked_for() {
    let server = Server::start().await;
    let mut body = seed();
    body["scopes"] = json!(["crm.read", "crm.write"]);
    let made = id(&create(&server, &body).await);
    let scopes = async || {
        let path = format!("GET /api/v1/connectors/{made}");
        let native = server.call("tok_admin", &path, None).await.expect(200);
        native["data"]["userAuthorization"]["scopes"].clone()
    };
    assert_eq!(scopes().await, body["scopes"]);
    let path = format!("PATCH /connection-providers/{made}");
    let change = json!({"scopes": ["crm.read"]});
    admin(&server, &path, Some(&change)).await.expect(200);
    assert_eq!(scopes().await, change["scopes"]);
    let bad = json!({"scopes": "crm.read"});
    let told = admin(&server, &path, Some(&bad)).await.expect(400);
    assert!(
        told["message"].as_str().unwrap().starts_with("scopes"),
        "{told}"
    );
}

#[tokio::test]
async fn a_connection_is_asked_for_only_where_users_connect() {
    let server = Server::start().await;
    let closed = json!({
        "type": "oauth", "name": "closed", "service": "hubspot",
        "data": {"clientId": "c", "clientSecret": "s", "userAuthorization": {"enabled": false}},
    });
    let key = json!({
        "type": "api-key", "name": "key", "service": "hubspot", "data": {"values": [{"value": "v"}]},
    });
    for body in [closed, key] {
        let made = server
            .call("tok_admin", "POST /api/v1/connectors", Some(&body))
            .await
            .expect(201);
        let ask_for = json!({"connector_id": "hubspot", "connection_provider_id": id(&made)});
        let told = admin(&server, "POST /connections", Some(&ask_for)).await;
        let told = told.expect(400)["message"].as_str().unwrap().to_owned();
        assert!(told.starts_with("connection_provider_id"), "{told}");
    }
    for origin in [
        "https://*",
        "https://*.example",
        "*",
        "https://app.example/",
    ] {
        let body = json!({"connector_id": "hubspot", "embed_origin": origin});
        create(&server, &seed()).await;
        let told = admin(&server, "POST /connections", Some(&body))
            .await
            .expect(400);
        assert!(
            told["message"]
                .as_str()
                .unwrap()
                .starts_with("embed_origin"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_header_that_could_mean_two_teams_means_none() {
    let server = Server::start().await;
    let send = async |values: &[&[u8]]| {
        let mut asked: Request<Body> =
            request(Some("tok_account"), &format!("GET {BASE}/secrets"), None);
        for value in values {
            let value = axum::http::HeaderValue::from_bytes(value).unwrap();
            asked.headers_mut().append("datagrid-teamspace", value);
        }
        server.send(asked).await
    };
    for values in [&[&b"team_2"[..], b"team_1"][..], &["téam_2".as_bytes()]] {
        let told = send(values).await.expect(400)["message"].clone();
        assert!(
            told.as_str().unwrap().starts_with("datagrid-teamspace"),
            "{told}"
        );
    }
    send(&[b"team_2"]).await.expect(200);
}

#[tokio::test]
async fn secrets_of_one_name_are_all_kept_under_it() {
    let server = Server::start().await;
    let body = json!({"name": "name", "value": "the-value"});
    let mut made = Vec::new();
    for _ in 0..3 {
        let secret = admin(&server, "POST /secrets", Some(&body)).await;
        assert!(!secret.text.contains("the-value"));
        made.push(secret.expect(201));
    }
    for secret in &made {
        let got = admin(&server, &format!("GET /secrets/{}", id(secret)), None).await;
        assert_eq!(&got.expect(200), secret);
        assert_eq!(secret["name"], "name");
    }
    let native = server.call("tok_admin", "GET /api/v1/secrets", None).await;
    let names = native.expect(200)["data"].as_array().unwrap().len();
    assert_eq!(names, 3);
}

#[tokio::test]
async fn a_key_of_a_team_is_in_it_whatever_the_header_says_and_one_of_an_account_chooses() {
    let server = Server::start().await;
    let team = async |key: &str, named: Option<&str>| {
        let route = "GET /identity";
        let answer = match named {
            Some(named) => with_header(&server, key, route, ("datagrid-teamspace", named)).await,
            None => ask(&server, key, route, None).await,
        };
        let body = answer.json();
        match answer.status.as_u16() {
            200 => body["current_teamspace_id"].as_str().unwrap().to_owned(),
            status => format!("{status} {}", body["error"].as_str().unwrap()),
        }
    };
    for (key, named, expected) in [
        ("tok_admin", None, "team_1"),
        ("tok_admin", Some("team_1"), "team_1"),
        ("tok_admin", Some("team_2"), "team_1"),
        ("tok_admin", Some("nowhere"), "team_1"),
        ("tok_workload", Some("team_2"), "team_1"),
        ("tok_account", None, "team_1"),
        ("tok_account", Some(""), "team_1"),
        ("tok_account", Some("team_2"), "team_2"),
        ("tok_account", Some("team_far"), "404 resource_not_found"),
        ("tok_account", Some("nowhere"), "404 resource_not_found"),
        ("tok_far", None, "team_far"),
    ] {
        assert_eq!(team(key, named).await, expected, "{key} {named:?}");
        // The same in a route of a team.
        let header = ("datagrid-teamspace", named.unwrap_or_default());
        if !["tok_workload"].contains(&key) {
            let secrets = with_header(&server, key, "GET /secrets", header).await;
            let status = if expected.starts_with("404") {
                404
            } else {
                200
            };
            assert_eq!(secrets.status, status, "{key} {named:?}: {}", secrets.text);
        }
    }
    let of = async |key: &str| ask(&server, key, "GET /identity", None).await.expect(200);
    assert_eq!(
        of("tok_member").await,
        json!({
            "object": "identity", "user_id": "usr_bob", "current_teamspace_id": "team_1",
            "teamspaces": [{"teamspace_id": "team_1", "permissions": {"role": "member"}}],
        })
    );
    let account = of("tok_account").await;
    assert_eq!(account["teamspaces"].as_array().unwrap().len(), 2);
    assert_eq!(account["teamspaces"][0]["permissions"]["role"], "admin");
    // A team that is made later does not become their home, whatever its id.
    let body = json!({"name": "Later", "access": "open"});
    server.clock.advance(std::time::Duration::from_secs(1));
    let later = ask(
        &server,
        "tok_account",
        "POST /organization/teamspaces",
        Some(&body),
    )
    .await;
    assert!(id(&later.expect(201)).as_str() < "team_1");
    assert_eq!(team("tok_account", None).await, "team_1");
    // What was made in a chosen team is there and nowhere else.
    let body = json!({"name": "n", "value": "v"});
    let mut asked = request(
        Some("tok_account"),
        &format!("POST {BASE}/secrets"),
        Some(&body),
    );
    let there = "team_2".parse().unwrap();
    asked.headers_mut().insert("datagrid-teamspace", there);
    let made = id(&server.send(asked).await.expect(201));
    let one = format!("GET /secrets/{made}");
    ask(&server, "tok_stranger", &one, None).await.expect(200);
    admin(&server, &one, None).await.expect(404);
}

#[tokio::test]
async fn a_connection_is_asked_for_by_connector_and_provider_and_shown_renamed_and_ended() {
    let server = Server::start().await;
    let provider = create(&server, &seed()).await;
    let ask_for = async |body: Value| admin(&server, "POST /connections", Some(&body)).await;
    let asked =
        ask_for(json!({"connector_id": "hubspot", "connection_provider_id": provider["id"]})).await;
    let asked = asked.expect(200);
    assert_eq!(asked["object"], "redirect_url");
    let url = asked["redirect_url"].as_str().unwrap();
    assert!(
        url.starts_with("https://connect.example/authorize/sca_"),
        "{url}"
    );
    // The first of the service is taken where none is named; null is none.
    ask_for(json!({"connector_id": "hubspot", "connection_provider_id": null}))
        .await
        .expect(200);
    for (body, words) in [
        (json!({}), "connector_id: is required"),
        (
            json!({"connector_id": "nope"}),
            "connector_id: is not a service",
        ),
        (
            json!({"connector_id": "stripe"}),
            "connector_id: has no connector in this team",
        ),
        (
            json!({"connector_id": "hubspot", "connection_provider_id": "nope"}),
            "connection_provider_id: is not",
        ),
        (
            json!({"connector_id": "stripe", "connection_provider_id": provider["id"]}),
            "connection_provider_id: is a connector of hubspot",
        ),
        (
            json!({"connector_id": "hubspot", "connection_id": "nope"}),
            "connection_id: is not a connection",
        ),
        (
            json!({"connector_id": "hubspot", "embed_origin": "https://app.example/path"}),
            "embed_origin: must be an origin",
        ),
        (
            json!({"connector_id": "hubspot", "embed_origin": "*"}),
            "embed_origin: must be an absolute https URL",
        ),
    ] {
        let told = ask_for(body).await.expect(400);
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
    }
    // It comes into being with the consent.
    let of = async |query: &str| {
        let list = admin(&server, &format!("GET /connections?{query}"), None).await;
        list.expect(200)
    };
    assert_eq!(ids(&of("connector_id=hubspot").await), [""; 0]);
    let shown = of("connector_id=provider.example").await["data"][0].clone();
    assert_eq!(
        shown,
        json!({
            "object": "connection", "id": "conn_1", "name": "Alice at Acme", "teamspace_id": "team_1",
            "connector_id": "provider.example", "valid": true,
            "created_at": shown["created_at"], "updated_at": shown["updated_at"],
        })
    );
    let one = "/connections/conn_1";
    assert_eq!(
        admin(&server, &format!("GET {one}"), None)
            .await
            .expect(200),
        shown
    );
    let renamed = admin(
        &server,
        &format!("PATCH {one}"),
        Some(&json!({"name": "New"})),
    )
    .await;
    assert_eq!(renamed.expect(200)["name"], "New");
    let refused = admin(&server, &format!("PATCH {one}"), Some(&json!({}))).await;
    assert_eq!(refused.expect(400)["message"], "name: is required");
    let knowledge = json!({"connection_id": "conn_1"});
    let link = admin(&server, "POST /knowledge/connect", Some(&knowledge)).await;
    assert_eq!(link.expect(200)["object"], "redirect_url");
    let unknown = json!({"connection_id": "nope"});
    admin(&server, "POST /knowledge/connect", Some(&unknown))
        .await
        .expect(400);
    admin(&server, &format!("DELETE {one}"), None)
        .await
        .expect(204);
    for method in ["GET", "DELETE"] {
        admin(&server, &format!("{method} {one}"), None)
            .await
            .expect(404);
    }
    assert_eq!(ids(&of("").await), [""; 0]);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_not_found_in_their_shape() {
    let server = Server::start().await;
    for route in [
        "GET /_stainless_unknown_path",
        "DELETE /_stainless_unknown_path",
        "GET /secrets/",
        "PUT /secrets",
        "GET /knowledge/connect",
    ] {
        let answer = admin(&server, route, None).await;
        let body = answer.expect(404);
        assert_eq!(body["error"], "resource_not_found", "{route}");
        assert_eq!(body["retryable"], false);
    }
}

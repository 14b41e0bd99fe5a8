//! Sequin's credentials, and the edges of its link flow (docs/sequin.md). The flow itself is driven
//! against real providers in acceptance/sequin.test.mjs.

use serde_json::{Value, json};

use super::server::Server;

const CREDENTIALS: &str = "/sequin/v1/credentials";

async fn app(server: &Server, provider: &str) -> String {
    let body = json!({
        "provider": provider, "client_id": "c", "client_secret": "s", "name": provider,
        "metadata": {"of": "app"},
    });
    let route = "POST /sequin/v1/oauth-apps";
    let made = server
        .call("tok_admin", route, Some(&body))
        .await
        .expect(200);
    made["id"].as_str().unwrap().to_owned()
}

async fn ask(server: &Server, route: &str, body: Option<Value>, status: u16) -> Value {
    let answer = server.call("tok_admin", route, body.as_ref()).await;
    answer.expect(status)
}

async fn create(server: &Server, body: Value) -> Value {
    ask(server, &format!("POST {CREDENTIALS}"), Some(body), 200).await
}

async fn listed(server: &Server, query: &str) -> Vec<String> {
    let route = format!("GET {CREDENTIALS}{query}");
    let rows = ask(server, &route, None, 200).await;
    let rows = rows["data"].as_array().unwrap().clone();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_credential_of_every_kind_is_taken_in_and_its_secrets_are_never_shown() {
    let server = Server::start().await;
    for (provider, properties, health) in [
        (
            "airtable",
            json!({"kind": "airtable_oauth2", "airtable_uid": "u", "refresh_token": "SECRET1", "scope": "a b"}),
            "ok",
        ),
        (
            "hubspot",
            json!({"kind": "hubspot_oauth2", "hub_id": 7, "hub_domain": "x.com", "refresh_token": "SECRET1", "scopes": ["a", "b"]}),
            "ok",
        ),
        (
            "github",
            json!({"kind": "github_app", "account_type": "User", "account_login": "ada", "installation_id": 42}),
            "error",
        ),
        (
            "linear",
            json!({"kind": "linear_oauth2", "access_token": "SECRET1", "scope": "read", "linear_org_id": "o", "linear_org_name": "O"}),
            "ok",
        ),
        (
            "salesforce",
            json!({"kind": "salesforce_oauth2", "access_token": "SECRET1", "refresh_token": "SECRET2", "organization_id": "00D"}),
            "ok",
        ),
        (
            "stripe",
            json!({"kind": "stripe_key", "name": "test", "secret": "SECRET1", "test": true}),
            "ok",
        ),
        (
            "stripe",
            json!({"kind": "stripe_oauth2", "name": "live", "secret": "SECRET1", "test": false}),
            "ok",
        ),
        (
            "quickbooks",
            json!({"kind": "quickbooks_oauth2", "access_token": "SECRET1", "account_id": "9"}),
            "ok",
        ),
    ] {
        let app = app(&server, provider).await;
        let body = json!({
            "oauth_app_id": app, "name": "One", "properties": properties,
            "metadata": {"z": 1, "a": {"n": null}},
        });
        let made = create(&server, body).await;
        let id = made["id"].as_str().unwrap().to_owned();
        assert!(uuid_like(&id), "{id}");
        let mut masked = properties.clone();
        for (_, value) in masked.as_object_mut().unwrap() {
            if value
                .as_str()
                .is_some_and(|text| text.starts_with("SECRET"))
            {
                *value = json!("**********");
            }
        }
        assert_eq!(
            made["properties"].to_string(),
            masked.to_string(),
            "in their order"
        );
        assert_eq!(made["metadata"].to_string(), r#"{"z":1,"a":{"n":null}}"#);
        assert_eq!(made["provider"], provider);
        assert_eq!(made["oauth_app_id"], app);
        assert_eq!(made["oauth_app"]["client_secret"], "**********");
        assert_eq!(made["oauth_app"]["metadata"], json!({"of": "app"}));
        assert_eq!(made["health"]["status"], health, "{provider}");
        let one = server
            .call("tok_admin", &format!("GET {CREDENTIALS}/{id}"), None)
            .await;
        assert_eq!(one.expect(200), made);
        let list = server
            .call("tok_admin", &format!("GET {CREDENTIALS}"), None)
            .await;
        assert!(!list.text.contains("SECRET") && !one.text.contains("SECRET"));
    }
}

fn uuid_like(id: &str) -> bool {
    id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

#[tokio::test]
async fn a_workload_gets_the_token_of_a_credential_and_nobody_elses() {
    let server = Server::start().await;
    let app = app(&server, "linear").await;
    let body = json!({"oauth_app_id": app, "properties": {"kind": "linear_oauth2", "access_token": "at-1"}});
    let made = create(&server, body).await;
    let link = json!({"environments": ["production"]});
    let route = format!("PUT /api/v1/connectors/{app}/projects/prj_1");
    server
        .call("tok_admin", &route, Some(&link))
        .await
        .expect(200);
    let token = json!({"connector": app, "subject": {"type": "connection", "id": made["id"]}});
    let answer = server
        .call("tok_workload", "POST /api/v1/tokens", Some(&token))
        .await;
    assert_eq!(answer.expect(200)["token"], "at-1");
    let native = format!("GET /api/v1/connections/{}", made["id"].as_str().unwrap());
    let native = server.call("tok_admin", &native, None).await.expect(200);
    assert_eq!(native["connector"], json!(app));
}

#[tokio::test]
async fn the_same_account_is_the_same_credential_and_the_same_secrets_are_no_news() {
    let server = Server::start().await;
    let app = app(&server, "linear").await;
    let import = |token: &str, org: Option<&str>, name: Option<&str>| {
        let mut properties = json!({"kind": "linear_oauth2", "access_token": token});
        if let Some(org) = org {
            properties["linear_org_id"] = json!(org);
        }
        json!({"oauth_app_id": app, "name": name, "properties": properties})
    };
    let one = create(&server, import("at-1", Some("o1"), Some("First"))).await;
    assert_eq!(create(&server, import("at-1", Some("o1"), None)).await, one);
    let metadata = json!({"mine": true});
    let route = format!("PATCH {CREDENTIALS}/{}", one["id"].as_str().unwrap());
    ask(&server, &route, Some(json!({"metadata": metadata})), 200).await;
    let newer = create(&server, import("at-2", Some("o1"), None)).await;
    assert_eq!(newer["id"], one["id"]);
    assert_eq!(
        (&newer["name"], &newer["metadata"]),
        (&one["name"], &metadata),
        "what is not sent stays"
    );
    assert_ne!(
        create(&server, import("at-1", Some("o2"), None)).await["id"],
        one["id"]
    );
    // Without an account the secrets tell.
    let alone = create(&server, import("at-9", None, None)).await;
    assert_eq!(
        create(&server, import("at-9", None, None)).await["id"],
        alone["id"]
    );
    assert_ne!(
        create(&server, import("at-8", None, None)).await["id"],
        alone["id"]
    );
    assert_eq!(listed(&server, "?kind=linear_oauth2").await.len(), 4);

    let token = async |id: &Value| {
        let ask = json!({"connector": app, "subject": {"type": "connection", "id": id}});
        server
            .local("POST /api/v1/tokens?team=team_1", Some(&ask))
            .await
    };
    assert_eq!(token(&one["id"]).await.expect(200)["token"], "at-2");
    // Ended, it comes back under its id.
    let native = format!("DELETE /api/v1/connections/{}", one["id"].as_str().unwrap());
    ask(&server, &native, None, 200).await;
    let gone = format!("GET {CREDENTIALS}/{}", one["id"].as_str().unwrap());
    assert_eq!(
        ask(&server, &gone, None, 404).await,
        json!({"summary": "credential not found"})
    );
    let back = create(&server, import("at-2", Some("o1"), None)).await;
    assert_eq!(back["id"], one["id"]);
    assert_eq!(token(&one["id"]).await.expect(200)["token"], "at-2");
}

#[tokio::test]
async fn credentials_are_filtered_changed_and_those_of_other_dialects_are_among_them() {
    let server = Server::start().await;
    let (linear, stripe) = (app(&server, "linear").await, app(&server, "stripe").await);
    let one = create(
        &server,
        json!({
            "oauth_app_id": linear, "metadata": {"a": 1, "b": {"c": 2}},
            "properties": {"kind": "linear_oauth2", "access_token": "x"},
        }),
    )
    .await;
    let two = create(&server, json!({
        "oauth_app_id": stripe, "properties": {"kind": "stripe_key", "name": "n", "secret": "x"},
    })).await;
    let (one, two) = (one["id"].as_str().unwrap(), two["id"].as_str().unwrap());
    let metadata = |metadata: Value| {
        let text: String =
            url::form_urlencoded::byte_serialize(metadata.to_string().as_bytes()).collect();
        format!("?metadata={text}")
    };
    assert_eq!(listed(&server, "?provider=linear").await, [one]);
    assert_eq!(listed(&server, "?kind=stripe_key").await, [two]);
    assert_eq!(
        listed(&server, "?provider=linear&health.status=error").await,
        [""; 0]
    );
    assert_eq!(
        listed(&server, &metadata(json!({"b": {"c": 2}}))).await,
        [one]
    );
    assert_eq!(listed(&server, &metadata(json!({"b": 3}))).await, [""; 0]);
    assert!(
        listed(&server, "").await.iter().any(|id| id == "conn_1"),
        "another dialect's"
    );
    let theirs = ask(&server, &format!("GET {CREDENTIALS}/conn_1"), None, 200).await;
    assert!(
        theirs["properties"]["kind"]
            .as_str()
            .unwrap()
            .ends_with("_oauth2"),
        "{theirs}"
    );
    assert_eq!(theirs["properties"]["access_token"], "**********");

    for id in [one, "conn_1"] {
        let route = format!("PATCH {CREDENTIALS}/{id}");
        let before = ask(&server, &format!("GET {CREDENTIALS}/{id}"), None, 200).await;
        let body = json!({"name": "Renamed", "metadata": {"k": [1.5, "x"]}});
        let changed = ask(&server, &route, Some(body), 200).await;
        let mut wanted = before;
        wanted["name"] = json!("Renamed");
        wanted["metadata"] = json!({"k": [1.5, "x"]});
        wanted["updated_at"] = changed["updated_at"].clone();
        wanted["health"]["time"] = changed["health"]["time"].clone();
        assert_eq!(changed, wanted);
        assert_eq!(ask(&server, &route, Some(json!({})), 200).await, changed);
    }
    let refused = server
        .call(
            "tok_member",
            &format!("PATCH {CREDENTIALS}/{one}"),
            Some(&json!({"name": "x"})),
        )
        .await;
    refused.expect(403);
    let hidden = server
        .call("tok_member", &format!("GET {CREDENTIALS}/{one}"), None)
        .await;
    hidden.expect(404);
}

#[tokio::test]
async fn a_wrong_credential_is_told_field_by_field_and_not_made() {
    let server = Server::start().await;
    let app = app(&server, "linear").await;
    let before = listed(&server, "").await;
    let good = json!({"kind": "linear_oauth2", "access_token": "x"});
    for (body, field, words) in [
        (json!({"properties": good}), "oauth_app_id", "is required"),
        (json!({"oauth_app_id": app}), "properties", "is required"),
        (
            json!({"oauth_app_id": "nope", "properties": good}),
            "oauth_app_id",
            "no OAuth app",
        ),
        (
            json!({"oauth_app_id": app, "properties": {}}),
            "properties.kind",
            "is required",
        ),
        (
            json!({"oauth_app_id": app, "properties": {"kind": 7}}),
            "properties.kind",
            "must be a string",
        ),
        (
            json!({"oauth_app_id": app, "properties": {"kind": "stripe_key"}}),
            "properties.kind",
            "is of stripe",
        ),
        (
            json!({"oauth_app_id": app, "properties": {"kind": "x"}}),
            "properties.kind",
            "linear_oauth2",
        ),
        (
            json!({"oauth_app_id": app, "properties": {"kind": "linear_oauth2"}}),
            "properties.access_token",
            "is required",
        ),
        (
            json!({"oauth_app_id": app, "properties": {"kind": "linear_oauth2", "access_token": 1}}),
            "properties.access_token",
            "string",
        ),
        (
            json!({"oauth_app_id": app, "properties": {"kind": "linear_oauth2", "api_key": "x"}}),
            "properties.api_key",
            "known",
        ),
        (
            json!({"oauth_app_id": app, "properties": good, "name": ""}),
            "name",
            "must not be empty",
        ),
        (
            json!({"oauth_app_id": app, "properties": good, "metadata": 1}),
            "metadata",
            "must be an object",
        ),
        (
            json!({"oauth_app_id": app, "properties": good, "id": "x"}),
            "id",
            "known",
        ),
    ] {
        let told = ask(&server, &format!("POST {CREDENTIALS}"), Some(body), 422).await;
        let why = told["validation_errors"][field][0].as_str();
        assert!(
            why.is_some_and(|why| why.contains(words)),
            "{field}: {told}"
        );
        assert_eq!(told["summary"], "Validation failed");
    }
    let handle = format!("sqh_{}", "a".repeat(43));
    let body = json!({"oauth_app_id": app, "properties": {"kind": "linear_oauth2", "access_token": handle}});
    let told = ask(&server, &format!("POST {CREDENTIALS}"), Some(body), 422).await;
    assert!(told["validation_errors"]["properties"].is_array(), "{told}");
    assert_eq!(listed(&server, "").await, before);
}

#[tokio::test]
async fn a_link_flow_begins_with_a_url_that_works_once_and_in_time() {
    let server = Server::start().await;
    let origins = json!({"return_origins": ["https://app.example"]});
    ask(&server, "PATCH /api/v1/teams/team_1", Some(origins), 200).await;
    let app = app(&server, "linear").await;
    let start = format!("POST {CREDENTIALS}/start-auth");
    let asked = json!({
        "oauth_app_id": app, "credential_kind": "linear_oauth2",
        "redirect_url": "https://app.example/done", "state": {"user": 7},
    });
    let changed = |name: &str, value: Value| {
        let mut body = asked.clone();
        body[name] = value;
        body
    };
    for (body, field, words) in [
        (
            changed("redirect_url", json!("https://evil.example/")),
            "redirect_url",
            "not one of",
        ),
        (
            changed("redirect_url", json!("javascript:alert(1)")),
            "redirect_url",
            "https",
        ),
        (
            changed("credential_kind", json!("stripe_key")),
            "credential_kind",
            "is of stripe",
        ),
        (
            changed("oauth_app_id", json!("nope")),
            "oauth_app_id",
            "no OAuth app",
        ),
        (
            changed("state", json!("x".repeat(6000))),
            "state",
            "5120 bytes",
        ),
    ] {
        let told = ask(&server, &start, Some(body), 422).await;
        let why = told["validation_errors"][field][0].as_str();
        assert!(
            why.is_some_and(|why| why.contains(words)),
            "{field}: {told}"
        );
    }
    let open = async |url: &str| {
        let path = url.strip_prefix("https://connect.example").unwrap();
        let request = axum::http::Request::get(path).header("host", "connect.example");
        server
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await
    };
    let begin = async || {
        let begun = ask(&server, &start, Some(asked.clone()), 200).await;
        begun["start_url"].as_str().unwrap().to_owned()
    };
    let url = begin().await;
    assert!(
        url.starts_with("https://connect.example/sequin/link/oauth2/start/"),
        "{url}"
    );
    let opened = open(&url).await;
    assert_eq!(opened.status, 303, "{}", opened.text);
    let to = opened.headers["location"].to_str().unwrap();
    for part in [
        "https://linear.app/oauth/authorize?",
        "code_challenge=",
        "client_id=c",
        "state=",
    ] {
        assert!(to.contains(part), "{to}");
    }
    assert!(opened.headers.contains_key("set-cookie"));
    let again = open(&url).await;
    assert_eq!(again.status, 410, "{}", again.text);
    let late = begin().await;
    server.clock.advance(std::time::Duration::from_secs(300));
    assert_eq!(open(&late).await.status, 410);
    assert_eq!(
        open("https://connect.example/sequin/link/oauth2/start/nope")
            .await
            .status,
        404
    );

    let token = "POST /sequin/link/oauth2/token";
    let exchange = json!({"code": "nope", "client_id": app, "client_secret": "s"});
    let told = server
        .send(super::server::request(None, token, Some(&exchange)))
        .await;
    assert!(
        told.expect(422)["validation_errors"]["code"].is_array(),
        "{}",
        told.text
    );
    let told = server
        .send(super::server::request(None, token, Some(&json!({}))))
        .await;
    let told = told.expect(422);
    for field in ["code", "client_id", "client_secret"] {
        assert_eq!(
            told["validation_errors"][field],
            json!(["is required"]),
            "{told}"
        );
    }
}

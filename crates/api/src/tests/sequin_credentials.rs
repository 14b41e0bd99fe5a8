//! Sequin's credentials (docs/sequin.md).

use serde_json::{Value, json};

use super::server::Server;

pub(super) const CREDENTIALS: &str = "/sequin/v1/credentials";

pub(super) async fn app(server: &Server, provider: &str) -> String {
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

pub(super) async fn ask(server: &Server, route: &str, body: Option<Value>, status: u16) -> Value {
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
    assert_eq!(
        (&back["metadata"], back.get("name")),
        (&json!({}), None),
        "what was said of it has ended with it"
    );
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
    let pretty = "{\n\t\"b\": {\r\n \"c\": 2 }\n}";
    let pretty: String = url::form_urlencoded::byte_serialize(pretty.as_bytes()).collect();
    assert_eq!(listed(&server, &format!("?metadata={pretty}")).await, [one]);
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
async fn of_two_changes_at_once_none_is_lost() {
    let server = Server::start().await;
    let app = app(&server, "linear").await;
    let body = json!({"oauth_app_id": app, "properties": {"kind": "linear_oauth2", "access_token": "at-1"}});
    let made = create(&server, body).await;
    let route = format!("PATCH {CREDENTIALS}/{}", made["id"].as_str().unwrap());
    let get = format!("GET {CREDENTIALS}/{}", made["id"].as_str().unwrap());
    for number in 0..20 {
        let (name, metadata) = (format!("name {number}"), json!({"number": number}));
        tokio::join!(
            ask(&server, &route, Some(json!({"name": name})), 200),
            ask(&server, &route, Some(json!({"metadata": metadata})), 200),
        );
        let now = ask(&server, &get, None, 200).await;
        assert_eq!((&now["name"], &now["metadata"]), (&json!(name), &metadata));
    }
}

#[tokio::test]
async fn any_number_of_imports_of_the_same_secrets_make_one_credential() {
    let server = Server::start().await;
    let (stripe, other) = (app(&server, "stripe").await, app(&server, "stripe").await);
    let import = |app: &str, secret: &str| {
        let properties = json!({"kind": "stripe_key", "name": "n", "secret": secret});
        let body = json!({"oauth_app_id": app, "properties": properties});
        let server = &server;
        async move { create(server, body).await["id"].clone() }
    };
    let ids = futures_util::future::join_all((0..8).map(|_| import(&stripe, "sk_1"))).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(listed(&server, "?kind=stripe_key").await.len(), 1);
    for another in [import(&stripe, "sk_2").await, import(&other, "sk_1").await] {
        assert_ne!(another, ids[0]);
    }
    // The id, which anybody of the team may see, is no hash of the secret that could be tried.
    let plain = grantry_vault::hash::sha256(&[b"sk_1"]);
    let plain: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        !ids[0]
            .as_str()
            .unwrap()
            .replace('-', "")
            .starts_with(&plain[..8])
    );
}

#[tokio::test]
async fn what_has_no_access_token_is_never_served_one() {
    let server = Server::start().await;
    let app = app(&server, "airtable").await;
    let mut properties = json!({"kind": "airtable_oauth2", "airtable_uid": "u1", "refresh_token": "r", "expires_in": 3600});
    let body = |properties: &Value| json!({"oauth_app_id": app, "properties": properties});
    let route = format!("POST {CREDENTIALS}");
    let told = ask(&server, &route, Some(body(&properties)), 422).await;
    let why = &told["validation_errors"]["properties.expires_in"][0];
    assert_eq!(why, "is the life of access_token, which is not there");
    properties.as_object_mut().unwrap().remove("expires_in");
    let made = create(&server, body(&properties)).await;
    let token = async |id: &Value| {
        let ask = json!({"connector": app, "subject": {"type": "connection", "id": id}});
        let route = "POST /api/v1/tokens?team=team_1";
        server.local(route, Some(&ask)).await
    };
    // No provider answers here.
    assert_eq!(token(&made["id"]).await.status, 502);
    // Nor by the other way in.
    let import = json!({
        "connector": app, "access_token": "", "refresh_token": "r2", "expires_in": 3600,
        "subject": {"type": "user", "id": "u9"},
    });
    let route = "POST /api/v1/connections?team=team_1";
    server.local(route, Some(&import)).await.expect(201);
    let ask = json!({"connector": app, "subject": {"type": "user", "id": "u9"}});
    let route = "POST /api/v1/tokens?team=team_1";
    assert_eq!(server.local(route, Some(&ask)).await.status, 502);
}

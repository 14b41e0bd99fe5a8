//! The edges of Sequin's link flow (docs/sequin.md). The flow itself is driven against the sandbox in
//! `crates/it`, and against real providers in acceptance/sequin.test.mjs.

use serde_json::{Value, json};

use super::sequin_credentials::{CREDENTIALS, app, ask};
use super::server::Server;

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

#[tokio::test]
async fn an_app_that_cannot_be_linked_is_told_as_the_field_that_names_it() {
    let server = Server::start().await;
    let origins = json!({"return_origins": ["https://app.example"]});
    ask(&server, "PATCH /api/v1/teams/team_1", Some(origins), 200).await;
    let start = format!("POST {CREDENTIALS}/start-auth");
    let asked = |app: &str, kind: &str| json!({"oauth_app_id": app, "credential_kind": kind, "redirect_url": "https://app.example/done"});
    let shop = app(&server, "shopify").await;
    let told = ask(&server, &start, Some(asked(&shop, "shopify_oauth2")), 422).await;
    let why = told["validation_errors"]["variables.shop"][0].as_str();
    assert!(why.is_some_and(|why| why.contains("required")), "{told}");
    let health = ask(
        &server,
        &format!("GET /sequin/v1/oauth-apps/{shop}"),
        None,
        200,
    )
    .await;
    let note = health["health"]["notes"][0].as_str().unwrap().to_owned();
    assert!(note.starts_with("variables.shop "), "{note}");

    // Without a secret nobody could exchange the code.
    let body = json!({
        "type": "oauth", "name": "Public", "service": "linear", "data": {"clientId": "c"},
    });
    let public = ask(&server, "POST /api/v1/connectors", Some(body), 201).await;
    let public = public["id"].as_str().unwrap();
    let told = ask(&server, &start, Some(asked(public, "linear_oauth2")), 422).await;
    let why = told["validation_errors"]["oauth_app_id"][0].as_str();
    assert!(
        why.is_some_and(|why| why.contains("no client secret")),
        "{told}"
    );

    let body = json!({"name": "Wiki", "url": "https://wiki.example/search"});
    let custom = ask(&server, "POST /cohere/v1/connectors", Some(body), 200).await;
    let properties = json!({"kind": "wiki.example_oauth2", "access_token": "x"});
    let body = json!({"oauth_app_id": custom["connector"]["id"], "properties": properties});
    let told = ask(&server, &format!("POST {CREDENTIALS}"), Some(body), 422).await;
    let why = told["validation_errors"]["oauth_app_id"][0].as_str();
    assert!(why.is_some_and(|why| why.contains("no tokens")), "{told}");
    assert_eq!(told["summary"], "Validation failed");
}

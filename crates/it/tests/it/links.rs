//! Sequin's link flow against the sandbox: who may do what with which of its secrets, and how it ends
//! (docs/sequin.md). The whole flow at other providers is in acceptance/sequin.test.mjs.

use grantry_core::nouns::AuthorizationState;
use grantry_core::{Error, Secret};
use grantry_engine::{AskLink, LinkProof, Linked, LinkedTokens};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};
use url::Url;

use crate::world::browser::{Browser, standing};
use crate::world::{CONNECTOR, World};

const RETURN: &str = "http://127.0.0.1:3000/linked";
const KIND: &str = "sandbox_oauth2";

/// Starts a link flow: the secret part of its start URL.
async fn start(world: &World) -> Secret {
    let ask = AskLink {
        connector: CONNECTOR.to_owned(),
        kind: KIND.to_owned(),
        redirect_url: RETURN.to_owned(),
        state: Value::Null,
    };
    let caller = world.server().await;
    world.engine.start_link(&caller, ask).await.unwrap()
}

/// A browser opens the start URL and consents: what the redirect URL receives.
async fn visit(world: &World, start: &Secret) -> Url {
    let mut browser = Browser::at(world.router());
    let path = format!("/sequin/link/oauth2/start/{}", start.expose());
    let page = browser.get(&path).await;
    let arrival = world
        .provider_redirects(&Url::parse(page.location()).unwrap())
        .await;
    let page = world.run(browser.get(&arrival)).await;
    Url::parse(page.location()).unwrap()
}

fn parameter(url: &Url, wanted: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
}

/// What it receives when all goes well: the code.
async fn code(world: &World, start: &Secret) -> Secret {
    let arrived = visit(world, start).await;
    assert!(arrived.as_str().starts_with(RETURN), "{arrived}");
    Secret::new(parameter(&arrived, "code").unwrap())
}

async fn exchange(world: &World, code: &Secret) -> Result<Linked, Error> {
    let proof = LinkProof {
        code: Secret::new(code.expose()),
        connector: CONNECTOR.to_owned(),
        client_secret: Secret::new("demo-secret"),
    };
    world.engine.exchange_link(&proof).await
}

#[tokio::test]
async fn what_the_user_sees_of_a_link_flow_completes_nothing() {
    let world = World::new().await;
    let start = start(&world).await;
    let code = code(&world, &start).await;
    let confirm = format!("POST /api/v1/authorizations/{}/confirm", start.expose());
    let body = json!({"code": code.expose()});
    // Not even who may do everything confirms it: the app's own secret is what counts.
    for key in ["tok_member", "tok_alice"] {
        let refused = world.call(key, &confirm, &body).await;
        assert_eq!(refused.status, 404, "{key}: {}", refused.body);
    }
    let asked = format!("GET /api/v1/authorizations/{}", start.expose());
    let refused = world.call("tok_alice", &asked, &json!({})).await;
    assert_eq!(refused.status, 404, "{}", refused.body);
    assert!(exchange(&world, &code).await.is_ok(), "the code is unspent");
}

#[tokio::test]
async fn a_failed_exchange_is_told_to_the_redirect_url_and_the_flow_is_over() {
    let world = World::new().await;
    let order = Order {
        fault: "s500".to_owned(),
        endpoint: Some(Endpoint::Token),
        grant_type: Some("authorization_code".to_owned()),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    let start = start(&world).await;
    let arrived = visit(&world, &start).await;
    assert!(arrived.as_str().starts_with(RETURN), "{arrived}");
    assert_eq!(
        parameter(&arrived, "error").as_deref(),
        Some("temporarily_unavailable")
    );
    let events = world
        .call("tok_alice", "GET /api/v1/events?limit=10", &json!({}))
        .await;
    let events: Value = serde_json::from_str(&events.body).unwrap();
    let failed = events["data"].as_array().unwrap().iter();
    let mut failed = failed.filter(|event| event["kind"] == "authorization.failed");
    let why = &failed.next().unwrap()["data"];
    assert_eq!(why["code"], "server_error", "{why}");
    // Its authorization has a page for how it ended, and no button that would begin it again.
    let page = format!("/authorize/{}", why["authorization"].as_str().unwrap());
    let mut browser = Browser::at(world.router());
    assert!(!browser.get(&page).await.body.contains("<button"));

    // The app's health tells of it, until a code brings tokens.
    let health = async || {
        let app = format!("GET /sequin/v1/oauth-apps/{CONNECTOR}");
        let app = world.call("tok_alice", &app, &json!({})).await;
        let app: Value = serde_json::from_str(&app.body).unwrap();
        app["health"].clone()
    };
    let told = health().await;
    assert_eq!(told["status"], "error");
    let note = told["notes"][0].as_str().unwrap().to_owned();
    assert!(note.contains("(server_error)"), "{note}");
    world.connect("u1").await;
    assert_eq!(health().await["status"], "ok");
}

#[tokio::test]
async fn a_connector_of_another_type_keeps_nothing_of_what_it_was() {
    let world = World::new().await;
    world.engine.start().await.unwrap();
    world.connect("u1").await;
    let start = start(&world).await;
    let code = code(&world, &start).await;
    let linked = exchange(&world, &code).await.unwrap();
    let LinkedTokens::Handle(handle) = linked.tokens else {
        panic!("tokens are not shown");
    };
    let pending = world.ask("u2").await;
    // Inactive, it is not asked whether it is there.
    let change = json!({
        "url": "https://wiki.example/search", "active": false,
        "service_auth": {"type": "bearer", "token": "k"},
    });
    let route = format!("PATCH /cohere/v1/connectors/{CONNECTOR}");
    let changed = world.call("tok_alice", &route, &change);
    let changed = world.run(changed).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert!(world.live("u1").await.is_none());
    assert_eq!(
        standing(&world, &pending).await,
        AuthorizationState::Canceled
    );
    let body = json!({
        "oauth_app_id": CONNECTOR,
        "properties": {"kind": KIND, "access_token": handle.expose()},
    });
    let late = world
        .call("tok_alice", "POST /sequin/v1/credentials", &body)
        .await;
    assert_eq!(late.status, 422, "{}", late.body);
    assert!(world.revocations() > 0, "its pair lives on at the provider");
}

#[tokio::test]
async fn a_link_flow_has_no_button_beside_its_start_url() {
    let world = World::new().await;
    start(&world).await;
    let list = world
        .call("tok_alice", "GET /api/v1/authorizations", &json!({}))
        .await;
    let list: Value = serde_json::from_str(&list.body).unwrap();
    let page = format!("/authorize/{}", list["data"][0]["id"].as_str().unwrap());
    let mut browser = Browser::at(world.router());
    assert_eq!(browser.get(&page).await.status, 404);
    for action in ["connect", "decline"] {
        let pressed = browser.post(&page, &[("action", action)]).await;
        assert_eq!(pressed.status, 404, "{action}: {}", pressed.body);
    }
}

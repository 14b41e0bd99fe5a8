//! Signing in, where the provider, or somebody else, does something else meanwhile.

use grantry_core::Clock as _;
use grantry_sandbox::Endpoint;
use serde_json::json;
use url::Url;

use crate::enrol::{ID, RESOURCE, client, registrations, row};
use crate::gateway::{
    CONNECTOR, HOUSE, arriving, authorize, came_back, error_of, json_of, order, refused, renew,
    signed_in, stored, told, world,
};
use crate::server_config::published;
use crate::world::World;
use crate::world::browser::Browser;

#[tokio::test]
async fn a_bare_401_to_a_strangers_code_neither_faults_a_connector_nor_costs_its_client() {
    let world = World::new().await;
    // It registers itself, so that its client could be lost.
    let own = HOUSE.replace(CONNECTOR, ID).replace(
        r#"serverUrl = "http://sandbox.test", clientId = "demo", clientSecret = "demo-secret""#,
        &format!("serverUrl = {RESOURCE:?}"),
    );
    world.apply(&own).await;
    let at_it = [("client_id", ID)];
    let (mut browser, arrival) = arriving(&world, &at_it).await;
    let registered = client(&world).await;
    for _ in 0..4 {
        order(&world, Endpoint::Token, "html401");
        let page = came_back(&world, &at_it).await;
        assert_eq!(error_of(&page), "server_error");
        let stored = row(&world).await.unwrap();
        assert_eq!((stored.fault, stored.failed_exchange), (None, None));
        assert!(!stored.registration.unwrap().client.unwrap().lost);
    }
    // Who was at the provider meanwhile is signed in, by the client that there was.
    let page = world.run(browser.get(&arrival)).await;
    assert!(
        told(page.location(), "code").is_some(),
        "{}",
        page.location()
    );
    assert_eq!(client(&world).await, registered);
    assert_eq!(registrations(&world), 1);
}

#[tokio::test]
async fn a_refresh_beside_a_link_that_is_taken_away_is_refused_and_is_no_second_use() {
    let world = world().await;
    let session = signed_in(&world).await;
    let elsewhere = world.another_node("node-2").await;
    let caller = elsewhere.server_caller(Some("team_1")).await.unwrap();
    // This node has just heard of all there was, and has not heard of what comes now.
    world.engine.start().await.unwrap();
    let before = world.clock.now();
    let again = session_of_refresh(&world, &session.refresh).await;
    elsewhere
        .delete_link(&caller, CONNECTOR, "prj_1")
        .await
        .unwrap();
    let refusal = refused(&renew(&world, &again).await);
    assert_eq!(refusal, "invalid_grant");
    assert_eq!(world.clock.now(), before, "it could not have heard");
    assert!(
        stored(&world, &session.id)
            .await
            .unwrap()
            .ended_at
            .is_none()
    );
    // Put back at once, it counts as never gone, and what was presented is still good.
    world.apply(HOUSE).await;
    json_of(&renew(&world, &again).await, 200);
}

/// The next refresh token.
async fn session_of_refresh(world: &World, token: &str) -> String {
    let tokens = json_of(&renew(world, token).await, 200);
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_prompt_of_other_words_than_openid_connects_is_refused_and_none_asks_nobody() {
    let world = world().await;
    let mut browser = Browser::at(world.router());
    for bad in ["create", "none login", "login,consent", "consent&scope=x"] {
        let page = world.run(browser.get(&authorize(&[("prompt", bad)]))).await;
        assert_eq!(error_of(&page), "invalid_request", "{bad}");
        let why = told(page.location(), "error_description").unwrap();
        assert!(why.starts_with("prompt must be"), "{why}");
    }
    let page = world
        .run(browser.get(&authorize(&[("prompt", "none")])))
        .await;
    assert_eq!(error_of(&page), "login_required");
    let asked = authorize(&[("prompt", "login select_account")]);
    let page = world.run(browser.get(&asked)).await;
    let provider = Url::parse(page.location()).unwrap();
    assert!(
        provider
            .query_pairs()
            .any(|pair| pair == ("prompt".into(), "login select_account".into()))
    );
}

#[tokio::test]
async fn a_max_age_is_passed_on_where_the_keys_are_the_connectors_own() {
    let world = World::new().await;
    let keys = published(&world).await;
    let config = json!({
        "issuer": "http://sandbox.test", "authorization_endpoint": "http://sandbox.test/authorize",
        "token_endpoint": "http://sandbox.test/token", "jwks": keys,
    });
    let toml = toml_of(&config);
    let own = HOUSE.replace(
        r#"serverUrl = "http://sandbox.test""#,
        &format!("serverConfig = {toml}"),
    );
    world.apply(&own).await;
    let mut browser = Browser::at(world.router());
    let asked = authorize(&[("max_age", "300")]);
    let page = world.run(browser.get(&asked)).await;
    let provider = Url::parse(page.location()).unwrap();
    assert_eq!(provider.host_str(), Some("sandbox.test"), "{provider}");
    assert!(
        provider
            .query_pairs()
            .any(|pair| pair == ("max_age".into(), "300".into()))
    );
    // The sandbox does not say when: then nobody counts as there lately.
    let page = came_back(&world, &[("max_age", "300")]).await;
    let why = told(page.location(), "error_description").unwrap();
    assert!(why.contains("does not say when"), "{why}");
    // Without it they are believed by the same keys.
    assert!(told(came_back(&world, &[]).await.location(), "code").is_some());
}

/// JSON as a value of TOML: objects inline, the rest as it is.
fn toml_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", toml_of(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_of).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

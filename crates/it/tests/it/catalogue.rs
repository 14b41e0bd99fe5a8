//! Connectors of services that the built-in catalogue knows.

use std::collections::HashMap;

use grantry_core::Error;
use grantry_engine::{AskConsent, NewConnector};
use serde_json::{Value, json};
use url::Url;

use crate::world::{World, token_of};

async fn make(world: &World, service: &str, data: Value) -> Result<String, Error> {
    let new = NewConnector {
        kind: "oauth".to_owned(),
        name: Some(service.to_owned()),
        service: Some(service.to_owned()),
        data: data.as_object().unwrap().clone(),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await?;
    Ok(made.connector.id.to_string())
}

/// Where the button of the consent page leads.
async fn button(world: &World, connector: &str) -> Url {
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let requested = world.engine.authorize(&caller, connector, ask).await;
    let id = requested.unwrap().id;
    world.engine.press(&id, None, false).await.unwrap().url
}

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_known_service_needs_a_client_and_nothing_else() {
    let world = World::new().await;
    let data = json!({"clientId": "c", "clientSecret": "s"});
    let id = make(&world, "google", data).await.unwrap();
    let url = button(&world, &id).await;
    assert_eq!(url.host_str(), Some("accounts.google.com"));
    let query = query(&url);
    assert_eq!(query["access_type"], "offline");
    assert!(!query.contains_key("scope"), "samples are not asked for");
}

#[tokio::test]
async fn a_connectors_parameters_take_the_place_of_the_catalogues() {
    let world = World::new().await;
    let data = json!({
        "clientId": "c", "clientSecret": "s",
        "authorizationUrlParams": {"access_type": "online", "hd": "acme.example"},
    });
    let id = make(&world, "google", data).await.unwrap();
    let query = query(&button(&world, &id).await);
    assert_eq!(
        (query["access_type"].as_str(), query["hd"].as_str()),
        ("online", "acme.example")
    );
}

#[tokio::test]
async fn the_variable_part_of_a_host_is_asked_for_and_checked() {
    let world = World::new().await;
    let with =
        |variables: Value| json!({"clientId": "c", "clientSecret": "s", "variables": variables});
    let data = with(json!({"shop": "acme"}));
    let id = make(&world, "shopify", data).await.unwrap();
    let url = button(&world, &id).await;
    assert_eq!(url.host_str(), Some("acme.myshopify.com"));

    for (service, variables, field, words) in [
        ("shopify", json!({}), "data.variables.shop", "is required"),
        (
            "shopify",
            json!({"shop": "evil.example/"}),
            "data.variables.shop",
            "must match",
        ),
        (
            "shopify",
            json!({"shop": "acme", "stage": "x"}),
            "data.variables.stage",
            "it has shop",
        ),
        (
            "github",
            json!({"host": "x"}),
            "data.variables.host",
            "has no variables",
        ),
    ] {
        let refused = make(&world, service, with(variables)).await;
        let Err(Error::Invalid(problems)) = refused else {
            panic!("{service} {field}: {refused:?}")
        };
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].field, field);
        assert!(
            problems[0].message.contains(words),
            "{}",
            problems[0].message
        );
    }
}

#[tokio::test]
async fn a_declared_row_is_laid_over_the_built_in_one() {
    let world = World::new().await;
    world
        .apply(
            r#"
            [[services]]
            id = "github"
            authorization_endpoint = "https://git.acme.example/authorize"
            [[connectors]]
            id = "scl_git"
            team = "team_1"
            name = "Git"
            type = "oauth"
            service = "github"
            data = { clientId = "c", clientSecret = "s" }
            "#,
        )
        .await;
    let url = button(&world, "scl_git").await;
    assert_eq!(url.host_str(), Some("git.acme.example"));
}

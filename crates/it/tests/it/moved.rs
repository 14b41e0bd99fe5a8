//! A connector that is to ask at another server: what is stored for the one before never gets there, and what comes from
//! there is not shown to the one that the catalogue knows.

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{AuthorizationState, ConnectionState, EventKind, Install, Subject};
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Error, Result};
use grantry_engine::{
    AskConsent, AskToken, CallbackEnd, ConnectorChange, ConnectorView, NewConnector, Requested,
};
use serde_json::{Value, json};

use crate::callback::exchanges;
use crate::world::browser::Browser;
use crate::world::{CONNECTOR, World, subject, token_of};

/// All that is sent in a world's process is answered by the sandbox, whatever its host.
async fn change(world: &World, data: Value) -> Result<ConnectorView> {
    let Value::Object(data) = data else {
        panic!("{data}");
    };
    let caller = world.server().await;
    let change = ConnectorChange {
        data: Some(data),
        ..ConnectorChange::default()
    };
    world
        .run(world.engine.update_connector(&caller, CONNECTOR, change))
        .await
}

fn elsewhere() -> Value {
    json!({"token_endpoint": "http://mine.test/token", "revocation_endpoint": "http://mine.test/revoke"})
}

#[tokio::test]
async fn a_move_needs_the_secret_anew_and_a_change_at_the_same_server_does_not() {
    let world = World::new().await;
    for config in [
        json!({"token_endpoint": "http://mine.test/token"}),
        json!({"revocation_endpoint": "http://mine.test/revoke"}),
        json!({"userinfo_endpoint": "http://mine.test/me"}),
    ] {
        let moved = change(&world, json!({"serverConfig": config})).await;
        let Err(Error::Invalid(problems)) = moved.map(|_| ()) else {
            panic!("{config}");
        };
        assert_eq!(problems[0].field, "data.clientSecret", "{config}");
    }
    let given = json!({"serverConfig": elsewhere(), "clientSecret": "demo-secret"});
    assert!(change(&world, given).await.is_ok());
    let mut same = elsewhere();
    same["introspection_endpoint"] = json!("http://mine.test/introspect");
    assert!(change(&world, json!({"serverConfig": same})).await.is_ok());
    let only_named = json!({"authorizationUrlParams": {"audience": "x"}});
    assert!(change(&world, only_named).await.is_ok());
}

#[tokio::test]
async fn a_code_of_the_server_before_is_not_redeemed_with_the_secret_of_the_next() {
    let world = World::new().await;
    let requested = ask(&world, "u1").await;
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &requested).await;
    let given = json!({"serverConfig": elsewhere(), "clientSecret": "demo-secret"});
    assert!(change(&world, given).await.is_ok());
    browser.get(&arrival).await;
    assert_eq!(exchanges(&world), 0);
    assert!(world.live("u1").await.is_none());
    // The link is good for another press, which goes where the connector asks now.
    let arrival = browser.sign_in(&world, &requested).await;
    browser.get(&arrival).await;
    assert_eq!(exchanges(&world), 1);
    assert!(world.live("u1").await.is_some());
}

async fn ask(world: &World, user: &str) -> Requested {
    let ask = AskConsent {
        token: token_of(user),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let asked = world.engine.authorize(&caller, CONNECTOR, ask).await;
    asked.unwrap()
}

#[tokio::test]
async fn tokens_are_presented_at_no_other_server_than_they_came_from() {
    let world = World::new().await;
    for user in ["u1", "u2", "u3"] {
        world.connect(user).await;
    }
    let given = json!({"serverConfig": elsewhere(), "clientSecret": "demo-secret"});
    assert!(change(&world, given).await.is_ok());
    assert!(world.token_text("u1").await.is_ok(), "what lives is served");
    world.expire().await;
    let Err(Error::AuthorizationRequired(why)) = world.token_text("u1").await else {
        panic!("it was refreshed");
    };
    assert_eq!(why.reason, ReconnectReason::Rejected);
    let state = world.state("u1").await;
    assert_eq!(
        state,
        ConnectionState::NeedsReauth(ReconnectReason::Rejected)
    );
    assert_eq!(world.presentations().len(), 0);

    let caller = world.server().await;
    let two = world.live("u2").await.unwrap().connection.id;
    let revoke = world.engine.revoke_connection(&caller, &two);
    assert_eq!(world.run(revoke).await.unwrap().provider_failed, 1);
    assert_eq!(world.revocations(), 0);
    let filter = EventFilter {
        kinds: vec![EventKind::ProviderRevokeFailed],
        ..EventFilter::default()
    };
    let page = Page::first(9);
    let events = world.store.events(&caller.team, &filter, &page);
    assert_eq!(events.await.unwrap().len(), 1);

    // Back where they came from, those that were not asked for meanwhile are as they were.
    let back = json!({"serverConfig": null});
    assert!(change(&world, back).await.is_ok());
    assert!(world.token_text("u3").await.is_ok());
    assert_eq!(world.presentations().len(), 1);
    world.connect("u1").await;
    world.expire().await;
    assert!(world.token_text("u1").await.is_ok());
}

/// A connector of a type whose service the catalogue knows, with endpoints of its own.
async fn made(world: &World, kind: &str, mut data: Value, config: Value) -> ConnectorView {
    data["serverConfig"] = config;
    let new = NewConnector {
        kind: kind.to_owned(),
        name: Some(kind.to_owned()),
        data: data.as_object().unwrap().clone(),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    world.engine.create_connector(&caller, new).await.unwrap()
}

/// What asking for a person, or for an installation, comes to.
async fn asked(world: &World, made: &ConnectorView, install: bool) -> Result<Requested> {
    let person = match install {
        true => Subject::App,
        false => subject("u1"),
    };
    let ask = AskConsent {
        token: AskToken {
            subject: Some(person),
            ..AskToken::default()
        },
        install: install.then(Install::default),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let id = made.connector.id.as_str();
    world.engine.authorize(&caller, id, ask).await
}

/// A consent, and the end of what it brought.
async fn used(world: &World, made: &ConnectorView) -> Option<String> {
    let requested = asked(world, made, false).await.unwrap();
    let CallbackEnd::Ended(ended) = world.consent(&requested).await else {
        panic!("not ended");
    };
    let AuthorizationState::Success { connection } = ended.state else {
        panic!("{:?}", ended.state);
    };
    let caller = world.server().await;
    let whose = world.engine.connection(&caller, &connection).await.unwrap();
    let revoke = world.engine.revoke_connection(&caller, &connection);
    world.run(revoke).await.unwrap();
    whose.external_subject.clone()
}

fn linear_client() -> Value {
    json!({"clientId": "demo", "clientSecret": "demo-secret"})
}

#[tokio::test]
async fn tokens_of_a_server_of_ones_own_are_not_shown_to_the_catalogues() {
    for (kind, data) in [
        ("linear", linear_client()),
        (
            "github",
            json!({"appId": 1, "appSlug": "a", "appName": "A", "clientId": "demo", "clientSecret": "demo-secret"}),
        ),
        (
            "slack",
            json!({"appId": "A1", "appName": "A", "clientId": "demo", "clientSecret": "demo-secret", "userScopes": ["a"]}),
        ),
    ] {
        let world = World::new().await;
        let (authorize, token) = match kind {
            "linear" => ("/linear/oauth/authorize", "/linear/oauth/token"),
            "slack" => ("/slack/oauth/v2/authorize", "/slack/api/oauth.v2.access"),
            _ => ("/authorize", "/token"),
        };
        let config = json!({
            "authorization_endpoint": format!("http://sandbox.test{authorize}"),
            "token_endpoint": format!("http://sandbox.test{token}"),
        });
        let made = made(&world, kind, data, config).await;
        assert!(!made.capabilities.revocation, "{kind}");
        used(&world, &made).await;
        if kind == "linear" {
            let Err(Error::Unresolvable { reason }) = asked(&world, &made, true).await.map(|_| ())
            else {
                panic!("nobody could say which workspace it is");
            };
            assert!(
                reason.contains("data.serverConfig.api_base_url"),
                "{reason}"
            );
        }
        let caller = world.server().await;
        let health = world.engine.health(&caller, &made.connector).await.unwrap();
        let said = health
            .notes
            .iter()
            .any(|note| note.contains("api_base_url"));
        assert!(said, "{kind}: {:?}", health.notes);
        world.run(world.engine.drain()).await;
        assert_eq!(world.hosts_asked(), ["sandbox.test"], "{kind}");
    }
}

#[tokio::test]
async fn what_a_connector_says_of_its_own_server_is_shown_its_tokens() {
    let world = World::new().await;
    let at = |path: &str| format!("http://sandbox.test/linear/{path}");
    let config = json!({
        "authorization_endpoint": at("oauth/authorize"), "token_endpoint": at("oauth/token"),
        "revocation_endpoint": at("oauth/revoke"), "api_base_url": at("graphql"),
    });
    let made = made(&world, "linear", linear_client(), config).await;
    assert!(made.capabilities.revocation);
    let whose = used(&world, &made).await;
    assert!(whose.is_some(), "its API says whose account it is");
    assert!(world.revocations() > 0);
    assert!(asked(&world, &made, true).await.is_ok());
    let caller = world.server().await;
    let health = world.engine.health(&caller, &made.connector).await.unwrap();
    assert!(
        !health
            .notes
            .iter()
            .any(|note| note.contains("serverConfig"))
    );
    assert_eq!(world.hosts_asked(), ["sandbox.test"]);
}

#[tokio::test]
async fn tokens_of_a_server_that_the_deployment_declared_are_not_shown_to_the_built_in_one() {
    let world = World::new().await;
    let overlay = |more: &str| {
        format!(
            "[[services]]\nid = \"linear\"\nauthorization_endpoint = \"http://sandbox.test/linear/oauth/authorize\"\n\
             token_endpoint = \"http://sandbox.test/linear/oauth/token\"\n{more}"
        )
    };
    world.apply(&overlay("")).await;
    let bare = made(&world, "linear", linear_client(), json!({})).await;
    assert!(!bare.capabilities.revocation);
    assert_eq!(used(&world, &bare).await, None, "nobody is asked");
    assert!(asked(&world, &bare, true).await.is_err());
    assert_eq!(world.hosts_asked(), ["sandbox.test"]);
    world
        .apply(&overlay(
            "api_base_url = \"http://sandbox.test/linear/graphql\"\n\
             revocation_endpoint = \"http://sandbox.test/linear/oauth/revoke\"",
        ))
        .await;
    assert!(used(&world, &bare).await.is_some());
    assert!(asked(&world, &bare, true).await.is_ok());
    assert!(world.revocations() > 0);
    assert_eq!(world.hosts_asked(), ["sandbox.test"]);
}

//! A connector that is to ask at another server: what is stored for the one before never gets there.

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{ConnectionState, EventKind};
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Error, Result};
use grantry_engine::{AskConsent, ConnectorChange, ConnectorView, Requested};
use serde_json::{Value, json};

use crate::callback::exchanges;
use crate::world::browser::Browser;
use crate::world::{CONNECTOR, World, token_of};

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

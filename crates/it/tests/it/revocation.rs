//! Ending a connection: at once for its owner, at the provider as soon as it answers (requirement 51).

use std::time::Duration;

use grantry_core::nouns::EventKind;
use grantry_core::store::{EventFilter, Page};
use grantry_engine::{AskConsent, Which};
use grantry_sandbox::{Endpoint, Order};

use crate::world::{CONNECTOR, World, token_of};

/// The last word on the provider's side: which event, with which outcome.
const TABLE: &[(&str, EventKind, &str)] = &[
    ("ok", EventKind::ProviderRevoked, "revoked"),
    // For a while only: tried again until it is done.
    ("s503", EventKind::ProviderRevoked, "revoked"),
    ("s500", EventKind::ProviderRevoked, "revoked"),
    ("s429", EventKind::ProviderRevoked, "revoked"),
    ("hang", EventKind::ProviderRevoked, "revoked"),
    ("lost", EventKind::ProviderRevoked, "revoked"),
    // Another try cannot help.
    (
        "unsupported",
        EventKind::ProviderRevokeFailed,
        "unsupported",
    ),
    ("inv_client", EventKind::ProviderRevokeFailed, "failed"),
    ("reflect", EventKind::ProviderRevokeFailed, "failed"),
    ("r307", EventKind::ProviderRevokeFailed, "failed"),
];

async fn outcomes(world: &World, kind: EventKind) -> Vec<String> {
    let filter = EventFilter {
        kinds: vec![kind],
        ..EventFilter::default()
    };
    let team = "team_1".into();
    let events = world.store.events(&team, &filter, &Page::first(100)).await;
    let events = events.unwrap().into_iter();
    events
        .map(|event| {
            event.data["outcome"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn strike(world: &World, fault: &str, times: Option<u64>) {
    let endpoint = if fault == "ok" {
        Endpoint::Token
    } else {
        Endpoint::Revoke
    };
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(endpoint),
        times,
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

#[tokio::test]
async fn the_connection_ends_at_once_whatever_the_provider_says() {
    for (fault, kind, outcome) in TABLE {
        let world = World::new().await;
        let connection = world.connect("u1").await;
        // Two tries at most meet it, unless it is a verdict.
        let passing = *kind == EventKind::ProviderRevoked;
        strike(&world, fault, passing.then_some(2));
        let caller = world.server().await;
        let revoke = world.engine.revoke_connection(&caller, &connection.id);
        assert_eq!(world.run(revoke).await.unwrap().deleted, 1, "{fault}");
        assert!(world.live("u1").await.is_none(), "{fault}");
        assert!(world.token_text("u1").await.is_err(), "{fault}");

        world.engine.start().await.unwrap();
        world.pass(Duration::from_secs(15 * 60)).await;
        assert_eq!(outcomes(&world, *kind).await, [*outcome], "{fault}");
        let asked = world.revocations();
        world.pass(Duration::from_secs(15 * 60)).await;
        assert_eq!(
            world.revocations(),
            asked,
            "{fault}: asked after the last word"
        );
        assert_eq!(
            world.sandbox.stats().trapped,
            0,
            "{fault}: a redirect was followed"
        );
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up_after_a_day_and_said_so() {
    let world = World::new().await;
    let connection = world.connect("u1").await;
    strike(&world, "s503", None);
    let caller = world.server().await;
    let revoke = world.engine.revoke_connection(&caller, &connection.id);
    assert!(world.run(revoke).await.is_ok());
    // The background, one round every two hours instead of every five seconds.
    for _ in 0..13 {
        world.clock.advance(Duration::from_secs(2 * 3600));
        let node = world.another_node("later").await;
        node.start().await.unwrap();
        world.pass(Duration::from_secs(6)).await;
        world.run(node.drain()).await;
    }
    let failed = outcomes(&world, EventKind::ProviderRevokeFailed).await;
    assert_eq!(failed, ["failed"]);
    assert!(world.revocations() > 5);
}

#[tokio::test]
async fn a_deleted_connectors_tokens_are_ended_at_the_provider_with_the_secrets_it_had() {
    let world = World::new().await;
    for user in ["u1", "u2"] {
        world.connect(user).await;
    }
    let caller = world.server().await;
    let delete = world.engine.delete_connector(&caller, CONNECTOR);
    assert!(world.run(delete).await.is_ok());
    world.run(world.engine.drain()).await;
    let revoked = outcomes(&world, EventKind::ProviderRevoked).await;
    assert_eq!(revoked, ["revoked", "revoked"]);
    let stored = world.store.connector(&caller.team, CONNECTOR).await;
    assert!(stored.unwrap().unwrap().secrets.is_none());
}

#[tokio::test]
async fn a_deleted_connector_keeps_its_secrets_while_its_provider_does_not_answer() {
    let world = World::new().await;
    world.connect("u1").await;
    strike(&world, "s503", Some(2));
    let caller = world.server().await;
    let delete = world.engine.delete_connector(&caller, CONNECTOR);
    assert!(world.run(delete).await.is_ok());
    assert!(world.live("u1").await.is_none());
    world.engine.start().await.unwrap();
    let secrets = async || {
        let stored = world.store.connector(&caller.team, CONNECTOR).await;
        stored.unwrap().unwrap().secrets
    };
    world.pass(Duration::from_secs(30)).await;
    assert!(secrets().await.is_some());
    world.pass(Duration::from_secs(15 * 60)).await;
    let revoked = outcomes(&world, EventKind::ProviderRevoked).await;
    assert_eq!(revoked, ["revoked"]);
    assert!(secrets().await.is_none());
}

const OTHER: &str = r#"
    [[connectors]]
    id = "scl_other"
    team = "team_1"
    name = "Other"
    type = "oauth"
    service = "sandbox"
    data = { clientId = "other", clientSecret = "demo-secret" }
"#;

#[tokio::test]
async fn a_provider_that_hangs_holds_up_no_other_connectors_revocations() {
    let world = World::new().await;
    world.apply(OTHER).await;
    for number in 0..12 {
        world.connect(&format!("u{number}")).await;
    }
    let caller = world.server().await;
    let ask = AskConsent {
        token: token_of("v"),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&caller, "scl_other", ask).await;
    world.consent(&requested.unwrap()).await;

    let order = |fault: &str, client: &str, times| Order {
        fault: fault.to_owned(),
        endpoint: Some(Endpoint::Revoke),
        client_id: Some(client.to_owned()),
        times,
        ..Order::default()
    };
    world.sandbox.order(order("hang", "demo", None)).unwrap();
    world
        .sandbox
        .order(order("s503", "other", Some(1)))
        .unwrap();
    for connector in [CONNECTOR, "scl_other"] {
        let revoke = world.engine.revoke(&caller, connector, Which::default());
        assert!(world.run(revoke).await.unwrap().provider_failed > 0);
    }
    world.engine.start().await.unwrap();
    world.pass(Duration::from_secs(90)).await;
    let revoked = outcomes(&world, EventKind::ProviderRevoked).await;
    assert_eq!(revoked, ["revoked"]);
    // What hung is given up when its day is over, and not before.
    let failed = outcomes(&world, EventKind::ProviderRevokeFailed).await;
    assert_eq!(failed.len(), 0);
    let asked = world.revocations();
    world.pass(Duration::from_secs(30 * 60)).await;
    let asked = world.revocations() - asked;
    assert!((8..80).contains(&asked), "{asked} in half an hour");
}

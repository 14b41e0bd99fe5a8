//! Whose account a consent connects: requirements 21 and 22, and what is done where nobody can tell.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_core::nouns::{AuthorizationState, EventKind};
use grantry_core::store::{EventFilter, Live, Page};
use grantry_engine::Requested;
use grantry_sandbox::{Endpoint, FAULTS, Order};
use serde_json::json;

use crate::callback::{DISCOVERED, discovered, link, play};
use crate::world::browser::{Browser, standing};
use crate::world::{CALLBACK, World, token_of};

/// A connector whose users are named by ID tokens.
async fn world() -> World {
    let world = World::new().await;
    let mut new = discovered();
    new.data["userAuthorization"]["scopes"] = json!(["openid", "profile"]);
    new.data
        .insert("forwardedClaims".to_owned(), json!({"idToken": ["sub"]}));
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await;
    made.ok().unwrap();
    world
}

/// The next request to `endpoint` meets `fault`.
fn strike(world: &World, fault: &str, endpoint: Endpoint) {
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(endpoint),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

/// A browser consents: where it is sent in the end.
async fn consents(world: &World, requested: &Requested) -> String {
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(world, requested).await;
    browser.get(&arrival).await.location().to_owned()
}

async fn connected(world: &World) -> Live {
    consents(world, &link(world, "u1").await).await;
    let live = world.live("u1").await.unwrap();
    assert!(live.connection.external_subject.is_some());
    live
}

/// Why the latest consent that failed did.
async fn failed(world: &World) -> String {
    let filter = EventFilter {
        kinds: vec![EventKind::AuthorizationFailed],
        ..EventFilter::default()
    };
    let events = world
        .store
        .events(&"team_1".into(), &filter, &Page::first(1))
        .await;
    events.unwrap()[0].data["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requirement_21_another_account_is_not_taken_before_the_user_was_asked() {
    let world = world().await;
    let before = connected(&world).await;

    let again = link(&world, "u1").await;
    play(&world, "swap", None);
    let location = consents(&world, &again).await;
    let asks = format!("{}?notice=other-account", again.id);
    assert!(location.ends_with(&asks), "{location}");
    assert_eq!(standing(&world, &again).await, AuthorizationState::Pending);
    let after = world.live("u1").await.unwrap();
    assert_eq!(after.connection, before.connection);
    assert_eq!(after.sets[0].id, before.sets[0].id);

    // Replaced on purpose, the account before is not left with a token that nobody knows.
    world.engine.start().await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    let revoked = world.revocations();
    assert_eq!(revoked, 2, "both tokens of the pair that nobody took");
    play(&world, "swap", None);
    let pressed = world.engine.press(&again.id, None, true).await.unwrap();
    let query = world.provider_answers(&pressed.url).await;
    let work = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK);
    world.run(work).await.unwrap();
    let replaced = world.live("u1").await.unwrap();
    assert_eq!(replaced.connection.id, before.connection.id);
    assert_ne!(
        replaced.connection.external_subject,
        before.connection.external_subject
    );
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.revocations(), revoked + 2);
    world.run(world.engine.drain()).await;
}

#[tokio::test]
async fn requirement_21_who_cannot_be_told_from_the_connected_account_replaces_nobody() {
    for (fault, endpoint) in [("idt_absent", Endpoint::Token), ("s500", Endpoint::Jwks)] {
        let world = world().await;
        let before = connected(&world).await;
        let again = link(&world, "u1").await;
        play(&world, "swap", None);
        strike(&world, fault, endpoint);
        let location = consents(&world, &again).await;
        assert!(
            location.ends_with("?notice=try-again"),
            "{fault}: {location}"
        );
        assert_eq!(failed(&world).await, "account_unreadable", "{fault}");
        assert_eq!(standing(&world, &again).await, AuthorizationState::Pending);
        let after = world.live("u1").await.unwrap();
        assert_eq!(after.connection, before.connection, "{fault}");
        assert_eq!(after.sets[0].id, before.sets[0].id, "{fault}");
        // It may be the same account after all, all of whose tokens a revocation could end.
        world.engine.start().await.unwrap();
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.revocations(), 0, "{fault}");

        consents(&world, &again).await;
        let id = before.connection.id.clone();
        let success = AuthorizationState::Success { connection: id };
        assert_eq!(standing(&world, &again).await, success, "{fault}");
        let renewed = world.live("u1").await.unwrap();
        assert_ne!(renewed.sets[0].id, before.sets[0].id, "{fault}");
        let subject = |live: &Live| live.connection.external_subject.clone();
        assert_eq!(subject(&renewed), subject(&before), "{fault}");
        world.run(world.engine.drain()).await;
    }
}

#[tokio::test]
async fn requirement_21_a_first_consent_needs_no_name_and_the_next_one_brings_it() {
    for (fault, endpoint) in [("idt_absent", Endpoint::Token), ("s500", Endpoint::Jwks)] {
        let world = world().await;
        strike(&world, fault, endpoint);
        consents(&world, &link(&world, "u1").await).await;
        let live = world.live("u1").await.unwrap();
        assert_eq!(live.connection.external_subject, None, "{fault}");
        let caller = world.server().await;
        let served = world
            .engine
            .token(&caller, DISCOVERED, token_of("u1"))
            .await;
        assert!(served.ok().unwrap().claims.is_empty(), "{fault}");
        let named = connected(&world).await;
        assert_eq!(named.connection.id, live.connection.id, "{fault}");
    }
}

#[tokio::test]
async fn requirement_22_an_id_token_that_does_not_hold_ends_the_consent() {
    // Another user's is a good one on a first consent, and so is none: requirement 21 is what they meet.
    let forged = FAULTS
        .iter()
        .map(|fault| fault.name)
        .filter(|name| name.starts_with("idt_") && !["idt_sub", "idt_absent"].contains(name));
    let forged: BTreeSet<&str> = forged.collect();
    assert!(forged.len() >= 8, "{forged:?}");
    for fault in forged {
        let world = world().await;
        strike(&world, fault, Endpoint::Token);
        let requested = link(&world, "u1").await;
        consents(&world, &requested).await;
        assert!(world.live("u1").await.is_none(), "{fault}");
        let state = standing(&world, &requested).await;
        let code = "invalid_id_token".to_owned();
        assert_eq!(state, AuthorizationState::Error { code }, "{fault}");
    }
}

#[tokio::test]
async fn requirement_22_keys_that_were_changed_are_found() {
    for forget in [false, true] {
        let world = world().await;
        let before = connected(&world).await;
        world.sandbox.rotate_key(forget);
        let again = link(&world, "u1").await;
        consents(&world, &again).await;
        let id = before.connection.id.clone();
        let success = AuthorizationState::Success { connection: id };
        assert_eq!(standing(&world, &again).await, success);
        let after = world.live("u1").await.unwrap();
        assert_eq!(
            after.connection.external_subject,
            before.connection.external_subject
        );
        assert_ne!(after.sets[0].id, before.sets[0].id);
    }
}

#[tokio::test]
async fn requirement_22_an_id_token_of_a_refresh_says_nothing() {
    for fault in ["idt_sub", "idt_none", "idt_iss"] {
        let world = world().await;
        let before = connected(&world).await;
        let caller = world.server().await;
        let read = || world.engine.token(&caller, DISCOVERED, token_of("u1"));
        let claims = world.run(read()).await.unwrap().claims;
        assert!(claims.contains_key("sub"));
        world.expire().await;
        world.strike(fault, Some(1));
        let renewed = world.run(read()).await.unwrap();
        assert_eq!(renewed.claims, claims, "{fault}");
        assert_eq!(world.presentations().len(), 1, "{fault}");
        let after = world.live("u1").await.unwrap();
        assert_ne!(after.sets[0].id, before.sets[0].id, "{fault}");
        let subject = |live: &Live| live.connection.external_subject.clone();
        assert_eq!(subject(&after), subject(&before), "{fault}");
    }
}

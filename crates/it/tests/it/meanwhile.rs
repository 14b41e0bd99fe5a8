//! One thing happens while another is under way: consents during refreshes, deletions, shutdown,
//! slow commits, other nodes' caches.

use std::time::Duration;

use futures_util::future::{Either, join, select};
use grantry_core::nouns::{ConnectionState, EventKind};
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Clock, Error};
use grantry_engine::CallbackEnd;

use crate::world::{Broken, CALLBACK, CONNECTOR, Setup, World, token_of};

const SECOND: Duration = Duration::from_secs(1);

/// A world in which `u1` has connected, the access token has run out, and the next refresh takes 5 s.
async fn about_to_refresh() -> World {
    let world = World::new().await;
    world.connect("u1").await;
    world.expire().await;
    world.strike("late", Some(1));
    world
}

async fn count(world: &World, kind: EventKind) -> usize {
    let filter = EventFilter {
        kinds: vec![kind],
        ..EventFilter::default()
    };
    let team = "team_1".into();
    let events = world.store.events(&team, &filter, &Page::first(1000)).await;
    events.unwrap().len()
}

/// A new consent is newer than whatever a refresh of the old grant brings.
#[tokio::test]
async fn a_consent_during_a_refresh_wins_and_the_late_pair_is_dropped_not_revoked() {
    let world = about_to_refresh().await;
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let consent = async {
        world.clock.sleep(SECOND).await;
        let requested = world.ask("u1").await;
        let pressed = world
            .engine
            .press(&requested.id, None, false)
            .await
            .unwrap();
        let query = world.provider_answers(&pressed.url).await;
        let cookie = Some(&pressed.cookie);
        world.engine.callback(&query, cookie, CALLBACK).await
    };
    let (read, ended) = world.run(join(read, consent)).await;
    assert!(matches!(ended, Ok(CallbackEnd::Ended(_))));
    let read = read.ok().unwrap();
    let place = world.place("u1").await;
    assert_eq!(
        (place.family, place.generation),
        (1, 0),
        "the new consent's first pair"
    );
    assert_eq!(world.token_text("u1").await.unwrap(), read.token.expose());
    assert_eq!(count(&world, EventKind::TokenDropped).await, 1);
    assert_eq!(world.revocations(), 0);
}

#[tokio::test]
async fn a_connector_deleted_during_a_refresh_serves_nothing_any_more() {
    let world = about_to_refresh().await;
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let delete = async {
        world.clock.sleep(SECOND).await;
        world.engine.delete_connector(&caller, CONNECTOR).await
    };
    let (read, deleted) = world.run(join(read, delete)).await;
    assert!(deleted.is_ok() && read.is_err());
    assert_eq!(world.token_text("u1").await, Err(Error::Gone("connector")));
    assert_eq!(world.presentations().len(), 1);
}

#[tokio::test]
async fn shutdown_waits_for_the_flight_and_its_commit() {
    let world = about_to_refresh().await;
    let caller = world.server().await;
    {
        let read = Box::pin(world.engine.token(&caller, CONNECTOR, token_of("u1")));
        let gone = world.run(select(read, world.clock.sleep(SECOND))).await;
        assert!(matches!(gone, Either::Right(_)));
    }
    world.run(world.engine.drain()).await;
    assert!(world.place("u1").await.current);
    assert_eq!(world.presentations().len(), 1);
}

#[tokio::test]
async fn a_browser_that_goes_away_during_the_exchange_is_connected_all_the_same() {
    let world = World::new().await;
    let order = grantry_sandbox::Order {
        fault: "late".to_owned(),
        grant_type: Some("authorization_code".to_owned()),
        times: Some(1),
        ..Default::default()
    };
    world.sandbox.order(order).unwrap();
    let requested = world.ask("u1").await;
    let pressed = world
        .engine
        .press(&requested.id, None, false)
        .await
        .unwrap();
    let query = world.provider_answers(&pressed.url).await;
    {
        let arrives = Box::pin(
            world
                .engine
                .callback(&query, Some(&pressed.cookie), CALLBACK),
        );
        let gone = world.run(select(arrives, world.clock.sleep(SECOND))).await;
        assert!(matches!(gone, Either::Right(_)));
    }
    world.pass(10 * SECOND).await;
    assert!(world.token_text("u1").await.is_ok());
}

/// The commit of a consent seems to fail but did not: its tokens are live and must not be revoked.
#[tokio::test]
async fn a_consent_whose_commit_answer_is_lost_is_found_and_kept() {
    let world = World::new().await;
    let order = grantry_sandbox::Order {
        fault: "late".to_owned(),
        grant_type: Some("authorization_code".to_owned()),
        times: Some(1),
        ..Default::default()
    };
    world.sandbox.order(order).unwrap();
    let requested = world.ask("u1").await;
    let pressed = world
        .engine
        .press(&requested.id, None, false)
        .await
        .unwrap();
    let query = world.provider_answers(&pressed.url).await;
    let arrives = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK);
    let breaks = async {
        world.clock.sleep(SECOND).await;
        world.watch.break_writes(Broken::AnswerLost);
        world.clock.sleep(10 * SECOND).await;
        world.watch.break_writes(Broken::No);
    };
    let (ended, ()) = world.run(join(arrives, breaks)).await;
    assert!(
        matches!(ended, Ok(CallbackEnd::Ended(_))),
        "{:?}",
        ended.err()
    );
    world.engine.start().await.unwrap();
    world.pass(120 * SECOND).await;
    assert_eq!(world.revocations(), 0, "a live grant was revoked");
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.state("u1").await, ConnectionState::Active);
}

/// The commit of the attempt took so long that the lease could end before the answer (design §6c).
#[tokio::test]
async fn a_commit_that_took_too_long_is_not_followed_by_a_request() {
    let world = World::new().await;
    world.connect("u1").await;
    world.expire().await;
    world.watch.break_writes(Broken::Slow);
    assert!(world.token_text("u1").await.is_err());
    world.pass(60 * SECOND).await;
    assert_eq!(
        world.presentations().len(),
        0,
        "sent after the lease was worn out"
    );
    world.watch.break_writes(Broken::No);
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.presentations().len(), 1);
}

/// Design §8: within two seconds, by the change feed; and a node that cannot hear of changes for
/// that long does not trust what it remembers.
#[tokio::test]
async fn a_revocation_reaches_the_other_nodes_within_two_seconds() {
    let world = World::with(Setup::default()).await;
    world.connect("u1").await;
    world.connect("u2").await;
    let other = world.another_node("node-2").await;
    other.start().await.unwrap();
    let caller = world.server().await;
    for user in ["u1", "u2"] {
        assert!(world.token_from(&other, user).await.is_ok());
    }
    let id = world.live("u1").await.unwrap().connection.id;
    let revoked = world.engine.revoke_connection(&caller, &id);
    assert!(world.run(revoked).await.is_ok());
    world.pass(2 * SECOND).await;
    assert!(world.token_from(&other, "u1").await.is_err());
    assert!(world.token_from(&other, "u2").await.is_ok());

    let key = "key_alice".into();
    assert!(other.caller("tok_alice", None).await.is_ok());
    world.engine.revoke_key(&*caller, &key).await.unwrap();
    world.pass(2 * SECOND).await;
    assert_eq!(
        other.caller("tok_alice", None).await,
        Err(Error::Unauthenticated)
    );
}

//! The promise of design §6, told as it may go wrong.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{Actor, ConnectionState, Event, EventKind, TokenSet};
use grantry_core::store::{Begin, Completion, EventFilter, Page};
use grantry_core::{Clock, Error};

use crate::world::{ACCESS_TTL, Broken, CONNECTOR, Setup, World, token_of};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn lenient() -> Setup {
    Setup {
        grace: MINUTE,
        ..Setup::default()
    }
}

fn kept_alive() -> Setup {
    Setup {
        keep_alive: Some(10 * MINUTE),
        ..Setup::default()
    }
}

/// A world in which `u1` has connected and the access token has run out.
async fn worn_out(setup: Setup) -> World {
    let world = World::with(setup).await;
    world.connect("u1").await;
    world.expire().await;
    world
}

fn reason(read: &Result<String, Error>) -> ReconnectReason {
    match read {
        Err(Error::AuthorizationRequired(why)) => why.reason,
        other => panic!("{other:?}"),
    }
}

/// How many events of `kind` there are, up to 1 000.
async fn events(world: &World, kind: EventKind) -> usize {
    let filter = EventFilter {
        kinds: vec![kind],
        ..EventFilter::default()
    };
    let events = world
        .store
        .events(&"team_1".into(), &filter, &Page::first(1000))
        .await;
    events.unwrap().len()
}

/// The answer to a presentation of `set` by a node that was thought dead.
async fn arrives_late(world: &World, set: &TokenSet) -> Completion {
    let event = Event {
        id: "evt_late".into(),
        team: Some(set.team.clone()),
        at: world.clock.now(),
        kind: EventKind::TokenRefreshed,
        actor: Actor::System,
        connector: None,
        connection: None,
        data: serde_json::Map::new(),
    };
    let late = TokenSet {
        id: "stk_late".into(),
        ..set.clone()
    };
    let completion = world.store.complete(&set.team, &set.id, &late, &event);
    completion.await.unwrap()
}

#[tokio::test]
async fn a_token_that_lives_is_served_without_asking() {
    let world = World::new().await;
    world.connect("u1").await;
    let first = world.token_text("u1").await.unwrap();
    world.pass(ACCESS_TTL / 2).await;
    assert_eq!(world.token_text("u1").await.unwrap(), first);
    assert_eq!(world.presentations().len(), 0);
}

#[tokio::test]
async fn silence_for_a_minute_kills_nothing() {
    let world = worn_out(lenient()).await;
    world.strike("hang", None);
    let kept = world.stored_refresh_token("u1").await;
    for _ in 0..6 {
        assert!(world.token_text("u1").await.is_err());
        world.pass(Duration::from_secs(10)).await;
    }
    assert_eq!(world.state("u1").await, ConnectionState::Active);
    assert_eq!(
        world.stored_refresh_token("u1").await.expose(),
        kept.expose()
    );
    world.sandbox.reset();
    world.pass(15 * MINUTE).await;
    assert!(world.token_text("u1").await.is_ok());
}

#[tokio::test]
async fn a_502_after_rotation_is_unknown_and_heals_within_the_grace() {
    let world = worn_out(lenient()).await;
    world.strike("s502", Some(1));
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.presentations().len(), 2);
    assert!(world.place("u1").await.current);
}

#[tokio::test]
async fn a_502_after_rotation_at_a_strict_server_is_an_honest_lost_response() {
    let world = worn_out(Setup::default()).await;
    world.strike("s502", Some(1));
    assert_eq!(
        reason(&world.token_text("u1").await),
        ReconnectReason::LostResponse
    );
    let state = world.state("u1").await;
    assert_eq!(
        state,
        ConnectionState::NeedsReauth(ReconnectReason::LostResponse)
    );
    assert_eq!(events(&world, EventKind::ConnectionNeedsReauth).await, 1);
}

#[tokio::test]
async fn the_old_access_token_is_served_while_it_lives_whatever_the_refresh_does() {
    let world = World::new().await;
    world.connect("u1").await;
    let first = world.token_text("u1").await.unwrap();
    world.clock.advance(ACCESS_TTL - MINUTE);
    world.strike("lost", Some(1));
    let mut ask = token_of("u1");
    ask.validity_buffer = 5 * MINUTE;
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, ask);
    let read = world.run(read).await;
    assert_eq!(read.ok().unwrap().token.expose(), first);
    let state = world.state("u1").await;
    assert_eq!(
        state,
        ConnectionState::NeedsReauth(ReconnectReason::LostResponse)
    );
    assert_eq!(
        world.token_text("u1").await.unwrap(),
        first,
        "it lives for another minute"
    );
    world.pass(MINUTE).await;
    assert_eq!(
        reason(&world.token_text("u1").await),
        ReconnectReason::LostResponse
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_nothing() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    {
        let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
        let gone = world.clock.sleep(Duration::from_secs(1));
        let both = select(Box::pin(read), gone);
        assert!(matches!(world.run(both).await, Either::Right(_)));
    }
    assert_eq!(world.presentations().len(), 1, "the request was under way");
    world.pass(Duration::from_secs(10)).await;
    assert!(
        world.place("u1").await.current,
        "the answer arrived and was stored"
    );
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.presentations().len(), 1);
}

#[tokio::test]
async fn an_invalid_grant_asks_for_one_new_consent_and_nothing_more() {
    let world = worn_out(kept_alive()).await;
    world.strike("inv_grant", None);
    assert_eq!(
        reason(&world.token_text("u1").await),
        ReconnectReason::Rejected
    );
    for _ in 0..24 {
        world.pass(HOUR).await;
        assert_eq!(
            reason(&world.token_text("u1").await),
            ReconnectReason::Rejected
        );
    }
    world.engine.start().await.unwrap();
    world.pass(HOUR).await;
    assert_eq!(
        world.presentations().len(),
        1,
        "0 further requests (requirement 42)"
    );
    assert_eq!(events(&world, EventKind::ConnectionNeedsReauth).await, 1);
}

#[tokio::test]
async fn two_hundred_readers_cause_one_refresh_and_get_the_same_token() {
    let world = worn_out(Setup::default()).await;
    let caller = world.server().await;
    let reads = (0..200).map(|_| world.engine.token(&caller, CONNECTOR, token_of("u1")));
    let served = world.run(join_all(reads)).await;
    let texts: std::collections::BTreeSet<String> = served
        .into_iter()
        .map(|read| read.ok().unwrap().token.expose().to_owned())
        .collect();
    assert_eq!(texts.len(), 1);
    assert_eq!(world.presentations().len(), 1);
}

#[tokio::test]
async fn two_hundred_readers_on_three_nodes_cause_one_refresh() {
    let world = worn_out(Setup::default()).await;
    let nodes = [
        Arc::clone(&world.engine),
        world.another_node("node-2").await,
        world.another_node("node-3").await,
    ];
    world.strike("late", Some(1));
    let caller = world.server().await;
    let reads = (0..200).map(|n| nodes[n % 3].token(&caller, CONNECTOR, token_of("u1")));
    let served = world.run(join_all(reads)).await;
    assert!(served.iter().all(Result::is_ok));
    assert_eq!(world.presentations().len(), 1);
    assert_eq!(world.sandbox.stats().families_killed_by_reuse, 0);
}

#[tokio::test]
async fn a_refresh_that_another_node_finished_is_used() {
    let world = worn_out(Setup::default()).await;
    let other = world.another_node("node-2").await;
    let theirs = world.token_from(&other, "u1").await.ok().unwrap();
    let ours = world.token("u1").await.ok().unwrap();
    assert_eq!(ours.token.expose(), theirs.token.expose());
    assert_eq!(world.presentations().len(), 1);
}

/// The holder's request takes longer than its lease: a node that came back from a long pause. The
/// other node presents the same token, which a lenient provider answers with the same pair, and the
/// late answer is dropped, not revoked.
#[tokio::test]
async fn the_answer_of_a_lease_holder_that_slept_is_dropped_and_never_revoked() {
    let world = worn_out(lenient()).await;
    let live = world.live("u1").await.unwrap();
    let set = &live.sets[0];
    // It took the lease, committed its attempt and sent; then it slept.
    let lease = Duration::from_secs(30);
    let begun = world
        .store
        .begin_attempt(&set.team, &set.id, "sleeper", lease)
        .await;
    assert!(matches!(begun.unwrap(), Begin::Go { number: 1, .. }));
    let waits = world.token_text("u1").await;
    assert!(waits.is_err(), "the lease is held");
    world.pass(2 * lease).await;
    let ours = world.token_text("u1").await.unwrap();
    assert_eq!(world.presentations().len(), 1);

    // Now its answer is there: the set that it presented is not current any more.
    assert_eq!(arrives_late(&world, set).await, Completion::Superseded);
    assert_eq!(world.token_text("u1").await.unwrap(), ours);
    assert_eq!(world.revocations(), 0);
}

/// The verdict came first, the answer after it: node 1 waits for a slow answer while node 2, whose
/// lease outlived that of node 1, is refused. The late success makes the connection whole again.
#[tokio::test]
async fn a_late_success_clears_needs_reauth() {
    let world = worn_out(lenient()).await;
    let live = world.live("u1").await.unwrap();
    let set = &live.sets[0];
    let lease = Duration::from_secs(1);
    let begun = world
        .store
        .begin_attempt(&set.team, &set.id, "sleeper", lease)
        .await;
    assert!(begun.is_ok());
    world.pass(2 * lease).await;
    world.strike("inv_grant", Some(1));
    assert_eq!(
        reason(&world.token_text("u1").await),
        ReconnectReason::LostResponse
    );

    assert_eq!(arrives_late(&world, set).await, Completion::Stored);
    assert_eq!(world.state("u1").await, ConnectionState::Active);
}

#[tokio::test]
async fn a_pair_that_arrives_after_the_revocation_is_revoked_too() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    let id = world.live("u1").await.unwrap().connection.id;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let revoke = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.engine.revoke_connection(&caller, &id).await
    };
    let (read, revoked) = world.run(join(read, revoke)).await;
    assert!(revoked.is_ok());
    assert_eq!(
        reason(&read.map(|_| String::new())),
        ReconnectReason::Revoked
    );
    assert!(world.live("u1").await.is_none());
    world.engine.start().await.unwrap();
    world.pass(MINUTE).await;
    assert_eq!(world.revocations(), 4, "both tokens of both pairs");
    assert_eq!(events(&world, EventKind::ProviderRevoked).await, 2);
}

#[tokio::test]
async fn a_pair_that_the_store_refuses_is_spooled_served_and_brought_home() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let breaks = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.watch.break_writes(Broken::Refused);
    };
    let (read, ()) = world.run(join(read, breaks)).await;
    // The pair is safe, but a read that cannot be logged is not answered (requirement 90).
    assert_eq!(read.err(), Some(Error::Unavailable));
    assert_eq!(world.spool.len(), 1);
    assert_eq!(world.presentations().len(), 1);

    world.watch.break_writes(Broken::No);
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(
        world.presentations().len(),
        1,
        "the spooled pair is used, not the old token"
    );
    assert_eq!(world.spool.len(), 0);
    assert!(world.place("u1").await.current);
}

/// Nobody sees the pair before it is durable, and who asks meanwhile does not hear that the provider is at fault.
#[tokio::test]
async fn a_pair_that_nothing_takes_is_held_until_something_does() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    let read = || world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let breaks = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.spool.fill(true);
        world.watch.break_writes(Broken::Refused);
    };
    let (waited, ()) = world.run(join(read(), breaks)).await;
    assert_eq!(waited.err(), Some(Error::Unavailable));
    let asked = world.run(read()).await;
    assert_eq!(asked.err(), Some(Error::Unavailable));

    world.watch.break_writes(Broken::No);
    world.pass(Duration::from_secs(2)).await;
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.presentations().len(), 1);
    assert!(world.place("u1").await.current);
}

#[tokio::test]
async fn a_new_process_replays_the_spool_before_it_serves() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let breaks = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.watch.break_writes(Broken::Refused);
    };
    let (_, ()) = world.run(join(read, breaks)).await;
    world.watch.break_writes(Broken::No);

    let next = world.another_node("node-1, later").await;
    world.run(next.replay_spool()).await.unwrap();
    assert_eq!(world.spool.len(), 0);
    assert!(world.place("u1").await.current);
    assert!(world.token_from(&next, "u1").await.is_ok());
    assert_eq!(world.presentations().len(), 1);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_by_the_new_sets_id() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let breaks = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.watch.break_writes(Broken::AnswerLost);
        world.clock.sleep(Duration::from_millis(4_150)).await;
        world.watch.break_writes(Broken::No);
    };
    let (read, ()) = world.run(join(read, breaks)).await;
    assert!(read.is_ok());
    assert!(world.place("u1").await.current);
    assert_eq!(world.presentations().len(), 1);
    assert_eq!(world.revocations(), 0);
    assert_eq!(events(&world, EventKind::TokenDropped).await, 0);
}

#[tokio::test]
async fn the_breaker_of_a_refused_client_opens_longer_each_time_and_closes_by_itself() {
    let world = worn_out(Setup::default()).await;
    world.connect("u2").await;
    world.expire().await;
    world.strike("inv_client", None);
    for _ in 0..360 {
        assert_eq!(world.token_text("u1").await, Err(Error::ConnectorFault));
        assert_eq!(world.token_text("u2").await, Err(Error::ConnectorFault));
        world.pass(Duration::from_secs(10)).await;
    }
    let asked = world.presentations().len();
    assert!(
        (3..15).contains(&asked),
        "{asked} requests in an hour by a client that is refused"
    );
    assert_eq!(events(&world, EventKind::ConnectorFaulted).await, asked);
    world.sandbox.reset();
    world.pass(15 * MINUTE).await;
    assert!(world.token_text("u1").await.is_ok());
    assert!(world.token_text("u2").await.is_ok());
    assert_eq!(events(&world, EventKind::ConnectorRecovered).await, 1);
}

#[tokio::test]
async fn keep_alive_refreshes_what_nobody_reads() {
    let world = World::with(kept_alive()).await;
    world.connect("u1").await;
    world.engine.start().await.unwrap();
    // A round a minute finds what has been idle for ten.
    world.pass(35 * MINUTE).await;
    assert_eq!(world.presentations().len(), 3);
    assert!(world.place("u1").await.current);
}

/// What only sockets show, and the real egress judges: connections reset, bodies cut, endless or
/// inflated, redirects.
#[tokio::test]
async fn over_real_sockets_unknown_outcomes_heal_and_redirects_are_not_followed() {
    for fault in ["lost", "lostmid", "s502", "huge", "bomb", "deep", "s500"] {
        let world = worn_out(Setup {
            sockets: true,
            ..lenient()
        })
        .await;
        world.strike(fault, Some(1));
        let read = world.token_text("u1").await;
        assert!(read.is_ok(), "{fault}: {read:?}");
        assert_eq!(world.presentations().len(), 2, "{fault}");
        assert!(world.place("u1").await.current, "{fault}");
    }
    for fault in ["r302", "r307", "r308"] {
        let world = worn_out(Setup {
            sockets: true,
            ..Setup::default()
        })
        .await;
        world.strike(fault, Some(1));
        assert!(world.token_text("u1").await.is_err(), "{fault}");
        assert_eq!(world.sandbox.stats().trapped, 0, "{fault}");
        assert_eq!(world.state("u1").await, ConnectionState::Active, "{fault}");
    }
}

#[tokio::test]
async fn a_clock_step_refreshes_nothing_that_lives_and_revives_nothing_that_does_not() {
    let world = World::new().await;
    world.connect("u1").await;
    let start = world.clock.now();
    world.token_text("u1").await.unwrap();
    world.clock.step_to(start.before(HOUR));
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.presentations().len(), 0);
    world.clock.step_to(start.after(2 * HOUR));
    assert!(world.token_text("u1").await.is_ok());
    assert_eq!(world.presentations().len(), 1);
}

/// A new process finds a spooled pair, and a store that takes none yet: the token that was presented
/// for the pair must not be presented again, whatever is read before the next replay.
#[tokio::test]
async fn a_spooled_pair_that_stays_spooled_after_a_restart_is_still_used() {
    let world = worn_out(Setup::default()).await;
    world.strike("late", Some(1));
    let caller = world.server().await;
    let read = world.engine.token(&caller, CONNECTOR, token_of("u1"));
    let breaks = async {
        world.clock.sleep(Duration::from_secs(1)).await;
        world.watch.break_writes(Broken::Refused);
    };
    // What it needs of the store to start it has before the store breaks.
    let next = world.another_node("node-1, later").await;
    let (_, ()) = world.run(join(read, breaks)).await;

    world.run(next.replay_spool()).await.unwrap();
    assert_eq!(world.spool.len(), 1);
    world.watch.break_writes(Broken::No);
    assert!(world.token_from(&next, "u1").await.is_ok());
    assert_eq!(world.spool.len(), 0);
    assert!(world.place("u1").await.current);
    assert_eq!(world.presentations().len(), 1);
}

/// A process died after it committed its attempt. While the old token lives nothing is presented at
/// once; where reuse kills, not before it is dead.
#[tokio::test]
async fn what_a_dead_process_may_have_sent_is_not_sent_again_at_once() {
    for (service, while_it_lives) in [("sandbox", 1), ("airtable", 0)] {
        let world = World::with(Setup {
            service,
            ..Setup::default()
        })
        .await;
        world.connect("u1").await;
        let live = world.live("u1").await.unwrap();
        let set = &live.sets[0];
        world.clock.advance(ACCESS_TTL - 5 * MINUTE);
        let lease = Duration::from_secs(30);
        let begun = world
            .store
            .begin_attempt(&set.team, &set.id, "dead", lease)
            .await;
        assert!(begun.is_ok());
        world.pass(lease).await;

        let caller = world.server().await;
        let early = async || {
            let mut ask = token_of("u1");
            ask.validity_buffer = 10 * MINUTE;
            let read = world.engine.token(&caller, CONNECTOR, ask);
            world.run(read).await.is_ok()
        };
        assert!(early().await, "{service}");
        assert_eq!(world.presentations().len(), 0, "{service}");
        world.pass(MINUTE).await;
        assert!(early().await, "{service}");
        assert_eq!(world.presentations().len(), while_it_lives, "{service}");
        world.pass(5 * MINUTE).await;
        assert!(world.token_text("u1").await.is_ok(), "{service}");
        assert_eq!(world.presentations().len(), 1, "{service}");
    }
}

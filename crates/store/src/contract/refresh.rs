//! The transactions of the refresh protocol.

use std::time::Duration;

use grantry_core::Timestamp;
use grantry_core::nouns::{Connection, EventKind, Fault, TokenSet};
use grantry_core::store::{Begin, Completion, Rejection, Retry};

use super::fixtures::{ALL, HOUR, MINUTE, NOW, connection, fault, grant, token_set};
use super::{World, parallel, row, rows, scope};

pub(super) const fn go(number: u32, first_sent_at: Timestamp) -> Begin {
    Begin::Go {
        number,
        first_sent_at,
    }
}

/// The answer is lost; the flight goes on.
pub(super) const UNKNOWN: Retry = Retry {
    not_processed: false,
    release: false,
    not_before: NOW,
};

pub(super) async fn end(world: &World, set: &TokenSet, node: &str, number: u32, retry: Retry) {
    let ended = world
        .store
        .end_attempt(&set.team, &set.id, node, number, &retry)
        .await;
    assert_eq!(ended, Ok(()));
}

pub(super) async fn complete(world: &World, presented: &TokenSet, next: &TokenSet) -> Completion {
    let event = world.event(EventKind::TokenRefreshed);
    let completed = world
        .store
        .complete(&presented.team, &presented.id, next, &event);
    completed.await.unwrap()
}

pub(super) async fn reject(world: &World, set: &TokenSet, node: &str, number: u32) -> Rejection {
    let event = world.event(EventKind::ConnectionNeedsReauth);
    let rejected = world.store.reject(&set.team, &set.id, node, number, &event);
    rejected.await.unwrap()
}

pub(super) async fn one_set(world: &World) -> (Connection, TokenSet) {
    let connector = world.connector("scl_1").await;
    world.connection(&connector, "u1").await
}

pub async fn attempts_are_counted_under_a_lease(world: &World) {
    let (_, set) = one_set(world).await;
    assert_eq!(world.begin(&set, "a").await, go(1, NOW));
    assert_eq!(world.begin(&set, "b").await, Begin::Held);
    world.pass(MINUTE - Duration::from_secs(1));
    assert_eq!(
        world.begin(&set, "a").await,
        go(2, NOW),
        "its holder renews the lease"
    );
    world.pass(Duration::from_secs(59));
    assert_eq!(
        world.begin(&set, "b").await,
        Begin::Held,
        "the renewal counts"
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(
        world.begin(&set, "b").await,
        go(3, NOW),
        "the count carries over to another node"
    );
    assert_eq!(world.begin(&set, "a").await, Begin::Held);
}

pub async fn one_of_many_nodes_begins(world: &World) {
    let (_, set) = one_set(world).await;
    let answers = parallel(
        200,
        |store, number| {
            let set = set.clone();
            let node = format!("node {number}");
            async move {
                store
                    .begin_attempt(&set.team, &set.id, &node, MINUTE)
                    .await
                    .unwrap()
            }
        },
        world,
    )
    .await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == go(1, NOW))
            .count(),
        1
    );
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == Begin::Held)
            .count(),
        199
    );
}

pub async fn a_set_that_moved_is_not_presented(world: &World) {
    let (connection, set) = one_set(world).await;
    let of_theirs = TokenSet {
        team: world.theirs.clone(),
        ..set.clone()
    };
    assert_eq!(world.begin(&of_theirs, "a").await, Begin::Moved);
    let next = token_set("next", &connection, "main");
    assert_eq!(complete(world, &set, &next).await, Completion::Stored);
    assert_eq!(world.begin(&set, "a").await, Begin::Moved);
    assert_eq!(world.begin(&next, "a").await, go(1, NOW));
    reject(world, &next, "a", 1).await;
    assert_eq!(
        world.begin(&next, "a").await,
        Begin::Moved,
        "it needs a new consent"
    );
    world.revoke(&connection).await;
    assert_eq!(world.begin(&next, "a").await, Begin::Moved);
}

pub async fn an_attempt_without_a_verdict_is_kept_or_deleted(world: &World) {
    let (connection, set) = one_set(world).await;
    let stored = async || world.live(&connection).await.sets.remove(0);
    let later = NOW.after(HOUR);

    // Unknown: kept, and the flight goes on under its lease.
    assert_eq!(world.begin(&set, "a").await, go(1, NOW));
    end(world, &set, "a", 1, UNKNOWN).await;
    assert_eq!(world.begin(&set, "b").await, Begin::Held);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.begin(&set, "a").await, go(2, NOW));

    // Not processed, and over: that attempt is deleted, the lease free, one failure counted.
    let over = Retry {
        not_processed: true,
        release: true,
        not_before: later,
    };
    end(world, &set, "a", 2, over).await;
    let expected = TokenSet {
        failures: set.failures + 1,
        not_before: later,
        ..set.clone()
    };
    assert_eq!(row(&stored().await), row(&expected));
    assert_eq!(
        world.begin(&set, "b").await,
        go(2, NOW),
        "attempt 1 is still unknown"
    );

    // Who lost the lease cannot give it back, nor delete the other node's attempt.
    end(world, &set, "a", 2, over).await;
    assert_eq!(world.begin(&set, "c").await, Begin::Held);
    assert_eq!(world.begin(&set, "b").await, go(3, NOW));

    // Another team's, and a set that is not current: nothing.
    let of_theirs = TokenSet {
        team: world.theirs.clone(),
        ..set.clone()
    };
    let before = stored().await;
    end(world, &of_theirs, "b", 3, over).await;
    assert_eq!(row(&stored().await), row(&before));
    let next = token_set("next", &connection, "main");
    assert_eq!(complete(world, &set, &next).await, Completion::Stored);
    end(world, &set, "b", 3, over).await;
    assert_eq!(row(&stored().await), row(&next));
}

pub async fn a_new_pair_replaces_the_presented_one(world: &World) {
    let (connection, set) = one_set(world).await;
    world.begin(&set, "a").await;
    let next = token_set("next", &connection, "main");
    assert_eq!(complete(world, &set, &next).await, Completion::Stored);
    let live = world.live(&connection).await;
    assert_eq!(
        live.connection, connection,
        "it was active before, so nothing changed"
    );
    assert_eq!(rows(&live.sets), [row(&next)]);
    assert_eq!(
        world.begin(&next, "b").await,
        go(1, NOW),
        "attempts and lease are gone"
    );

    // Said again, because the answer to the commit was lost.
    assert_eq!(complete(world, &set, &next).await, Completion::Stored);
    let late = token_set("late", &connection, "main");
    assert_eq!(complete(world, &set, &late).await, Completion::Superseded);
    let of_another_kind = token_set("late", &connection, "bot");
    assert_eq!(
        complete(world, &next, &of_another_kind).await,
        Completion::Superseded
    );
    assert_eq!(rows(&world.live(&connection).await.sets), [row(&next)]);
    assert_eq!(world.events_of(EventKind::TokenRefreshed).await, 1);
}

pub async fn one_of_many_pairs_is_stored(world: &World) {
    let (connection, set) = one_set(world).await;
    let (team, kind) = (&world.ours, EventKind::TokenRefreshed);
    let answers = parallel(
        50,
        |store, number| {
            let presented = set.id.clone();
            let next = token_set(&format!("next {number}"), &connection, "main");
            let event = super::fixtures::event(&format!("evt_refresh_{number}"), team, kind);
            async move {
                store
                    .complete(&next.team, &presented, &next, &event)
                    .await
                    .unwrap()
            }
        },
        world,
    )
    .await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == Completion::Stored)
            .count(),
        1
    );
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == Completion::Superseded)
            .count(),
        49
    );
    assert_eq!(world.live(&connection).await.sets.len(), 1);
    assert_eq!(world.events_of(kind).await, 1);
}

pub async fn a_pair_for_a_revoked_connection_is_dead(world: &World) {
    let (connection, set) = one_set(world).await;
    let next = token_set("next", &connection, "main");
    let of_theirs = TokenSet {
        team: world.theirs.clone(),
        ..set.clone()
    };
    assert_eq!(complete(world, &of_theirs, &next).await, Completion::Dead);
    world.revoke(&connection).await;
    assert_eq!(complete(world, &set, &next).await, Completion::Dead);
    assert!(world.live(&connection).await.sets.is_empty());

    let connector = world.connector("scl_2").await;
    let (connection, set) = world.connection(&connector, "u2").await;
    world.delete(&connector, NOW).await;
    // Its connections end after it, and a pair that comes before that is ended with them.
    let due = world.store.due_endings(NOW.after(HOUR), MINUTE, 1).await;
    let (due, event) = (due.unwrap(), world.event(EventKind::ConnectionRevoked));
    let ended = world
        .store
        .end_connections(&due[0], NOW, MINUTE, 9, &event)
        .await;
    assert!(ended.is_ok());
    let next = token_set("next", &connection, "main");
    assert_eq!(complete(world, &set, &next).await, Completion::Dead);
    let nowhere =
        super::fixtures::connection("conn_nowhere", &world.ours, grant(&connector.id, "u3"));
    let next = token_set("next", &nowhere, "main");
    assert_eq!(complete(world, &set, &next).await, Completion::Dead);
    assert_eq!(world.events_of(EventKind::TokenRefreshed).await, 0);
}

/// Whichever comes first: no live pair is left, and none is forgotten.
pub async fn a_pair_and_a_revocation_never_both_win(world: &World) {
    let connector = world.connector("scl_1").await;
    for round in 0..40 {
        let (connection, set) = world.connection(&connector, &format!("u{round}")).await;
        let next = token_set(&format!("next {round}"), &connection, "main");
        let revoked = {
            let (store, connection) = (world.store.clone(), connection.clone());
            let event = world.event(EventKind::ConnectionRevoked);
            tokio::spawn(async move {
                let scope = scope(&connection);
                store
                    .revoke(&connection.team, &scope, NOW, MINUTE, ALL, &event)
                    .await
                    .unwrap()
            })
        };
        let completed = complete(world, &set, &next).await;
        let queued: Vec<_> = revoked
            .await
            .unwrap()
            .queued
            .iter()
            .map(|queued| queued.set.clone())
            .collect();
        let expected = match completed {
            Completion::Stored => next.id,
            Completion::Dead => set.id,
            Completion::Superseded => panic!("there is no newer pair"),
        };
        assert_eq!(queued, [expected], "{completed:?}");
        assert!(world.live(&connection).await.sets.is_empty());
    }
}

pub async fn idle_sets_are_those_that_can_be_refreshed_now(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let gone = world.connector("scl_gone").await;
    let faulted = world.connector("scl_faulted").await;
    let since = NOW.after(HOUR);
    let second = Duration::from_secs(1);
    let later = NOW.after(second);
    let make = async |id: &str,
                      connector: &grantry_core::nouns::Connector,
                      change: &dyn Fn(&mut TokenSet)| {
        let made = connection(id, &connector.team, grant(&connector.id, id));
        let mut set = token_set(&format!("{id} set"), &made, "main");
        change(&mut set);
        world.import(&made, std::slice::from_ref(&set)).await;
        (made, set)
    };
    make("newer", &theirs, &|set| set.received_at = NOW.after(second)).await;
    make("older", &connector, &|_| {}).await;
    make("recent", &connector, &|set| set.received_at = since).await;
    make("final", &connector, &|set| set.refresh = None).await;
    make("waiting", &connector, &|set| {
        set.not_before = NOW.after(second)
    })
    .await;
    let (_, leased) = make("leased", &connector, &|_| {}).await;
    let (_, rejected) = make("rejected", &connector, &|_| {}).await;
    let (revoked, _) = make("revoked", &connector, &|_| {}).await;
    make("gone", &gone, &|_| {}).await;
    make("of a faulted one", &faulted, &|_| {}).await;
    for connector in [&connector, &theirs] {
        let set = store.set_fault(&connector.team, &connector.id, None, None);
        assert_eq!(set.await, Ok(()));
    }
    let waiting = Fault {
        not_before: later,
        ..fault()
    };
    let set = store.set_fault(&world.ours, &faulted.id, Some(&waiting), None);
    assert_eq!(set.await, Ok(()));
    assert_eq!(world.begin(&leased, "a").await, go(1, NOW));
    reject(world, &rejected, "a", 1).await;
    world.revoke(&revoked).await;
    world.delete(&gone, NOW).await;
    // One of two sets of a connection: the other one is not handed out.
    let two = connection("two", &world.ours, grant(&connector.id, "two"));
    let recent = TokenSet {
        received_at: since,
        ..token_set("two user", &two, "user")
    };
    world
        .import(&two, &[token_set("two bot", &two, "bot"), recent])
        .await;

    let idle = async |now, limit| {
        let found = store.idle_sets(since, now, None, limit).await.unwrap();
        let sets = found.iter().map(|live| {
            assert_eq!(live.sets.len(), 1);
            assert_eq!(live.sets[0].connection, live.connection.id);
            live.sets[0].id.to_string()
        });
        sets.collect::<Vec<_>>()
    };
    assert_eq!(idle(NOW, 10).await, ["older set", "two bot", "newer set"]);
    assert_eq!(idle(NOW, 1).await, ["older set"]);
    assert_eq!(
        idle(later, 10).await,
        [
            "of a faulted one set",
            "older set",
            "two bot",
            "waiting set",
            "newer set"
        ]
    );
    // Page by page, also behind a set that is gone.
    let mut pages = Vec::new();
    let mut after = Some((NOW, "of".into()));
    while let Some(behind) = after.take() {
        let page = store
            .idle_sets(since, later, Some(&behind), 2)
            .await
            .unwrap();
        let last = page.last().map(|live| &live.sets[0]);
        after = last.map(|set| (set.received_at, set.id.clone()));
        let ids = page.iter().map(|live| live.sets[0].id.to_string());
        pages.push(ids.collect::<Vec<_>>());
    }
    let expected = [
        vec!["of a faulted one set", "older set"],
        vec!["two bot", "waiting set"],
        vec!["newer set"],
        vec![],
    ];
    assert_eq!(pages, expected);
    world.pass(MINUTE);
    assert_eq!(
        idle(NOW, 10).await,
        ["leased set", "older set", "two bot", "newer set"]
    );
}

//! The verdict against a grant, and what a late success makes of it.

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{ConnectionState, EventKind, TokenSet};
use grantry_core::store::{Completion, Rejection};

use super::fixtures::{MINUTE, NOW, token_set};
use super::refresh::{UNKNOWN, complete, end, go, one_set, reject};
use super::{World, row, rows};

pub async fn a_rejection_is_marked_once(world: &World) {
    let (connection, set) = one_set(world).await;
    assert_eq!(world.begin(&set, "a").await, go(1, NOW));
    let marked = Rejection::Marked {
        lost_response: false,
    };
    assert_eq!(reject(world, &set, "a", 1).await, marked);
    let live = world.live(&connection).await;
    let state = ConnectionState::NeedsReauth(ReconnectReason::Rejected);
    assert_eq!(
        (live.connection.state, live.connection.updated_at),
        (state, NOW)
    );
    assert_eq!(rows(&live.sets), [row(&set)], "the set stays");
    assert_eq!(reject(world, &set, "a", 1).await, marked);
    let log = world.log(EventKind::ConnectionNeedsReauth).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].data["reason"], "rejected");
    assert_eq!(log[0].data["why"], "test");
}

pub async fn a_rejection_after_an_unknown_attempt_means_a_lost_response(world: &World) {
    let (connection, set) = one_set(world).await;
    assert_eq!(world.begin(&set, "a").await, go(1, NOW));
    end(world, &set, "a", 1, UNKNOWN).await;
    assert_eq!(world.begin(&set, "a").await, go(2, NOW));
    let lost = Rejection::Marked {
        lost_response: true,
    };
    assert_eq!(reject(world, &set, "a", 2).await, lost);
    let state = world.live(&connection).await.connection.state;
    assert_eq!(
        state,
        ConnectionState::NeedsReauth(ReconnectReason::LostResponse)
    );
    let log = world.log(EventKind::ConnectionNeedsReauth).await;
    assert_eq!(log[0].data["reason"], "lost_response");
}

pub async fn a_rejection_waits_for_another_node_and_yields_to_a_new_pair(world: &World) {
    let (connection, set) = one_set(world).await;
    assert_eq!(world.begin(&set, "a").await, go(1, NOW));
    world.pass(MINUTE);
    assert_eq!(world.begin(&set, "b").await, go(2, NOW));
    assert_eq!(reject(world, &set, "a", 1).await, Rejection::Held);
    let of_theirs = TokenSet {
        team: world.theirs.clone(),
        ..set.clone()
    };
    assert_eq!(reject(world, &of_theirs, "b", 2).await, Rejection::Moved);
    let next = token_set("next", &connection, "main");
    assert_eq!(complete(world, &set, &next).await, Completion::Stored);
    assert_eq!(reject(world, &set, "a", 1).await, Rejection::Moved);
    let live = world.live(&connection).await;
    assert_eq!(live.connection.state, ConnectionState::Active);
    assert_eq!(world.events_of(EventKind::ConnectionNeedsReauth).await, 0);
    world.revoke(&connection).await;
    assert_eq!(reject(world, &next, "a", 1).await, Rejection::Moved);
}

pub async fn a_late_success_clears_a_rejection(world: &World) {
    let (connection, set) = one_set(world).await;
    assert_eq!(world.begin(&set, "a").await, go(1, NOW));
    world.pass(MINUTE);
    assert_eq!(world.begin(&set, "b").await, go(2, NOW));
    let lost = Rejection::Marked {
        lost_response: true,
    };
    assert_eq!(reject(world, &set, "b", 2).await, lost);
    let next = token_set("next", &connection, "main");
    assert_eq!(
        complete(world, &set, &next).await,
        Completion::Stored,
        "whoever holds the lease"
    );
    let live = world.live(&connection).await;
    assert_eq!(live.connection.state, ConnectionState::Active);
    assert_eq!(rows(&live.sets), [row(&next)]);
}

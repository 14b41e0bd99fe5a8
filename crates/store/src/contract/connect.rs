//! Authorizations and flows.

use grantry_core::StoreError;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, ConnectionState, Digest, EventKind, Flow,
    TokenSet,
};
use grantry_core::store::Begin;

use super::fixtures::{
    self, HOUR, MINUTE, NOW, connection, digest, flow, grant, map, sealed, token_set,
};
use super::{World, parallel, row, rows};

const NOT_PENDING: Result<(), StoreError> = Err(StoreError::Missing("authorization"));

async fn complete(
    world: &World,
    authorization: &Authorization,
    connection: &Connection,
    sets: &[TokenSet],
) -> Result<(), StoreError> {
    let event = world.event(EventKind::AuthorizationCompleted);
    let store = &world.store;
    store
        .complete_authorization(&authorization.id, connection, sets, &event)
        .await
}

pub async fn an_authorization_needs_a_live_connector(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let made = world.authorization(&connector, "sca_1").await;
    assert_eq!(store.authorization(&made.id).await, Ok(Some(made.clone())));
    let found = store.authorization_by_verifier(&made.verifier).await;
    assert_eq!(found, Ok(Some(made)));
    assert_eq!(store.authorization(&"sca_0".into()).await, Ok(None));
    assert_eq!(
        store.authorization_by_verifier(&digest("guess")).await,
        Ok(None)
    );

    let create = async |authorization: &Authorization| {
        let event = world.event(EventKind::AuthorizationRequested);
        store.create_authorization(authorization, &event).await
    };
    let nowhere = "scl_nowhere".into();
    let of = |id: &str, connector| fixtures::authorization(id, &world.ours, connector);
    let same_verifier = Authorization {
        verifier: digest("v sca_1"),
        ..of("sca_2", &connector.id)
    };
    let table = [
        (
            Authorization {
                verifier: digest("another"),
                ..of("sca_1", &connector.id)
            },
            StoreError::Taken("authorization.id"),
        ),
        (same_verifier, StoreError::Taken("authorization.verifier")),
        (of("sca_2", &theirs.id), StoreError::Missing("connector")),
        (of("sca_2", &nowhere), StoreError::Missing("connector")),
    ];
    for (authorization, error) in table {
        assert_eq!(create(&authorization).await, Err(error));
    }
    world.delete(&connector, NOW).await;
    let late = create(&of("sca_2", &connector.id)).await;
    assert_eq!(late, Err(StoreError::Missing("connector")));
    assert_eq!(world.events_of(EventKind::AuthorizationRequested).await, 1);
}

pub async fn a_flow_needs_a_pending_authorization(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let pending = world.authorization(&connector, "sca_1").await;
    let ended = world.authorization(&connector, "sca_2").await;
    let event = world.event(EventKind::AuthorizationFailed);
    let failed = store.fail_authorization(&ended.id, &AuthorizationState::Canceled, &event);
    assert_eq!(failed.await, Ok(()));

    let made = flow("s1", &pending);
    assert_eq!(store.start_flow(&made).await, Ok(()));
    let found = store.flow(&made.state).await.unwrap().unwrap();
    assert_eq!(row(&found), row(&made));
    assert_eq!(
        store.start_flow(&made).await,
        Err(StoreError::Taken("flow.state"))
    );
    // The link may be opened, and the button pressed, any number of times.
    assert_eq!(store.start_flow(&flow("s2", &pending)).await, Ok(()));

    let of_nothing = Authorization {
        id: "sca_0".into(),
        ..pending.clone()
    };
    let of_theirs = Flow {
        team: world.theirs.clone(),
        ..flow("s3", &pending)
    };
    let too_late = Flow {
        created_at: pending.expires_at,
        ..flow("s3", &pending)
    };
    for refused in [
        flow("s3", &of_nothing),
        flow("s3", &ended),
        of_theirs,
        too_late,
    ] {
        assert_eq!(store.start_flow(&refused).await, NOT_PENDING);
    }
    assert!(store.flow(&digest("s3")).await.unwrap().is_none());
}

pub async fn a_flow_is_taken_once(world: &World) {
    let connector = world.connector("scl_1").await;
    let pending = world.authorization(&connector, "sca_1").await;
    assert_eq!(world.store.start_flow(&flow("s1", &pending)).await, Ok(()));
    let at = NOW.after(MINUTE);
    let taken = parallel(
        50,
        |store, _| async move { store.take_flow(&digest("s1"), at).await },
        world,
    )
    .await;
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(true)).count(), 1);
    assert_eq!(
        taken.iter().filter(|taken| **taken == Ok(false)).count(),
        49
    );
    let used = world.store.flow(&digest("s1")).await.unwrap().unwrap();
    assert_eq!(used.used_at, Some(at));
}

pub async fn a_flow_is_not_taken_when_it_has_expired(world: &World) {
    let connector = world.connector("scl_1").await;
    let pending = world.authorization(&connector, "sca_1").await;
    let made = flow("s1", &pending);
    assert_eq!(world.store.start_flow(&made).await, Ok(()));
    let take = async |state: Digest, at| world.store.take_flow(&state, at).await;
    assert_eq!(take(digest("unknown"), NOW).await, Ok(false));
    assert_eq!(take(made.state, made.expires_at).await, Ok(false));
    let last = grantry_core::Timestamp(made.expires_at.0 - 1);
    assert_eq!(take(made.state, last).await, Ok(true));
}

pub async fn an_authorization_ends_once(world: &World) {
    let connector = world.connector("scl_1").await;
    let states = [
        AuthorizationState::Canceled,
        AuthorizationState::Error {
            code: "access_denied".to_owned(),
        },
    ];
    let fail = async |id: &str, state| {
        let event = world.event(EventKind::AuthorizationFailed);
        world
            .store
            .fail_authorization(&id.into(), state, &event)
            .await
    };
    for (number, state) in states.iter().enumerate() {
        let made = world
            .authorization(&connector, &format!("sca_{number}"))
            .await;
        assert_eq!(fail(made.id.as_str(), state).await, Ok(()));
        let found = world.store.authorization(&made.id).await.unwrap().unwrap();
        let expected = Authorization {
            state: state.clone(),
            ..made.clone()
        };
        assert_eq!(found, expected);
        assert_eq!(fail(made.id.as_str(), &states[0]).await, NOT_PENDING);
        let connection = connection("conn_1", &world.ours, made.grant.clone());
        assert_eq!(complete(world, &made, &connection, &[]).await, NOT_PENDING);
    }
    assert_eq!(fail("sca_nowhere", &states[0]).await, NOT_PENDING);
    assert_eq!(
        world.events_of(EventKind::AuthorizationFailed).await,
        states.len()
    );
    assert!(
        world
            .store
            .connection(&world.ours, &"conn_1".into())
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_consent_makes_a_connection(world: &World) {
    let connector = world.connector("scl_1").await;
    let pending = world.authorization(&connector, "sca_1").await;
    let made = connection("conn_1", &world.ours, pending.grant.clone());
    let sets = [
        token_set("stk_1", &made, "bot"),
        token_set("stk_2", &made, "user"),
    ];
    assert_eq!(complete(world, &pending, &made, &sets).await, Ok(()));
    let live = world.live(&made).await;
    assert_eq!(live.connection, made);
    assert_eq!(rows(&live.sets), rows(&sets));
    let ended = world
        .store
        .authorization(&pending.id)
        .await
        .unwrap()
        .unwrap();
    let success = AuthorizationState::Success {
        connection: made.id,
    };
    assert_eq!(ended.state, success);
    assert_eq!(world.events_of(EventKind::AuthorizationCompleted).await, 1);
}

pub async fn a_second_consent_renews_the_connection(world: &World) {
    let connector = world.connector("scl_1").await;
    let first = world.authorization(&connector, "sca_1").await;
    let second = world.authorization(&connector, "sca_2").await;
    let old = connection("conn_1", &world.ours, first.grant.clone());
    let sets = [
        token_set("stk_bot", &old, "bot"),
        token_set("stk_user", &old, "user"),
    ];
    assert_eq!(complete(world, &first, &old, &sets).await, Ok(()));
    // It has come to need a new consent, with an attempt and a lease left over.
    let Begin::Go { number, .. } = world.begin(&sets[0], "n").await else {
        panic!("the set is current");
    };
    let event = world.event(EventKind::ConnectionNeedsReauth);
    let rejected = world
        .store
        .reject(&world.ours, &sets[0].id, "m", number, &event);
    assert!(rejected.await.is_ok());

    let new = Connection {
        name: Some("new name".to_owned()),
        external_subject: Some("4712".to_owned()),
        created_at: NOW.after(HOUR),
        updated_at: NOW.after(HOUR),
        ..old.clone()
    };
    let renewed = TokenSet {
        access: sealed("new"),
        refresh: None,
        metadata: map(serde_json::json!({})),
        ..token_set("stk_bot_2", &new, "bot")
    };
    let sets_now = [renewed, sets[1].clone()];
    assert_eq!(complete(world, &second, &new, &sets_now[..1]).await, Ok(()));
    let live = world.live(&new).await;
    let expected = Connection {
        created_at: old.created_at,
        ..new
    };
    assert_eq!(live.connection, expected);
    assert_eq!(
        rows(&live.sets),
        rows(&sets_now),
        "sets of other kinds stay"
    );
    assert_eq!(world.begin(&sets[0], "n").await, Begin::Moved);
    let fresh = Begin::Go {
        number: 1,
        first_sent_at: NOW,
    };
    assert_eq!(
        world.begin(&sets_now[0], "m").await,
        fresh,
        "nothing is left of the lease"
    );
}

pub async fn a_consent_is_not_completed_twice_or_for_a_deleted_connector(world: &World) {
    let connector = world.connector("scl_1").await;
    let pending = world.authorization(&connector, "sca_1").await;
    let made = connection("conn_1", &world.ours, pending.grant.clone());
    let answers = parallel(
        20,
        |store, number| {
            let (id, made) = (pending.id.clone(), made.clone());
            let sets = [token_set(&format!("stk_{number}"), &made, "main")];
            let event = world.event(EventKind::AuthorizationCompleted);
            async move {
                store
                    .complete_authorization(&id, &made, &sets, &event)
                    .await
            }
        },
        world,
    )
    .await;
    assert_eq!(
        answers.iter().filter(|answer| **answer == Ok(())).count(),
        1
    );
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == NOT_PENDING)
            .count(),
        19
    );

    let late = world.authorization(&connector, "sca_2").await;
    world.delete(&connector, NOW).await;
    let refused = complete(world, &late, &made, &[]).await;
    assert_eq!(refused, Err(StoreError::Missing("connector")));
    // It ends after its connector.
    assert_eq!(
        world.live(&made).await.connection.state,
        ConnectionState::Active
    );
}

pub async fn a_consent_never_takes_over_another_connection(world: &World) {
    let connector = world.connector("scl_1").await;
    let other = world.connector("scl_2").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let (standing, _) = world.connection(&connector, "u1").await;
    let (of_theirs, _) = world.connection(&theirs, "conn_theirs").await;
    let (revoked, _) = world.connection(&connector, "conn_revoked").await;
    world.revoke(&revoked).await;

    let pending = world.authorization(&connector, "sca_1").await;
    let id_taken = Err(StoreError::Taken("connection.id"));
    let table = [
        // The grant of `standing` under a new id.
        (
            connection("conn_new", &world.ours, pending.grant.clone()),
            Err(StoreError::Taken("connection.grant")),
        ),
        // Ids of connections that are not this grant's live one.
        (
            connection("u1", &world.ours, grant(&connector.id, "u2")),
            id_taken.clone(),
        ),
        (
            connection(
                of_theirs.id.as_str(),
                &world.ours,
                grant(&connector.id, "u2"),
            ),
            id_taken.clone(),
        ),
        (revoked.clone(), id_taken),
        // Another connector's or another team's than was consented to.
        (
            connection("conn_new", &world.ours, grant(&other.id, "u2")),
            NOT_PENDING,
        ),
        (
            connection("conn_new", &world.theirs, grant(&theirs.id, "u2")),
            NOT_PENDING,
        ),
    ];
    for (connection, expected) in table {
        let sets = [token_set("stk_new", &connection, "main")];
        assert_eq!(
            complete(world, &pending, &connection, &sets).await,
            expected,
            "{connection:?}"
        );
    }
    assert_eq!(world.live(&standing).await.connection, standing);
    assert_eq!(world.live(&of_theirs).await.connection, of_theirs);
    let still = world.store.authorization(&pending.id).await;
    assert_eq!(
        still,
        Ok(Some(pending)),
        "a refused completion leaves it pending"
    );
}

//! Consents that wait for their requester's confirmation.

use grantry_core::StoreError;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Event, EventKind, HeldConsent, Subject,
};
use grantry_core::store::{AuthorizationFilter, Page};

use super::fixtures::{self, HOUR, MINUTE, NOW, connection, digest, grant, token_set};
use super::{World, parallel, row, rows};

const CODE: &str = "code";

/// What the consent to `authorization` brought for the connection `conn_new`.
async fn hold(world: &World, authorization: &Authorization) -> (HeldConsent, Connection) {
    let made = connection("conn_new", &authorization.team, authorization.grant.clone());
    let held = fixtures::held(authorization, &token_set("stk_new", &made, "main"), CODE);
    let event = world.event(EventKind::AuthorizationHeld);
    assert_eq!(world.store.hold_consent(&held, &event).await, Ok(()));
    (held, made)
}

async fn state(world: &World, authorization: &Authorization) -> AuthorizationState {
    let found = world.store.authorization(&authorization.id).await;
    found.unwrap().unwrap().state
}

pub async fn a_consent_is_held_until_it_is_confirmed(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let asked = world.authorization(&connector, "sca_1").await;
    let none = store.held_consent(&asked.id).await.unwrap();
    assert!(none.is_none());
    let (held, made) = hold(world, &asked).await;
    let found = store.held_consent(&asked.id).await.unwrap().unwrap();
    assert_eq!(row(&found), row(&held));
    assert_eq!(state(world, &asked).await, AuthorizationState::Unconfirmed);
    let not_there = store.connection_by_grant(&world.ours, &asked.grant).await;
    assert!(not_there.unwrap().is_none(), "nothing is served yet");

    // Held once, completed or failed by nobody else.
    let event = || world.event(EventKind::AuthorizationCompleted);
    let missing = Err(StoreError::Missing("authorization"));
    assert_eq!(store.hold_consent(&held, &event()).await, missing);
    let completed = store
        .complete_authorization(&asked.id, &made, &[], &event())
        .await;
    assert_eq!(completed, missing);
    let failed = store
        .fail_authorization(&asked.id, &AuthorizationState::Canceled, &event())
        .await;
    assert_eq!(failed, missing);

    let wrong = Err(StoreError::Missing("held_consent"));
    let confirm = async |code: &str, event| {
        store
            .confirm_consent(&asked.id, &digest(code), &made, &held.set, &event)
            .await
    };
    assert_eq!(confirm("another", event()).await, wrong);
    let late = Event {
        at: held.expires_at,
        ..event()
    };
    assert_eq!(confirm(CODE, late).await, wrong);
    assert_eq!(state(world, &asked).await, AuthorizationState::Unconfirmed);

    let answers = parallel(
        10,
        |store, _| {
            let (id, made, set, event) =
                (asked.id.clone(), made.clone(), held.set.clone(), event());
            async move {
                store
                    .confirm_consent(&id, &digest(CODE), &made, &set, &event)
                    .await
            }
        },
        world,
    )
    .await;
    assert_eq!(answers.iter().filter(|one| **one == Ok(())).count(), 1);
    assert_eq!(answers.iter().filter(|one| **one == wrong).count(), 9);
    let live = world.live(&made).await;
    assert_eq!(live.connection, made);
    assert_eq!(rows(&live.sets), [row(&held.set)]);
    let success = AuthorizationState::Success {
        connection: made.id.clone(),
    };
    assert_eq!(state(world, &asked).await, success);
    assert!(store.held_consent(&asked.id).await.unwrap().is_none());
}

pub async fn a_held_consent_is_dropped_and_its_pair_queued(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let asked = world.authorization(&connector, "sca_1").await;
    let expired = AuthorizationState::Error {
        code: "expired".to_owned(),
    };
    let drop = async |at| {
        let event = Event {
            at,
            ..world.event(EventKind::AuthorizationFailed)
        };
        store.drop_consent(&asked.id, &expired, &event).await
    };
    let missing = Err(StoreError::Missing("authorization"));
    assert_eq!(drop(NOW).await, missing, "it is pending");
    let (held, made) = hold(world, &asked).await;
    let due = async |at| {
        let found = store.expired_consents(at, 10).await.unwrap();
        found
            .iter()
            .map(|held| held.authorization.to_string())
            .collect::<Vec<_>>()
    };
    assert!(due(held.expires_at.before(MINUTE)).await.is_empty());
    assert_eq!(due(held.expires_at).await, ["sca_1"]);

    let at = NOW.after(HOUR);
    assert_eq!(drop(at).await, Ok(()));
    assert_eq!(drop(at).await, missing, "once");
    assert_eq!(state(world, &asked).await, expired);
    assert!(due(at).await.is_empty());
    let confirmed = store
        .confirm_consent(
            &asked.id,
            &digest(CODE),
            &made,
            &held.set,
            &world.event(EventKind::AuthorizationCompleted),
        )
        .await;
    assert_eq!(confirmed, Err(StoreError::Missing("held_consent")));
    let queued = store.due_revocations(at, MINUTE, 10, &[]).await.unwrap();
    let [queued] = &queued[..] else {
        panic!("{} are queued", queued.len());
    };
    assert_eq!(
        (&queued.set, &queued.connector),
        (&held.set.id, &connector.id)
    );
    assert_eq!(
        (&queued.access, &queued.refresh),
        (&held.set.access, &held.set.refresh)
    );
}

pub async fn a_held_pair_is_not_revoked_where_its_account_stays_connected(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let asked = world.authorization(&connector, "sca_1").await;
    let (held, _) = hold(world, &asked).await;
    assert!(held.external_subject.is_some());
    let standing = Connection {
        external_subject: held.external_subject.clone(),
        ..connection("conn_standing", &world.ours, grant(&connector.id, "who"))
    };
    let set = token_set("stk_standing", &standing, "main");
    world.import(&standing, &[set]).await;
    let event = Event {
        at: NOW.after(HOUR),
        ..world.event(EventKind::AuthorizationFailed)
    };
    let canceled = AuthorizationState::Canceled;
    assert_eq!(
        store.drop_consent(&asked.id, &canceled, &event).await,
        Ok(())
    );
    assert!(store.held_consent(&asked.id).await.unwrap().is_none());
    let queued = store.due_revocations(event.at, MINUTE, 10, &[]).await;
    assert_eq!(queued.unwrap().len(), 0);
}

pub async fn a_deleted_connector_takes_what_is_held_along(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let asked = world.authorization(&connector, "sca_1").await;
    let (held, _) = hold(world, &asked).await;
    let neighbour = world.connector("scl_2").await;
    let other = world.authorization(&neighbour, "sca_2").await;
    let there = connection("conn_2", &world.ours, other.grant.clone());
    let there = fixtures::held(&other, &token_set("stk_2", &there, "main"), "another");
    let event = world.event(EventKind::AuthorizationHeld);
    assert_eq!(store.hold_consent(&there, &event).await, Ok(()));

    let event = world.event(EventKind::ConnectorDeleted);
    let deleted = store
        .delete_connector(&world.ours, &connector.id, NOW, MINUTE, &event)
        .await;
    assert_eq!(deleted, Ok(()));
    let queued = store.due_revocations(NOW, MINUTE, 9, &[]).await.unwrap();
    let sets: Vec<_> = queued.iter().map(|queued| queued.set.clone()).collect();
    assert_eq!(sets, std::slice::from_ref(&held.set.id));
    assert!(store.held_consent(&asked.id).await.unwrap().is_none());
    assert_eq!(state(world, &asked).await, AuthorizationState::Canceled);
    assert!(store.held_consent(&other.id).await.unwrap().is_some());
    assert_eq!(state(world, &other).await, AuthorizationState::Unconfirmed);
    let event = world.event(EventKind::AuthorizationHeld);
    let refused = store.hold_consent(&held, &event).await;
    assert_eq!(refused, Err(StoreError::Missing("connector")));
}

pub async fn a_deleted_team_takes_what_is_held_along(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let asked = world.authorization(&connector, "sca_1").await;
    let (held, _) = hold(world, &asked).await;
    let installed = fixtures::installation("ins_1", &connector);
    let event = world.event(EventKind::InstallationPut);
    store.create_installation(&installed, &event).await.unwrap();
    let event = world.event(EventKind::ConnectorDeleted);
    let deleted = store.delete_team(&world.ours, true, NOW, MINUTE, &event);
    assert_eq!(deleted.await, Ok(()));
    let queued = store.due_revocations(NOW, MINUTE, 9, &[]).await.unwrap();
    let sets: Vec<_> = queued.iter().map(|queued| queued.set.clone()).collect();
    assert_eq!(sets, std::slice::from_ref(&held.set.id));
    assert!(store.held_consent(&asked.id).await.unwrap().is_none());
    assert_eq!(state(world, &asked).await, AuthorizationState::Canceled);
    let found = store.installation(&world.ours, &installed.id).await;
    assert_eq!(found, Ok(None));
}

pub async fn authorizations_are_filtered(world: &World) {
    let store = &world.store;
    let one = world.connector("scl_1").await;
    let two = world.connector("scl_2").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let a = world.authorization(&one, "sca_a").await;
    let b = world.authorization(&two, "sca_b").await;
    let c = world.authorization(&one, "sca_c").await;
    world.authorization(&theirs, "sca_theirs").await;
    let event = world.event(EventKind::AuthorizationFailed);
    let canceled = AuthorizationState::Canceled;
    let failed = store.fail_authorization(&c.id, &canceled, &event).await;
    assert_eq!(failed, Ok(()));
    let all = AuthorizationFilter::default;
    let table = [
        (all(), vec!["sca_c", "sca_b", "sca_a"]),
        (
            AuthorizationFilter {
                id: Some(b.id.clone()),
                ..all()
            },
            vec!["sca_b"],
        ),
        (
            AuthorizationFilter {
                id: Some("sca_theirs".into()),
                ..all()
            },
            vec![],
        ),
        (
            AuthorizationFilter {
                connector: Some(one.id.clone()),
                ..all()
            },
            vec!["sca_c", "sca_a"],
        ),
        (
            AuthorizationFilter {
                subject: Some(Subject::App),
                ..all()
            },
            vec![],
        ),
        (
            AuthorizationFilter {
                subject: Some(a.grant.subject.clone()),
                open_at: Some(NOW),
                ..all()
            },
            vec!["sca_b", "sca_a"],
        ),
        (
            AuthorizationFilter {
                open_at: Some(a.expires_at),
                ..all()
            },
            vec![],
        ),
    ];
    for (filter, expected) in table {
        let found = store
            .authorizations(&world.ours, &filter, &Page::first(10))
            .await;
        let found = found.unwrap();
        let ids: Vec<_> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

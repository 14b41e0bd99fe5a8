//! Connectors that become of another type, and what is noted beside their rows.

use grantry_core::StoreError;
use grantry_core::nouns::{
    AuthorizationState, Connector, ConnectorType, Event, EventKind, FailedExchange,
};

use super::fixtures::{self, HOUR, MINUTE, NOW, token_set};
use super::{World, row, rows};

async fn stored(world: &World, id: &str) -> Connector {
    let found = world.store.connector(&world.ours, id).await;
    found.unwrap().unwrap()
}

pub async fn a_connector_of_another_type_keeps_no_consent_and_no_connection(world: &World) {
    let store = &world.store;
    let old = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    let (one, set) = world.connection(&old, "conn_1").await;
    let (two, _) = world.connection(&old, "conn_2").await;
    let (there, _) = world.connection(&neighbour, "conn_3").await;
    let pending = world.authorization(&old, "sca_1").await;
    let asked = world.authorization(&old, "sca_2").await;
    let consented = fixtures::connection("conn_4", &old.team, asked.grant.clone());
    let held = fixtures::held(&asked, &token_set("held set", &consented, "main"), "code");
    let event = world.event(EventKind::AuthorizationHeld);
    assert_eq!(store.hold_consent(&held, &event).await, Ok(()));

    let new = Connector {
        kind: ConnectorType::ApiKey,
        secrets: Some(fixtures::sealed("a key")),
        client_secret: None,
        fault: None,
        updated_at: NOW.after(HOUR),
        ..old.clone()
    };
    let at = NOW.after(HOUR);
    let convert = async |expected, limit| {
        let of = |kind| Event {
            at,
            ..world.event(kind)
        };
        let updated = of(EventKind::ConnectorUpdated);
        let ended = of(EventKind::ConnectionRevoked);
        store
            .convert_connector(&new, expected, MINUTE, limit, &updated, &ended)
            .await
    };
    let state = async |id| store.authorization(id).await.unwrap().unwrap().state;

    // All of it or nothing: of a row that is another by now, and of more than one write ends.
    let moved_on = convert(NOW.after(2 * HOUR), 9).await;
    assert_eq!(moved_on.err(), Some(StoreError::Missing("connector")));
    let too_many = convert(old.updated_at, 1).await;
    let left = StoreError::InUse("connector.connections");
    assert_eq!(too_many.err(), Some(left));
    assert_eq!(row(&stored(world, "scl_1").await), row(&old));
    assert_eq!(rows(&world.live(&one).await.sets), [row(&set)]);
    assert_eq!(state(&pending.id).await, AuthorizationState::Pending);
    assert_eq!(state(&asked.id).await, AuthorizationState::Unconfirmed);
    assert_eq!(world.log(EventKind::ConnectorUpdated).await, []);

    let ended = convert(old.updated_at, 2).await.unwrap();
    assert_eq!((ended.connections, ended.queued.len()), (2, 2));
    assert_eq!(row(&stored(world, "scl_1").await), row(&new));
    for id in [&pending.id, &asked.id] {
        assert_eq!(state(id).await, AuthorizationState::Canceled);
    }
    assert!(store.held_consent(&asked.id).await.unwrap().is_none());
    for gone in [&one, &two] {
        let found = world.live(gone).await;
        assert!(found.sets.is_empty(), "{}", gone.id);
    }
    let due = store.due_revocations(at, MINUTE, 9, &[]).await.unwrap();
    let due: Vec<_> = due.iter().map(|queued| queued.set.as_str()).collect();
    assert_eq!(
        due,
        ["held set"],
        "the others are claimed by who ended them"
    );
    assert_eq!(world.log(EventKind::ConnectionRevoked).await.len(), 2);
    assert_eq!(world.live(&there).await.sets.len(), 1);
}

pub async fn how_a_code_exchange_went_is_kept_beside_the_row(world: &World) {
    let connector = world.connector("scl_1").await;
    let set = async |team, failed: Option<&FailedExchange>| {
        let store = &world.store;
        store.set_failed_exchange(team, &connector.id, failed).await
    };
    let failed = FailedExchange {
        code: "server_error".to_owned(),
        at: NOW.after(HOUR),
    };
    assert_eq!(set(&world.ours, Some(&failed)).await, Ok(()));
    let noted = Connector {
        failed_exchange: Some(failed.clone()),
        ..connector.clone()
    };
    assert_eq!(row(&stored(world, "scl_1").await), row(&noted));
    let missing = Err(StoreError::Missing("connector"));
    assert_eq!(set(&world.theirs, None).await, missing);
    // A change of anything else leaves it, one of the client forgets it.
    let update = async |connector: &Connector, expected, client_changed| {
        let event = world.event(EventKind::ConnectorUpdated);
        let store = &world.store;
        store
            .update_connector(connector, expected, client_changed, &[], &event)
            .await
    };
    let renamed = Connector {
        name: "other".to_owned(),
        updated_at: NOW.after(2 * HOUR),
        ..connector.clone()
    };
    assert_eq!(update(&renamed, connector.updated_at, false).await, Ok(()));
    let found = stored(world, "scl_1").await.failed_exchange;
    assert_eq!(found, Some(failed.clone()));
    assert_eq!(set(&world.ours, None).await, Ok(()));
    assert_eq!(stored(world, "scl_1").await.failed_exchange, None);
    assert_eq!(set(&world.ours, Some(&failed)).await, Ok(()));
    assert_eq!(update(&renamed, renamed.updated_at, true).await, Ok(()));
    assert_eq!(stored(world, "scl_1").await.failed_exchange, None);
    world.delete(&renamed, NOW).await;
    assert_eq!(set(&world.ours, None).await, missing);
}

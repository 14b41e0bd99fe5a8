//! How a connector's client is known to its authorization server.

use grantry_core::nouns::{Connector, EventKind};

use super::connectors::{MISSING, stored};
use super::fixtures::{HOUR, NOW};
use super::{World, row};

pub async fn a_registration_is_set_on_the_row_that_was_read(world: &World) {
    let connector = world.connector("scl_1").await;
    let registered = Connector {
        name: "not looked at".to_owned(),
        registration: None,
        registration_secrets: None,
        updated_at: connector.updated_at.after(HOUR),
        ..connector.clone()
    };
    let event = world.event(EventKind::ConnectorUpdated);
    let set = async |expected, event| {
        let store = &world.store;
        store.set_registration(&registered, expected, event).await
    };
    assert_eq!(set(NOW.after(HOUR), None).await, MISSING);
    assert_eq!(row(&stored(world, "scl_1").await), row(&connector));
    assert_eq!(set(connector.updated_at, Some(&event)).await, Ok(()));
    let changed = Connector {
        name: connector.name.clone(),
        ..registered.clone()
    };
    assert_eq!(row(&stored(world, "scl_1").await), row(&changed));
    assert_eq!(world.log(event.kind).await, std::slice::from_ref(&event));
    // The row has moved on.
    assert_eq!(set(connector.updated_at, None).await, MISSING);
    let foreign = Connector {
        team: world.theirs.clone(),
        ..registered.clone()
    };
    let store = &world.store;
    let set = store.set_registration(&foreign, registered.updated_at, None);
    assert_eq!(set.await, MISSING);
}

pub async fn a_public_client_is_found_by_id_until_it_is_deleted(world: &World) {
    let connector = world.connector("scl_1").await;
    let found = async |id: &str| {
        let found = world.store.public_client(&id.into()).await.unwrap();
        found.map(|found| row(&found))
    };
    assert_eq!(found("scl_1").await, Some(row(&connector)));
    assert_eq!(found(&connector.uid).await, None);
    let event = world.event(EventKind::ConnectorDeleted);
    let store = &world.store;
    let deleted = store.delete_connector(&world.ours, &connector.id, NOW, HOUR, &event);
    assert_eq!(deleted.await, Ok(()));
    assert_eq!(found("scl_1").await, None);
}

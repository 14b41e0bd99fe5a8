//! Connectors and links.

use grantry_core::nouns::EventKind;

use super::{World, fixtures, row};

/// Every field, and the links.
pub async fn a_connector_reads_back_as_it_was_written(world: &World) {
    let connector = fixtures::connector("scl_1", &world.ours);
    let link = fixtures::link(&world.ours, &connector.id, &"prj_ours".into());
    let event = world.event(EventKind::ConnectorCreated);
    let links = std::slice::from_ref(&link);
    let created = world
        .store
        .create_connector(&connector, links, &event)
        .await;
    assert_eq!(created, Ok(()));
    for name in ["scl_1", "scl_1/uid"] {
        let found = world.store.connector(&world.ours, name).await.unwrap();
        assert_eq!(row(&found.unwrap()), row(&connector));
        assert!(
            world
                .store
                .connector(&world.theirs, name)
                .await
                .unwrap()
                .is_none()
        );
    }
    let found = world.store.links(&world.ours, &connector.id).await;
    assert_eq!(found.as_deref(), Ok(links));
}

//! A write happens whole or not at all, whatever happens beside it.

use grantry_core::StoreError;
use grantry_core::nouns::EventKind;
use grantry_core::store::{ConnectorFilter, Page};

use super::{World, fixtures, parallel};

pub async fn a_failing_write_takes_nothing_but_itself_along(world: &World) {
    let (team, kind) = (&world.ours, EventKind::ConnectorCreated);
    let answers = parallel(
        100,
        |store, number| {
            // Every other connector has the uid of its neighbour.
            let mut connector = fixtures::connector(&format!("scl_{number:03}"), team);
            connector.uid = format!("uid {}", number / 2);
            let event = fixtures::event(&format!("evt_parallel_{number}"), team, kind);
            async move { store.create_connector(&connector, &[], &event).await }
        },
        world,
    )
    .await;
    let refused = Err(StoreError::Taken("connector.uid"));
    for pair in answers.chunks(2) {
        let created = pair.iter().filter(|answer| **answer == Ok(())).count();
        assert_eq!(created, 1, "{pair:?}");
        assert!(pair.contains(&refused), "{pair:?}");
    }
    let all = world
        .store
        .connectors(team, &ConnectorFilter::default(), &Page::first(1000))
        .await;
    assert_eq!(all.unwrap().len(), 50);
    assert_eq!(world.events_of(kind).await, 50);
}

pub async fn a_failed_write_leaves_no_trace(world: &World) {
    let position = world.store.last_change().await.unwrap();
    let mut connector = fixtures::connector("scl_1", &world.ours);
    let link = fixtures::link(&world.ours, &connector.id, &"prj_ours".into());
    // The event's id is taken, which the last but one statement finds out.
    let event = world.event(EventKind::ConnectorCreated);
    assert_eq!(
        world
            .store
            .append_events(std::slice::from_ref(&event))
            .await,
        Ok(())
    );
    let created = world
        .store
        .create_connector(&connector, &[link], &event)
        .await;
    assert_eq!(created, Err(StoreError::Taken("event.id")));
    assert!(
        world
            .store
            .connector(&world.ours, "scl_1")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        world.store.links(&world.ours, &connector.id).await,
        Ok(vec![])
    );
    assert_eq!(world.store.last_change().await, Ok(position));
    // The store works on.
    connector.name = "again".to_owned();
    let event = world.event(EventKind::ConnectorCreated);
    assert_eq!(
        world.store.create_connector(&connector, &[], &event).await,
        Ok(())
    );
}

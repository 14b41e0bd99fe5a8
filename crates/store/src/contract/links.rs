//! Links, alone and with their connector.

use grantry_core::StoreError;
use grantry_core::nouns::{Connector, EventKind, Link};
use grantry_core::store::LinkChange;

use super::World;
use super::connectors::{MISSING, stored};
use super::fixtures::{self, HOUR, NOW, link};

pub async fn a_link_needs_a_project_of_the_team(world: &World) {
    let connector = fixtures::connector("scl_1", &world.ours);
    for project in ["prj_theirs", "prj_nowhere"] {
        let links = [link(&world.ours, &connector.id, &project.into())];
        let event = world.event(EventKind::ConnectorCreated);
        let created = world
            .store
            .create_connector(&connector, &links, &event)
            .await;
        assert_eq!(created, Err(StoreError::Missing("project")), "{project}");
    }
    assert!(
        world
            .store
            .connector(&world.ours, "scl_1")
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_link_changes_if_it_is_as_read(world: &World) {
    let connector = world.connector("scl_1").await;
    let made = link(&world.ours, &connector.id, &"prj_ours".into());
    let change = async |link: &Link, read| {
        let event = world.event(EventKind::LinkPut);
        let change = LinkChange {
            link: link.clone(),
            read,
        };
        world.store.change_link(&change, &event).await
    };
    assert_eq!(change(&made, Some(NOW)).await, MISSING);
    let theirs = link(&world.ours, &connector.id, &"prj_theirs".into());
    let missing = Err(StoreError::Missing("project"));
    assert_eq!(change(&theirs, None).await, missing);
    assert_eq!(change(&made, None).await, Ok(()));
    let later = NOW.after(HOUR);
    let wider = Link {
        environments: vec!["preview".into(), "production".into()],
        created_at: later,
        updated_at: later,
        ..made.clone()
    };
    assert_eq!(change(&wider, None).await, MISSING);
    assert_eq!(change(&wider, Some(made.updated_at)).await, Ok(()));
    assert_eq!(change(&made, Some(made.updated_at)).await, MISSING);
    let links = world.store.links(&world.ours, &connector.id).await;
    let stored = Link {
        created_at: made.created_at,
        ..wider
    };
    assert_eq!(links, Ok(vec![stored]));
    assert_eq!(world.events_of(EventKind::LinkPut).await, 2);
}

pub async fn links_change_with_their_connector_if_they_are_as_read(world: &World) {
    let old = world.connector("scl_1").await;
    let made = link(&world.ours, &old.id, &"prj_ours".into());
    let new = |at| Connector {
        updated_at: at,
        ..old.clone()
    };
    let update = async |connector: &Connector, expected, link: &Link, read| {
        let event = world.event(EventKind::ConnectorUpdated);
        let links = [LinkChange {
            link: link.clone(),
            read,
        }];
        world
            .store
            .update_connector(connector, expected, false, &links, &event)
            .await
    };
    let later = NOW.after(HOUR);
    let (of_none, first) = (Some(NOW), new(later));
    assert_eq!(
        update(&first, old.updated_at, &made, of_none).await,
        MISSING
    );
    let elsewhere = link(&world.ours, &old.id, &"prj_theirs".into());
    let missing = Err(StoreError::Missing("project"));
    assert_eq!(
        update(&first, old.updated_at, &elsewhere, None).await,
        missing
    );
    assert_eq!(stored(world, "scl_1").await.updated_at, old.updated_at);
    assert_eq!(update(&first, old.updated_at, &made, None).await, Ok(()));
    let wider = Link {
        environments: vec!["preview".into(), "production".into()],
        created_at: later,
        updated_at: later,
        ..made.clone()
    };
    let second = new(later.after(HOUR));
    assert_eq!(update(&second, later, &wider, None).await, MISSING);
    assert_eq!(
        update(&second, later, &wider, Some(made.updated_at)).await,
        Ok(())
    );
    let kept = Link {
        created_at: made.created_at,
        ..wider
    };
    assert_eq!(
        world.store.links(&world.ours, &old.id).await,
        Ok(vec![kept])
    );
}

pub async fn a_link_is_put_and_removed(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let ours = link(&world.ours, &connector.id, &"prj_ours".into());
    let event = || world.event(EventKind::LinkPut);
    assert_eq!(store.put_link(&ours, &event()).await, Ok(ours.clone()));
    let changed = Link {
        environments: vec!["preview".into()],
        created_at: NOW.after(HOUR),
        updated_at: NOW.after(HOUR),
        ..ours.clone()
    };
    let expected = Link {
        created_at: ours.created_at,
        ..changed.clone()
    };
    assert_eq!(
        store.put_link(&changed, &event()).await,
        Ok(expected.clone())
    );
    let all = store.links(&world.ours, &connector.id).await;
    assert_eq!(all, Ok(vec![expected.clone()]));
    assert_eq!(store.links(&world.theirs, &connector.id).await, Ok(vec![]));

    // Those of several connectors at once, of one team only.
    let second = world.connector("scl_0").await;
    let other = link(&world.ours, &second.id, &"prj_ours".into());
    store.put_link(&other, &event()).await.unwrap();
    let ids = [connector.id.clone(), second.id.clone(), theirs.id.clone()];
    let many = store.links_of(&world.ours, &ids).await;
    assert_eq!(many, Ok(vec![other, expected]));
    let [one, ..] = &ids;
    let of_one = store.links_of(&world.ours, std::slice::from_ref(one)).await;
    assert_eq!(of_one.map(|links| links.len()), Ok(1));
    assert_eq!(store.links_of(&world.theirs, &ids).await, Ok(vec![]));
    assert_eq!(store.links_of(&world.ours, &[]).await, Ok(vec![]));

    let (our_project, their_project) = ("prj_ours".into(), "prj_theirs".into());
    let table = [
        (&theirs.id, &our_project, StoreError::Missing("connector")),
        (
            &connector.id,
            &their_project,
            StoreError::Missing("project"),
        ),
    ];
    for (connector, project, error) in table {
        let put = store
            .put_link(&link(&world.ours, connector, project), &event())
            .await;
        assert_eq!(put, Err(error));
    }
    let remove = async |team| {
        let event = world.event(EventKind::LinkDeleted);
        store
            .delete_link(team, &connector.id, &our_project, &event)
            .await
    };
    let missing = Err(StoreError::Missing("link"));
    assert_eq!(remove(&world.theirs).await, missing);
    assert_eq!(remove(&world.ours).await, Ok(()));
    assert_eq!(remove(&world.ours).await, missing);
    assert_eq!(world.events_of(EventKind::LinkDeleted).await, 1);
    world.delete(&connector, NOW).await;
    let put = store.put_link(&ours, &event()).await;
    assert_eq!(put, Err(StoreError::Missing("connector")));
}

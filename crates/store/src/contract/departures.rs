//! What goes with a project, and with one of its environments.

use grantry_core::StoreError;
use grantry_core::nouns::{Connector, Environment, EventKind, Link, Project, TriggerDestination};
use grantry_core::store::ChangeKind;

use super::World;
use super::changes::{is_revoked, told, workload};
use super::fixtures::{NOW, connector, link, project};

const KIND: EventKind = EventKind::ProjectDeleted;

/// A connector of ours that sends its events there: project, and custom environment or none.
async fn sends(world: &World, id: &str, places: &[(&str, Option<&str>)]) -> Connector {
    let destination = |(project, custom): &(&str, Option<&str>)| TriggerDestination {
        project_id: (*project).into(),
        branch: None,
        custom_environment_id: custom.map(str::to_owned),
        // As if it named the project: what is within a text is no member.
        path: Some(r#"/"projectId":"prj_ours","customEnvironmentId":"env_1""#.to_owned()),
    };
    let connector = Connector {
        trigger_destinations: places.iter().map(destination).collect(),
        ..connector(id, &world.ours)
    };
    let event = world.event(EventKind::ConnectorCreated);
    let made = world.store.create_connector(&connector, &[], &event).await;
    assert_eq!(made, Ok(()));
    connector
}

/// Where the connector sends its events now, and whether it is another row.
async fn sent(world: &World, was: &Connector) -> (Vec<(String, Option<String>)>, bool) {
    let now = world.store.connector(&was.team, was.id.as_str()).await;
    let now = now.unwrap().unwrap();
    let places = now.trigger_destinations.iter();
    let places = places.map(|one| {
        let project = one.project_id.as_str().to_owned();
        (project, one.custom_environment_id.clone())
    });
    (places.collect(), now.updated_at > was.updated_at)
}

fn places(list: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    let owned = |(project, custom): &(&str, Option<&str>)| {
        ((*project).to_owned(), custom.map(str::to_owned))
    };
    list.iter().map(owned).collect()
}

pub async fn no_connector_sends_events_to_what_is_gone(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let mixed = [
        ("prj_ours", None),
        ("prj_ours", Some("env_1")),
        ("prj_other", Some("env_1")),
    ];
    let all = sends(world, "scl_mixed", &mixed).await;
    let plain = sends(world, "scl_plain", &[("prj_ours", None)]).await;
    let other = sends(world, "scl_other", &[("prj_other", Some("env_1"))]).await;
    let theirs = Connector {
        team: world.theirs.clone(),
        uid: "theirs".to_owned(),
        trigger_destinations: all.trigger_destinations.clone(),
        ..connector("scl_theirs", &world.theirs)
    };
    let made = store.create_connector(&theirs, &[], &event()).await;
    assert_eq!(made, Ok(()));

    let old = project("prj_ours", &world.ours);
    let new = Project {
        custom_environments: vec![],
        ..old.clone()
    };
    let changes = told(world, async {
        let gone = ["env_1".into(), "env_2".into()];
        let event = event();
        let removed = store.remove_environments(&old, &new, &gone, NOW, &event);
        assert_eq!(removed.await, Ok(()));
    });
    let changes = changes.await;
    let left = places(&[("prj_ours", None), ("prj_other", Some("env_1"))]);
    assert_eq!(sent(world, &all).await, (left, true));
    let left = places(&[("prj_ours", None)]);
    assert_eq!(sent(world, &plain).await, (left, false));
    let told_of = |id: &str| changes.contains(&(ChangeKind::Connector, id.to_owned()));
    assert!(told_of("scl_mixed") && !told_of("scl_plain") && !told_of("scl_other"));

    let gone = store
        .delete_project(&world.ours, &old.id, NOW, &event())
        .await;
    assert_eq!(gone, Ok(()));
    let left = places(&[("prj_other", Some("env_1"))]);
    assert_eq!(sent(world, &all).await, (left.clone(), true));
    assert_eq!(sent(world, &plain).await, (vec![], true));
    assert_eq!(sent(world, &other).await, (left, false));
    assert_eq!(sent(world, &theirs).await.0, places(&mixed));
    // Who read the connector before does not bring them back.
    let stale = store
        .update_connector(&all, all.updated_at, false, &[], &event())
        .await;
    assert!(matches!(stale, Err(StoreError::Missing(_))));
}

pub async fn an_environment_goes_with_what_works_only_there(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let gone: [Environment; 1] = ["env_1".into()];
    let other: Environment = "env_11".into();
    let environments = |list: &[&str]| -> Vec<Environment> {
        list.iter().map(|one| Environment::from(*one)).collect()
    };
    let cases = [
        ("scl_first", vec!["env_1", "production"], vec!["production"]),
        (
            "scl_mid",
            vec!["preview", "env_1", "env_11"],
            vec!["preview", "env_11"],
        ),
        ("scl_last", vec!["production", "env_1"], vec!["production"]),
        ("scl_only", vec!["env_1"], vec![]),
        ("scl_not", vec!["env_11"], vec!["env_11"]),
    ];
    for (id, before, _) in &cases {
        let connector = world.connector(id).await;
        let link = Link {
            environments: environments(before),
            ..link(&world.ours, &connector.id, &"prj_ours".into())
        };
        store.put_link(&link, &event()).await.unwrap();
    }
    let ends = workload(world, "key_1", gone[0].as_str()).await;
    let stays = workload(world, "key_2", other.as_str()).await;
    let old = project("prj_ours", &world.ours);
    let new = Project {
        custom_environments: vec![],
        ..old.clone()
    };
    let changes = told(world, async {
        let removed = store
            .remove_environments(&old, &new, &gone, NOW, &event())
            .await;
        assert_eq!(removed, Ok(()));
    });
    let changes = changes.await;
    for (id, _, after) in &cases {
        let links = store.links(&world.ours, &(*id).into()).await.unwrap();
        let found = links.first().map(|link| link.environments.clone());
        let expected = Some(environments(after)).filter(|list| !list.is_empty());
        assert_eq!(found, expected, "{id}");
        assert!(
            changes.contains(&(ChangeKind::Connector, (*id).to_owned())),
            "{id}"
        );
    }
    assert!(is_revoked(world, &ends).await && !is_revoked(world, &stays).await);
    assert_eq!(store.project_by_id(&old.id).await, Ok(Some(new.clone())));
    let stale = store
        .remove_environments(&old, &new, &gone, NOW, &event())
        .await;
    assert_eq!(stale, Err(StoreError::Missing("project")));
}

pub async fn a_project_goes_with_links_and_keys(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let connector = world.connector("scl_1").await;
    let id = "prj_ours".into();
    let linked = link(&world.ours, &connector.id, &id);
    store.put_link(&linked, &event()).await.unwrap();
    let ends = workload(world, "key_1", "preview").await;
    let foreign = store
        .delete_project(&world.theirs, &id, NOW, &event())
        .await;
    assert_eq!(foreign, Err(StoreError::Missing("project")));
    let changes = told(world, async {
        let deleted = store.delete_project(&world.ours, &id, NOW, &event()).await;
        assert_eq!(deleted, Ok(()));
    });
    let kinds: Vec<_> = changes.await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        [
            ChangeKind::Connector,
            ChangeKind::Project,
            ChangeKind::Key,
            ChangeKind::Connector
        ]
    );
    assert_eq!(store.links(&world.ours, &connector.id).await, Ok(vec![]));
    assert!(is_revoked(world, &ends).await);
}

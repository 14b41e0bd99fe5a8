//! Connectors and links.

use grantry_core::StoreError;
use grantry_core::nouns::{Actor, AuthorizationState, Connector, Event, EventKind};
use grantry_core::store::{Declared, Ending};

use super::fixtures::{self, HOUR, MINUTE, NOW, fault, link, sealed};
use super::{World, row};

pub(super) const MISSING: Result<(), StoreError> = Err(StoreError::Missing("connector"));

pub(super) async fn stored(world: &World, id: &str) -> Connector {
    world
        .store
        .connector(&world.ours, id)
        .await
        .unwrap()
        .unwrap()
}

pub async fn a_connector_reads_back_as_it_was_written(world: &World) {
    let connector = fixtures::connector("scl_1", &world.ours);
    let links = [link(&world.ours, &connector.id, &"prj_ours".into())];
    let event = world.event(EventKind::ConnectorCreated);
    let created = world
        .store
        .create_connector(&connector, &links, &event)
        .await;
    assert_eq!(created, Ok(()));
    for name in ["scl_1", "scl_1/uid"] {
        assert_eq!(row(&stored(world, name).await), row(&connector));
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
    assert_eq!(found.as_deref(), Ok(&links[..]));
    assert_eq!(world.log(event.kind).await, [event]);
}

pub async fn an_id_is_taken_for_ever_and_a_uid_while_it_lives(world: &World) {
    let create = async |id: &str, uid: &str, team| {
        let connector = Connector {
            uid: uid.to_owned(),
            ..fixtures::connector(id, team)
        };
        let event = world.event(EventKind::ConnectorCreated);
        world.store.create_connector(&connector, &[], &event).await
    };
    let (ours, theirs) = (&world.ours, &world.theirs);
    let id_taken = Err(StoreError::Taken("connector.id"));
    let uid_taken = Err(StoreError::Taken("connector.uid"));
    assert_eq!(create("scl_1", "uid", ours).await, Ok(()));
    assert_eq!(create("scl_1", "other", ours).await, id_taken);
    assert_eq!(create("scl_1", "uid", theirs).await, id_taken);
    assert_eq!(create("scl_2", "uid", ours).await, uid_taken);
    assert_eq!(create("scl_2", "uid", theirs).await, Ok(()));
    world.delete(&stored(world, "scl_1").await, NOW).await;
    assert_eq!(create("scl_1", "uid", ours).await, id_taken);
    assert_eq!(create("scl_3", "uid", ours).await, Ok(()));
}

pub async fn an_update_needs_the_row_it_was_made_from(world: &World) {
    let old = world.connector("scl_1").await;
    let other = world.connector("scl_2").await;
    let new = Connector {
        name: "new".to_owned(),
        secrets: None,
        fault: None,
        updated_by: Actor::System,
        updated_at: NOW.after(HOUR),
        ..old.clone()
    };
    let update = async |connector: &Connector, expected| {
        let event = world.event(EventKind::ConnectorUpdated);
        world
            .store
            .update_connector(connector, expected, true, &[], &event)
            .await
    };
    let of_theirs = Connector {
        team: world.theirs.clone(),
        ..new.clone()
    };
    assert_eq!(update(&of_theirs, old.updated_at).await, MISSING);
    assert_eq!(update(&new, NOW).await, MISSING, "somebody else's version");
    assert_eq!(row(&stored(world, "scl_1").await), row(&old));
    let uid_of_another = Connector {
        uid: other.uid,
        ..new.clone()
    };
    let taken = Err(StoreError::Taken("connector.uid"));
    assert_eq!(update(&uid_of_another, old.updated_at).await, taken);
    assert_eq!(update(&new, old.updated_at).await, Ok(()));
    assert_eq!(row(&stored(world, "scl_1").await), row(&new));
    assert_eq!(
        update(&new, old.updated_at).await,
        MISSING,
        "it has moved on"
    );
    world.delete(&new, new.updated_at).await;
    assert_eq!(update(&new, new.updated_at).await, MISSING, "it is deleted");
    assert_eq!(world.events_of(EventKind::ConnectorUpdated).await, 1);
}

pub async fn a_declared_connector_is_put_when_it_differs(world: &World) {
    let put_over = async |connector: &Connector, read, secrets| {
        let event = world.event(EventKind::Applied);
        let client = secrets;
        let declared = Declared {
            read,
            secrets,
            client,
        };
        world.store.put_connector(connector, declared, &event).await
    };
    let put = async |connector: &Connector, secrets| put_over(connector, None, secrets).await;
    let declared = Connector {
        fault: None,
        ..fixtures::connector("scl_1", &world.ours)
    };
    assert_eq!(put(&declared, true).await, Ok(true));
    assert_eq!(row(&stored(world, "scl_1").await), row(&declared));

    // Sealed anew, later, while the provider has a complaint: no difference, nothing written.
    let fault = fault();
    let set = world
        .store
        .set_fault(&world.ours, &declared.id, Some(&fault), None);
    assert_eq!(set.await, Ok(()));
    let again = Connector {
        secrets: Some(sealed("the same, sealed again")),
        created_at: NOW.after(HOUR),
        updated_at: NOW.after(HOUR),
        ..declared.clone()
    };
    assert_eq!(put(&again, false).await, Ok(false));
    let standing = Connector {
        fault: Some(fault),
        ..declared.clone()
    };
    assert_eq!(row(&stored(world, "scl_1").await), row(&standing));

    let written = Connector {
        created_at: declared.created_at,
        ..again.clone()
    };
    assert_eq!(put(&again, true).await, Ok(true));
    assert_eq!(row(&stored(world, "scl_1").await), row(&written));
    let renamed = Connector {
        name: "renamed".to_owned(),
        ..written
    };
    assert_eq!(put(&renamed, false).await, Ok(true));
    assert_eq!(row(&stored(world, "scl_1").await), row(&renamed));

    // What happened to secrets and fault since the row was read stays; any other change is not undone.
    let rotated = Connector {
        secrets: Some(sealed("rotated")),
        updated_at: renamed.updated_at.after(HOUR),
        ..renamed.clone()
    };
    let event = world.event(EventKind::ConnectorUpdated);
    let updated = world
        .store
        .update_connector(&rotated, renamed.updated_at, true, &[], &event);
    assert_eq!(updated.await, Ok(()));
    let fault = super::fixtures::fault();
    let set = world
        .store
        .set_fault(&world.ours, &declared.id, Some(&fault), None);
    assert_eq!(set.await, Ok(()));
    let named_again = Connector {
        name: "named again".to_owned(),
        updated_at: rotated.updated_at.after(HOUR),
        ..renamed.clone()
    };
    let late = put_over(&named_again, Some(renamed.updated_at), false).await;
    let moved_on = StoreError::Missing("connector as it was read");
    assert_eq!(late, Err(moved_on));
    let read = Some(rotated.updated_at);
    assert_eq!(put_over(&named_again, read, false).await, Ok(true));
    let kept = Connector {
        secrets: rotated.secrets,
        fault: Some(fault),
        ..named_again
    };
    assert_eq!(row(&stored(world, "scl_1").await), row(&kept));
    let event = world.event(EventKind::ConnectorUpdated);
    let other = Connector {
        name: "other".to_owned(),
        fault: None,
        ..kept.clone()
    };
    let updated = world
        .store
        .update_connector(&other, kept.updated_at, false, &[], &event);
    assert_eq!(updated.await, Ok(()));
    assert_eq!(stored(world, "scl_1").await.fault, kept.fault);

    let of_theirs = Connector {
        team: world.theirs.clone(),
        ..renamed
    };
    assert_eq!(
        put(&of_theirs, true).await,
        Err(StoreError::Taken("connector.id"))
    );
    world.connector("scl_2").await;
    let uid_of_another = Connector {
        uid: "scl_2/uid".to_owned(),
        ..declared
    };
    assert_eq!(
        put(&uid_of_another, false).await,
        Err(StoreError::Taken("connector.uid"))
    );
}

pub async fn a_declared_connector_comes_back_after_its_deletion(world: &World) {
    let declared = world.connector("scl_1").await;
    world.delete(&declared, NOW.after(HOUR)).await;
    let event = || world.event(EventKind::Applied);
    let put = Declared {
        read: Some(NOW.after(HOUR)),
        secrets: true,
        client: true,
    };
    assert_eq!(
        world.store.put_connector(&declared, put, &event()).await,
        Ok(true)
    );
    assert_eq!(row(&stored(world, "scl_1/uid").await), row(&declared));
    let same = Declared {
        read: Some(declared.updated_at),
        secrets: false,
        client: false,
    };
    assert_eq!(
        world.store.put_connector(&declared, same, &event()).await,
        Ok(false)
    );
}

pub async fn an_id_beats_a_uid(world: &World) {
    let first = world.connector("scl_1").await;
    let uid_is_an_id = Connector {
        uid: "scl_1".to_owned(),
        ..fixtures::connector("scl_2", &world.ours)
    };
    let event = world.event(EventKind::ConnectorCreated);
    let created = world
        .store
        .create_connector(&uid_is_an_id, &[], &event)
        .await;
    assert_eq!(created, Ok(()));
    assert_eq!(stored(world, "scl_1").await.id, first.id);
    world.delete(&first, NOW).await;
    assert_eq!(
        stored(world, "scl_1").await.id,
        first.id,
        "also when it is deleted"
    );
    assert!(
        world
            .store
            .connector(&world.ours, "scl_1/uid")
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_deletion_ends_at_once_what_is_little_and_notes_the_rest(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    let project = "prj_ours".into();
    for id in [&connector.id, &neighbour.id] {
        let event = world.event(EventKind::LinkPut);
        let linked = store
            .put_link(&link(&world.ours, id, &project), &event)
            .await;
        assert!(linked.is_ok());
    }
    let pending = world.authorization(&connector, "sca_1").await;
    let pending_there = world.authorization(&neighbour, "sca_2").await;
    let (one, _) = world.connection(&connector, "conn_1").await;

    let at = NOW.after(HOUR);
    let event = || world.event(EventKind::ConnectorDeleted);
    let deleted = event();
    let delete = async |team, event: Event| {
        let deleted = store.delete_connector(team, &connector.id, at, MINUTE, &event);
        deleted.await
    };
    let missing = Err(StoreError::Missing("connector"));
    assert_eq!(delete(&world.theirs, event()).await, missing);
    assert_eq!(delete(&world.ours, deleted.clone()).await, Ok(()));
    assert_eq!(delete(&world.ours, event()).await, missing);

    // Its secrets are still there: they are what revokes its tokens. Nobody can ask for them by their id.
    let expected = Connector {
        client_secret: None,
        updated_by: deleted.actor.clone(),
        updated_at: at,
        deleted_at: Some(at),
        ..connector.clone()
    };
    assert_eq!(row(&stored(world, "scl_1").await), row(&expected));
    assert_eq!(store.links(&world.ours, &connector.id).await, Ok(vec![]));
    let ended = store.authorization(&pending.id).await.unwrap().unwrap();
    assert_eq!(ended.state, AuthorizationState::Canceled);
    assert_eq!(world.live(&one).await.sets.len(), 1);
    assert_eq!(world.log(EventKind::ConnectorDeleted).await, [deleted]);

    // The neighbour is as it was.
    assert_eq!(row(&stored(world, "scl_2").await), row(&neighbour));
    let links = store.links(&world.ours, &neighbour.id).await;
    assert_eq!(links.unwrap().len(), 1);
    assert_eq!(
        store.authorization(&pending_there.id).await,
        Ok(Some(pending_there))
    );
}

pub async fn a_deleted_connector_keeps_its_secrets_until_its_last_token_is_revoked(world: &World) {
    let store = &world.store;
    let connector = world.connector("scl_1").await;
    let (one, set) = world.connection(&connector, "conn_1").await;
    let bystander = world.connector("scl_2").await;
    let (there, _) = world.connection(&bystander, "conn_2").await;
    world.delete(&connector, NOW).await;
    let (ours, theirs, id) = (&world.ours, &world.theirs, &connector.id);
    let secrets = async || stored(world, "scl_1").await.secrets;
    let due = async |at| store.due_endings(at, MINUTE, 9).await.unwrap();

    // Who deleted it has it; then one of all.
    assert_eq!(due(NOW).await, []);
    let claimed = due(NOW.after(MINUTE)).await;
    let [ending] = &claimed[..] else {
        panic!("{claimed:?}");
    };
    let actor = world.log(EventKind::ConnectorDeleted).await[0]
        .actor
        .clone();
    assert_eq!(
        (&ending.connector, &ending.team, &ending.actor),
        (id, ours, &actor)
    );
    assert_eq!(due(NOW.after(MINUTE)).await, []);
    let later = NOW.after(HOUR);
    assert_eq!(store.delay_ending(theirs, id, later).await, Ok(()));
    assert_eq!(due(NOW.after(2 * MINUTE)).await.len(), 1);
    assert_eq!(store.delay_ending(ours, id, later).await, Ok(()));
    assert_eq!(due(NOW.after(3 * MINUTE)).await, []);

    let connections = Err(StoreError::InUse("connector.connections"));
    assert_eq!(store.finish_ending(ours, id).await, connections);
    assert!(secrets().await.is_some());
    // It does not come back with its connections.
    let put = async || {
        let again = Declared {
            read: None,
            secrets: true,
            client: true,
        };
        let event = world.event(EventKind::Applied);
        store.put_connector(&connector, again, &event).await
    };
    assert_eq!(put().await, Err(StoreError::InUse("connector.end")));

    let event = world.event(EventKind::ConnectionRevoked);
    let end = async |ending: &Ending| {
        let ended = store.end_connections(ending, NOW, MINUTE, 9, &event).await;
        ended.map(|ended| (ended.connections, ended.queued.len()))
    };
    let not_ending = Err(StoreError::Missing("ending"));
    for other in [
        Ending {
            team: theirs.clone(),
            ..ending.clone()
        },
        Ending {
            connector: bystander.id.clone(),
            ..ending.clone()
        },
    ] {
        assert_eq!(end(&other).await, not_ending);
    }
    assert_eq!(end(ending).await, Ok((1, 1)));
    assert!(world.live(&one).await.sets.is_empty());
    let revocations = Err(StoreError::InUse("connector.revocations"));
    assert_eq!(store.finish_ending(ours, id).await, revocations);
    assert!(secrets().await.is_some());
    let event = world.event(EventKind::ProviderRevoked);
    assert_eq!(store.finish_revocation(&set.id, &event).await, Ok(()));
    assert_eq!(
        store.finish_ending(theirs, id).await,
        Ok(()),
        "of no team's"
    );
    assert!(secrets().await.is_some());
    assert_eq!(store.finish_ending(ours, id).await, Ok(()));
    assert!(secrets().await.is_none());
    assert_eq!(due(NOW.after(48 * HOUR)).await, []);
    assert_eq!(store.finish_ending(ours, id).await, Ok(()), "once more");

    assert_eq!(put().await, Ok(true));
    assert_eq!(row(&stored(world, "scl_1").await), row(&connector));
    assert_eq!(end(ending).await, not_ending);
    assert_eq!(store.finish_ending(ours, id).await, Ok(()));
    assert!(secrets().await.is_some(), "it is live again");
    assert_eq!(world.live(&there).await.sets.len(), 1);
    assert!(stored(world, "scl_2").await.secrets.is_some());
}

pub async fn a_fault_is_set_and_cleared(world: &World) {
    let connector = world.connector("scl_1").await;
    let set = async |team, fault, event| {
        world
            .store
            .set_fault(team, &connector.id, fault, event)
            .await
    };
    let (fault, event) = (fault(), world.event(EventKind::ConnectorFaulted));
    assert_eq!(set(&world.ours, None, None).await, Ok(()));
    let cleared = Connector {
        fault: None,
        ..connector.clone()
    };
    assert_eq!(row(&stored(world, "scl_1").await), row(&cleared));
    assert_eq!(set(&world.ours, Some(&fault), Some(&event)).await, Ok(()));
    assert_eq!(stored(world, "scl_1").await.fault, Some(fault.clone()));
    assert_eq!(world.log(event.kind).await, std::slice::from_ref(&event));
    assert_eq!(set(&world.theirs, None, None).await, MISSING);
    assert_eq!(stored(world, "scl_1").await.fault, Some(fault.clone()));
    world.delete(&connector, NOW).await;
    assert_eq!(set(&world.ours, None, None).await, MISSING);
}

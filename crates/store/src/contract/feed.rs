//! The change feed: what caches must hear of.

use std::time::Duration;

use grantry_core::nouns::{Connector, EventKind, Membership, Role, Service};
use grantry_core::store::{Change, ChangeKind, Declared, KeyOwner, Retry};

use super::fixtures::{
    ALL, HOUR, MINUTE, NOW, connection, fault, grant, installation, key, link, token_set, user,
};
use super::{World, scope};

/// What has been fed since `position`, and the new position.
async fn since(world: &World, position: &mut i64) -> Vec<(ChangeKind, String)> {
    let changes = world.store.changes(*position).await.unwrap();
    assert!(changes.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert!(changes.iter().all(|change| change.seq > *position));
    *position = world.store.last_change().await.unwrap();
    assert_eq!(
        changes.last().map_or(*position, |change| change.seq),
        *position
    );
    let fed = |Change { seq: _, kind, key }| (kind, key);
    changes.into_iter().map(fed).collect()
}

pub async fn every_write_that_caches_must_hear_of_is_in_the_feed(world: &World) {
    let World { store, ours, .. } = world;
    let fed = |kind, key: &str| vec![(kind, key.to_owned())];
    let event = || world.event(EventKind::Applied);
    let mut position = 0;
    let tenancy: Vec<_> = [
        fed(ChangeKind::Team, "team_ours"),
        fed(ChangeKind::Project, "prj_ours"),
        fed(ChangeKind::Team, "team_theirs"),
        fed(ChangeKind::Project, "prj_theirs"),
    ]
    .concat();
    assert_eq!(since(world, &mut position).await, tenancy);

    let person = user("usr_1", "acc_ours");
    store.put_user(&person, &event()).await.unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::User, "usr_1")
    );
    let service = Service {
        id: "svc_1".to_owned(),
        data: serde_json::Map::new(),
    };
    store.put_service(&service, &event()).await.unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::Service, "svc_1")
    );
    let membership = Membership {
        team: ours.clone(),
        user: person.id.clone(),
        role: Role::Admin,
        words: grantry_core::nouns::Words::new(),
    };
    store.put_membership(&membership, &event()).await.unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::User, "usr_1")
    );
    store.put_membership(&membership, &event()).await.unwrap();
    assert_eq!(since(world, &mut position).await, vec![], "nothing changed");

    let workload = key("key_1", "acc_ours", ours);
    let hash: String = workload
        .hash
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    store.put_key(&workload, &event()).await.unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::Key, &hash)
    );
    store
        .revoke_key(&KeyOwner::Team(ours.clone()), &workload.id, NOW, &event())
        .await
        .unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::Key, &hash)
    );

    let signing = super::system::signing_key("kid_1", NOW);
    store
        .add_signing_key(&signing, None, HOUR, &event())
        .await
        .unwrap();
    store
        .retire_signing_key("kid_1", NOW, None, &event())
        .await
        .unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::SigningKey, "kid_1")
    );

    let made = world.connector("scl_1").await;
    let connector = || fed(ChangeKind::Connector, "scl_1");
    assert_eq!(since(world, &mut position).await, connector());
    let changed = Connector {
        name: "changed".to_owned(),
        ..made.clone()
    };
    store
        .update_connector(&changed, made.updated_at, true, &[], &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    let declared = Declared {
        read: None,
        secrets: false,
        client: false,
    };
    store
        .put_connector(&made, declared, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    store
        .set_fault(ours, &made.id, Some(&fault()), None)
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    let project = "prj_ours".into();
    store
        .put_link(&link(ours, &made.id, &project), &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    store
        .delete_link(ours, &made.id, &project, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());

    let (live, set) = world.connection(&made, "conn_1").await;
    let ended = || fed(ChangeKind::Connection, "conn_1");
    assert_eq!(since(world, &mut position).await, ended());
    store
        .rename_connection(ours, &live.id, Some("new"), &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, ended());
    world.begin(&set, "n").await;
    let retry = Retry {
        not_processed: true,
        release: true,
        not_before: NOW,
    };
    store
        .end_attempt(ours, &set.id, "n", 1, &retry)
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, ended());
    let next = token_set("next", &live, "main");
    store
        .complete(ours, &set.id, &next, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, ended());
    store
        .reject(ours, &next.id, "n", 1, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, ended());
    store
        .revoke(ours, &scope(&live), NOW, MINUTE, ALL, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, ended());

    let installed = installation("ins_1", &made);
    store
        .create_installation(&installed, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    store
        .update_installation(&installed, installed.updated_at, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    store
        .set_default_installation(ours, &made.id, Some(&installed.id), &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());
    store
        .delete_installation(&installed, None, &event())
        .await
        .unwrap();
    assert_eq!(since(world, &mut position).await, connector());

    let authorization = world.authorization(&made, "sca_1").await;
    let consented = connection("conn_2", ours, grant(&made.id, "u2"));
    let complete = store
        .complete_authorization(&authorization.id, &consented, &[], &event())
        .await;
    assert_eq!(complete, Ok(()));
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::Connection, "conn_2")
    );
    world.delete(&made, NOW).await;
    assert_eq!(since(world, &mut position).await, connector());
    let ending = &store.due_endings(NOW.after(HOUR), MINUTE, 1).await.unwrap()[0];
    store
        .end_connections(ending, NOW, MINUTE, 9, &event())
        .await
        .unwrap();
    assert_eq!(
        since(world, &mut position).await,
        fed(ChangeKind::Connection, "conn_2")
    );
}

pub async fn a_change_wakes_who_polls_for_it(world: &World) {
    /// More than the wake-ups that may be left from before: one that is kept, one on its way.
    const ROUNDS: u32 = 5;
    const LONG: Duration = Duration::from_secs(20);
    let store = &world.store;
    for round in 0..ROUNDS {
        let person = user(&format!("usr_{round}"), "acc_ours");
        let event = world.event(EventKind::Applied);
        store.put_user(&person, &event).await.unwrap();
        let woken = tokio::time::timeout(LONG, store.changed()).await;
        assert!(woken.is_ok(), "nobody told of change {round}");
    }
}

pub async fn a_position_never_falls_back(world: &World) {
    let position = world.store.last_change().await.unwrap();
    world.pass(HOUR);
    let swept = world.store.sweep(NOW.after(HOUR), 1000).await.unwrap();
    assert_eq!(
        i64::try_from(swept).unwrap(),
        position - 1,
        "all changes but the newest"
    );
    assert_eq!(world.store.last_change().await, Ok(position));
    assert_eq!(world.store.changes(position).await, Ok(vec![]));
    world.connector("scl_1").await;
    assert_eq!(world.store.last_change().await, Ok(position + 1));
}

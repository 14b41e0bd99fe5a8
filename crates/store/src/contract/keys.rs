//! API keys.

use grantry_core::StoreError;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{EventKind, Key, KeyLevel, Role};
use grantry_core::store::{KeyFilter, KeyOwner, Page};

use super::World;
use super::fixtures::{HOUR, MINUTE, NOW, digest, key};

pub async fn a_key_is_known_by_its_hash(world: &World) {
    let event = || world.event(EventKind::Applied);
    let first = key("key_1", "acc_ours", &world.ours);
    assert_eq!(world.store.put_key(&first, &event()).await, Ok(true));
    let renamed = Key {
        id: "key_other".into(),
        name: "renamed".to_owned(),
        created_at: NOW.after(HOUR),
        ..first.clone()
    };
    assert_eq!(world.store.put_key(&renamed, &event()).await, Ok(true));
    let expected = Key {
        id: first.id.clone(),
        created_at: NOW,
        ..renamed
    };
    assert_eq!(
        world.store.key_by_hash(&first.hash).await,
        Ok(Some(expected))
    );
    assert_eq!(world.store.key_by_hash(&digest("unknown")).await, Ok(None));
    let table = [
        (
            digest("another"),
            world.ours.clone(),
            StoreError::Taken("key.id"),
        ),
        (
            digest("another"),
            "team_nowhere".into(),
            StoreError::Missing("team"),
        ),
    ];
    for (hash, team, error) in table {
        let key = Key {
            hash,
            team: Some(team),
            ..first.clone()
        };
        assert_eq!(world.store.put_key(&key, &event()).await, Err(error));
    }
}

pub async fn keys_are_listed_by_how_far_they_reach(world: &World) {
    let of_team = key("key_team", "acc_ours", &world.ours);
    let of_account = Key {
        level: KeyLevel::Account,
        team: None,
        project: None,
        environment: None,
        role: Role::Admin,
        ..key("key_account", "acc_ours", &world.ours)
    };
    let of_server = Key {
        id: "key_server".into(),
        hash: digest("key_server"),
        level: KeyLevel::Server,
        account: None,
        role: Role::Owner,
        ..of_account.clone()
    };
    let theirs = key("key_theirs", "acc_theirs", &world.theirs);
    for key in [&of_team, &of_account, &of_server, &theirs] {
        let put = world
            .store
            .put_key(key, &world.event(EventKind::KeyCreated))
            .await;
        assert_eq!(put, Ok(true));
    }
    let account = |id: &str| KeyOwner::Account(id.into());
    let team = |id: &TeamId| KeyOwner::Team(id.clone());
    let table = [
        (KeyOwner::Server, &of_server),
        (account("acc_ours"), &of_account),
        (team(&world.ours), &of_team),
        (team(&world.theirs), &theirs),
    ];
    for (owner, expected) in &table {
        let every = KeyFilter::default();
        let found = world.store.keys(owner, &every, &Page::first(10)).await;
        assert_eq!(found, Ok(vec![(*expected).clone()]), "{owner:?}");
        for (_, key) in &table {
            let found = world.store.key(owner, &key.id).await.unwrap();
            assert_eq!(found.is_some(), key == expected, "{owner:?} {}", key.id);
        }
    }
    let none = world
        .store
        .keys(
            &account("acc_theirs"),
            &KeyFilter::default(),
            &Page::first(10),
        )
        .await;
    assert_eq!(none, Ok(vec![]));
}

pub async fn keys_are_filtered_by_whom_they_are_for(world: &World) {
    let workload = key("key_1", "acc_ours", &world.ours);
    let persons = Key {
        project: None,
        environment: None,
        user: Some("usr_1".into()),
        created_at: NOW.after(MINUTE),
        ..key("key_2", "acc_ours", &world.ours)
    };
    let gone = Key {
        created_at: NOW.after(2 * MINUTE),
        revoked_at: Some(NOW),
        ..key("key_3", "acc_ours", &world.ours)
    };
    for key in [&workload, &persons, &gone] {
        let event = world.event(EventKind::KeyCreated);
        assert_eq!(world.store.put_key(key, &event).await, Ok(true));
    }
    let user = Some("usr_1".into());
    let project = || Some("prj_ours".into());
    for (user, project, include_revoked, expected) in [
        (None, None, false, vec!["key_2", "key_1"]),
        (None, None, true, vec!["key_3", "key_2", "key_1"]),
        (user, None, true, vec!["key_2"]),
        (None, project(), false, vec!["key_1"]),
        (None, project(), true, vec!["key_3", "key_1"]),
        (Some("usr_2".into()), None, true, vec![]),
    ] {
        let filter = KeyFilter {
            user,
            project,
            include_revoked,
        };
        let owner = KeyOwner::Team(world.ours.clone());
        let page = Page::first(10);
        let found = world.store.keys(&owner, &filter, &page).await.unwrap();
        let ids: Vec<_> = found.iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub async fn a_key_is_changed_from_what_it_is(world: &World) {
    let store = &world.store;
    let old = key("key_1", "acc_ours", &world.ours);
    let event = || world.event(EventKind::KeyUpdated);
    assert_eq!(store.put_key(&old, &event()).await, Ok(true));
    let new = Key {
        name: "renamed".to_owned(),
        expires_at: None,
        ..old.clone()
    };
    assert_eq!(store.update_key(&old, &new, &event()).await, Ok(()));
    assert_eq!(store.key_by_hash(&old.hash).await, Ok(Some(new.clone())));
    let stale = store.update_key(&old, &old, &event()).await;
    assert_eq!(stale, Err(StoreError::Missing("key")));
    assert_eq!(world.events_of(EventKind::KeyUpdated).await, 2);
}

pub async fn a_key_is_revoked_once_and_can_come_back(world: &World) {
    let store = &world.store;
    let live = key("key_1", "acc_ours", &world.ours);
    let created = store
        .put_key(&live, &world.event(EventKind::KeyCreated))
        .await;
    assert_eq!(created, Ok(true));
    let event = || world.event(EventKind::KeyRevoked);
    let at = NOW.after(MINUTE);
    let missing = Err(StoreError::Missing("key"));
    let owner = |team: &TeamId| KeyOwner::Team(team.clone());
    for wrong in [KeyOwner::Server, KeyOwner::Account("acc_ours".into())] {
        let revoked = store.revoke_key(&wrong, &live.id, at, &event()).await;
        assert_eq!(revoked, missing, "{wrong:?}");
    }
    let theirs = store
        .revoke_key(&owner(&world.theirs), &live.id, at, &event())
        .await;
    assert_eq!(theirs, missing);
    let ours = store
        .revoke_key(&owner(&world.ours), &live.id, at, &event())
        .await;
    assert_eq!(ours, Ok(()));
    assert_eq!(
        store
            .revoke_key(&owner(&world.ours), &live.id, at, &event())
            .await,
        missing
    );
    assert_eq!(world.events_of(EventKind::KeyRevoked).await, 1);
    let revoked = store.key_by_hash(&live.hash).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(at));
    let again = store
        .put_key(&live, &world.event(EventKind::KeyCreated))
        .await;
    assert_eq!(again, Ok(true));
    assert_eq!(store.key_by_hash(&live.hash).await, Ok(Some(live)));
}

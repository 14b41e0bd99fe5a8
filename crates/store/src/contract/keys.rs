//! API keys.

use grantry_core::StoreError;
use grantry_core::nouns::{EventKind, Key, KeyLevel, Role};
use grantry_core::store::Page;

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
    let (ours, theirs_account) = ("acc_ours".into(), "acc_theirs".into());
    let table = [
        (None, None, vec![of_server]),
        (Some(&ours), None, vec![of_account]),
        (None, Some(&world.ours), vec![of_team.clone()]),
        (Some(&ours), Some(&world.ours), vec![of_team]),
        (Some(&theirs_account), Some(&world.ours), vec![]),
        (Some(&theirs_account), None, vec![]),
    ];
    for (account, team, expected) in table {
        let found = world.store.keys(account, team, &Page::first(10)).await;
        assert_eq!(found, Ok(expected), "{account:?} {team:?}");
    }
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
    let theirs = store
        .revoke_key(&live.id, Some(&world.theirs), at, &event())
        .await;
    assert_eq!(theirs, missing);
    let ours = store
        .revoke_key(&live.id, Some(&world.ours), at, &event())
        .await;
    assert_eq!(ours, Ok(()));
    assert_eq!(
        store.revoke_key(&live.id, None, at, &event()).await,
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

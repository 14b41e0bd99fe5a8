//! Installations.

use grantry_core::StoreError;
use grantry_core::nouns::{EventKind, Installation, InstallationStatus};
use grantry_core::store::Page;

use super::World;
use super::fixtures::{MINUTE, NOW, installation};

const GONE: StoreError = StoreError::Missing("installation");

pub async fn an_installation_is_kept_changed_and_removed(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::InstallationPut);
    let connector = world.connector("scl_1").await;
    let theirs = world.connector_of("scl_theirs", &world.theirs).await;
    let made = installation("ins_1", &connector);
    assert_eq!(store.create_installation(&made, &event()).await, Ok(()));
    let found = store.installation(&world.ours, &made.id).await;
    assert_eq!(found, Ok(Some(made.clone())));
    assert_eq!(store.installation(&world.theirs, &made.id).await, Ok(None));

    let table = [
        (
            Installation {
                external_id: "another".to_owned(),
                ..made.clone()
            },
            StoreError::Taken("installation.id"),
        ),
        (
            Installation {
                external_id: made.external_id.clone(),
                ..installation("ins_2", &connector)
            },
            StoreError::Taken("installation.external_id"),
        ),
        (
            Installation {
                team: world.ours.clone(),
                ..installation("ins_2", &theirs)
            },
            StoreError::Missing("connector"),
        ),
    ];
    for (refused, error) in table {
        assert_eq!(
            store.create_installation(&refused, &event()).await,
            Err(error)
        );
    }
    let there = Installation {
        external_id: made.external_id.clone(),
        ..installation("ins_2", &theirs)
    };
    let elsewhere = store.create_installation(&there, &event()).await;
    assert_eq!(
        elsewhere,
        Ok(()),
        "the id is the provider's: unique among a connector's"
    );

    let inactive = async || store.inactive(&world.ours, &connector.id).await.unwrap();
    assert!(inactive().await.is_empty());
    let changed = Installation {
        name: None,
        status: InstallationStatus::Suspended,
        updated_at: NOW.after(MINUTE),
        ..made.clone()
    };
    let update = async |expected| {
        store
            .update_installation(&changed, expected, &event())
            .await
    };
    assert_eq!(update(NOW.after(2 * MINUTE)).await, Err(GONE));
    assert_eq!(update(made.updated_at).await, Ok(()));
    let found = store.installation(&world.ours, &made.id).await;
    assert_eq!(found, Ok(Some(changed.clone())));
    assert_eq!(inactive().await, std::slice::from_ref(&changed));
    assert!(
        store
            .inactive(&world.theirs, &connector.id)
            .await
            .unwrap()
            .is_empty()
    );
    let mut changed = changed;
    for status in [
        InstallationStatus::SuspendedThere,
        InstallationStatus::Removed,
        InstallationStatus::Active,
    ] {
        let read = changed.updated_at;
        changed = Installation {
            status,
            updated_at: read.after(MINUTE),
            ..changed
        };
        let updated = store.update_installation(&changed, read, &event()).await;
        assert_eq!(updated, Ok(()));
        let found = store.installation(&world.ours, &made.id).await;
        assert_eq!(found, Ok(Some(changed.clone())));
        let listed = inactive().await;
        assert_eq!(listed.is_empty(), status == InstallationStatus::Active);
    }

    assert_eq!(store.delete_installation(&there, &event()).await, Ok(()));
    let not_ours = Installation {
        team: world.theirs.clone(),
        ..changed.clone()
    };
    assert_eq!(
        store.delete_installation(&not_ours, &event()).await,
        Err(GONE)
    );
    assert_eq!(store.delete_installation(&changed, &event()).await, Ok(()));
    assert_eq!(
        store.delete_installation(&changed, &event()).await,
        Err(GONE)
    );
}

pub async fn a_default_installation_is_set_and_goes_with_it(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::InstallationPut);
    let connector = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    for (id, of) in [
        ("ins_1", &connector),
        ("ins_2", &connector),
        ("ins_3", &neighbour),
    ] {
        let made = installation(id, of);
        assert_eq!(store.create_installation(&made, &event()).await, Ok(()));
    }
    let default = async || {
        let found = store.connector(&world.ours, connector.id.as_str()).await;
        found.unwrap().unwrap().default_installation
    };
    let set = async |id: Option<&str>| {
        let id = id.map(Into::into);
        store
            .set_default_installation(&world.ours, &connector.id, id.as_ref(), &event())
            .await
    };
    assert_eq!(set(Some("ins_1")).await, Ok(()));
    assert_eq!(default().await.as_deref(), Some("ext ins_1"));
    assert_eq!(set(Some("ins_3")).await, Err(GONE), "another connector's");
    assert_eq!(set(None).await, Ok(()));
    assert_eq!(default().await, None);

    assert_eq!(set(Some("ins_2")).await, Ok(()));
    let [one, two] = ["ins_1", "ins_2"].map(|id| installation(id, &connector));
    assert_eq!(store.delete_installation(&one, &event()).await, Ok(()));
    assert_eq!(
        default().await.as_deref(),
        Some("ext ins_2"),
        "another one's end changes nothing"
    );
    assert_eq!(store.delete_installation(&two, &event()).await, Ok(()));
    assert_eq!(default().await, None);
    world.delete(&neighbour, NOW).await;
    let left = store
        .installations(&world.ours, &neighbour.id, &Page::first(10))
        .await;
    assert_eq!(left, Ok(vec![]), "they go with their connector");
    let late = store
        .create_installation(&installation("ins_4", &neighbour), &event())
        .await;
    assert_eq!(late, Err(StoreError::Missing("connector")));
}

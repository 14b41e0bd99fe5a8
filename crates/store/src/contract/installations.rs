//! Installations.

use grantry_core::StoreError;
use grantry_core::Timestamp;
use grantry_core::nouns::{Connector, EventKind, Grant, Installation, InstallationStatus};
use grantry_core::store::{Declared, Page};

use super::World;
use super::fixtures::{HOUR, MINUTE, NOW, connection, installation, token_set};

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

    assert_eq!(
        store.delete_installation(&there, None, &event()).await,
        Ok(())
    );
    let not_ours = Installation {
        team: world.theirs.clone(),
        ..changed.clone()
    };
    assert_eq!(
        store.delete_installation(&not_ours, None, &event()).await,
        Err(GONE)
    );
    let read = Some(made.updated_at);
    assert_eq!(
        store.delete_installation(&changed, read, &event()).await,
        Err(GONE),
        "it was changed since"
    );
    let read = Some(changed.updated_at);
    assert_eq!(
        store.delete_installation(&changed, read, &event()).await,
        Ok(())
    );
    assert_eq!(
        store.delete_installation(&changed, None, &event()).await,
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
    assert_eq!(
        store.delete_installation(&one, None, &event()).await,
        Ok(())
    );
    assert_eq!(
        default().await.as_deref(),
        Some("ext ins_2"),
        "another one's end changes nothing"
    );
    assert_eq!(
        store.delete_installation(&two, None, &event()).await,
        Ok(())
    );
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

/// Installs once more, under the terms that `row` says.
async fn complete(world: &World, connector: &Connector, request: &str, row: &Installation) {
    let pending = world.authorization(connector, request).await;
    let grant = Grant {
        installation: Some(row.external_id.clone()),
        ..pending.grant.clone()
    };
    let made = connection(&format!("conn_{}", row.id), &world.ours, grant);
    let sets = [token_set(&format!("stk_{request}"), &made, "main")];
    let event = world.event(EventKind::AuthorizationCompleted);
    let store = &world.store;
    let done = store.complete_installation(&pending.id, row, false, &made, &sets, &event);
    assert_eq!(done.await, Ok(()));
}

pub async fn other_terms_ask_for_each_installation_again(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::InstallationPut);
    let made = world.connector("scl_1").await;
    let neighbour = world.connector("scl_2").await;
    let [first, second] = ["ins_1", "ins_2"].map(|id| installation(id, &made));
    for row in [&first, &second, &installation("ins_3", &neighbour)] {
        assert_eq!(store.create_installation(row, &event()).await, Ok(()));
    }
    let stored = async || {
        let found = store.connector(&world.ours, made.id.as_str()).await;
        found.unwrap().unwrap()
    };
    let since = async || stored().await.reinstall_at;
    // What a caller knew of it meanwhile is not written.
    let change = async |terms_at: Option<Timestamp>| {
        let read = stored().await;
        let changed = Connector {
            terms_at,
            reinstall_at: Some(NOW.after(9 * HOUR)),
            updated_at: read.updated_at.after(MINUTE),
            ..read.clone()
        };
        let (read, event) = (read.updated_at, event());
        let done = store.update_connector(&changed, read, false, &[], &event);
        assert_eq!(done.await, Ok(()));
    };
    change(None).await;
    assert_eq!(since().await, None, "they are as they were");
    let [one, two, three] = [1, 2, 3].map(|hours| NOW.after(hours * HOUR));
    change(Some(one)).await;
    assert_eq!(since().await, Some(one));
    change(Some(two)).await;
    assert_eq!(since().await, Some(one), "it stays when it was first");

    let under = |row: &Installation, terms_at| Installation {
        terms_at: Some(terms_at),
        ..row.clone()
    };
    complete(world, &made, "sci_1", &under(&first, two)).await;
    assert_eq!(since().await, Some(one), "the other is still as it was");
    complete(world, &made, "sci_2", &under(&second, one)).await;
    assert_eq!(since().await, Some(one), "it was for what was asked before");
    complete(world, &made, "sci_3", &under(&second, two)).await;
    assert_eq!(since().await, None);
    complete(world, &made, "sci_4", &under(&first, one)).await;
    assert_eq!(since().await, Some(two));

    // One that its provider does not know any more asks for nothing; its row keeps what it was installed under.
    let rename = async |status, read: Timestamp| {
        let row = Installation {
            status,
            terms_at: Some(three),
            updated_at: read.after(MINUTE),
            ..first.clone()
        };
        let done = store.update_installation(&row, read, &event()).await;
        assert_eq!(done, Ok(()));
        row.updated_at
    };
    let removed = rename(InstallationStatus::Removed, first.updated_at).await;
    assert_eq!(since().await, None);
    rename(InstallationStatus::Active, removed).await;
    assert_eq!(since().await, Some(two));
    assert_eq!(
        store.delete_installation(&first, None, &event()).await,
        Ok(())
    );
    assert_eq!(since().await, None);

    // A file's change is one too, and one of the type.
    let read = stored().await;
    let declared = Connector {
        name: "Declared".to_owned(),
        terms_at: Some(three),
        updated_at: read.updated_at.after(MINUTE),
        ..read.clone()
    };
    let manner = Declared {
        read: Some(read.updated_at),
        secrets: false,
        client: false,
    };
    let put = store.put_connector(&declared, manner, &event()).await;
    assert_eq!((put, since().await), (Ok(true), Some(three)));
    let converted = Connector {
        terms_at: Some(three.after(HOUR)),
        updated_at: declared.updated_at.after(MINUTE),
        ..declared.clone()
    };
    complete(world, &made, "sci_5", &under(&second, three)).await;
    assert_eq!(since().await, None);
    let (read, claim) = (stored().await.updated_at, MINUTE);
    let (event_of, ended) = (event(), world.event(EventKind::ConnectionRevoked));
    let done = store.convert_connector(&converted, read, claim, 10, &event_of, &ended);
    assert!(done.await.is_ok());
    assert_eq!(since().await, converted.terms_at);
    let late = under(&installation("ins_4", &neighbour), one);
    let late = Installation {
        connector: made.id.clone(),
        ..late
    };
    assert_eq!(store.create_installation(&late, &event()).await, Ok(()));
    assert_eq!(since().await, converted.terms_at);
    let beside = store.connector(&world.ours, neighbour.id.as_str()).await;
    assert_eq!(beside.unwrap().unwrap().reinstall_at, None);
}

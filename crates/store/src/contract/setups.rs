//! Setups.

use grantry_core::StoreError;
use grantry_core::nouns::{EventKind, Setup, SetupState};
use grantry_core::store::Page;

use super::World;
use super::fixtures::{HOUR, MINUTE, NOW, connector, digest, link, setup};

const GONE: Result<(), StoreError> = Err(StoreError::Missing("setup"));
const MANY: u32 = 100;

pub async fn a_setup_is_found_by_its_id_and_its_code_and_both_are_one_s_own(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::SetupRequested);
    let made = setup("scr_1", &world.ours);
    assert_eq!(store.create_setup(&made, MANY, &event()).await, Ok(()));
    assert_eq!(store.setup(&made.id).await, Ok(Some(made.clone())));
    assert_eq!(store.setup(&"scr_2".into()).await, Ok(None));
    let found = store.setup_by_code(&digest("scr_1")).await;
    assert_eq!(found, Ok(Some(made.clone())));
    assert_eq!(store.setup_by_code(&digest("scr_2")).await, Ok(None));
    let same_code = Setup {
        id: "scr_2".into(),
        team: world.theirs.clone(),
        ..made.clone()
    };
    let again = store.create_setup(&same_code, MANY, &event()).await;
    assert_eq!(again, Err(StoreError::Taken("setup.code")));
    // Who wants to poll for nothing has no code, and there may be many of them.
    for id in ["scr_3", "scr_4"] {
        let silent = Setup {
            code: None,
            ..setup(id, &world.ours)
        };
        assert_eq!(store.create_setup(&silent, MANY, &event()).await, Ok(()));
    }
}

pub async fn a_team_has_so_many_open_setups_and_no_more(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::SetupRequested);
    let create = async |setup: &Setup| store.create_setup(setup, 2, &event()).await;
    for id in ["scr_1", "scr_2"] {
        assert_eq!(create(&setup(id, &world.ours)).await, Ok(()));
    }
    let third = setup("scr_3", &world.ours);
    let full = Err(StoreError::InUse("team.setups"));
    assert_eq!(create(&third).await, full);
    assert_eq!(create(&setup("scr_t", &world.theirs)).await, Ok(()));
    let later = Setup {
        created_at: NOW.after(2 * HOUR),
        expires_at: NOW.after(4 * HOUR),
        ..third.clone()
    };
    assert_eq!(create(&later).await, Ok(()), "the others' time is over");
    let canceled = store.cancel_setup(&"scr_1".into(), &event()).await;
    assert_eq!(canceled, Ok(()));
    assert_eq!(create(&setup("scr_4", &world.ours)).await, full, "2 and 3");
}

pub async fn a_setup_is_completed_once_in_time_with_its_own_connector(world: &World) {
    let store = &world.store;
    let event = || world.event(EventKind::ConnectorCreated);
    for id in ["scr_1", "scr_2", "scr_3"] {
        let asked = world.event(EventKind::SetupRequested);
        let made = setup(id, &world.ours);
        assert_eq!(store.create_setup(&made, MANY, &asked).await, Ok(()));
    }
    let made = setup("scr_1", &world.ours);
    let row = connector(made.connector.as_str(), &world.ours);
    let links = [link(&world.ours, &row.id, &"prj_ours".into())];
    let other = connector("scl_other", &world.ours);
    let theirs = connector(made.connector.as_str(), &world.theirs);
    for wrong in [&other, &theirs] {
        assert_eq!(
            store.complete_setup(&made.id, wrong, &[], &event()).await,
            GONE
        );
    }
    let mut late = event();
    late.at = made.expires_at;
    assert_eq!(
        store.complete_setup(&made.id, &row, &links, &late).await,
        GONE
    );
    let none = store.connector(&world.ours, row.id.as_str()).await;
    assert_eq!(none.map(|found| found.is_some()), Ok(false));

    let done = store.complete_setup(&made.id, &row, &links, &event()).await;
    assert_eq!(done, Ok(()));
    assert_eq!(
        store.complete_setup(&made.id, &row, &links, &event()).await,
        GONE
    );
    assert_eq!(store.cancel_setup(&made.id, &event()).await, GONE);
    let found = store.connector(&world.ours, row.id.as_str()).await.unwrap();
    assert_eq!(found.unwrap().uid, row.uid);
    assert_eq!(store.links(&world.ours, &row.id).await.unwrap().len(), 1);

    // A connector that cannot be made leaves its setup open.
    let second = setup("scr_2", &world.ours);
    let clash = grantry_core::nouns::Connector {
        uid: row.uid.clone(),
        ..connector(second.connector.as_str(), &world.ours)
    };
    let clashed = store
        .complete_setup(&second.id, &clash, &[], &event())
        .await;
    assert_eq!(clashed, Err(StoreError::Taken("connector.uid")));
    let open = store.setup(&second.id).await.unwrap().unwrap();
    assert_eq!(open.state, SetupState::Pending);

    let third = setup("scr_3", &world.ours);
    assert_eq!(store.cancel_setup(&third.id, &event()).await, Ok(()));
    let row = connector(third.connector.as_str(), &world.ours);
    assert_eq!(
        store.complete_setup(&third.id, &row, &[], &event()).await,
        GONE
    );
}

pub async fn a_created_setup_knows_its_installation_until_it_is_finished(world: &World) {
    let store = &world.store;
    let made = setup("scr_1", &world.ours);
    let asked = world.event(EventKind::SetupRequested);
    assert_eq!(store.create_setup(&made, MANY, &asked).await, Ok(()));
    let (first, second) = ("sci_1".into(), "sci_2".into());
    assert_eq!(store.install_setup(&made.id, None, &first).await, GONE);
    assert_eq!(store.finish_setup(&made.id).await, GONE);
    let row = connector(made.connector.as_str(), &world.ours);
    let event = world.event(EventKind::ConnectorCreated);
    assert_eq!(
        store.complete_setup(&made.id, &row, &[], &event).await,
        Ok(())
    );
    assert_eq!(store.install_setup(&made.id, None, &first).await, Ok(()));
    assert_eq!(store.install_setup(&made.id, None, &second).await, GONE);
    assert_eq!(
        store.install_setup(&made.id, Some(&first), &second).await,
        Ok(())
    );
    let found = store.setup(&made.id).await.unwrap().unwrap();
    assert_eq!(
        (found.install, found.state),
        (Some(second), SetupState::Created)
    );
    assert_eq!(store.finish_setup(&made.id).await, Ok(()));
    assert_eq!(store.finish_setup(&made.id).await, Ok(()));
    let found = store.setup(&made.id).await.unwrap().unwrap();
    assert_eq!(found.state, SetupState::Finished);
}

pub async fn open_setups_are_listed_by_their_connectors_and_each_team_s_apart(world: &World) {
    let store = &world.store;
    for (id, team, after) in [
        ("scr_1", &world.ours, 0),
        ("scr_2", &world.ours, 0),
        ("scr_3", &world.ours, 1),
        ("scr_4", &world.ours, 2),
        ("scr_t", &world.theirs, 0),
    ] {
        let made = Setup {
            created_at: NOW.after(after * MINUTE),
            ..setup(id, team)
        };
        let asked = world.event(EventKind::SetupRequested);
        assert_eq!(store.create_setup(&made, MANY, &asked).await, Ok(()));
    }
    let canceled = world.event(EventKind::SetupCanceled);
    assert_eq!(store.cancel_setup(&"scr_4".into(), &canceled).await, Ok(()));
    let ids = async |connector: Option<&str>, at, page: Page| {
        let connector = connector.map(Into::into);
        let found = store.open_setups(&world.ours, connector.as_ref(), at, &page);
        let found = found.await.unwrap().into_iter();
        found.map(|row| row.id.to_string()).collect::<Vec<_>>()
    };
    let all = ids(None, NOW, Page::first(10)).await;
    assert_eq!(all, ["scr_3", "scr_2", "scr_1"]);
    let after = Some((NOW.0.to_string(), "scl_of_scr_2".to_owned()));
    let rest = Page {
        after,
        ..Page::first(10)
    };
    assert_eq!(ids(None, NOW, rest).await, ["scr_1"]);
    let one = ids(Some("scl_of_scr_2"), NOW, Page::first(1)).await;
    assert_eq!(one, ["scr_2"]);
    let theirs = ids(Some("scl_of_scr_t"), NOW, Page::first(1)).await;
    assert!(theirs.is_empty(), "{theirs:?}");
    let late = ids(None, NOW.after(2 * HOUR), Page::first(10)).await;
    assert!(late.is_empty(), "{late:?}");
}

pub async fn setups_that_are_over_are_swept(world: &World) {
    let store = &world.store;
    for (id, life) in [("scr_1", HOUR), ("scr_2", 3 * HOUR)] {
        let asked = world.event(EventKind::SetupRequested);
        let made = Setup {
            expires_at: NOW.after(life),
            ..setup(id, &world.ours)
        };
        assert_eq!(store.create_setup(&made, MANY, &asked).await, Ok(()));
    }
    assert!(store.sweep(NOW.after(HOUR).after(MINUTE), 10).await.is_ok());
    assert_eq!(store.setup(&"scr_1".into()).await, Ok(None));
    assert!(store.setup(&"scr_2".into()).await.unwrap().is_some());
}

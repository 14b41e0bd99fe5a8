//! Accounts, teams, people, projects, keys, catalogue overlays.

use grantry_core::StoreError;
use grantry_core::nouns::{
    Account, EventKind, Key, Membership, Project, Role, Service, Team, User,
};
use grantry_core::store::Page;
use serde_json::json;

use super::World;
use super::fixtures::{HOUR, NOW, account, digest, key, map, project, team, user};

/// Puts a row as new, as it is, and changed; every answer is what a declaration needs to know.
macro_rules! put_three_times {
    ($world:ident, $new:expr, $changed:expr, |$row:ident, $event:ident| $put:expr, $read:expr) => {
        let (new, changed) = ($new, $changed);
        for (row, differs) in [(&new, true), (&new, false), (&changed, true)] {
            let ($row, $event) = (row, &$world.event(EventKind::Applied));
            assert_eq!($put.await, Ok(differs));
            assert_eq!($read.await.unwrap().as_ref(), Some(row));
        }
    };
}

pub async fn a_row_is_put_once_and_changed_once(world: &World) {
    let store = &world.store;
    let new = account("acc_1");
    let changed = Account {
        name: "changed".to_owned(),
        ..new.clone()
    };
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_account(row, event),
        store.account(&"acc_1".into())
    );

    let new = team("team_1", "acc_1");
    let changed = Team {
        return_origins: vec![],
        ..new.clone()
    };
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_team(row, event),
        store.team("team_1")
    );

    let new = user("usr_1", "acc_1");
    let changed = User {
        last_name: "Byron".to_owned(),
        ..new.clone()
    };
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_user(row, event),
        store.user(&"usr_1".into())
    );

    let new = project("prj_1", &"team_1".into());
    let changed = Project {
        base_urls: [].into(),
        ..new.clone()
    };
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_project(row, event),
        store.project_by_id(&"prj_1".into())
    );

    let new = Membership {
        team: "team_1".into(),
        user: "usr_1".into(),
        role: Role::Owner,
        words: grantry_core::nouns::Words::new(),
    };
    let changed = Membership {
        role: Role::Member,
        ..new.clone()
    };
    let first = async || {
        store
            .memberships(&"usr_1".into())
            .await
            .map(|list| list.first().cloned())
    };
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_membership(row, event),
        first()
    );

    let new = Key {
        project: None,
        environment: None,
        user: Some("usr_1".into()),
        ..key("key_1", "acc_1", &"team_1".into())
    };
    let changed = Key {
        expires_at: None,
        ..new.clone()
    };
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_key(row, event),
        store.key_by_hash(&digest("key_1"))
    );

    let new = Service {
        id: "example".to_owned(),
        data: map(json!({"b": 1, "a": 2})),
    };
    let changed = Service {
        data: map(json!({"a": 2})),
        ..new.clone()
    };
    let first = async || store.services().await.map(|list| list.first().cloned());
    put_three_times!(
        world,
        new,
        changed,
        |row, event| store.put_service(row, event),
        first()
    );
}

pub async fn a_put_that_changes_nothing_writes_no_event(world: &World) {
    let before = world.events_of(EventKind::Applied).await;
    let later = Project {
        created_at: NOW.after(HOUR),
        ..project("prj_ours", &world.ours)
    };
    let put = world
        .store
        .put_project(&later, &world.event(EventKind::Applied))
        .await;
    assert_eq!(put, Ok(false), "when it was first made is no difference");
    let stored = world.store.project_by_id(&later.id).await.unwrap().unwrap();
    assert_eq!(stored.created_at, NOW);
    assert_eq!(world.events_of(EventKind::Applied).await, before);
}

pub async fn a_team_keeps_its_account_and_its_slug_is_unique(world: &World) {
    let event = || world.event(EventKind::Applied);
    let table = [
        (
            team("team_1", "acc_nowhere"),
            StoreError::Missing("account"),
        ),
        (
            team("team_ours", "acc_theirs"),
            StoreError::Missing("account"),
        ),
        (
            Team {
                slug: "team_ours-slug".to_owned(),
                ..team("team_1", "acc_theirs")
            },
            StoreError::Taken("team.slug"),
        ),
    ];
    for (team, error) in table {
        assert_eq!(world.store.put_team(&team, &event()).await, Err(error));
    }
    let found = world.store.team("team_ours").await.unwrap();
    assert_eq!(found, Some(team("team_ours", "acc_ours")));
}

pub async fn an_id_beats_a_slug_and_a_name(world: &World) {
    let event = || world.event(EventKind::Applied);
    let slug_is_an_id = Team {
        slug: "team_ours".to_owned(),
        ..team("team_1", "acc_ours")
    };
    assert_eq!(
        world.store.put_team(&slug_is_an_id, &event()).await,
        Ok(true)
    );
    let name_is_an_id = Project {
        name: "prj_ours".to_owned(),
        ..project("prj_1", &world.ours)
    };
    assert_eq!(
        world.store.put_project(&name_is_an_id, &event()).await,
        Ok(true)
    );

    for (name, id) in [
        ("team_ours", "team_ours"),
        ("team_ours-slug", "team_ours"),
        ("team_1", "team_1"),
    ] {
        let found = world.store.team(name).await.unwrap();
        assert_eq!(found.map(|team| team.id.to_string()).as_deref(), Some(id));
    }
    assert_eq!(world.store.team("nobody").await, Ok(None));
    for (name, id) in [
        ("prj_ours", "prj_ours"),
        ("prj_ours name", "prj_ours"),
        ("prj_1", "prj_1"),
    ] {
        let found = world.store.project(&world.ours, name).await.unwrap();
        assert_eq!(
            found.map(|project| project.id.to_string()).as_deref(),
            Some(id)
        );
    }
    for name in ["prj_ours", "prj_ours name"] {
        assert_eq!(world.store.project(&world.theirs, name).await, Ok(None));
    }
}

pub async fn people_are_unique_by_email_within_their_account(world: &World) {
    let event = || world.event(EventKind::Applied);
    let ada = user("usr_ada", "acc_ours");
    assert_eq!(world.store.put_user(&ada, &event()).await, Ok(true));
    let table = [
        ("usr_1", "acc_nowhere", Err(StoreError::Missing("account"))),
        ("usr_1", "acc_ours", Err(StoreError::Taken("user.email"))),
        ("usr_ada", "acc_theirs", Err(StoreError::Taken("user.id"))),
        ("usr_1", "acc_theirs", Ok(true)),
    ];
    for (id, account, expected) in table {
        let person = User {
            id: id.into(),
            account: account.into(),
            ..ada.clone()
        };
        assert_eq!(
            world.store.put_user(&person, &event()).await,
            expected,
            "{id} {account}"
        );
    }
    assert_eq!(world.store.user(&ada.id).await, Ok(Some(ada)));
}

pub async fn a_membership_needs_a_team_and_a_person_of_its_account(world: &World) {
    let event = || world.event(EventKind::Applied);
    let person = user("usr_1", "acc_ours");
    assert_eq!(world.store.put_user(&person, &event()).await, Ok(true));
    let second = team("team_second", "acc_ours");
    assert_eq!(world.store.put_team(&second, &event()).await, Ok(true));
    let table = [
        ("team_nowhere", "usr_1", Err(StoreError::Missing("team"))),
        ("team_ours", "usr_nobody", Err(StoreError::Missing("user"))),
        ("team_theirs", "usr_1", Err(StoreError::Missing("user"))),
        ("team_second", "usr_1", Ok(true)),
        ("team_ours", "usr_1", Ok(true)),
    ];
    for (team, user, expected) in table {
        let membership = Membership {
            team: team.into(),
            user: user.into(),
            role: Role::TokenOnly,
            words: grantry_core::nouns::Words::new(),
        };
        let put = world.store.put_membership(&membership, &event()).await;
        assert_eq!(put, expected, "{team} {user}");
    }
    let places = world.store.memberships(&person.id).await.unwrap();
    let teams: Vec<_> = places.iter().map(|place| place.team.as_str()).collect();
    assert_eq!(teams, ["team_ours", "team_second"]);
}

pub async fn projects_belong_to_one_team(world: &World) {
    let event = || world.event(EventKind::Applied);
    let table = [
        (
            project("prj_1", &"team_nowhere".into()),
            Err(StoreError::Missing("team")),
        ),
        (
            project("prj_ours", &world.theirs),
            Err(StoreError::Taken("project.id")),
        ),
        (
            Project {
                name: "prj_ours name".to_owned(),
                ..project("prj_1", &world.ours)
            },
            Err(StoreError::Taken("project.name")),
        ),
        (
            Project {
                name: "prj_ours name".to_owned(),
                ..project("prj_1", &world.theirs)
            },
            Ok(true),
        ),
    ];
    for (project, expected) in table {
        assert_eq!(world.store.put_project(&project, &event()).await, expected);
    }
    let ours = world
        .store
        .projects(&world.ours, None, &Page::first(10))
        .await;
    assert_eq!(ours, Ok(vec![project("prj_ours", &world.ours)]));
}

pub async fn accounts_are_listed_and_searched(world: &World) {
    let table = [
        (None, None, vec!["acc_ours", "acc_theirs"]),
        (None, Some("acc_ours"), vec!["acc_theirs"]),
        (Some("OURS"), None, vec!["acc_ours"]),
        (Some("gmbh"), None, vec!["acc_ours", "acc_theirs"]),
        (Some("a_c"), None, vec![]),
        (Some("%"), None, vec![]),
    ];
    for (search, after, expected) in table {
        let page = Page {
            after: after.map(|id: &str| (id.to_owned(), id.to_owned())),
            ..Page::first(10)
        };
        let found = world.store.accounts(search, &page).await.unwrap();
        let ids: Vec<_> = found.iter().map(|account| account.id.as_str()).collect();
        assert_eq!(ids, expected, "{search:?} {after:?}");
    }
}

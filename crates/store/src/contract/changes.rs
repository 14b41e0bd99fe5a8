//! Accounts, teams, people and projects that are changed and deleted one by one.

use grantry_core::StoreError;
use grantry_core::ids::{TeamId, UserId};
use grantry_core::nouns::{
    Account, AuthorizationState, ConnectionState, EventKind, Key, KeyLevel, Membership, Project,
    Role, Service, Team, User,
};
use grantry_core::store::{ChangeKind, Page, TeamFilter, UserFilter};
use serde_json::Map;

use super::World;
use super::fixtures::{
    MINUTE, NOW, account, digest, invite, key, link, mcp_server, named_secret, project, team, user,
};

const KIND: EventKind = EventKind::Applied;

async fn person(world: &World, id: &str, account: &str) -> User {
    let user = user(id, account);
    let put = world.store.put_user(&user, &world.event(KIND)).await;
    assert_eq!(put, Ok(true));
    user
}

async fn place(world: &World, user: &str, team: &TeamId, role: Role) {
    let membership = membership(user, team, role);
    let put = world
        .store
        .put_membership(&membership, &world.event(KIND))
        .await;
    assert_eq!(put, Ok(true));
}

fn membership(user: &str, team: &TeamId, role: Role) -> Membership {
    Membership {
        team: team.clone(),
        user: user.into(),
        role,
        words: grantry_core::nouns::Words::new(),
    }
}

async fn stored(world: &World, key: Key) -> Key {
    let put = world.store.put_key(&key, &world.event(KIND)).await;
    assert_eq!(put, Ok(true));
    key
}

pub(super) async fn is_revoked(world: &World, key: &Key) -> bool {
    let found = world.store.key_by_hash(&key.hash).await.unwrap().unwrap();
    found.revoked_at.is_some()
}

/// What the caches are told by `write`.
pub(super) async fn told<T>(
    world: &World,
    write: impl Future<Output = T>,
) -> Vec<(ChangeKind, String)> {
    let before = world.store.last_change().await.unwrap();
    write.await;
    let changes = world.store.changes(before).await.unwrap();
    changes.into_iter().map(|one| (one.kind, one.key)).collect()
}

pub async fn a_row_is_changed_from_what_it_is_and_never_brought_back(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let old = account("acc_ours");
    let new = Account {
        name: "new".to_owned(),
        ..old.clone()
    };
    assert_eq!(store.update_account(&old, &new, &event()).await, Ok(()));
    let stale = store.update_account(&old, &new, &event()).await;
    assert_eq!(stale, Err(StoreError::Missing("account")));
    assert_eq!(store.account(&new.id).await, Ok(Some(new)));

    let old = team("team_ours", "acc_ours");
    let new = Team {
        return_origins: vec![],
        slug: "new".to_owned(),
        ..old.clone()
    };
    assert_eq!(store.update_team(&old, &new, &event()).await, Ok(()));
    let stale = store.update_team(&old, &new, &event()).await;
    assert_eq!(stale, Err(StoreError::Missing("team")));
    let taken = Team {
        slug: "team_theirs-slug".to_owned(),
        ..new.clone()
    };
    let taken = store.update_team(&new, &taken, &event()).await;
    assert_eq!(taken, Err(StoreError::Taken("team.slug")));
    assert_eq!(store.team("new").await, Ok(Some(new)));

    let old = person(world, "usr_1", "acc_ours").await;
    let other = person(world, "usr_2", "acc_ours").await;
    let new = User {
        last_name: String::new(),
        ..old.clone()
    };
    assert_eq!(store.update_user(&old, &new, &event()).await, Ok(()));
    let stale = store.update_user(&old, &new, &event()).await;
    assert_eq!(stale, Err(StoreError::Missing("user")));
    let taken = User {
        email: other.email,
        ..new.clone()
    };
    let taken = store.update_user(&new, &taken, &event()).await;
    assert_eq!(taken, Err(StoreError::Taken("user.email")));
    assert_eq!(store.user(&new.id).await, Ok(Some(new)));

    let old = project("prj_ours", &world.ours);
    let new = Project {
        base_urls: [].into(),
        ..old.clone()
    };
    assert_eq!(store.update_project(&old, &new, &event()).await, Ok(()));
    let stale = store.update_project(&old, &old, &event()).await;
    assert_eq!(stale, Err(StoreError::Missing("project")));
    let deleted = store
        .delete_project(&world.ours, &new.id, NOW, &event())
        .await;
    assert_eq!(deleted, Ok(()));
    let late = store.update_project(&new, &old, &event()).await;
    assert_eq!(late, Err(StoreError::Missing("project")));
    assert_eq!(store.project_by_id(&new.id).await, Ok(None));
}

pub async fn an_account_goes_with_its_people_and_keys_but_not_with_teams(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let (ours, empty) = ("acc_ours".into(), "acc_empty".into());
    store
        .put_account(&account("acc_empty"), &event())
        .await
        .unwrap();
    let gone = person(world, "usr_gone", "acc_empty").await;
    let stays = person(world, "usr_stays", "acc_ours").await;
    let of = |id: &str, account: &str| Key {
        level: KeyLevel::Account,
        team: None,
        project: None,
        environment: None,
        ..key(id, account, &world.ours)
    };
    let revoked = stored(world, of("key_gone", "acc_empty")).await;
    let live = stored(world, of("key_stays", "acc_ours")).await;

    let deleted = store.delete_account(&ours, NOW, &event()).await;
    assert_eq!(deleted, Err(StoreError::InUse("account.teams")));
    let changes = told(world, async {
        let deleted = store.delete_account(&empty, NOW, &event()).await;
        assert_eq!(deleted, Ok(()));
    });
    let kinds: Vec<_> = changes.await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [ChangeKind::User, ChangeKind::Key]);
    let again = store.delete_account(&empty, NOW, &event()).await;
    assert_eq!(again, Err(StoreError::Missing("account")));
    assert_eq!(store.user(&gone.id).await, Ok(None));
    assert_eq!(store.user(&stays.id).await, Ok(Some(stays)));
    assert!(is_revoked(world, &revoked).await);
    assert!(!is_revoked(world, &live).await);
}

pub async fn a_team_goes_with_everything_in_it_at_once(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let connector = world.connector("scl_1").await;
    let (connection, _) = world.connection(&connector, "conn_1").await;
    let pending = world.authorization(&connector, "sca_1").await;
    let other = world.connector_of("scl_theirs", &world.theirs).await;
    let (theirs, _) = world.connection(&other, "conn_theirs").await;
    let linked = link(&world.ours, &connector.id, &"prj_ours".into());
    store.put_link(&linked, &event()).await.unwrap();
    person(world, "usr_1", "acc_ours").await;
    place(world, "usr_1", &world.ours, Role::Owner).await;
    let ends = stored(world, key("key_1", "acc_ours", &world.ours)).await;
    let stays = stored(world, key("key_2", "acc_theirs", &world.theirs)).await;
    let named = named_secret("sec_1", &world.ours);
    store.put_secret(&named, true, &event()).await.unwrap();
    let asked = invite("inv_1", &world.ours);
    store.put_invite(&asked, &event()).await.unwrap();
    let server = mcp_server("mcp_1", &world.ours);
    store.put_mcp_server(&server, &event()).await.unwrap();

    let kept = store
        .delete_team(&world.ours, false, NOW, MINUTE, &event())
        .await;
    assert_eq!(kept, Err(StoreError::InUse("team.connectors")));
    assert!(
        !is_revoked(world, &ends).await,
        "a refused end changes nothing"
    );

    let changes = told(world, async {
        let deleted = store
            .delete_team(&world.ours, true, NOW, MINUTE, &event())
            .await;
        assert_eq!(deleted, Ok(()));
    });
    let mut kinds: Vec<_> = changes.await.into_iter().map(|(kind, _)| kind).collect();
    kinds.dedup();
    let heard = [
        ChangeKind::Connector,
        ChangeKind::Project,
        ChangeKind::User,
        ChangeKind::Key,
        ChangeKind::Team,
    ];
    assert_eq!(kinds, heard);

    assert_eq!(store.team("team_ours").await, Ok(None));
    // Its connections end after it, with the secrets that their tokens are revoked with.
    let live = store.connection(&world.ours, &connection.id).await.unwrap();
    assert_eq!(live.unwrap().sets.len(), 1);
    let due = store.due_endings(NOW.after(MINUTE), MINUTE, 9).await;
    let due: Vec<_> = due.unwrap().into_iter().map(|due| due.connector).collect();
    assert_eq!(due, std::slice::from_ref(&connector.id));
    let row = store
        .connector(&world.ours, "scl_1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.deleted_at, row.secrets.is_some()), (Some(NOW), true));
    assert_eq!(store.links(&world.ours, &connector.id).await, Ok(vec![]));
    let pending = store.authorization(&pending.id).await.unwrap().unwrap();
    assert_eq!(pending.state, AuthorizationState::Canceled);
    assert_eq!(store.memberships(&"usr_1".into()).await, Ok(vec![]));
    assert_eq!(store.project_by_id(&"prj_ours".into()).await, Ok(None));
    assert!(is_revoked(world, &ends).await);
    let page = Page::first(10);
    assert!(store.secrets(&world.ours, &page).await.unwrap().is_empty());
    assert!(
        store
            .invites(&world.ours, None, &page)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .mcp_servers(&world.ours, &page)
            .await
            .unwrap()
            .is_empty()
    );

    let theirs = store.connection(&world.theirs, &theirs.id).await.unwrap();
    assert_eq!(theirs.unwrap().connection.state, ConnectionState::Active);
    assert!(!is_revoked(world, &stays).await);
    assert!(store.user(&"usr_1".into()).await.unwrap().is_some());
    let again = store
        .delete_team(&world.ours, true, NOW, MINUTE, &event())
        .await;
    assert_eq!(again, Err(StoreError::Missing("team")));
}

pub async fn teams_are_filtered(world: &World) {
    let store = &world.store;
    let second = team("team_second", "acc_ours");
    store.put_team(&second, &world.event(KIND)).await.unwrap();
    person(world, "usr_1", "acc_ours").await;
    place(world, "usr_1", &second.id, Role::Member).await;
    let all = TeamFilter::default();
    for (filter, expected) in [
        (all.clone(), vec!["team_ours", "team_second", "team_theirs"]),
        (
            TeamFilter {
                account: Some("acc_ours".into()),
                ..all.clone()
            },
            vec!["team_ours", "team_second"],
        ),
        (
            TeamFilter {
                id: Some(world.ours.clone()),
                ..all.clone()
            },
            vec!["team_ours"],
        ),
        (
            TeamFilter {
                member: Some("usr_1".into()),
                ..all.clone()
            },
            vec!["team_second"],
        ),
        (
            TeamFilter {
                search: Some("SECOND name".to_owned()),
                ..all.clone()
            },
            vec!["team_second"],
        ),
        (
            TeamFilter {
                account: Some("acc_theirs".into()),
                search: Some("ours".to_owned()),
                ..all.clone()
            },
            vec![],
        ),
    ] {
        let found = store.teams(&filter, &Page::first(10)).await.unwrap();
        let ids: Vec<_> = found.iter().map(|team| team.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub async fn people_are_found_listed_and_searched(world: &World) {
    let store = &world.store;
    for id in ["usr_b", "usr_a", "usr_c"] {
        person(world, id, "acc_ours").await;
    }
    person(world, "usr_t", "acc_theirs").await;
    let (ours, theirs) = ("acc_ours".into(), "acc_theirs".into());
    let filter = |email: Option<&str>, search: Option<&str>| UserFilter {
        by_id: false,
        email: email.map(str::to_owned),
        search: search.map(str::to_owned),
    };
    for (filter, expected) in [
        (filter(None, None), vec!["usr_a", "usr_b", "usr_c"]),
        (filter(Some("usr_b@example.org"), None), vec!["usr_b"]),
        (filter(Some("USR_B@example.org"), None), vec![]),
        (filter(None, Some("USR_C@")), vec!["usr_c"]),
        (
            filter(None, Some("lovelace")),
            vec!["usr_a", "usr_b", "usr_c"],
        ),
        (filter(None, Some("usr_t")), vec![]),
    ] {
        let found = store.users(&ours, &filter, &Page::first(10)).await.unwrap();
        let ids: Vec<_> = found.iter().map(|user| user.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
    let page = Page {
        after: Some(("usr_a@example.org".to_owned(), "usr_a".to_owned())),
        ..Page::first(1)
    };
    let everybody = UserFilter::default();
    let next = store.users(&ours, &everybody, &page).await.unwrap();
    let ids: Vec<_> = next.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["usr_b", "usr_c"], "one more than the page holds");
    let by_id = UserFilter {
        by_id: true,
        ..UserFilter::default()
    };
    let place = |id: &str| Some((id.to_owned(), id.to_owned()));
    for (after, oldest_first, expected) in [
        (None, false, vec!["usr_a", "usr_b", "usr_c"]),
        (place("usr_aa"), false, vec!["usr_b", "usr_c"]),
        (place("usr_c"), true, vec!["usr_b", "usr_a"]),
    ] {
        let page = Page {
            after,
            oldest_first,
            ..Page::first(10)
        };
        let found = store.users(&ours, &by_id, &page).await.unwrap();
        let ids: Vec<_> = found.iter().map(|user| user.id.as_str()).collect();
        assert_eq!(ids, expected);
    }

    for (account, named, found) in [
        (&ours, "usr_a", true),
        (&ours, "usr_a@example.org", true),
        (&theirs, "usr_a", false),
        (&theirs, "usr_a@example.org", false),
        (&ours, "nobody", false),
    ] {
        let person = store.person(account, named).await.unwrap();
        assert_eq!(person.is_some(), found, "{account} {named}");
    }
}

pub async fn a_person_goes_with_memberships_and_keys(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let (ours, theirs) = ("acc_ours".into(), "acc_theirs".into());
    let user = person(world, "usr_1", "acc_ours").await;
    person(world, "usr_2", "acc_ours").await;
    place(world, "usr_1", &world.ours, Role::Member).await;
    let of_user = Key {
        project: None,
        environment: None,
        user: Some(user.id.clone()),
        ..key("key_1", "acc_ours", &world.ours)
    };
    let ends = stored(world, of_user).await;
    let stays = stored(world, key("key_2", "acc_ours", &world.ours)).await;
    let foreign = store.delete_user(&theirs, &user.id, NOW, &event()).await;
    assert_eq!(foreign, Err(StoreError::Missing("user")));
    let changes = told(world, async {
        let deleted = store.delete_user(&ours, &user.id, NOW, &event()).await;
        assert_eq!(deleted, Ok(()));
    });
    let kinds: Vec<_> = changes.await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [ChangeKind::User, ChangeKind::Key]);
    assert_eq!(store.user(&user.id).await, Ok(None));
    assert_eq!(store.memberships(&user.id).await, Ok(vec![]));
    assert!(is_revoked(world, &ends).await);
    assert!(!is_revoked(world, &stays).await);
    let again = store.delete_user(&ours, &user.id, NOW, &event()).await;
    assert_eq!(again, Err(StoreError::Missing("user")));
}

pub async fn a_team_keeps_an_owner(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let (ours, account) = (&world.ours, "acc_ours".into());
    for id in ["usr_1", "usr_2"] {
        person(world, id, "acc_ours").await;
    }
    place(world, "usr_1", ours, Role::Owner).await;
    place(world, "usr_2", ours, Role::Member).await;
    let one: UserId = "usr_1".into();
    let last = StoreError::InUse("team.owner");

    let demoted = membership("usr_1", ours, Role::Admin);
    let demote = async || store.change_membership(&demoted, &event()).await;
    assert_eq!(demote().await, Err(last.clone()));
    let leave = store.delete_membership(ours, &one, &event()).await;
    assert_eq!(leave, Err(last.clone()));
    let deleted = store.delete_user(&account, &one, NOW, &event()).await;
    assert_eq!(deleted, Err(last));
    assert!(store.user(&one).await.unwrap().is_some());

    let second = membership("usr_2", ours, Role::Owner);
    let promote = async || store.change_membership(&second, &event()).await;
    assert_eq!((promote().await, promote().await), (Ok(true), Ok(false)));
    assert_eq!(demote().await, Ok(true));
    assert_eq!(store.delete_membership(ours, &one, &event()).await, Ok(()));
    let again = store.delete_membership(ours, &one, &event()).await;
    assert_eq!(again, Err(StoreError::Missing("membership")));
    let foreign = membership("usr_2", &world.theirs, Role::Member);
    let foreign = store.change_membership(&foreign, &event()).await;
    assert_eq!(foreign, Err(StoreError::Missing("user")));
}

pub async fn members_are_listed_and_searched(world: &World) {
    let store = &world.store;
    for (id, role) in [
        ("usr_b", Role::Member),
        ("usr_a", Role::Owner),
        ("usr_c", Role::Admin),
    ] {
        person(world, id, "acc_ours").await;
        place(world, id, &world.ours, role).await;
    }
    person(world, "usr_d", "acc_ours").await;
    let list = async |search: Option<&str>, page: &Page| {
        let found = store.members(&world.ours, search, page).await.unwrap();
        let shown =
            |one: &grantry_core::store::Member| format!("{} {}", one.user.id, one.role.as_str());
        found.iter().map(shown).collect::<Vec<_>>()
    };
    let page = Page::first(10);
    let all = ["usr_a owner", "usr_b member", "usr_c admin"];
    assert_eq!(list(None, &page).await, all);
    assert_eq!(list(Some("USR_C"), &page).await, all[2..]);
    assert_eq!(list(Some("ada"), &page).await, all);
    assert_eq!(list(Some("usr_d"), &page).await, [""; 0]);
    let behind = Page {
        after: Some(("usr_a".to_owned(), "usr_a".to_owned())),
        ..page.clone()
    };
    assert_eq!(list(None, &behind).await, all[1..]);
    let theirs = store.members(&world.theirs, None, &page).await;
    assert_eq!(theirs, Ok(vec![]));
}

pub async fn projects_are_searched(world: &World) {
    let store = &world.store;
    let second = project("prj_second", &world.ours);
    store
        .put_project(&second, &world.event(KIND))
        .await
        .unwrap();
    for (search, expected) in [
        (None, vec!["prj_ours", "prj_second"]),
        (Some("SECOND"), vec!["prj_second"]),
        (Some("name"), vec!["prj_ours", "prj_second"]),
        (Some("theirs"), vec![]),
    ] {
        let found = store.projects(&world.ours, search, &Page::first(10)).await;
        let found = found.unwrap();
        let ids: Vec<_> = found.iter().map(|project| project.id.as_str()).collect();
        assert_eq!(ids, expected, "{search:?}");
    }
}

/// A key of our project in `environment`.
pub(super) async fn workload(world: &World, id: &str, environment: &str) -> Key {
    let key = Key {
        environment: Some(environment.into()),
        hash: digest(id),
        ..key(id, "acc_ours", &world.ours)
    };
    stored(world, key).await
}

pub async fn an_overlay_is_removed_once(world: &World) {
    let store = &world.store;
    let event = || world.event(KIND);
    let service = Service {
        id: "example".to_owned(),
        data: Map::new(),
    };
    store.put_service(&service, &event()).await.unwrap();
    let changes = told(world, async {
        assert_eq!(store.delete_service("example", &event()).await, Ok(()));
    });
    assert_eq!(changes.await, [(ChangeKind::Service, "example".to_owned())]);
    let again = store.delete_service("example", &event()).await;
    assert_eq!(again, Err(StoreError::Missing("service")));
}

//! What Datagrid's API asks of the store beside the rest: places in lists, owned secrets, roles everywhere.

use grantry_core::StoreError;
use grantry_core::ids::{ConnectorId, UserId};
use grantry_core::nouns::{EventKind, McpServer, Membership, NamedSecret, Role, SecretRef, Words};
use grantry_core::store::Listed;

use super::World;
use super::fixtures::{HOUR, MINUTE, NOW, invite, map, mcp_server, named_secret, team, user};

pub async fn a_row_keeps_its_place_in_its_list_when_it_is_gone(world: &World) {
    let World {
        store,
        ours,
        theirs,
        ..
    } = world;
    let event = || world.event(EventKind::SecretPut);
    let secret = named_secret("sec_1", ours);
    store.put_secret(&secret, true, &event()).await.unwrap();
    let row = invite("inv_1", ours);
    store.put_invite(&row, &event()).await.unwrap();
    let server = mcp_server("mcp_1", ours);
    store.put_mcp_server(&server, &event()).await.unwrap();
    let connector = world.connector("scl_1").await;
    let (connection, _) = world.connection(&connector, "conn_1").await;
    let all = [
        (Listed::Secrets, "sec_1"),
        (Listed::Invites, "inv_1"),
        (Listed::McpServers, "mcp_1"),
        (Listed::Connectors, "scl_1"),
        (Listed::Connections, "conn_1"),
    ];
    let places = async || {
        for (list, id) in all {
            let place = store.list_place(ours, list, id).await;
            assert_eq!(place, Ok(Some(NOW)), "{id}");
            assert_eq!(store.list_place(theirs, list, id).await, Ok(None));
            assert_eq!(store.list_place(ours, list, "nope").await, Ok(None));
        }
    };
    places().await;
    store
        .delete_secret(ours, &secret.id, &event())
        .await
        .unwrap();
    store.delete_invite(ours, &row.id, &event()).await.unwrap();
    store
        .delete_mcp_server(ours, &server.id, &event())
        .await
        .unwrap();
    world.revoke(&connection).await;
    world.delete(&connector, NOW.after(HOUR)).await;
    places().await;
    // Remembered for a while.
    store.sweep(NOW.after(HOUR), 100).await.unwrap();
    let place = store.list_place(ours, Listed::Secrets, "sec_1").await;
    assert_eq!(place, Ok(None));
}

pub async fn a_client_secret_is_known_by_its_id_while_its_connector_lives(world: &World) {
    let World {
        store,
        ours,
        theirs,
        ..
    } = world;
    let connector = world.connector("scl_1").await;
    let known = async |id: &str| {
        let found = store.connector_by_client_secret(ours, &id.into()).await;
        found.unwrap().map(|found| found.id)
    };
    let is = |id: &str| Some(ConnectorId::from(id));
    assert_eq!(known("sec_scl_1").await, is("scl_1"));
    let foreign = store
        .connector_by_client_secret(theirs, &"sec_scl_1".into())
        .await;
    assert_eq!(foreign.unwrap().map(|found| found.id), None);
    let mut rotated = connector.clone();
    rotated.client_secret = Some(SecretRef {
        id: "sec_new".into(),
        at: NOW.after(MINUTE),
    });
    rotated.updated_at = NOW.after(HOUR);
    let event = world.event(EventKind::ConnectorUpdated);
    let updated = store
        .update_connector(&rotated, connector.updated_at, true, &[], &event)
        .await;
    assert_eq!(updated, Ok(()));
    assert_eq!(known("sec_scl_1").await, None);
    assert_eq!(known("sec_new").await, is("scl_1"));
    world.delete(&rotated, NOW.after(HOUR)).await;
    assert_eq!(known("sec_new").await, None);
}

pub async fn an_mcp_servers_own_secret_comes_changes_and_goes_with_it(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::McpServerPut);
    let server = mcp_server("mcp_1", ours);
    let owned = |id: &str| NamedSecret {
        owner: Some(server.id.clone()),
        ..named_secret(id, ours)
    };
    let (first, second) = (owned("sec_1"), owned("sec_2"));
    let made = store
        .create_mcp_server(&server, Some(&first), 1, &event())
        .await;
    assert_eq!(made, Ok(()));
    let full = store
        .create_mcp_server(&mcp_server("mcp_2", ours), None, 1, &event())
        .await;
    assert_eq!(full, Err(StoreError::InUse("team.mcp_servers")));
    let is_there = async |id: &str| store.secret(ours, id).await.unwrap().is_some();
    // It is found, and not listed.
    assert!(is_there("sec_1").await);
    let page = grantry_core::store::Page::first(10);
    assert_eq!(store.secrets(ours, &page).await, Ok(vec![]));
    let renamed = McpServer {
        name: "other".to_owned(),
        ..server.clone()
    };
    let changed = store
        .change_mcp_server(&server, &renamed, Some(&second), true, &event())
        .await;
    assert_eq!(changed, Ok(()));
    assert!(!is_there("sec_1").await && is_there("sec_2").await);
    let late = store
        .change_mcp_server(&server, &renamed, None, true, &event())
        .await;
    assert_eq!(late, Err(StoreError::Missing("mcp_server")));
    assert!(is_there("sec_2").await);
    store
        .delete_mcp_server(ours, &server.id, &event())
        .await
        .unwrap();
    assert!(!is_there("sec_2").await);
}

pub async fn an_accepted_invite_makes_a_member_and_never_demotes_one(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::InvitePut);
    store
        .put_user(&user("usr_1", "acc_ours"), &event())
        .await
        .unwrap();
    store
        .put_user(&user("usr_2", "acc_theirs"), &event())
        .await
        .unwrap();
    let membership = |user: &str, role| Membership {
        team: ours.clone(),
        user: user.into(),
        role,
        words: map(serde_json::json!({"role": "agents-only"})),
    };
    let place = async || {
        let places = store.memberships(&UserId::from("usr_1")).await.unwrap();
        places.into_iter().next()
    };
    let member = membership("usr_1", Role::Member);
    let put = store
        .put_accepted_invite(&invite("inv_1", ours), &member, &event())
        .await;
    assert_eq!(put, Ok(true));
    assert_eq!(place().await, Some(member.clone()));
    let admin = membership("usr_1", Role::Admin);
    let put = store
        .put_accepted_invite(&invite("inv_2", ours), &admin, &event())
        .await;
    assert_eq!(put, Ok(true));
    assert_eq!(place().await, Some(member));
    let foreign = membership("usr_2", Role::Member);
    let put = store
        .put_accepted_invite(&invite("inv_3", ours), &foreign, &event())
        .await;
    assert_eq!(put, Err(StoreError::Missing("user")));
    assert_eq!(store.invite(ours, &"inv_3".into()).await, Ok(None));
}

pub async fn a_role_is_set_in_every_team_of_the_account_but_where_one_owns_it(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::MembershipPut);
    store
        .put_user(&user("usr_1", "acc_ours"), &event())
        .await
        .unwrap();
    let second = team("team_second", "acc_ours");
    store.put_team(&second, &event()).await.unwrap();
    for (team, role) in [(ours, Role::Member), (&second.id, Role::Owner)] {
        let place = Membership {
            team: team.clone(),
            user: "usr_1".into(),
            role,
            words: map(serde_json::json!({"role": "agents-only"})),
        };
        store.put_membership(&place, &event()).await.unwrap();
    }
    let set = async |role| {
        let set = store
            .set_roles(&"acc_ours".into(), &"usr_1".into(), role, &event())
            .await;
        set.unwrap()
    };
    assert!(set(Role::Admin).await);
    assert!(!set(Role::Admin).await);
    let places = store.memberships(&"usr_1".into()).await.unwrap();
    let of = |id: &str| {
        let place = places
            .iter()
            .find(|place| place.team.as_str() == id)
            .unwrap();
        (place.role, place.words == Words::new())
    };
    assert_eq!(of(ours.as_str()), (Role::Admin, true));
    assert_eq!(of("team_second"), (Role::Owner, false));
    let elsewhere = store
        .set_roles(
            &"acc_theirs".into(),
            &"usr_1".into(),
            Role::Member,
            &event(),
        )
        .await;
    assert_eq!(elsewhere, Ok(false));
}

pub async fn an_invitation_is_accepted_with_its_address(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::UserCreated);
    let accepted = async |id: &str| {
        let found = store.invite(ours, &id.into()).await.unwrap();
        found.unwrap().accepted_at
    };
    for (id, email, role) in [
        ("inv_1", "Ann@example.org", Role::Member),
        ("inv_2", "ann@example.org", Role::Admin),
        ("inv_3", "bea@example.org", Role::Admin),
    ] {
        let mut row = invite(id, ours);
        (row.email, row.role) = (email.to_owned(), role);
        (row.expires_at, row.accepted_at) = (None, None);
        row.created_at = NOW.after(MINUTE * u32::from(id.as_bytes()[4] - b'0'));
        store.put_invite(&row, &event()).await.unwrap();
    }
    let mut late = invite("inv_4", ours);
    (late.email, late.accepted_at) = ("bea@example.org".to_owned(), None);
    late.expires_at = Some(NOW.before(HOUR));
    store.put_invite(&late, &event()).await.unwrap();
    let mut ann = user("usr_ann", "acc_ours");
    ann.email = "ann@example.org".to_owned();
    store.put_user(&ann, &event()).await.unwrap();
    let now = event().at;
    assert_eq!(accepted("inv_1").await, Some(now));
    assert_eq!(accepted("inv_2").await, Some(now));
    assert_eq!(accepted("inv_3").await, None);
    let roles = async |id: &str| {
        let places = store.memberships(&id.into()).await.unwrap();
        places.iter().map(|place| place.role).collect::<Vec<_>>()
    };
    // The first one says as what.
    assert_eq!(roles("usr_ann").await, [Role::Member]);
    // Nobody of another account.
    let mut bea = user("usr_far", "acc_theirs");
    bea.email = "bea@example.org".to_owned();
    store.put_user(&bea, &event()).await.unwrap();
    assert_eq!(roles("usr_far").await, []);
    assert_eq!(accepted("inv_3").await, None);
    // A change of address is as good as a new person.
    let mut new = ann.clone();
    new.email = "bea@example.org".to_owned();
    store.update_user(&ann, &new, &event()).await.unwrap();
    assert_eq!(accepted("inv_3").await, Some(now));
    assert_eq!(accepted("inv_4").await, None);
    // Who is a member stays what they are.
    assert_eq!(roles("usr_ann").await, [Role::Member]);
    let both = store
        .memberships_of(&["usr_far".into(), "usr_ann".into()])
        .await
        .unwrap();
    let both: Vec<_> = both.iter().map(|place| place.user.as_str()).collect();
    assert_eq!(both, ["usr_ann"]);
    assert_eq!(store.memberships_of(&[]).await, Ok(vec![]));
}

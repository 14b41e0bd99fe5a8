//! Secrets, invitations, MCP servers, icons.

use std::time::Duration;

use grantry_core::StoreError;
use grantry_core::nouns::{
    Actor, Connector, EventKind, Icon, Invite, McpServer, NamedSecret, Role,
};
use grantry_core::store::Page;

use super::World;
use super::fixtures::{HOUR, NOW, invite, mcp_server, named_secret, sealed};

pub async fn a_secret_is_put_when_it_differs_and_found_by_id_or_name(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::SecretPut);
    let first = named_secret("sec_1", ours);
    assert_eq!(store.put_secret(&first, true, &event()).await, Ok(true));
    // The same value sealed again, later, is no difference and leaves the stored bytes.
    let again = NamedSecret {
        value: sealed("again"),
        created_at: NOW.after(HOUR),
        updated_at: NOW.after(HOUR),
        ..first.clone()
    };
    assert_eq!(store.put_secret(&again, false, &event()).await, Ok(false));
    let stored = async |name| store.secret(ours, name).await.unwrap();
    assert_eq!(stored("sec_1").await, Some(first.clone()));

    let renamed = NamedSecret {
        name: "other".to_owned(),
        ..again.clone()
    };
    assert_eq!(store.put_secret(&renamed, false, &event()).await, Ok(true));
    let kept = NamedSecret {
        value: first.value.clone(),
        created_at: NOW,
        ..renamed.clone()
    };
    assert_eq!(stored("other").await, Some(kept));
    assert_eq!(store.put_secret(&renamed, true, &event()).await, Ok(true));
    let changed = NamedSecret {
        created_at: NOW,
        ..renamed
    };
    assert_eq!(stored("other").await, Some(changed.clone()));
    assert_eq!(world.events_of(EventKind::SecretPut).await, 3);

    let same_name = NamedSecret {
        name: "other".to_owned(),
        ..named_secret("sec_2", ours)
    };
    let taken = Err(StoreError::Taken("secret.name"));
    assert_eq!(store.put_secret(&same_name, true, &event()).await, taken);
    // An id beats a name.
    let named_like_an_id = NamedSecret {
        name: "sec_1".to_owned(),
        ..named_secret("sec_3", ours)
    };
    let put = store.put_secret(&named_like_an_id, true, &event()).await;
    assert_eq!(put, Ok(true));
    assert_eq!(stored("sec_1").await, Some(changed));
}

pub async fn a_secret_is_changed_as_it_was_read_and_not_brought_back(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::SecretPut);
    let first = named_secret("sec_1", ours);
    assert_eq!(store.put_secret(&first, true, &event()).await, Ok(true));
    let change = |name: &str, value: &str| NamedSecret {
        name: name.to_owned(),
        value: sealed(value),
        updated_at: NOW.after(HOUR),
        ..first.clone()
    };
    let (one, other) = (change("one", "value"), change("sec_1", "other"));
    assert_eq!(store.update_secret(&first, &one, &event()).await, Ok(()));
    let missing = Err(StoreError::Missing("secret"));
    assert_eq!(store.update_secret(&first, &other, &event()).await, missing);
    assert_eq!(store.secret(ours, "sec_1").await, Ok(Some(one.clone())));
    let second = named_secret("sec_2", ours);
    assert_eq!(store.put_secret(&second, true, &event()).await, Ok(true));
    let same_name = NamedSecret {
        name: one.name.clone(),
        ..second.clone()
    };
    let taken = Err(StoreError::Taken("secret.name"));
    assert_eq!(
        store.update_secret(&second, &same_name, &event()).await,
        taken
    );
    let deleted = event();
    let gone = store.delete_secret(ours, &one.id, &deleted);
    assert_eq!(gone.await, Ok(()));
    assert_eq!(store.update_secret(&one, &first, &event()).await, missing);
    assert_eq!(store.secret(ours, "sec_1").await, Ok(None));
}

pub async fn an_invite_is_put_and_found_by_address(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::InvitePut);
    let first = invite("inv_1", ours);
    assert_eq!(store.put_invite(&first, &event()).await, Ok(true));
    let again = Invite {
        created_by: Actor::Server,
        created_at: NOW.after(HOUR),
        ..first.clone()
    };
    assert_eq!(store.put_invite(&again, &event()).await, Ok(false));
    let changed = Invite {
        role: Role::Admin,
        expires_at: None,
        accepted_at: None,
        ..first.clone()
    };
    assert_eq!(store.put_invite(&changed, &event()).await, Ok(true));
    let stored = store.invite(ours, &first.id).await;
    assert_eq!(stored, Ok(Some(changed.clone())));
    assert_eq!(world.events_of(EventKind::InvitePut).await, 2);

    // One address, twice; and somebody else.
    let twice = Invite {
        email: first.email.clone(),
        ..invite("inv_2", ours)
    };
    let other = invite("inv_3", ours);
    for row in [&twice, &other] {
        assert_eq!(store.put_invite(row, &event()).await, Ok(true));
    }
    let page = Page::first(10);
    let found = store.invites(ours, Some(&first.email), &page).await;
    assert_eq!(found, Ok(vec![twice, changed]));
}

pub async fn an_mcp_server_is_put_when_it_differs(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::McpServerPut);
    let first = mcp_server("mcp_1", ours);
    assert_eq!(store.put_mcp_server(&first, &event()).await, Ok(true));
    let again = McpServer {
        updated_at: NOW.after(HOUR),
        ..first.clone()
    };
    assert_eq!(store.put_mcp_server(&again, &event()).await, Ok(false));
    let changed = McpServer {
        base_url: "https://other.example".to_owned(),
        ..again
    };
    assert_eq!(store.put_mcp_server(&changed, &event()).await, Ok(true));
    let stored = store.mcp_server(ours, &first.id).await;
    assert_eq!(stored, Ok(Some(changed)));
    assert_eq!(world.events_of(EventKind::McpServerPut).await, 2);
}

pub async fn a_belonging_is_its_teams_alone_and_is_deleted_once(world: &World) {
    let World {
        store,
        ours,
        theirs,
        ..
    } = world;
    let event = || world.event(EventKind::Applied);
    let secret = named_secret("sec_1", ours);
    let invite = invite("inv_1", ours);
    let server = mcp_server("mcp_1", ours);
    assert_eq!(store.put_secret(&secret, true, &event()).await, Ok(true));
    assert_eq!(store.put_invite(&invite, &event()).await, Ok(true));
    assert_eq!(store.put_mcp_server(&server, &event()).await, Ok(true));

    let taken = |word| Err(StoreError::Taken(word));
    let stolen = named_secret("sec_1", theirs);
    let put = store.put_secret(&stolen, true, &event()).await;
    assert_eq!(put, taken("secret.id"));
    let stolen = Invite {
        team: theirs.clone(),
        ..invite.clone()
    };
    assert_eq!(
        store.put_invite(&stolen, &event()).await,
        taken("invite.id")
    );
    let stolen = mcp_server("mcp_1", theirs);
    let put = store.put_mcp_server(&stolen, &event()).await;
    assert_eq!(put, taken("mcp_server.id"));
    let nowhere = "team_nowhere".into();
    let server_nowhere = mcp_server("mcp_1", &nowhere);
    let put = store.put_mcp_server(&server_nowhere, &event()).await;
    assert_eq!(put, Err(StoreError::Missing("team")));

    let missing = |word| Err(StoreError::Missing(word));
    for (team, is_ours) in [(theirs, false), (ours, true), (ours, false)] {
        let found = store.secret(team, "sec_1").await.unwrap().is_some();
        assert_eq!(found, is_ours);
        let found = store.invite(team, &invite.id).await.unwrap().is_some();
        assert_eq!(found, is_ours);
        let found = store.mcp_server(team, &server.id).await.unwrap().is_some();
        assert_eq!(found, is_ours);
        let answer = |word| if is_ours { Ok(()) } else { missing(word) };
        let gone = store.delete_secret(team, &secret.id, &event()).await;
        assert_eq!(gone, answer("secret"));
        let gone = store.delete_invite(team, &invite.id, &event()).await;
        assert_eq!(gone, answer("invite"));
        let gone = store.delete_mcp_server(team, &server.id, &event()).await;
        assert_eq!(gone, answer("mcp_server"));
    }
    // The name is free again.
    let next = NamedSecret {
        name: secret.name,
        ..named_secret("sec_2", ours)
    };
    assert_eq!(store.put_secret(&next, true, &event()).await, Ok(true));
}

/// Pairs of one instant, so that both the time and the id decide; newest first.
pub async fn belongings_are_listed_in_pages(world: &World) {
    let World { store, ours, .. } = world;
    let event = || world.event(EventKind::Applied);
    for number in 0..5 {
        let at = NOW.after(Duration::from_secs(number / 2));
        let secret = NamedSecret {
            created_at: at,
            ..named_secret(&format!("sec_{number}"), ours)
        };
        store.put_secret(&secret, true, &event()).await.unwrap();
        let invite = Invite {
            created_at: at,
            ..invite(&format!("inv_{number}"), ours)
        };
        store.put_invite(&invite, &event()).await.unwrap();
        let server = McpServer {
            created_at: at,
            ..mcp_server(&format!("mcp_{number}"), ours)
        };
        store.put_mcp_server(&server, &event()).await.unwrap();
    }
    let page = Page {
        after: Some((NOW.after(Duration::from_secs(1)).0.to_string(), "_2".into())),
        ..Page::first(2)
    };
    // A third row tells that there is another page.
    let after = |prefix: &str| Page {
        after: page
            .after
            .clone()
            .map(|(sort, id)| (sort, format!("{prefix}{id}"))),
        ..page.clone()
    };
    let secrets = store.secrets(ours, &after("sec")).await.unwrap();
    let ids: Vec<_> = secrets.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["sec_1", "sec_0"]);
    let secrets = store.secrets(ours, &Page::first(2)).await.unwrap();
    let ids: Vec<_> = secrets.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["sec_4", "sec_3", "sec_2"]);
    let invites = store.invites(ours, None, &after("inv")).await.unwrap();
    let ids: Vec<_> = invites.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["inv_1", "inv_0"]);
    let servers = store.mcp_servers(ours, &after("mcp")).await.unwrap();
    let ids: Vec<_> = servers.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["mcp_1", "mcp_0"]);
}

pub async fn an_icon_stays_while_a_connector_shows_it(world: &World) {
    let World { store, ours, .. } = world;
    let icon = |digest: &str, team| Icon {
        digest: digest.to_owned(),
        team,
        media_type: "image/png".to_owned(),
        content: vec![0, 255, 7],
        created_at: NOW,
    };
    let event = || world.event(EventKind::IconPut);
    for (digest, team) in [("aa", ours), ("bb", ours), ("aa", &world.theirs)] {
        let put = store.put_icon(&icon(digest, team.clone()), &event()).await;
        assert_eq!(put, Ok(()));
    }
    let nowhere = icon("aa", "team_none".into());
    let put = store.put_icon(&nowhere, &event()).await;
    assert_eq!(put, Err(StoreError::Missing("team")));
    assert_eq!(
        store.icon(ours, "aa").await,
        Ok(Some(icon("aa", ours.clone())))
    );
    assert_eq!(store.icon(ours, "cc").await, Ok(None));
    assert_eq!(store.has_icon(ours, "bb").await, Ok(true));
    assert_eq!(store.has_icon(&world.theirs, "bb").await, Ok(false));

    let old = world.connector("scl_1").await;
    let shows = Connector {
        icon: Some("aa".to_owned()),
        updated_at: NOW.after(HOUR),
        ..old.clone()
    };
    let changed = world.event(EventKind::ConnectorUpdated);
    let updated = store
        .update_connector(&shows, old.updated_at, false, &[], &changed)
        .await;
    assert_eq!(updated, Ok(()));
    // Uploaded again: young again.
    let again = Icon {
        created_at: NOW.after(2 * HOUR),
        ..icon("bb", ours.clone())
    };
    store.put_icon(&again, &event()).await.unwrap();
    store.sweep(NOW.after(HOUR), 100).await.unwrap();
    for (digest, team, stays) in [
        ("aa", ours, true),
        ("bb", ours, true),
        ("aa", &world.theirs, false),
    ] {
        assert_eq!(store.has_icon(team, digest).await, Ok(stays), "{digest}");
    }
    world.delete(&shows, NOW.after(HOUR)).await;
    store.sweep(NOW.after(3 * HOUR), 100).await.unwrap();
    assert_eq!(store.has_icon(ours, "aa").await, Ok(false));
}

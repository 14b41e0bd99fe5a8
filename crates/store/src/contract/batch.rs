//! Many rows in one transaction.

use grantry_core::StoreError;
use grantry_core::nouns::{Event, EventKind, Membership, Role, Service};
use grantry_core::store::{Declared, Put};
use serde_json::Map;

use super::fixtures::{
    account, connection, connector, digest, grant, invite, key, link, mcp_server, named_secret,
    project, team, token_set, user,
};
use super::{World, row};

fn with_events(world: &World, puts: Vec<Put>) -> Vec<(Put, Event)> {
    let event = |put| (put, world.event(EventKind::Applied));
    puts.into_iter().map(event).collect()
}

pub async fn a_batch_puts_all_its_rows_or_none(world: &World) {
    let World { store, ours, .. } = world;
    let key = |id| key(id, "acc_ours", ours);
    let puts = with_events(world, vec![Put::Key(key("key_1"))]);
    assert_eq!(store.put_all(&puts).await, Ok(()));
    let mut same_id = key("key_2");
    same_id.id = "key_1".into();
    let mut homeless = key("key_2");
    homeless.team = Some("team_nowhere".into());
    for (put, error) in [
        (key("key_1"), StoreError::Missing("difference")),
        (same_id, StoreError::Taken("key.id")),
        (homeless, StoreError::Missing("team")),
    ] {
        let puts = with_events(world, vec![Put::Key(key("key_3")), Put::Key(put)]);
        assert_eq!(store.put_all(&puts).await, Err(error));
        assert_eq!(store.key_by_hash(&digest("key_3")).await, Ok(None));
    }
    assert_eq!(store.put_all(&[]).await, Ok(()));
}

/// A whole house in one write, each row after those that it needs.
pub async fn a_batch_does_what_its_rows_own_methods_do(world: &World) {
    let store = &world.store;
    let team = team("team_1", "acc_1");
    let client = connector("scl_1", &team.id);
    let project = project("prj_1", &team.id);
    let membership = Membership {
        team: team.id.clone(),
        user: "usr_1".into(),
        role: Role::Owner,
        words: Map::new(),
    };
    let service = Service {
        id: "svc_1".to_owned(),
        data: Map::new(),
    };
    let live = connection("conn_1", &team.id, grant(&client.id, "u"));
    let set = token_set("stk_1", &live, "main");
    let house = |secrets| {
        vec![
            Put::Account(account("acc_1")),
            Put::Team(team.clone()),
            Put::User(user("usr_1", "acc_1")),
            Put::Membership(membership.clone()),
            Put::Project(project.clone()),
            Put::Service(service.clone()),
            Put::Key(key("key_1", "acc_1", &team.id)),
            Put::Secret(named_secret("sec_1", &team.id), secrets),
            Put::Connector(
                Box::new(client.clone()),
                Declared {
                    read: None,
                    secrets,
                    client: secrets,
                },
            ),
            Put::Connection(Box::new(live.clone()), set.clone()),
            Put::McpServer(mcp_server("mcp_1", &team.id)),
            Put::Invite(invite("inv_1", &team.id)),
            Put::Link(link(&team.id, &client.id, &project.id)),
        ]
    };
    let puts = with_events(world, house(true));
    assert_eq!(store.put_all(&puts).await, Ok(()));
    assert_eq!(store.team("team_1").await, Ok(Some(team.clone())));
    let members = store.memberships(&"usr_1".into()).await;
    assert_eq!(members, Ok(vec![membership.clone()]));
    let stored = store.connector(&team.id, "scl_1").await.unwrap();
    assert_eq!(stored.as_ref().map(row), Some(row(&client)));
    let links = store.links(&team.id, &client.id).await;
    assert_eq!(links.map(|links| links.len()), Ok(1));
    assert_eq!(row(&world.live(&live).await.sets[0]), row(&set));
    let secret = store.secret(&team.id, "sec_1").await.unwrap();
    assert_eq!(secret, Some(named_secret("sec_1", &team.id)));
    // The second time each changes nothing but the link, which is always written.
    let mut again = house(false);
    let link = again.pop();
    for put in again {
        let put = store.put_all(&with_events(world, vec![put])).await;
        assert_eq!(put, Err(StoreError::Missing("difference")));
    }
    let link = with_events(world, link.into_iter().collect());
    assert_eq!(store.put_all(&link).await, Ok(()));
}

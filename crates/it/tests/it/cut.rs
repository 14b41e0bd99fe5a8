//! Callers that go away in the middle of an act: it is done as a whole, or it can be asked for again.

use std::time::Duration;

use grantry_core::nouns::{Actor, Event, EventKind};
use grantry_core::store::{EventFilter, Page};
use grantry_core::testing::cut_short;
use grantry_core::{Clock as _, Error};
use grantry_engine::{AskConsent, AskToken, NewInstallation};

use crate::world::{CONNECTOR, World, token_of};

/// More steps than any act here has.
const STEPS: u32 = 50;

async fn revoked_at_the_provider(world: &World) -> usize {
    let filter = EventFilter {
        kinds: vec![EventKind::ProviderRevoked],
        ..EventFilter::default()
    };
    let team = "team_1".into();
    let events = world.store.events(&team, &filter, &Page::first(100)).await;
    events.unwrap().len()
}

#[tokio::test]
async fn a_deleted_connectors_tokens_are_ended_at_the_provider_though_nobody_waits_for_it() {
    for steps in 1..STEPS {
        let world = World::new().await;
        world.connect("u1").await;
        let caller = world.server().await;
        let delete = world.engine.delete_connector(&caller, CONNECTOR);
        let cut = world.run(cut_short(delete, steps)).await;
        world.run(world.engine.drain()).await;
        let connector = world.store.connector(&caller.team, CONNECTOR).await;
        let gone = connector.unwrap().unwrap().deleted_at.is_some();
        assert_eq!(
            revoked_at_the_provider(&world).await,
            usize::from(gone),
            "{steps}"
        );
        assert!(gone || world.token_text("u1").await.is_ok(), "{steps}");
        if !cut {
            assert!(gone && steps > 1);
            return;
        }
    }
    panic!("it does not end");
}

/// The process dies behind the first commit, and with it all that it was going to do.
#[tokio::test]
async fn a_deletion_that_was_cut_off_is_finished_by_another_node() {
    let world = World::new().await;
    for user in ["u1", "u2"] {
        world.connect(user).await;
    }
    let caller = world.server().await;
    let (team, id) = (&caller.team, &CONNECTOR.into());
    let event = Event {
        id: "evt_delete".into(),
        team: Some(team.clone()),
        at: world.clock.now(),
        kind: EventKind::ConnectorDeleted,
        actor: Actor::Server,
        connector: None,
        connection: None,
        data: serde_json::Map::new(),
    };
    let (now, minute) = (world.clock.now(), Duration::from_secs(60));
    let deleted = world.store.delete_connector(team, id, now, minute, &event);
    assert_eq!(deleted.await, Ok(()));
    assert_eq!(world.token_text("u1").await, Err(Error::Gone("connector")));
    assert!(world.live("u1").await.is_some());

    let node = world.another_node("later").await;
    node.start().await.unwrap();
    world.pass(2 * minute).await;
    assert!(world.live("u1").await.is_none() && world.live("u2").await.is_none());
    assert_eq!(revoked_at_the_provider(&world).await, 2);
    let stored = world.store.connector(team, CONNECTOR).await;
    assert!(stored.unwrap().unwrap().secrets.is_none());
}

#[tokio::test]
async fn a_deleted_teams_tokens_are_ended_at_the_provider_though_nobody_waits_for_it() {
    for steps in 1..STEPS {
        let world = World::new().await;
        world.connect("u1").await;
        let caller = world.server().await;
        let delete = world.engine.delete_team(&caller, true);
        let cut = world.run(cut_short(delete, steps)).await;
        world.run(world.engine.drain()).await;
        let gone = world.store.team("team_1").await.unwrap().is_none();
        assert_eq!(
            revoked_at_the_provider(&world).await,
            usize::from(gone),
            "{steps}"
        );
        assert!(gone || world.token_text("u1").await.is_ok(), "{steps}");
        if !cut {
            assert!(gone);
            return;
        }
    }
    panic!("it does not end");
}

#[tokio::test]
async fn an_installation_is_not_gone_before_its_connections_are() {
    for steps in 1..STEPS {
        let world = World::new().await;
        let caller = world.server().await;
        let new = NewInstallation {
            external_id: "T1".to_owned(),
            default: true,
            ..NewInstallation::default()
        };
        let made = world.engine.create_installation(&caller, CONNECTOR, new);
        let id = made.await.unwrap().installation.id;
        let ask = AskConsent {
            token: AskToken {
                installation: Some("T1".to_owned()),
                ..token_of("u1")
            },
            ..AskConsent::default()
        };
        let asked = world.engine.authorize(&caller, CONNECTOR, ask).await;
        world.consent(&asked.unwrap()).await;
        let delete = world.engine.delete_installation(&caller, &id);
        let cut = world.run(cut_short(delete, steps)).await;
        world.run(world.engine.drain()).await;
        let gone = world
            .store
            .installation(&caller.team, &id)
            .await
            .unwrap()
            .is_none();
        let live = world
            .live("u1")
            .await
            .is_some_and(|live| !live.sets.is_empty());
        assert_eq!(live, !gone, "{steps}");
        if !cut {
            assert!(gone);
            return;
        }
    }
    panic!("it does not end");
}

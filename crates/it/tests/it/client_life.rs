//! The life of a client that was registered: it stays what it is until its server has definitely forgotten it, for all that
//! was granted hangs on its id.

use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::EventKind;
use grantry_core::store::{EventFilter, Page};
use grantry_core::{Error, Result};
use grantry_engine::{CallbackEnd, ConnectorChange, ConnectorView};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};

use crate::enrol::{ID, RESOURCE, client, connect, data, made, play, registrations, row, token};
use crate::world::{CALLBACK, Setup, World};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A connector with a client of its own, through which `u1` is connected.
async fn connected(setup: Setup) -> (World, String) {
    let world = World::with(setup).await;
    made(&world, json!({})).await.unwrap();
    assert!(matches!(connect(&world, "u1").await, CallbackEnd::Ended(_)));
    let id = client(&world).await;
    (world, id)
}

fn unmanaged() -> Setup {
    Setup {
        manages_registrations: false,
        ..Setup::default()
    }
}

fn named(name: &str) -> ConnectorChange {
    changed(json!({"clientName": name}))
}

fn changed(data: Value) -> ConnectorChange {
    ConnectorChange {
        data: data.as_object().cloned(),
        ..ConnectorChange::default()
    }
}

async fn change(world: &World, change: ConnectorChange) -> Result<ConnectorView> {
    let caller = world.server().await;
    let change = world.engine.update_connector(&caller, ID, change);
    world.run(change).await
}

/// What the server was told last that the client is called.
async fn told(world: &World) -> Value {
    let said = world.sandbox.registered(&client(world).await);
    said.unwrap()["client_name"].clone()
}

/// The grant of `u1` still holds: its refresh token is taken from the client that there is.
async fn still_served(world: &World, id: &str, what: &str) {
    world.expire().await;
    let read = token(world, "u1").await;
    assert!(read.is_ok(), "{what}: {read:?}");
    assert_eq!(client(world).await, id, "{what}: it is another client");
    assert_eq!(registrations(world), 1, "{what}");
}

fn declared(data: &str) -> String {
    format!(
        "[[connectors]]\nid = \"{ID}\"\nteam = \"team_1\"\nname = \"MCP\"\ntype = \"oauth\"\ndata = {{ {data} }}\n"
    )
}

#[tokio::test]
async fn requirement_26_a_declaration_that_changes_keeps_the_client_and_what_was_granted_to_it() {
    for setup in [Setup::default(), unmanaged()] {
        let managed = setup.manages_registrations;
        let world = World::with(setup).await;
        let url = format!("serverUrl = \"{RESOURCE}\"");
        world.apply(&declared(&url)).await;
        assert!(matches!(connect(&world, "u1").await, CallbackEnd::Ended(_)));
        let id = client(&world).await;
        world
            .apply(&declared(&format!("{url}, clientName = \"Named\"")))
            .await;
        still_served(&world, &id, "another name").await;
        let name = if managed { "Named" } else { "Grantry" };
        assert_eq!(told(&world).await, name);
        let scopes = "userAuthorization = { enabled = true, scopes = [\"profile\"] }";
        world.apply(&declared(&format!("{url}, {scopes}"))).await;
        still_served(&world, &id, "other scopes").await;
    }
}

#[tokio::test]
async fn a_declared_redirect_uri_is_used_once_the_server_knows_it() {
    let world = World::new().await;
    let row_of = |more: &str| declared(&format!("serverUrl = \"{RESOURCE}\"")) + more;
    world.apply(&row_of("")).await;
    connect(&world, "u1").await;
    let id = client(&world).await;
    play(&world, "s503", Endpoint::Manage, None);
    world.apply(&row_of("redirect = \"team\"\n")).await;
    // `connect` comes back to where the server knows that it does.
    assert!(matches!(connect(&world, "u2").await, CallbackEnd::Ended(_)));
    world.sandbox.reset();
    world.pass(HOUR).await;
    still_served_after_reset(&world, &id).await;
    let said = world.sandbox.registered(&id).unwrap();
    assert_eq!(said["redirect_uris"], json!([format!("{CALLBACK}/team_1")]));
}

/// As [`still_served`], where the log has been forgotten.
async fn still_served_after_reset(world: &World, id: &str) {
    world.expire().await;
    let read = token(world, "u1").await;
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(client(world).await, id);
    assert_eq!(registrations(world), 0);
}

#[tokio::test]
async fn a_declaration_that_moves_ends_the_client_that_it_replaces() {
    let world = World::new().await;
    world
        .apply(&declared(&format!("serverUrl = \"{RESOURCE}\"")))
        .await;
    connect(&world, "u1").await;
    let id = client(&world).await;
    world
        .apply(&declared("serverUrl = \"http://sandbox.test\""))
        .await;
    assert_eq!(world.sandbox.registered(&id), None);
    assert_eq!(row(&world).await.unwrap().registration, None);
}

#[tokio::test]
async fn keys_that_somebody_may_have_copied_stay_when_a_declaration_changes() {
    let world = World::new().await;
    made(
        &world,
        json!({"clientId": "demo", "jwtBearer": {"enabled": true}}),
    )
    .await
    .unwrap();
    let kids = async || {
        let keys = row(&world).await.unwrap().registration.unwrap().keys;
        keys.into_iter().map(|key| key.kid).collect::<Vec<_>>()
    };
    let before = kids().await;
    assert_eq!(before.len(), 1);
    let data = format!(
        "serverUrl = \"{RESOURCE}\", clientId = \"demo\", jwtBearer = {{ enabled = true, ttl = 120 }}"
    );
    world.apply(&declared(&data)).await;
    assert_eq!(row(&world).await.unwrap().data["jwtBearer"]["ttl"], 120);
    assert_eq!(kids().await, before);
}

/// What a server can answer to a change, beside taking it.
const ANSWERS: &[&str] = &[
    "s503",
    "s429",
    "s500",
    "s502",
    "html502",
    "hang",
    "silence",
    "lost",
    "html401",
    "inv_token",
    "another",
    "nosecret",
    "noaccess",
    "unoffered",
    "r307",
    "deep",
];

#[tokio::test]
async fn requirement_26_a_change_costs_no_client_whatever_its_server_answers() {
    for fault in ANSWERS {
        let (world, id) = connected(Setup::default()).await;
        let order = match *fault {
            // Its own way of refusing an access token that has been replaced.
            "inv_token" => {
                let order = Order {
                    fault: "lost".to_owned(),
                    endpoint: Some(Endpoint::Manage),
                    times: Some(1),
                    ..Order::default()
                };
                world.sandbox.order(order).unwrap();
                change(&world, named("Lost")).await.unwrap();
                world.pass(HOUR).await;
                None
            }
            fault => Some(fault),
        };
        if let Some(fault) = order {
            play(&world, fault, Endpoint::Manage, Some(1));
        }
        let view = change(&world, named("Named")).await;
        let view = view.unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_eq!(view.connector.data["clientId"], id.as_str(), "{fault}");
        assert_eq!(view.connector.data["clientName"], "Named", "{fault}");
        still_served(&world, &id, fault).await;
        // And again, with what the answer left.
        change(&world, named("Again")).await.unwrap();
        still_served(&world, &id, fault).await;
        let lost_token = [
            "inv_token",
            "lost",
            "silence",
            "s502",
            "another",
            "noaccess",
        ]
        .contains(fault);
        if !lost_token {
            assert_eq!(told(&world).await, "Again", "{fault}");
        }
    }
}

#[tokio::test]
async fn a_change_that_a_server_could_not_be_told_is_told_when_it_is_back() {
    let (world, id) = connected(Setup::default()).await;
    play(&world, "s503", Endpoint::Manage, None);
    change(&world, named("Named")).await.unwrap();
    for _ in 0..10 {
        still_served(&world, &id, "while it is away").await;
    }
    assert_eq!(told(&world).await, "Grantry");
    world.sandbox.reset();
    world.pass(HOUR).await;
    still_served_after_reset(&world, &id).await;
    assert_eq!(told(&world).await, "Named");
}

#[tokio::test]
async fn what_a_server_does_not_take_is_refused_and_changes_nothing() {
    let (world, id) = connected(Setup::default()).await;
    play(&world, "badmeta", Endpoint::Manage, Some(1));
    match change(&world, named("Named")).await.map(drop) {
        Err(Error::Invalid(problems)) => {
            assert_eq!(problems[0].field, "data");
            assert!(problems[0].message.contains("invalid_client_metadata"));
        }
        other => panic!("{other:?}"),
    }
    assert!(!row(&world).await.unwrap().data.contains_key("clientName"));
    still_served(&world, &id, "refused").await;
}

#[tokio::test]
async fn what_cannot_be_changed_of_a_client_is_refused_rather_than_answered_by_another_one() {
    let (world, id) = connected(unmanaged()).await;
    change(&world, named("Named")).await.unwrap();
    let team = ConnectorChange {
        redirect_uri: Some(format!("{CALLBACK}/team_1")),
        ..ConnectorChange::default()
    };
    let method = changed(json!({"tokenEndpointAuthMethod": "client_secret_post"}));
    for (wish, field) in [
        (team, "redirectUri"),
        (method, "data.tokenEndpointAuthMethod"),
    ] {
        match change(&world, wish).await.map(drop) {
            Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    still_served(&world, &id, "unmanaged").await;
}

#[tokio::test]
async fn a_method_and_a_redirect_uri_are_changed_where_the_registration_is_managed() {
    let (world, id) = connected(Setup::default()).await;
    let change_all = ConnectorChange {
        redirect_uri: Some(format!("{CALLBACK}/team_1")),
        ..changed(json!({"tokenEndpointAuthMethod": "client_secret_post"}))
    };
    change(&world, change_all).await.unwrap();
    let said = world.sandbox.registered(&id).unwrap();
    assert_eq!(said["redirect_uris"], json!([format!("{CALLBACK}/team_1")]));
    assert_eq!(said["token_endpoint_auth_method"], "client_secret_post");
    still_served(&world, &id, "changed").await;
}

#[tokio::test]
async fn changes_at_once_leave_one_client_that_can_still_be_told() {
    let (world, id) = connected(Setup::default()).await;
    let nodes = [
        std::sync::Arc::clone(&world.engine),
        world.another_node("node-2").await,
    ];
    let caller = world.server().await;
    let work = nodes.iter().flat_map(|node| {
        let caller = &caller;
        ["a", "b", "c"].map(|name| node.update_connector(caller, ID, named(name)))
    });
    world.run(join_all(work)).await;
    still_served(&world, &id, "at once").await;
    change(&world, named("Last")).await.unwrap();
    still_served(&world, &id, "afterwards").await;
    assert_eq!(told(&world).await, "Last");
}

/// The registration's access token rotates at each change. The server has made another one, and its answer is on its way:
/// were it not stored, the client could never be told anything again.
#[tokio::test]
async fn an_answer_that_is_on_its_way_is_stored_though_its_caller_has_gone() {
    let (world, id) = connected(Setup::default()).await;
    play(&world, "late", Endpoint::Manage, Some(1));
    let caller = world.server().await;
    let told_once = async {
        let log = || world.sandbox.log();
        while !log().iter().any(|one| one.endpoint == Endpoint::Manage) {
            tokio::task::yield_now().await;
        }
    };
    let cut = world.engine.update_connector(&caller, ID, named("Cut"));
    let both = select(Box::pin(cut), Box::pin(told_once));
    assert!(matches!(world.run(both).await, Either::Right(_)));
    world.run(world.engine.drain()).await;
    assert_eq!(row(&world).await.unwrap().data["clientName"], "Cut");
    let node = world.another_node("later").await;
    let later = node.update_connector(&caller, ID, named("Later"));
    world.run(later).await.unwrap();
    assert_eq!(told(&world).await, "Later");
    assert_eq!(client(&world).await, id);
    assert_eq!(registrations(&world), 1);
}

#[tokio::test]
async fn what_a_server_says_outlives_a_change_that_is_not_stored() {
    let (world, id) = connected(Setup::default()).await;
    let caller = world.server().await;
    // The change of the name reaches the server, and then meets a uid that is taken.
    let taken = ConnectorChange {
        uid: Some("web".to_owned()),
        ..ConnectorChange::default()
    };
    world
        .engine
        .update_connector(&caller, crate::world::CONNECTOR, taken.clone())
        .await
        .unwrap();
    let both = ConnectorChange {
        uid: taken.uid,
        ..named("Named")
    };
    assert!(change(&world, both).await.is_err());
    assert_eq!(told(&world).await, "Named");
    still_served(&world, &id, "not stored").await;
    // The row is as it was, and so is by now what the server knows.
    world.pass(HOUR).await;
    still_served(&world, &id, "taken back").await;
    assert_eq!(told(&world).await, "Grantry");
}

#[tokio::test]
async fn requirement_26_a_gateway_that_answers_401_loses_no_client() {
    for setup in [Setup::default(), unmanaged()] {
        let (world, id) = connected(setup).await;
        world.expire().await;
        world.strike("html401", None);
        for _ in 0..10 {
            assert_eq!(token(&world, "u1").await, Err(Error::ConnectorFault));
            world.pass(Duration::from_secs(16 * 60)).await;
        }
        let stored = row(&world).await.unwrap();
        assert!(!stored.registration.unwrap().client.unwrap().lost);
        assert_eq!(stored.fault.unwrap().code, "unauthorized");
        world.sandbox.reset();
        world.pass(HOUR).await;
        still_served_after_reset(&world, &id).await;
        assert!(row(&world).await.unwrap().fault.is_none());
    }
}

#[tokio::test]
async fn a_client_that_is_refused_but_known_to_what_manages_it_stays() {
    let (world, id) = connected(Setup::default()).await;
    world.expire().await;
    world.strike("inv_client", Some(3));
    for _ in 0..3 {
        assert_eq!(token(&world, "u1").await, Err(Error::ConnectorFault));
        world.pass(Duration::from_secs(16 * 60)).await;
    }
    let lost = row(&world).await.unwrap().registration.unwrap();
    assert!(lost.client.unwrap().lost);
    // The management is away: nobody gives the client up for that.
    play(&world, "s503", Endpoint::Manage, Some(1));
    let read = token(&world, "u1").await;
    assert!(matches!(read, Err(Error::Provider { .. })), "{read:?}");
    world.pass(HOUR).await;
    still_served(&world, &id, "known").await;
    let mended = row(&world).await.unwrap();
    assert!(mended.fault.is_none());
    assert!(!mended.registration.unwrap().client.unwrap().lost);
}

#[tokio::test]
async fn a_client_that_neither_endpoint_knows_is_replaced() {
    let (world, id) = connected(Setup::default()).await;
    world.sandbox.forget(&id);
    world.expire().await;
    for _ in 0..3 {
        assert_eq!(token(&world, "u1").await, Err(Error::ConnectorFault));
        world.pass(Duration::from_secs(16 * 60)).await;
    }
    world.pass(HOUR).await;
    let read = token(&world, "u1").await;
    assert!(
        matches!(&read, Err(Error::AuthorizationRequired(why)) if why.reason == ReconnectReason::Rejected),
        "{read:?}"
    );
    assert_ne!(client(&world).await, id);
    assert_eq!(registrations(&world), 2);
}

#[tokio::test]
async fn requirement_26_a_secret_of_a_day_is_renewed_ahead_and_costs_nobody_a_token() {
    let (world, id) = connected(Setup {
        secret_ttl: Some(DAY),
        ..Setup::default()
    })
    .await;
    for hour in 0..5 * 24 {
        let read = token(&world, "u1").await;
        assert!(read.is_ok(), "{hour}: {read:?}");
        world.pass(HOUR).await;
    }
    assert_eq!(client(&world).await, id);
    assert_eq!(registrations(&world), 1);
}

#[tokio::test]
async fn a_secret_of_a_day_that_cannot_be_renewed_starves_nobody() {
    let world = World::with(Setup {
        secret_ttl: Some(DAY),
        ..unmanaged()
    })
    .await;
    made(&world, json!({})).await.unwrap();
    for day in 0..10 {
        let connected = connect(&world, "u1").await;
        assert!(matches!(connected, CallbackEnd::Ended(_)), "{day}");
        world.pass(DAY).await;
    }
    assert_eq!(registrations(&world), 10);
}

#[tokio::test]
async fn a_server_that_was_away_for_long_delays_no_client_once_it_is_back() {
    let world = World::new().await;
    world
        .apply(&declared(&format!("serverUrl = \"{RESOURCE}\"")))
        .await;
    play(&world, "s500", Endpoint::Register, None);
    let caller = world.server().await;
    let ask = grantry_engine::AskConsent {
        token: crate::world::token_of("u1"),
        ..Default::default()
    };
    let requested = world.engine.authorize(&caller, ID, ask).await.unwrap();
    for _ in 0..12 {
        let pressed = world.run(world.engine.press(&requested.id, None, false));
        assert!(pressed.await.is_err());
        world.pass(HOUR).await;
    }
    world.sandbox.reset();
    world.pass(HOUR).await;
    assert!(matches!(connect(&world, "u1").await, CallbackEnd::Ended(_)));
}

#[tokio::test]
async fn a_converted_connector_leaves_no_client_behind() {
    let (world, id) = connected(Setup::default()).await;
    let convert = ConnectorChange {
        kind: Some(grantry_core::nouns::ConnectorType::ApiKey),
        ..changed(json!({"values": [{"value": "secret-value"}]}))
    };
    let converted = change(&world, convert).await;
    assert!(converted.is_ok(), "{:?}", converted.map(drop));
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.sandbox.registered(&id), None);
}

/// Any success of the client clears what it was refused for.
#[tokio::test]
async fn requirement_43_the_first_success_of_any_kind_clears_a_fault() {
    let app = r#"
        [[connectors]]
        id = "scl_mcp"
        team = "team_1"
        name = "App"
        type = "oauth"
        service = "sandbox"
        data = { clientId = "demo", clientSecret = "demo-secret", clientCredentials = { enabled = true } }
    "#;
    for grant in ["client_credentials", "authorization_code"] {
        let world = World::new().await;
        world.apply(app).await;
        let read = async || {
            if grant == "client_credentials" {
                let caller = world.server().await;
                let ask = grantry_engine::AskToken {
                    subject: Some(grantry_core::nouns::Subject::App),
                    ..Default::default()
                };
                let minted = world.run(world.engine.token(&caller, ID, ask)).await;
                return minted.is_ok();
            }
            let caller = world.server().await;
            let ask = grantry_engine::AskConsent {
                token: crate::world::token_of("u1"),
                ..Default::default()
            };
            let requested = world.engine.authorize(&caller, ID, ask).await.unwrap();
            world.consent(&requested).await;
            world
                .engine
                .token(&caller, ID, crate::world::token_of("u1"))
                .await
                .is_ok()
        };
        let order = Order {
            fault: "inv_client".to_owned(),
            endpoint: Some(Endpoint::Token),
            grant_type: Some(grant.to_owned()),
            times: Some(2),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        for _ in 0..2 {
            assert!(!read().await, "{grant}");
            world.pass(HOUR).await;
        }
        assert_eq!(
            row(&world).await.unwrap().fault.unwrap().count,
            2,
            "{grant}"
        );
        assert!(read().await, "{grant}");
        assert!(row(&world).await.unwrap().fault.is_none(), "{grant}");
        let filter = EventFilter {
            kinds: vec![EventKind::ConnectorRecovered],
            ..EventFilter::default()
        };
        let team = "team_1".into();
        let said = world.store.events(&team, &filter, &Page::first(10)).await;
        assert_eq!(said.unwrap().len(), 1, "{grant}");
    }
}

/// Two refusals that were asked for at the same time are one.
#[tokio::test]
async fn refusals_at_once_are_no_refusals_in_a_row() {
    let (world, _) = connected(unmanaged()).await;
    let order = Order {
        fault: "inv_client".to_owned(),
        endpoint: Some(Endpoint::Token),
        grant_type: Some("authorization_code".to_owned()),
        times: Some(6),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    for user in ["u2", "u3", "u4"] {
        join(connect(&world, user), connect(&world, user)).await;
    }
    let stored = row(&world).await.unwrap();
    assert_eq!(stored.fault.unwrap().count, 1);
    assert!(!stored.registration.unwrap().client.unwrap().lost);
    // What data a connector has does not come into it.
    assert_eq!(stored.data, data(json!({})));
}

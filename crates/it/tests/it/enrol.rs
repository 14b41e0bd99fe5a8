//! Connectors that are given no more than a URL: the resource behind it, its server, and the client there.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{Connector, Subject};
use grantry_core::{Error, Result};
use grantry_engine::{
    AskConsent, AskToken, CallbackEnd, ConnectorChange, ConnectorView, NewConnector,
};
use grantry_sandbox::{Endpoint, FAULTS, Order};
use serde_json::{Map, Value, json};

use crate::world::{CALLBACK, PUBLIC, Setup, World, browser, token_of};

pub const ID: &str = "scl_mcp";

/// A resource of the sandbox, whose metadata names the sandbox as its authorization server.
pub const RESOURCE: &str = "http://sandbox.test/api/me";

pub fn data(more: Value) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("serverUrl".to_owned(), RESOURCE.into());
    data.extend(more.as_object().cloned().unwrap_or_default());
    data
}

pub async fn made(world: &World, more: Value) -> Result<ConnectorView> {
    let new = NewConnector {
        id: Some(ID.into()),
        kind: "oauth".to_owned(),
        name: Some("MCP".to_owned()),
        data: data(more),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    world.run(world.engine.create_connector(&caller, new)).await
}

pub async fn row(world: &World) -> Option<Connector> {
    world.store.connector(&"team_1".into(), ID).await.unwrap()
}

/// The client that the connector has now.
pub async fn client(world: &World) -> String {
    let registration = row(world).await.unwrap().registration.unwrap();
    registration.client.unwrap().id
}

/// Registrations that the sandbox was asked for.
pub fn registrations(world: &World) -> usize {
    let log = world.sandbox.log();
    log.iter()
        .filter(|entry| entry.endpoint == Endpoint::Register)
        .count()
}

pub fn play(world: &World, fault: &str, endpoint: Endpoint, times: Option<u64>) {
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(endpoint),
        times,
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

/// Nothing is stored, and the field that is wrong is named.
async fn refused(world: &World, made: Result<ConnectorView>, field: &str) {
    match made.map(drop) {
        Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, field, "{problems:?}"),
        other => panic!("{field}: {other:?}"),
    }
    assert!(row(world).await.is_none());
}

/// Connects `user` through the connector.
pub async fn connect(world: &World, user: &str) -> CallbackEnd {
    let caller = world.server().await;
    let ask = AskConsent {
        token: token_of(user),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&caller, ID, ask).await.unwrap();
    let pressed = world.run(world.engine.press(&requested.id, None, false));
    let pressed = pressed.await.unwrap();
    let resources: Vec<_> = pressed
        .url
        .query_pairs()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(resources, [RESOURCE]);
    let query = world.provider_answers(&pressed.url).await;
    let back = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK);
    world.run(back).await.unwrap()
}

pub async fn token(world: &World, user: &str) -> Result<String> {
    let caller = world.server().await;
    let served = world.run(world.engine.token(&caller, ID, token_of(user)));
    Ok(served.await?.token.expose().to_owned())
}

fn needs_consent(read: &Result<String>) -> bool {
    matches!(read, Err(Error::AuthorizationRequired(why)) if why.reason == ReconnectReason::Rejected)
}

#[tokio::test]
async fn a_resource_leads_to_its_server_and_a_client_there() {
    let world = World::new().await;
    let view = made(&world, json!({})).await.unwrap();
    let id = client(&world).await;
    assert_eq!(view.connector.data["clientId"], id.as_str());
    let stored = row(&world).await.unwrap();
    assert!(!stored.data.contains_key("clientId"));
    let bound = stored.registration.unwrap();
    assert_eq!(bound.issuer.as_deref(), Some("http://sandbox.test"));
    assert_eq!(bound.resource.unwrap().id, RESOURCE);
    assert!(matches!(connect(&world, "u1").await, CallbackEnd::Ended(_)));
    let first = token(&world, "u1").await.unwrap();
    world.expire().await;
    let second = token(&world, "u1").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(registrations(&world), 1);
    // Who gives back what was shown changes nothing.
    let change = ConnectorChange {
        data: Some(
            json!({"clientId": id, "clientName": "Named"})
                .as_object()
                .cloned()
                .unwrap(),
        ),
        ..ConnectorChange::default()
    };
    let caller = world.server().await;
    world
        .run(world.engine.update_connector(&caller, ID, change))
        .await
        .unwrap();
    assert_eq!(client(&world).await, id);
    assert_eq!(token(&world, "u1").await.unwrap(), second);
}

#[tokio::test]
async fn requirement_4_a_resource_or_server_that_speaks_for_another_is_refused() {
    for fault in ["resource", "issuer"] {
        let world = World::new().await;
        play(&world, fault, Endpoint::Metadata, None);
        refused(&world, made(&world, json!({})).await, "data.serverUrl").await;
        assert_eq!(registrations(&world), 0);
    }
}

#[tokio::test]
async fn requirement_11_a_resource_whose_server_does_not_offer_s256_is_refused() {
    for fault in ["nopkce", "plainpkce"] {
        let world = World::new().await;
        play(&world, fault, Endpoint::Metadata, None);
        refused(&world, made(&world, json!({})).await, "data.serverUrl").await;
        assert_eq!(registrations(&world), 0);
    }
}

/// How each fault of a registration ends.
const REGISTER: &[(&str, bool)] = &[
    ("insecure", false),
    ("redirect", false),
    ("crlf", false),
    ("method", false),
    ("uri", true),
    ("expires", true),
];

#[tokio::test]
async fn requirement_25_a_hostile_registration_is_refused_whole_and_nothing_is_stored() {
    let played: BTreeSet<&str> = FAULTS
        .iter()
        .filter(|fault| fault.endpoints == [Endpoint::Register])
        .map(|fault| fault.name)
        .collect();
    assert_eq!(played, REGISTER.iter().map(|(name, _)| *name).collect());
    for (fault, usable) in REGISTER {
        let world = World::new().await;
        play(&world, fault, Endpoint::Register, None);
        let made = made(&world, json!({})).await;
        if *usable {
            assert!(made.is_ok(), "{fault}");
            let registration = row(&world).await.unwrap().registration.unwrap();
            let managed = registration.client.unwrap().management.is_some();
            assert_eq!(managed, *fault != "uri", "{fault}");
        } else {
            refused(&world, made, "data.clientId").await;
        }
    }
}

#[tokio::test]
async fn requirement_26_a_client_that_its_server_forgot_is_registered_anew_and_rarely() {
    let world = World::with(Setup {
        manages_registrations: false,
        ..Setup::default()
    })
    .await;
    made(&world, json!({})).await.unwrap();
    let first = client(&world).await;
    connect(&world, "u1").await;
    world.expire().await;
    // The server knows the client no more, for as long as anybody asks.
    let forgotten = Order {
        fault: "inv_client".to_owned(),
        endpoint: Some(Endpoint::Token),
        grant_type: Some("refresh_token".to_owned()),
        ..Order::default()
    };
    world.sandbox.order(forgotten).unwrap();
    for _ in 0..3 {
        let read = token(&world, "u1").await;
        assert_eq!(read, Err(Error::ConnectorFault));
        world.pass(Duration::from_secs(16 * 60)).await;
    }
    // It was registered less than two hours ago, of which one was the token's life.
    world.pass(Duration::from_secs(3600)).await;
    let read = token(&world, "u1").await;
    assert!(
        needs_consent(&read),
        "what the client before was granted is not presented by this one: {read:?}"
    );
    let second = client(&world).await;
    assert_ne!(first, second);
    assert_eq!(registrations(&world), 2);
    assert!(row(&world).await.unwrap().fault.is_none());

    // It goes on like that for a month, in which somebody asks every hour.
    for hour in 0..30 * 24 {
        if needs_consent(&token(&world, "u1").await) && hour % 24 == 0 {
            connect(&world, "u1").await;
        }
        world.pass(Duration::from_secs(3600)).await;
    }
    let asked = registrations(&world);
    assert!((3..=12).contains(&asked), "{asked}");
}

#[tokio::test]
async fn requirement_26_a_secret_that_ends_is_renewed_by_another_client_an_hour_later() {
    let world = World::with(Setup {
        manages_registrations: false,
        ..Setup::default()
    })
    .await;
    play(&world, "expires", Endpoint::Register, Some(1));
    made(&world, json!({})).await.unwrap();
    let first = client(&world).await;
    world.pass(Duration::from_secs(61)).await;
    let caller = world.server().await;
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&caller, ID, ask).await.unwrap();
    let early = world
        .run(world.engine.press(&requested.id, None, false))
        .await;
    let Err(Error::Provider {
        code, retry_after, ..
    }) = early.map(drop)
    else {
        panic!("pressed");
    };
    assert_eq!(code, "registration_failed");
    let wait = retry_after.unwrap();
    assert!(
        wait <= Duration::from_secs(3600) && wait > Duration::from_secs(3500),
        "{wait:?}"
    );
    world.pass(wait).await;
    assert!(matches!(connect(&world, "u1").await, CallbackEnd::Ended(_)));
    assert_ne!(client(&world).await, first);
    assert_eq!(registrations(&world), 2);
}

#[tokio::test]
async fn a_registration_that_fails_is_not_asked_for_by_every_caller() {
    let world = World::new().await;
    world
        .apply(&format!(
            "[[connectors]]\nid = \"{ID}\"\nteam = \"team_1\"\nname = \"MCP\"\ntype = \"oauth\"\ndata = {{ serverUrl = \"{RESOURCE}\" }}\n"
        ))
        .await;
    play(&world, "s500", Endpoint::Register, None);
    let caller = world.server().await;
    let ask = AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let requested = world.engine.authorize(&caller, ID, ask).await.unwrap();
    for _ in 0..50 {
        let pressed = world.run(world.engine.press(&requested.id, None, false));
        assert!(matches!(
            pressed.await.map(drop),
            Err(Error::Provider { .. })
        ));
    }
    assert_eq!(registrations(&world), 1);
    world.sandbox.reset();
    world.pass(Duration::from_secs(61)).await;
    assert!(matches!(connect(&world, "u1").await, CallbackEnd::Ended(_)));
}

#[tokio::test]
async fn three_nodes_register_one_client() {
    let world = World::new().await;
    world
        .apply(&format!(
            "[[connectors]]\nid = \"{ID}\"\nteam = \"team_1\"\nname = \"MCP\"\ntype = \"oauth\"\ndata = {{ serverUrl = \"{RESOURCE}\" }}\n"
        ))
        .await;
    let nodes = [
        std::sync::Arc::clone(&world.engine),
        world.another_node("node-2").await,
        world.another_node("node-3").await,
    ];
    let caller = world.server().await;
    let ask = || AskConsent {
        token: token_of("u1"),
        ..AskConsent::default()
    };
    let mut presses = Vec::new();
    for node in &nodes {
        let requested = node.authorize(&caller, ID, ask()).await.unwrap();
        presses.push((node, requested.id));
    }
    let all = presses.iter().map(|(node, id)| node.press(id, None, false));
    let pressed = world.run(futures_util::future::join_all(all)).await;
    assert_eq!(registrations(&world), 1);
    assert!(pressed.iter().any(Result::is_ok));
}

#[tokio::test]
async fn requirement_24_a_connector_of_a_resource_has_tokens_for_no_other() {
    let world = World::new().await;
    made(&world, json!({})).await.unwrap();
    let caller = world.server().await;
    let ask = AskToken {
        resources: vec!["https://other.example".to_owned()],
        ..token_of("u1")
    };
    match world.engine.token(&caller, ID, ask).await.map(drop) {
        Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "resources"),
        other => panic!("{other:?}"),
    }
}

/// The answer to a stranger's GET.
async fn read(world: &World, path: &str) -> (u16, String, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let page = browser::send(&world.router(), request).await;
    let cache = page.headers.get("cache-control");
    let cache = cache.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
    (
        page.status.as_u16(),
        cache,
        serde_json::from_str(&page.body).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn requirement_27_the_document_is_public_static_and_without_a_secret() {
    let world = World::new().await;
    let offered = json!({
        "clientRegistration": "document",
        "serverConfig": {"client_id_metadata_document_supported": true},
    });
    made(&world, offered).await.unwrap();
    assert_eq!(registrations(&world), 0);
    let url = format!("{PUBLIC}/oauth/clients/{ID}");
    assert_eq!(client(&world).await, url);
    let path = format!("/oauth/clients/{ID}");
    let (status, cache, document) = read(&world, &path).await;
    assert_eq!(status, 200);
    assert!(
        cache.contains("public") && cache.contains("max-age"),
        "{cache}"
    );
    assert_eq!(document["client_id"], url);
    assert_eq!(document["client_name"], "Grantry");
    assert_eq!(document["redirect_uris"], json!([CALLBACK]));
    assert_eq!(document["token_endpoint_auth_method"], "none");
    assert_eq!(document.get("logo_uri"), None, "it has no icon");
    let text = document.to_string();
    for private in ["secret", "team_1", "MCP", "acme"] {
        assert!(!text.contains(private), "{text}");
    }
    world.pass(Duration::from_secs(7 * 24 * 3600)).await;
    assert_eq!(read(&world, &path).await.2, document);
    for other in [
        "/oauth/clients/scl_1",
        "/oauth/clients/scl_none",
        "/oauth/clients/scl_1/jwks",
        "/oauth/clients/scl_1/logo",
    ] {
        assert_eq!(read(&world, other).await.0, 404, "{other}");
    }
    let caller = world.server().await;
    world
        .run(world.engine.delete_connector(&caller, ID))
        .await
        .unwrap();
    assert_eq!(read(&world, &path).await.0, 404);
}

#[tokio::test]
async fn only_the_public_half_of_a_key_is_ever_shown() {
    let world = World::new().await;
    let signs = json!({"clientId": "demo", "jwtBearer": {"enabled": true}});
    let view = made(&world, signs).await.unwrap();
    assert!(view.capabilities.subjects.contains(&"jwt-bearer"));
    let (status, _, keys) = read(&world, &format!("/oauth/clients/{ID}/jwks")).await;
    assert_eq!(status, 200);
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["alg"]), (&json!("RSA"), &json!("RS256")));
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(key.get(private).is_none(), "{private}");
    }
    // A subject of nobody's is refused before anybody is asked.
    let caller = world.server().await;
    let ask = AskToken {
        subject: Some(Subject::JwtBearer {
            sub: None,
            iss: None,
            aud: None,
            claims: None,
        }),
        ..AskToken::default()
    };
    match world.engine.token(&caller, ID, ask).await.map(drop) {
        Err(Error::Invalid(problems)) => assert_eq!(problems[0].field, "subject.sub"),
        other => panic!("{other:?}"),
    }
}

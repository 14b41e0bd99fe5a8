//! Tokens of the application itself: nothing single-use is presented, so silence costs nothing but a pause.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_core::Error;
use grantry_core::nouns::Subject;
use grantry_engine::AskToken;
use grantry_sandbox::Order;

use crate::world::{ACCESS_TTL, World};

const DECLARED: &str = r#"
    [[connectors]]
    id = "scl_app"
    team = "team_1"
    name = "App"
    type = "oauth"
    service = "sandbox"
    data = { clientId = "demo", clientSecret = "demo-secret", clientCredentials = { enabled = true }, userAuthorization = { enabled = false } }
"#;

fn app() -> AskToken {
    AskToken {
        subject: Some(Subject::App),
        validity_buffer: Duration::from_secs(30),
        ..AskToken::default()
    }
}

fn minted(world: &World) -> usize {
    let log = world.sandbox.log();
    let kind = Some("client_credentials");
    log.iter()
        .filter(|entry| entry.grant_type.as_deref() == kind)
        .count()
}

async fn read(world: &World) -> Result<String, Error> {
    let caller = world.server().await;
    let served = world
        .run(world.engine.token(&caller, "scl_app", app()))
        .await?;
    Ok(served.token.expose().to_owned())
}

fn strike(world: &World, fault: &str) {
    let order = Order {
        fault: fault.to_owned(),
        grant_type: Some("client_credentials".to_owned()),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

#[tokio::test]
async fn two_hundred_readers_cause_one_request_and_a_new_one_when_it_has_run_out() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let caller = world.server().await;
    for round in 1..=2 {
        let reads = (0..200).map(|_| world.engine.token(&caller, "scl_app", app()));
        let served = world.run(join_all(reads)).await;
        assert!(served.iter().all(Result::is_ok));
        assert_eq!(minted(&world), round);
        world.expire().await;
    }
}

fn retry_after(read: &Result<String, Error>, fault: &str) -> Duration {
    match read {
        Err(Error::Provider {
            retry_after: Some(wait),
            ..
        }) => *wait,
        other => panic!("{fault}: {other:?}"),
    }
}

/// The first token, and its successors when it is dead.
#[tokio::test]
async fn a_request_without_an_answer_is_made_again_after_a_pause() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    for fault in ["lost", "hang", "s500", "empty", "r307", "s429"] {
        strike(&world, fault);
        let wait = retry_after(&read(&world).await, fault);
        let asked = minted(&world);
        assert!(read(&world).await.is_err(), "{fault}: too early");
        assert_eq!(minted(&world), asked, "{fault}: asked before its time");
        world.pass(wait).await;
        assert!(read(&world).await.is_ok(), "{fault}");
        world.expire().await;
    }
}

#[tokio::test]
async fn a_client_that_may_not_ask_for_tokens_of_its_own_is_no_faulty_client() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    strike(&world, "unauth_client");
    match read(&world).await {
        Err(Error::Unresolvable { reason }) => assert!(reason.contains("unauthorized_client")),
        other => panic!("{other:?}"),
    }
    let caller = world.server().await;
    let view = world.engine.connector(&caller, "scl_app").await.unwrap();
    assert_eq!(view.connector.fault, None);
}

#[tokio::test]
async fn a_provider_that_is_down_for_an_hour_is_asked_seldom() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let order = Order {
        fault: "s500".to_owned(),
        grant_type: Some("client_credentials".to_owned()),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    for _ in 0..720 {
        assert!(read(&world).await.is_err());
        world.pass(Duration::from_secs(5)).await;
    }
    let asked = minted(&world);
    assert!((8..20).contains(&asked), "{asked} requests in an hour");
}

#[tokio::test]
async fn while_the_old_token_lives_it_is_served_and_requests_are_spaced() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    let first = read(&world).await.unwrap();
    world.clock.advance(ACCESS_TTL - Duration::from_secs(20));
    let asked = minted(&world);
    strike(&world, "s500");
    for _ in 0..10 {
        assert_eq!(read(&world).await, Ok(first.clone()));
        world.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(minted(&world), asked + 1);
    world.pass(Duration::from_secs(30)).await;
    assert_ne!(read(&world).await, Ok(first));
}

#[tokio::test]
async fn a_refused_client_opens_the_breaker_and_recovers() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    strike(&world, "inv_client");
    assert_eq!(read(&world).await, Err(Error::ConnectorFault));
    let asked = minted(&world);
    assert_eq!(read(&world).await, Err(Error::ConnectorFault));
    assert_eq!(minted(&world), asked, "the breaker is open");
    world.pass(Duration::from_secs(60)).await;
    assert!(read(&world).await.is_ok());
}

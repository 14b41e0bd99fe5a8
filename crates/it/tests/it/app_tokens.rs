//! Tokens of the application itself: nothing single-use is presented, so silence costs nothing.

use futures_util::future::join_all;
use grantry_core::Error;
use grantry_core::nouns::Subject;
use grantry_engine::AskToken;
use grantry_sandbox::Order;

use crate::world::World;

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

#[tokio::test]
async fn a_request_without_an_answer_is_made_again_by_the_next_read() {
    let world = World::new().await;
    world.apply(DECLARED).await;
    for fault in ["lost", "hang", "s500", "empty", "r307", "s429"] {
        strike(&world, fault);
        assert!(read(&world).await.is_err(), "{fault}");
        assert!(read(&world).await.is_ok(), "{fault}");
        world.expire().await;
    }
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
    world.pass(std::time::Duration::from_secs(60)).await;
    assert!(read(&world).await.is_ok());
}

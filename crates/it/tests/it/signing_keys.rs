//! Rotation of the keys that sign our own tokens, under the test's clock and on several nodes.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::nouns::{Actor, Environment};
use grantry_core::store::SigningPurpose;
use grantry_core::{Clock as _, Error, Timestamp};
use grantry_engine::permissions::Standing;
use grantry_engine::{Engine, SigningKeyState, Steward};
use grantry_vault::jws::{self, Expected, KeySet};
use serde_json::Value;

use crate::world::{PUBLIC, World};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn operator() -> Steward {
    Steward {
        account: None,
        standing: Standing::Server,
        until: None,
        actor: Actor::Server,
    }
}

async fn mint(world: &World, engine: &Arc<Engine>) -> String {
    let caller = world.server().await;
    let minted = engine
        .mint_workload_token(&caller, "web", Environment::production(), None)
        .await;
    minted.unwrap().token.expose().to_owned()
}

/// Whether `engine` takes `token` for a caller.
async fn takes(engine: &Arc<Engine>, token: &str) -> bool {
    match engine.caller(token, None).await {
        Ok(_) => true,
        Err(Error::Unauthenticated) => false,
        Err(other) => panic!("{other}"),
    }
}

/// A verifier elsewhere, which keeps the key set that it was given.
struct Verifier(KeySet);

impl Verifier {
    async fn of(engine: &Arc<Engine>) -> Self {
        let set = engine.jwks(SigningPurpose::Workload).await.unwrap();
        Self(KeySet::new(set["keys"].as_array().unwrap()))
    }

    fn takes(&self, token: &str, now: Timestamp) -> bool {
        let expected = Expected {
            typ: Some("workload+jwt"),
            issuer: PUBLIC,
            audience: &format!("{PUBLIC}/acme"),
            now,
            leeway: Duration::ZERO,
        };
        jws::verify::<Value>(token, &self.0, &expected).is_ok()
    }
}

#[tokio::test]
async fn a_verifier_that_kept_the_key_set_from_before_a_rotation_sees_no_unknown_key() {
    let world = World::new().await;
    let (one, two) = (&world.engine, world.another_node("node-2").await);
    let before = mint(&world, one).await;
    let made = one
        .rotate_signing_key(&operator(), SigningPurpose::Workload, None)
        .await
        .unwrap();
    assert_eq!(made.state, SigningKeyState::Pending);

    // It fetches the set once in the lead, and keeps it.
    let verifier = Verifier::of(&two).await;
    for engine in [one, &two] {
        let token = mint(&world, engine).await;
        assert!(verifier.takes(&token, world.clock.now()));
        assert!(!token_is_by(&token, &made.kid), "it does not sign yet");
    }
    world.clock.advance(HOUR);
    for engine in [one, &two] {
        let token = mint(&world, engine).await;
        assert!(token_is_by(&token, &made.kid), "it signs, on every node");
        assert!(verifier.takes(&token, world.clock.now()));
        assert!(takes(one, &token).await && takes(&two, &token).await);
    }
    // What the old key signed is believed to its end, and to its end only.
    world.clock.advance(HOUR * 11 - SECOND);
    assert!(takes(&two, &before).await && verifier.takes(&before, world.clock.now()));
    world.clock.advance(SECOND);
    assert!(!takes(&two, &before).await);
}

#[tokio::test]
async fn a_key_is_published_until_its_last_token_has_ended_and_then_destroyed() {
    let world = World::new().await;
    world.engine.start().await.unwrap();
    let first = mint(&world, &world.engine).await;
    world
        .engine
        .rotate_signing_key(&operator(), SigningPurpose::Workload, None)
        .await
        .unwrap();
    world.clock.advance(HOUR - SECOND);
    // Signed in the last second of its time.
    let last = mint(&world, &world.engine).await;
    assert_eq!(kid(&first), kid(&last));
    world.clock.advance(HOUR * 12 - SECOND);
    assert!(takes(&world.engine, &last).await);
    assert_eq!(kids(&world).await.len(), 2);
    world.clock.advance(SECOND * (15 * 60));
    assert!(!kids(&world).await.contains(&kid(&last)));
    // Whenever its last round was: the next one is within ten minutes.
    world.pass(SECOND * 601).await;
    let rows = world
        .store
        .signing_keys(SigningPurpose::Workload)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1, "the background work has retired it");
    world.engine.drain().await;
}

#[tokio::test]
async fn a_retired_key_ends_its_tokens_here_at_once_and_on_other_nodes_when_they_hear_of_it() {
    let world = World::new().await;
    let (one, two) = (&world.engine, world.another_node("node-2").await);
    one.start().await.unwrap();
    two.start().await.unwrap();
    let stolen = mint(&world, one).await;
    assert!(takes(one, &stolen).await && takes(&two, &stolen).await);

    // The emergency: a new key signs at once, the old one is ended.
    world.clock.advance(SECOND);
    let made = one
        .rotate_signing_key(&operator(), SigningPurpose::Workload, Some(Duration::ZERO))
        .await;
    one.retire_signing_key(&operator(), &kid(&stolen))
        .await
        .unwrap();
    assert!(!takes(one, &stolen).await);
    world.pass(SECOND * 2).await;
    assert!(!takes(&two, &stolen).await);
    let fresh = mint(&world, &two).await;
    assert!(token_is_by(&fresh, &made.unwrap().kid));
    assert!(takes(one, &fresh).await && takes(&two, &fresh).await);
    one.drain().await;
    two.drain().await;
}

#[tokio::test]
async fn a_verified_token_is_verified_anew_after_a_minute_and_at_its_end() {
    let world = World::new().await;
    let token = mint(&world, &world.engine).await;
    for (passed, trusted) in [(Duration::ZERO, SECOND * 60), (HOUR * 12 - SECOND, SECOND)] {
        world.clock.advance(passed);
        let principal = world.engine.principal(&token).await.unwrap();
        assert_eq!(principal.until, Some(world.clock.now().after(trusted)));
    }
}

#[tokio::test]
async fn a_key_is_replaced_at_its_age_by_one_of_many_nodes() {
    let world = World::new().await;
    let nodes = [
        world.another_node("node-2").await,
        world.another_node("node-3").await,
    ];
    let token = mint(&world, &world.engine).await;
    for node in &nodes {
        node.start().await.unwrap();
    }
    world.clock.advance(HOUR * 24 * 90 - SECOND);
    world.pass(SECOND / 2).await;
    assert_eq!(kids(&world).await, [kid(&token)], "not yet");
    world.clock.advance(SECOND * 600);
    // Keys are made on threads of their own, which no clock waits for.
    while published(&world).await.len() < 2 {
        world.pass(SECOND).await;
    }
    let states: Vec<_> = published(&world).await;
    assert_eq!(states, [SigningKeyState::Active, SigningKeyState::Pending]);
    world.clock.advance(HOUR * 24);
    world.pass(SECOND).await;
    assert_eq!(published(&world).await, [SigningKeyState::Active]);
    for node in &nodes {
        node.drain().await;
    }
}

async fn published(world: &World) -> Vec<SigningKeyState> {
    let keys = world.engine.published_keys(&operator()).await.unwrap();
    keys.into_iter().map(|key| key.state).collect()
}

async fn kids(world: &World) -> Vec<String> {
    let keys = world.engine.published_keys(&operator()).await.unwrap();
    keys.into_iter().map(|key| key.kid).collect()
}

fn kid(token: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = token.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn token_is_by(token: &str, wanted: &str) -> bool {
    kid(token) == wanted
}

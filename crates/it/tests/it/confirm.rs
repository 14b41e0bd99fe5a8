//! Consents that count once their requester confirms them (design §7): a forwarded link connects nothing.

use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::AuthorizationState;
use grantry_core::{Error, Secret};
use grantry_engine::{AskConsent, Requested};
use serde_json::json;
use url::Url;

use crate::callback::{DISCOVERED, discovered, play};
use crate::world::browser::{Browser, standing};
use crate::world::{CONNECTOR, World, token_of};

const RETURN: &str = "http://127.0.0.1:3000/done?step=2";

async fn ask(world: &World, user: &str) -> Requested {
    ask_of(world, CONNECTOR, user).await
}

async fn ask_of(world: &World, connector: &str, user: &str) -> Requested {
    let ask = AskConsent {
        token: token_of(user),
        return_url: Some(RETURN.to_owned()),
        confirm: true,
        ..AskConsent::default()
    };
    let caller = world.server().await;
    world
        .engine
        .authorize(&caller, connector, ask)
        .await
        .unwrap()
}

/// A browser consents: the code that the return URL receives.
async fn consent(world: &World, requested: &Requested) -> Secret {
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(world, requested).await;
    let page = world.run(browser.get(&arrival)).await;
    let back = Url::parse(page.location()).unwrap();
    assert!(back.as_str().starts_with(RETURN), "{back}");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    let code = back.query_pairs().find(|(name, _)| name == "grantry_code");
    Secret::new(code.unwrap().1.into_owned())
}

async fn confirm(
    world: &World,
    requested: &Requested,
    code: &Secret,
) -> Result<AuthorizationState, Error> {
    let caller = world.server().await;
    let verifier = requested.verifier.expose();
    let confirmed = world.engine.confirm_consent(&caller, verifier, code).await;
    confirmed.map(|result| result.state)
}

fn success(state: &Result<AuthorizationState, Error>) -> bool {
    matches!(state, Ok(AuthorizationState::Success { .. }))
}

#[tokio::test]
async fn nothing_is_served_before_the_code_of_the_return_url_was_posted_back() {
    let world = World::new().await;
    let requested = ask(&world, "u1").await;
    let early = confirm(&world, &requested, &Secret::new("guess")).await;
    assert!(matches!(early, Err(Error::Conflict { .. })), "{early:?}");
    let code = consent(&world, &requested).await;
    assert_eq!(
        standing(&world, &requested).await,
        AuthorizationState::Unconfirmed
    );
    let refused = world.token_text("u1").await;
    assert!(
        matches!(&refused, Err(Error::AuthorizationRequired(why)) if why.reason == ReconnectReason::NeverConnected),
        "{refused:?}"
    );

    // Anybody can send a browser to the return URL with a wrong one: it ends nothing.
    let wrong = confirm(&world, &requested, &Secret::new("guess")).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    let unknown = world
        .engine
        .confirm_consent(&*world.server().await, "no verifier", &code)
        .await;
    assert_eq!(unknown.err(), Some(Error::NotFound("authorization")));
    let confirmed = confirm(&world, &requested, &code).await;
    assert!(success(&confirmed), "{confirmed:?}");
    assert!(world.token_text("u1").await.is_ok());
    let again = confirm(&world, &requested, &code).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
}

#[tokio::test]
async fn a_confirmation_needs_a_return_url() {
    let world = World::new().await;
    let ask = AskConsent {
        token: token_of("u1"),
        confirm: true,
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let refused = world.engine.authorize(&caller, CONNECTOR, ask).await;
    let Err(Error::Invalid(problems)) = refused else {
        panic!("it was taken");
    };
    assert_eq!(problems[0].field, "returnUrl");
}

#[tokio::test]
async fn what_nobody_confirms_ends_and_is_revoked_at_the_provider() {
    let world = World::new().await;
    world.engine.start().await.unwrap();
    let requested = ask(&world, "u1").await;
    let code = consent(&world, &requested).await;
    world.pass(Duration::from_secs(599)).await;
    assert_eq!(
        standing(&world, &requested).await,
        AuthorizationState::Unconfirmed
    );
    assert_eq!(world.revocations(), 0);
    world.pass(Duration::from_secs(30)).await;
    let expired = AuthorizationState::Error {
        code: "expired".to_owned(),
    };
    assert_eq!(standing(&world, &requested).await, expired);
    assert!(world.revocations() > 0, "the pair lives on at the provider");
    let late = confirm(&world, &requested, &code).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    assert!(world.live("u1").await.is_none());
}

#[tokio::test]
async fn a_standing_connection_is_untouched_until_the_consent_is_confirmed() {
    let world = World::new().await;
    let before = world.connect("u1").await;
    let set = |live: Option<grantry_core::store::Live>| live.unwrap().sets[0].id.clone();
    let old = set(world.live("u1").await);
    let requested = ask(&world, "u1").await;
    let code = consent(&world, &requested).await;
    assert_eq!(set(world.live("u1").await), old);
    assert!(
        world.token_text("u1").await.is_ok(),
        "the old token is served on"
    );
    let confirmed = confirm(&world, &requested, &code).await;
    assert!(success(&confirmed), "{confirmed:?}");
    let after = world.live("u1").await;
    assert_eq!(after.as_ref().unwrap().connection.id, before.id);
    assert_ne!(set(after), old);
    assert!(world.token_text("u1").await.is_ok());
}

#[tokio::test]
async fn a_request_that_is_taken_back_ends_with_what_it_brought() {
    let world = World::new().await;
    let caller = world.server().await;
    let (pending, held) = (ask(&world, "u1").await, ask(&world, "u2").await);
    let code = consent(&world, &held).await;
    world.engine.start().await.unwrap();
    for requested in [&pending, &held] {
        let canceled = world
            .engine
            .cancel_authorization(&caller, &requested.id)
            .await;
        assert_eq!(canceled, Ok(()));
        assert_eq!(
            standing(&world, requested).await,
            AuthorizationState::Canceled
        );
        let again = world
            .engine
            .cancel_authorization(&caller, &requested.id)
            .await;
        assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    }
    let late = confirm(&world, &held, &code).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    world.pass(Duration::from_secs(30)).await;
    assert!(world.revocations() > 0);
}

#[tokio::test]
async fn requirement_21_of_two_accounts_that_wait_the_one_confirmed_first_is_connected() {
    let world = World::new().await;
    let mut new = discovered();
    new.data["userAuthorization"]["scopes"] = json!(["openid"]);
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await;
    made.ok().unwrap();
    let first = ask_of(&world, DISCOVERED, "u1").await;
    let second = ask_of(&world, DISCOVERED, "u1").await;
    let code = consent(&world, &first).await;
    play(&world, "swap", None);
    let others = consent(&world, &second).await;
    assert!(success(&confirm(&world, &first, &code).await));
    let before = world.live("u1").await.unwrap();
    let refused = confirm(&world, &second, &others).await;
    assert!(
        matches!(refused, Err(Error::Conflict { .. })),
        "{refused:?}"
    );
    let state = AuthorizationState::Error {
        code: "other_account".to_owned(),
    };
    assert_eq!(standing(&world, &second).await, state);
    let after = world.live("u1").await.unwrap();
    assert_eq!(after.connection, before.connection);
    assert_eq!(after.sets[0].id, before.sets[0].id);
    // The pair that nobody took is the other account's alone: it ends.
    world.engine.start().await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.revocations(), 2);
    world.run(world.engine.drain()).await;
}

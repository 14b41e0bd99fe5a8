//! Users of a GitHub App: tokens of eight hours whose refresh tokens rotate and end after half a year, errors under status
//! 200, answers of either form; and apps whose tokens do not end (docs.github.com, "Refreshing user access tokens").

use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{AuthorizationState, ConnectionState};
use grantry_core::{Clock, Error, Result};
use grantry_engine::{NewConnector, NewLink, ServedToken};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};

use crate::consents::{connected, token};
use crate::types::PEM;
use crate::world::{Setup, World};

/// `expires_in` and `refresh_token_expires_in` of GitHub.
const ACCESS: Duration = Duration::from_secs(28_800);
const REFRESH: Duration = Duration::from_secs(15_897_600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A GitHub App, whose client secret is `secret`, and its connector's id; `faults` strike all answers of the token endpoint.
async fn app(secret: &str, faults: &str) -> (World, String) {
    let world = World::with(Setup {
        access_ttl: ACCESS,
        ..Setup::default()
    })
    .await;
    let data = json!({
        "appId": 7, "appSlug": "acme", "appName": "Acme", "clientId": "demo", "clientSecret": secret, "privateKeyPem": PEM,
        "serverConfig": {
            "authorization_endpoint": "http://sandbox.test/github/login/oauth/authorize",
            "token_endpoint": format!("http://sandbox.test/github/login/oauth/access_token{faults}"),
            "api_base_url": "http://sandbox.test/github/api",
        },
    });
    let new = NewConnector {
        kind: "github".to_owned(),
        name: Some("gh".to_owned()),
        data: data.as_object().unwrap().clone(),
        link: Some(NewLink {
            project: "prj_1".to_owned(),
            environments: None,
        }),
        ..NewConnector::default()
    };
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await.unwrap();
    (world, made.connector.id.to_string())
}

/// The same, with a user who has connected.
async fn with_user() -> (World, String) {
    let (world, id) = app("demo-secret", "").await;
    consent(&world, &id).await;
    (world, id)
}

async fn consent(world: &World, id: &str) {
    let (_, ended) = connected(world, id).await;
    let success = matches!(ended, AuthorizationState::Success { .. });
    assert!(success, "{ended:?}");
}

/// The next answer of the token endpoint is an error with the word `code`, under status 200.
fn refuse(world: &World, code: &str) {
    let order = Order {
        endpoint: Some(Endpoint::Token),
        value: Some(code.to_owned()),
        ..Order::once("gh200")
    };
    world.sandbox.order(order).unwrap();
}

fn life(world: &World, served: &ServedToken) -> Option<Duration> {
    Some(served.expires_at?.since(world.clock.now()))
}

#[track_caller]
fn assert_reconnect(read: Result<ServedToken>) {
    match read {
        Err(Error::AuthorizationRequired(why)) => {
            assert_eq!(why.reason, ReconnectReason::Rejected);
            assert!(why.url.unwrap().contains("/authorize/"));
        }
        Ok(served) => panic!("{}", served.token.expose()),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_is_served_a_fresh_token_every_eight_hours_whatever_form_the_answers_have() {
    for form in ["", "?ghform=1"] {
        let (world, id) = app("demo-secret", form).await;
        consent(&world, &id).await;
        let mut last = token(&world, &id).await.unwrap();
        for refreshes in 1..=3 {
            assert_eq!(life(&world, &last), Some(ACCESS), "{form}");
            // How long the refresh token lives is nobody's business.
            assert_eq!(Value::Object(last.metadata.clone()), json!({}), "{form}");
            let kept = world.stored_refresh_token("u1").await;
            world.pass(ACCESS).await;
            let next = token(&world, &id).await.unwrap();
            assert_ne!(next.token.expose(), last.token.expose(), "{form}");
            let rotated = world.stored_refresh_token("u1").await;
            assert_ne!(rotated.expose(), kept.expose(), "{form}");
            assert!(world.place("u1").await.current, "{form}");
            assert_eq!(world.presentations().len(), refreshes, "{form}");
            last = next;
        }
    }
}

#[tokio::test]
async fn a_refusal_under_status_200_is_no_token_and_asks_for_a_new_consent() {
    let (world, id) = with_user().await;
    let first = token(&world, &id).await.unwrap();
    world.pass(ACCESS).await;
    refuse(&world, "bad_refresh_token");
    assert_reconnect(token(&world, &id).await);
    let rejected = ConnectionState::NeedsReauth(ReconnectReason::Rejected);
    assert_eq!(world.state("u1").await, rejected);
    assert_reconnect(token(&world, &id).await);
    assert_eq!(world.presentations().len(), 1, "nothing is sent again");
    let asked = json!({"subject": {"type": "user", "id": "u1"}});
    let route = format!("POST /v1/connect/token/{id}");
    let refused = world.run(world.call("tok_web", &route, &asked)).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let error: Value = serde_json::from_str(&refused.body).unwrap();
    let error = &error["error"];
    assert_eq!(error["code"], "user_authorization_required", "{error}");
    let url = error["authorizationUrl"].as_str().unwrap();
    assert!(url.contains("/authorize/"), "{url}");

    consent(&world, &id).await;
    let again = token(&world, &id).await.unwrap();
    assert_ne!(again.token.expose(), first.token.expose());
    assert_eq!(life(&world, &again), Some(ACCESS));
}

#[tokio::test]
async fn wrong_credentials_of_the_app_under_status_200_are_the_apps_fault_and_end_no_consent() {
    let (world, id) = with_user().await;
    token(&world, &id).await.unwrap();
    world.pass(ACCESS).await;
    refuse(&world, "incorrect_client_credentials");
    let refused = token(&world, &id).await.err();
    assert!(
        matches!(refused, Some(Error::ConnectorFault)),
        "{refused:?}"
    );
    assert_eq!(world.state("u1").await, ConnectionState::Active);
    // The secret is put right.
    world.pass(DAY).await;
    let fresh = token(&world, &id).await.unwrap();
    assert_eq!(life(&world, &fresh), Some(ACCESS));

    // GitHub's own words, for a code.
    for form in ["", "?ghform=1"] {
        let (world, id) = app("wrong", form).await;
        let (_, ended) = connected(&world, &id).await;
        let code = "incorrect_client_credentials".to_owned();
        assert_eq!(ended, AuthorizationState::Error { code }, "{form}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_presented_until_a_day_after_its_own_end_and_never_later() {
    let (world, id) = with_user().await;
    world.clock.advance(REFRESH - Duration::from_secs(1));
    token(&world, &id).await.unwrap();
    assert_eq!(world.presentations().len(), 1);

    // The next lives as long from here.
    world.clock.advance(REFRESH - Duration::from_secs(1));
    token(&world, &id).await.unwrap();
    assert_eq!(world.presentations().len(), 2);

    world.clock.advance(REFRESH + DAY);
    assert_reconnect(token(&world, &id).await);
    assert_reconnect(token(&world, &id).await);
    let rejected = ConnectionState::NeedsReauth(ReconnectReason::Rejected);
    assert_eq!(world.state("u1").await, rejected);
    assert_eq!(world.presentations().len(), 2, "it was not sent");
    consent(&world, &id).await;
    token(&world, &id).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_that_was_brought_along_with_its_end_is_not_presented_after_it_either() {
    let (world, id) = app("demo-secret", "").await;
    let now = world.clock.now();
    let brought = json!({"tokens": [{
        "subject": {"type": "user", "id": "u1"}, "environment": "production", "accessToken": "ghu_brought", "refreshToken": "ghr_brought",
        "expiresAt": now.after(ACCESS).as_millis(), "refreshTokenExpiresAt": now.after(DAY).as_millis(),
    }]});
    let route = format!("POST /v1/connect/token/{id}/import");
    let taken = world.run(world.call("tok_alice", &route, &brought)).await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    let served = token(&world, &id).await.unwrap();
    assert_eq!(served.token.expose(), "ghu_brought");
    world.clock.advance(2 * DAY);
    assert_reconnect(token(&world, &id).await);
    assert!(world.presentations().is_empty());
}

#[tokio::test]
async fn an_app_whose_tokens_do_not_end_is_never_asked_to_refresh_them() {
    let (world, id) = app("demo-secret", "?noexp=1&norefresh=1").await;
    consent(&world, &id).await;
    let first = token(&world, &id).await.unwrap();
    assert_eq!(first.expires_at, None);
    assert!(world.live("u1").await.unwrap().sets[0].refresh.is_none());
    world.clock.advance(2 * REFRESH);
    let later = token(&world, &id).await.unwrap();
    assert_eq!(later.token.expose(), first.token.expose());
    assert_eq!(later.expires_at, None);
    assert!(world.presentations().is_empty());
}

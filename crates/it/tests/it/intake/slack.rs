//! Tokens that Slack says it has ended.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::{join, join_all};
use grantry_core::nouns::{AuthorizationState, EventKind, Install, InstallationStatus, Subject};
use grantry_core::{Clock as _, Error, Result};
use grantry_engine::{AskConsent, AskToken, CallbackEnd, ServedToken};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};

use super::{deliver, rows, slack_headers, told};
use crate::world::{World, app_token, browser, token_of};

const DECLARED: &str = r#"
    [[connectors]]
    id = "scl_bot"
    team = "team_1"
    name = "Bot"
    type = "slack"
    data = { appId = "A1", appName = "Bot", clientId = "demo", clientSecret = "demo-secret", signingSecret = "hush", botScopes = ["chat:write"], userScopes = ["search:read"], serverConfig = { authorization_endpoint = "http://sandbox.test/slack/oauth/v2/authorize", token_endpoint = "http://sandbox.test/slack/api/oauth.v2.access", api_base_url = "http://sandbox.test/slack/api" } }
    links = [{ project = "prj_1" }]
"#;

/// An app in two workspaces, with users: ann, who is alice in T1, ben, who is bob there, and cat, who is alice in T2.
async fn world() -> World {
    let world = World::new().await;
    world.apply(DECLARED).await;
    for team in ["T1", "T2"] {
        consent(&world, app_token(None), team, "alice", true).await;
    }
    for (user, team, person) in [
        ("ann", "T1", "alice"),
        ("ben", "T1", "bob"),
        ("cat", "T2", "alice"),
    ] {
        consent(&world, token_of(user), team, person, false).await;
    }
    world
}

async fn consent(world: &World, token: AskToken, team: &str, person: &str, installs: bool) {
    let params = json!({"team": team, "login_hint": person});
    let asked = AskConsent {
        token,
        install: installs.then(Install::default),
        additional_params: params.as_object().unwrap().clone(),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let requested = world.engine.authorize(&caller, "scl_bot", asked).await;
    match world.consent(&requested.unwrap()).await {
        CallbackEnd::Ended(result) => {
            assert!(matches!(result.state, AuthorizationState::Success { .. }));
        }
        _ => panic!("not ended"),
    }
}

async fn read(world: &World, ask: AskToken) -> Result<ServedToken> {
    let caller = world.server().await;
    world.run(world.engine.token(&caller, "scl_bot", ask)).await
}

/// Slack ends a token.
async fn end(world: &World, ask: AskToken) {
    let served = read(world, ask).await.unwrap();
    let request = axum::http::Request::post("/slack/api/auth.revoke")
        .header("authorization", format!("Bearer {}", served.token.expose()))
        .body(axum::body::Body::empty())
        .unwrap();
    let page = browser::send(&world.sandbox.router(), request).await;
    assert!(page.body.contains("\"revoked\":true"), "{}", page.body);
}

async fn says(world: &World, event: &Value) -> u16 {
    says_of(world, "T1", None, event).await
}

/// The same of a workspace, which may be an organisation's.
async fn says_of(world: &World, team: &str, organisation: Option<&str>, event: &Value) -> u16 {
    let body = json!({
        "type": "event_callback", "team_id": team, "enterprise_id": organisation, "event": event,
    });
    let body = body.to_string();
    let headers = slack_headers(world, "hush", 0, &body);
    deliver(world, "scl_bot", &headers, &body).await.status
}

/// Who is still served: both bots and the three users.
async fn served(world: &World) -> Vec<&'static str> {
    let mut served = Vec::new();
    for (name, ask) in [
        ("T1", app_token(Some("T1"))),
        ("T2", app_token(Some("T2"))),
        ("ann", token_of("ann")),
        ("ben", token_of("ben")),
        ("cat", token_of("cat")),
    ] {
        match read(world, ask.clone()).await {
            Ok(_) => served.push(name),
            Err(Error::InstallationRequired(_)) if ask.subject == Some(Subject::App) => {}
            Err(Error::AuthorizationRequired(_)) if ask.subject != Some(Subject::App) => {}
            Err(other) => panic!("{name}: {other}"),
        }
    }
    served
}

fn uninstalled() -> Value {
    json!({"type": "app_uninstalled"})
}

fn revoked(users: &[&str], bots: &[&str]) -> Value {
    json!({"type": "tokens_revoked", "tokens": {"oauth": users, "bot": bots}})
}

#[tokio::test]
async fn an_app_that_was_uninstalled_loses_what_it_had_in_that_workspace() {
    let world = world().await;
    for ask in [app_token(Some("T1")), token_of("ann"), token_of("ben")] {
        end(&world, ask).await;
    }
    assert_eq!(served(&world).await.len(), 5, "nobody has told yet");
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(served(&world).await, ["T2", "cat"]);
    let left = rows(&world, "scl_bot").await;
    assert_eq!(left, [("T2".to_owned(), InstallationStatus::Active, false)]);
    let ended = [EventKind::ConnectionRevoked, EventKind::InstallationDeleted];
    assert_eq!(told(&world, &ended).await.len(), 4);
    // Delivered again, with what is said of its tokens besides.
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(says(&world, &revoked(&["alice"], &["U0BOT"])).await, 200);
    assert_eq!(told(&world, &ended).await.len(), 4);
    // Installed again, it is there again.
    consent(&world, app_token(None), "T1", "alice", true).await;
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(served(&world).await, ["T1", "T2", "cat"]);
}

#[tokio::test]
async fn a_users_tokens_end_alone_and_only_where_they_have_ended() {
    let world = world().await;
    end(&world, token_of("ann")).await;
    assert_eq!(says(&world, &revoked(&["alice", "bob"], &[])).await, 200);
    assert_eq!(served(&world).await, ["T1", "T2", "ben", "cat"]);
    assert_eq!(rows(&world, "scl_bot").await.len(), 2);
}

#[tokio::test]
async fn a_bots_token_ends_its_installation_and_no_users_tokens() {
    let world = world().await;
    end(&world, app_token(Some("T1"))).await;
    assert_eq!(says(&world, &revoked(&[], &["U0BOT"])).await, 200);
    assert_eq!(served(&world).await, ["T2", "ann", "ben", "cat"]);
    assert_eq!(rows(&world, "scl_bot").await.len(), 1);
}

#[tokio::test]
async fn what_is_said_of_tokens_that_live_ends_none() {
    let world = world().await;
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(served(&world).await.len(), 5);
    // Those that have run out are renewed, which tells as much.
    world.expire().await;
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(served(&world).await.len(), 5);
}

#[tokio::test]
async fn a_token_that_has_run_out_is_tried_by_what_renews_it() {
    let world = world().await;
    end(&world, app_token(Some("T1"))).await;
    end(&world, token_of("ben")).await;
    world.expire().await;
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(served(&world).await, ["T2", "ann", "cat"]);
    assert_eq!(rows(&world, "scl_bot").await.len(), 1);
}

#[tokio::test]
async fn while_slack_does_not_answer_nothing_ends_and_the_delivery_fails() {
    let world = world().await;
    end(&world, token_of("ann")).await;
    let order = Order {
        fault: "s500".to_owned(),
        endpoint: Some(Endpoint::Resource),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    assert_eq!(says(&world, &revoked(&["alice"], &[])).await, 503);
    assert_eq!(served(&world).await.len(), 5);
    assert_eq!(says(&world, &revoked(&["alice"], &[])).await, 200);
    assert_eq!(served(&world).await, ["T1", "T2", "ben", "cat"]);
}

#[tokio::test]
async fn deliveries_that_come_at_once_are_each_looked_at() {
    let world = world().await;
    for ask in [app_token(Some("T1")), token_of("ann"), token_of("ben")] {
        end(&world, ask).await;
    }
    let told = [
        revoked(&["alice"], &[]),
        revoked(&["bob"], &[]),
        revoked(&[], &["U0BOT"]),
    ];
    let told = told.map(|event| {
        let body = json!({"type": "event_callback", "team_id": "T1", "event": event}).to_string();
        let request = slack_headers(&world, "hush", 0, &body).into_iter().fold(
            Request::post("/trigger/scl_bot"),
            |request, (name, value)| request.header(name, value),
        );
        let router = world.router();
        async move { browser::send(&router, request.body(Body::from(body)).unwrap()).await }
    });
    let answers = world.run(join_all(told)).await;
    assert!(answers.iter().all(|page| page.status == 200));
    assert_eq!(served(&world).await, ["T2", "cat"]);
}

#[tokio::test]
async fn what_was_connected_again_while_it_was_tried_stays() {
    for bot in [false, true] {
        let world = world().await;
        let (ask, event) = match bot {
            true => (app_token(Some("T1")), revoked(&[], &["U0BOT"])),
            false => (token_of("ann"), revoked(&["alice"], &[])),
        };
        end(&world, ask).await;
        let order = Order {
            fault: "late".to_owned(),
            endpoint: Some(Endpoint::Resource),
            times: Some(1),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        let again = async {
            world.clock.sleep(Duration::from_secs(1)).await;
            match bot {
                true => consent(&world, app_token(None), "T1", "alice", true).await,
                false => consent(&world, token_of("ann"), "T1", "alice", false).await,
            }
        };
        let (status, ()) = join(says(&world, &event), again).await;
        assert_eq!(status, 200);
        assert_eq!(served(&world).await.len(), 5);
        assert_eq!(rows(&world, "scl_bot").await.len(), 2);
        assert_eq!(told(&world, &[EventKind::ConnectionRevoked]).await, []);
    }
}

#[tokio::test]
async fn one_that_cannot_be_tried_holds_up_no_other() {
    let world = world().await;
    for ask in [app_token(Some("T1")), token_of("ann"), token_of("ben")] {
        end(&world, ask).await;
    }
    let order = Order {
        fault: "s500".to_owned(),
        endpoint: Some(Endpoint::Resource),
        times: Some(1),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    // The bot, which comes first.
    assert_eq!(says(&world, &uninstalled()).await, 503);
    assert_eq!(served(&world).await, ["T1", "T2", "cat"]);
    assert_eq!(says(&world, &uninstalled()).await, 200);
    assert_eq!(served(&world).await, ["T2", "cat"]);
}

#[tokio::test]
async fn the_end_in_a_workspace_is_not_tried_in_others_of_its_organisation() {
    let world = world().await;
    for (user, team) in [("dan", "TE1"), ("eve", "TE2")] {
        consent(&world, token_of(user), team, "carol", false).await;
        end(&world, token_of(user)).await;
    }
    let event = uninstalled();
    assert_eq!(says_of(&world, "TE1", Some("E0001"), &event).await, 200);
    assert!(read(&world, token_of("dan")).await.is_err());
    assert!(read(&world, token_of("eve")).await.is_ok());
}

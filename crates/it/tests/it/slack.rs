//! Slack apps, by a Slack that rotates: the bot's tokens of each workspace and each user's own, refreshed and ended each
//! by itself (requirement 53), and errors that come under status 200 (requirement 29).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{AuthorizationState, Install, Subject};
use grantry_core::store::Page;
use grantry_core::{Error, Result};
use grantry_engine::{
    AskConsent, AskToken, CallbackEnd, ConsentResult, Engine, InstallationChange, ServedToken,
};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};

use crate::world::{World, browser, subject};

const DECLARED: &str = r#"
    [[connectors]]
    id = "scl_bot"
    team = "team_1"
    name = "Bot"
    type = "slack"
    data = { appId = "A1", appName = "Bot", clientId = "demo", clientSecret = "demo-secret", botScopes = ["chat:write", "commands"], userScopes = ["search:read"], serverConfig = { authorization_endpoint = "http://sandbox.test/slack/oauth/v2/authorize", token_endpoint = "http://sandbox.test/slack/api/oauth.v2.access", api_base_url = "http://sandbox.test/slack/api" } }
    links = [{ project = "prj_1" }]
"#;

async fn slack() -> World {
    let world = World::new().await;
    world.apply(DECLARED).await;
    world
}

/// Whose token: a person's, or the bot's of an installation.
#[derive(Clone, Copy)]
enum Whose {
    User(&'static str),
    Bot(&'static str),
}
use Whose::{Bot, User};

fn ask(whose: Whose) -> AskToken {
    match whose {
        User(name) => AskToken {
            subject: Some(subject(name)),
            ..AskToken::default()
        },
        Bot(installation) => AskToken {
            subject: Some(Subject::App),
            installation: Some(installation.to_owned()),
            ..AskToken::default()
        },
    }
}

async fn token(world: &World, whose: Whose) -> Result<ServedToken> {
    let caller = world.server().await;
    world
        .run(world.engine.token(&caller, "scl_bot", ask(whose)))
        .await
}

async fn text(world: &World, whose: Whose) -> String {
    token(world, whose).await.unwrap().token.expose().to_owned()
}

/// Goes through the consent of a person, or the installation in `team`.
async fn consent(world: &World, whose: Whose, more: &Value) -> ConsentResult {
    let mut params = more.as_object().unwrap().clone();
    let mut token = ask(whose);
    let install = match whose {
        User(_) => None,
        Bot(team) => {
            params.insert("team".to_owned(), team.into());
            token.installation = None;
            Some(Install::default())
        }
    };
    let asked = AskConsent {
        token,
        install,
        additional_params: params,
        ..AskConsent::default()
    };
    let caller = world.server().await;
    let requested = world
        .engine
        .authorize(&caller, "scl_bot", asked)
        .await
        .unwrap();
    match world.consent(&requested).await {
        CallbackEnd::Ended(result) => result,
        _ => panic!("not ended"),
    }
}

async fn connected(world: &World, whose: Whose) {
    let ended = consent(world, whose, &json!({})).await;
    assert!(matches!(ended.state, AuthorizationState::Success { .. }));
}

/// What Slack says of a token.
async fn test(world: &World, method: &str, token: &str) -> Value {
    let request = axum::http::Request::post(format!("/slack/api/{method}"))
        .header("authorization", format!("Bearer {token}"))
        .body(axum::body::Body::empty())
        .unwrap();
    let page = browser::send(&world.sandbox.router(), request).await;
    serde_json::from_str(&page.body).unwrap()
}

/// The next refreshes meet `fault`.
fn strike(world: &World, fault: &str, value: Option<&str>, times: u64) {
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(Endpoint::Token),
        grant_type: Some("refresh_token".to_owned()),
        value: value.map(str::to_owned),
        times: Some(times),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

#[tokio::test]
async fn a_bot_and_a_user_have_tokens_of_their_own_that_rotate_apart() {
    let world = slack().await;
    connected(&world, Bot("T1")).await;
    connected(&world, User("u1")).await;
    let bot = token(&world, Bot("T1")).await.unwrap();
    assert_eq!(bot.scope.as_deref(), Some("chat:write commands"));
    assert_eq!(bot.metadata["botUserId"], "U0BOT");
    assert_eq!(bot.metadata["team"]["name"], "Workspace T1");
    let user = token(&world, User("u1")).await.unwrap();
    assert_eq!(user.scope.as_deref(), Some("search:read"));
    assert_eq!(user.metadata.get("botUserId"), None);
    let who = |answer: Value| answer["user_id"].as_str().unwrap().to_owned();
    let (bot, user) = (bot.token.expose(), user.token.expose());
    assert_eq!(who(test(&world, "auth.test", bot).await), "U0BOT");
    assert_eq!(who(test(&world, "auth.test", user).await), "alice");

    world.expire().await;
    let next_bot = text(&world, Bot("T1")).await;
    assert_ne!(next_bot, bot);
    assert_eq!(world.presentations().len(), 1);
    let next_user = text(&world, User("u1")).await;
    assert_eq!(world.presentations().len(), 2);
    assert_eq!(who(test(&world, "auth.test", &next_bot).await), "U0BOT");
    assert_eq!(who(test(&world, "auth.test", &next_user).await), "alice");
}

#[tokio::test]
async fn many_who_ask_at_once_refresh_each_set_once() {
    let world = slack().await;
    connected(&world, Bot("T1")).await;
    connected(&world, User("u1")).await;
    world.expire().await;
    let caller = world.server().await;
    let asked = (0..20).map(|n| {
        let whose = if n % 2 == 0 { Bot("T1") } else { User("u1") };
        world.engine.token(&caller, "scl_bot", ask(whose))
    });
    let served = world.run(join_all(asked)).await;
    let mut texts: Vec<String> = served
        .into_iter()
        .map(|served| served.unwrap().token.expose().to_owned())
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 2);
    assert_eq!(world.presentations().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_one_set_and_leaves_the_other_alone() {
    let world = slack().await;
    connected(&world, Bot("T1")).await;
    connected(&world, User("u1")).await;
    world.expire().await;
    strike(&world, "lost", None, 1);
    match token(&world, Bot("T1")).await {
        Err(Error::InstallationRequired(why)) => {
            assert_eq!(why.reason, ReconnectReason::LostResponse);
            assert!(why.url.unwrap().contains("/install/sci_"));
        }
        other => panic!("{:?}", other.map(|served| served.metadata)),
    }
    text(&world, User("u1")).await;
    // Installing once more mends it.
    connected(&world, Bot("T1")).await;
    text(&world, Bot("T1")).await;
}

#[tokio::test]
async fn a_bot_that_slack_ended_does_not_end_the_user_nor_the_user_the_bot() {
    for (dead, alive) in [(Bot("T1"), User("u1")), (User("u1"), Bot("T1"))] {
        let world = slack().await;
        // The first installation becomes the default, which is the app's and no user's.
        connected(&world, User("u1")).await;
        connected(&world, Bot("T1")).await;
        text(&world, User("u1")).await;
        let ended = text(&world, dead).await;
        assert_eq!(test(&world, "auth.revoke", &ended).await["revoked"], true);
        world.expire().await;
        let reason = match token(&world, dead).await {
            Err(Error::InstallationRequired(why) | Error::AuthorizationRequired(why)) => why.reason,
            other => panic!("{:?}", other.map(|served| served.metadata)),
        };
        assert_eq!(reason, ReconnectReason::Rejected);
        let lives = text(&world, alive).await;
        assert_eq!(test(&world, "auth.test", &lives).await["ok"], true);
    }
}

#[tokio::test]
async fn an_error_under_status_200_is_an_error_and_only_a_definite_one_ends_a_token() {
    let world = slack().await;
    connected(&world, Bot("T1")).await;
    for (code, again) in [
        ("ratelimited", true),
        ("fatal_error", true),
        ("internal_error", true),
    ] {
        world.expire().await;
        // As often as a flight tries.
        strike(&world, "slack200", Some(code), 3);
        let refused = token(&world, Bot("T1")).await;
        assert_eq!(
            matches!(refused, Err(Error::Provider { .. })) || refused.is_ok(),
            again,
            "{code}"
        );
        world.sandbox.reset();
        world.pass(Duration::from_secs(3600)).await;
        text(&world, Bot("T1")).await;
    }
    world.expire().await;
    strike(&world, "slack200", Some("invalid_refresh_token"), 1);
    assert!(matches!(
        token(&world, Bot("T1")).await,
        Err(Error::InstallationRequired(_))
    ));
}

#[tokio::test]
async fn an_app_is_installed_in_a_whole_organisation_under_its_id() {
    let world = slack().await;
    let ended = consent(&world, Bot("E77"), &json!({})).await;
    assert_eq!(ended.installation.as_deref(), Some("E77"));
    let served = token(&world, Bot("E77")).await.unwrap();
    assert_eq!(served.metadata["is_enterprise_install"], true);
    assert_eq!(served.metadata["team"], Value::Null);
    // A workspace of an organisation is itself, and says whose it is.
    connected(&world, Bot("TE5")).await;
    let caller = world.server().await;
    let rows = world
        .engine
        .installations(&caller, "scl_bot", &Page::first(10))
        .await
        .unwrap();
    let mut rows: Vec<_> = rows
        .data
        .into_iter()
        .map(|view| {
            let row = view.installation;
            (row.external_id, row.tenant, row.name.unwrap())
        })
        .collect();
    rows.sort();
    let expected = [
        ("E77", None, "Organisation E77"),
        ("TE5", Some("E0001"), "Workspace TE5"),
    ];
    let expected = expected.map(|(id, tenant, name): (_, Option<&str>, _)| {
        (id.to_owned(), tenant.map(str::to_owned), name.to_owned())
    });
    assert_eq!(rows, expected);
    world.expire().await;
    let next = token(&world, Bot("E77")).await.unwrap();
    assert_ne!(next.token.expose(), served.token.expose());
}

#[tokio::test]
async fn a_token_tells_its_installations_tenant_from_memory_and_a_change_of_it_at_once() {
    let world = slack().await;
    let other = world.another_node("node-2").await;
    connected(&world, Bot("TE5")).await;
    connected(&world, Bot("T1")).await;
    let caller = world.server().await;
    let tenant = async |engine: &Arc<Engine>, whose| {
        let read = engine.token(&caller, "scl_bot", ask(whose));
        world.run(read).await.unwrap().tenant
    };
    let tenants = async |engine: &Arc<Engine>| {
        let of_one = tenant(engine, Bot("TE5")).await;
        [of_one, tenant(engine, Bot("T1")).await]
    };
    let known = |of: &str| [Some(of.to_owned()), None];
    for engine in [&world.engine, &other] {
        engine.start().await.unwrap();
        assert_eq!(tenants(engine).await, known("E0001"));
        // Known once, it costs no look into the database.
        world.watch.deafen_after(0);
        assert_eq!(tenants(engine).await, known("E0001"));
        world.watch.hear();
    }

    let page = Page::first(10);
    let rows = world.engine.installations(&caller, "scl_bot", &page).await;
    let row = rows.unwrap().data.into_iter().map(|view| view.installation);
    let id = row.filter(|row| row.external_id == "TE5").map(|row| row.id);
    let id = id.last().unwrap();
    for moved in [Some("E0002"), None] {
        let change = InstallationChange {
            tenant: Some(moved.map(str::to_owned)),
            ..InstallationChange::default()
        };
        let changed = world.engine.update_installation(&caller, &id, change);
        changed.await.unwrap();
        let seen = tenant(&world.engine, Bot("TE5")).await;
        assert_eq!(seen.as_deref(), moved);
        world.pass(Duration::from_secs(2)).await;
        assert_eq!(tenant(&other, Bot("TE5")).await.as_deref(), moved);
    }
}

#[tokio::test]
async fn revoking_ends_the_bots_token_at_slack_and_no_other() {
    let world = slack().await;
    connected(&world, Bot("T1")).await;
    connected(&world, Bot("T2")).await;
    let (first, second) = (text(&world, Bot("T1")).await, text(&world, Bot("T2")).await);
    let caller = world.server().await;
    let which = grantry_engine::Which {
        subject: None,
        environment: None,
        installation: Some("T1".to_owned()),
    };
    let work = world.engine.revoke_some(&caller, "scl_bot", which, 10);
    let (revoked, left) = world.run(work).await.unwrap();
    assert_eq!((revoked.provider_revoked, left), (1, 0));
    assert_eq!(test(&world, "auth.test", &first).await["ok"], false);
    assert_eq!(test(&world, "auth.test", &second).await["ok"], true);
    text(&world, Bot("T2")).await;
}

#[tokio::test]
async fn a_code_that_slack_does_not_take_stores_nothing() {
    let world = slack().await;
    for code in ["bad_client_secret", "bad_redirect_uri"] {
        let order = Order {
            fault: "slack200".to_owned(),
            endpoint: Some(Endpoint::Token),
            value: Some(code.to_owned()),
            times: Some(1),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        let ended = consent(&world, Bot("T1"), &json!({})).await;
        let error = AuthorizationState::Error {
            code: code.to_owned(),
        };
        assert_eq!(ended.state, error);
        assert!(token(&world, Bot("T1")).await.is_err());
        // A refused client is not asked again for a while.
        world.pass(Duration::from_secs(3600)).await;
    }
}

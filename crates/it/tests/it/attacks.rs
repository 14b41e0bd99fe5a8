//! What `callback` has in one table, each under the number of its requirement, with what the table does not ask; and
//! the attacks that begin after the browser is back.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use grantry_api::all_routes;
use grantry_core::nouns::{AuthorizationState, EventKind};
use grantry_core::store::{EventFilter, Page};
use grantry_engine::{NewConnector, NewLink};
use grantry_sandbox::{Endpoint, Order};
use serde_json::{Value, json};

use crate::callback::{
    DISCOVERED, attack, attacked, discovered, exchanges, link, play, problem, world,
};
use crate::refusal::filled;
use crate::world::browser::{Browser, send, standing};
use crate::world::log::Log;
use crate::world::{CALLBACK, Setup, World};

/// No code was redeemed, nor will it be, and the consent can be tried again.
async fn stopped(fault: &str, value: Option<&str>, ends: &str) {
    let world = world().await;
    let mut end = attack(&world, fault, value).await;
    assert!(end.location.ends_with(ends), "{fault}: {}", end.location);
    assert_eq!(exchanges(&world), 0, "{fault}");
    let state = standing(&world, &end.requested).await;
    assert_eq!(state, AuthorizationState::Pending, "{fault}");
    // Whoever repeats it without the fault is too late: the flow is spent.
    let mended = end.arrival.replace("https%3A%2F%2Fevil.example", ISSUER);
    let mended = match mended.contains("iss=") {
        true => mended,
        false => format!("{mended}&iss={ISSUER}"),
    };
    let again = end.browser.get(&mended).await;
    let refused = ["already-used", "malformed"].map(problem);
    let location = again.location().to_owned();
    assert!(refused.contains(&location), "{fault}: {location}");
    assert_eq!(exchanges(&world), 0, "{fault}");
    assert!(world.live("u1").await.is_none(), "{fault}");
}

/// The sandbox's, in a query.
const ISSUER: &str = "http%3A%2F%2Fsandbox.test";

#[tokio::test]
async fn requirement_1_a_code_of_another_issuer_is_sent_nowhere() {
    stopped("iss", Some("https://evil.example"), "/problem/wrong-server").await;
}

/// A connector of which nobody said who its issuer is.
async fn of_unknown_issuer() -> World {
    let world = World::new().await;
    let mut new = discovered();
    new.data.remove("serverUrl");
    let config = json!({
        "authorization_endpoint": "http://sandbox.test/authorize", "token_endpoint": "http://sandbox.test/token",
    });
    new.data.insert("serverConfig".to_owned(), config);
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await;
    made.ok().unwrap();
    world
}

#[tokio::test]
async fn requirement_1_where_no_issuer_is_known_a_code_goes_to_the_server_that_made_it_alone() {
    let world = of_unknown_issuer().await;
    let (_, location) = attacked(&world, "iss", Some("http://honest.example")).await;
    assert!(location.ends_with("/problem/wrong-server"), "{location}");
    assert_eq!(exchanges(&world), 0);
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &link(&world, "u1").await).await;
    assert!(arrival.contains("iss="), "{arrival}");
    browser.get(&arrival).await;
    assert!(world.live("u1").await.is_some());
}

/// A connector whose server does not promise `iss`, and where its users come back to.
async fn unpromised(redirect_uri: &str) -> World {
    let world = World::new().await;
    let order = Order {
        fault: "noissflag".to_owned(),
        endpoint: Some(Endpoint::Metadata),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    let new = NewConnector {
        redirect_uri: Some(redirect_uri.to_owned()),
        ..discovered()
    };
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await;
    made.ok().unwrap();
    world
}

#[tokio::test]
async fn requirement_2_a_promised_issuer_that_is_missing_ends_the_flow() {
    stopped("noiss", None, "/problem/wrong-server").await;
}

#[tokio::test]
async fn requirement_2_where_no_issuer_is_named_the_redirect_uri_of_the_team_tells() {
    let world = unpromised(&format!("{CALLBACK}/team_1")).await;
    let mut browser = Browser::at(world.router());
    play(&world, "noiss", None);
    let arrival = browser.sign_in(&world, &link(&world, "u1").await).await;
    assert!(!arrival.contains("iss="), "{arrival}");
    for other in [
        "/callback?",
        "/callback/team_2?",
        "/cohere/v1/connectors/oauth/token?",
    ] {
        let elsewhere = arrival.replace("/callback/team_1?", other);
        let page = browser.get(&elsewhere).await;
        assert_eq!(page.location(), problem("wrong-server"), "{other}");
        assert_eq!(exchanges(&world), 0, "{other}");
    }
    browser.get(&arrival).await;
    assert!(world.live("u1").await.is_some());
}

/// What requirement 2 does not reach: servers that do not name themselves, behind one redirect URI.
#[tokio::test]
async fn requirement_2_on_a_shared_redirect_uri_an_unpromised_issuer_may_be_missing() {
    let world = unpromised(CALLBACK).await;
    attacked(&world, "noiss", None).await;
    assert_eq!(exchanges(&world), 1);
    assert!(world.live("u1").await.is_some());
}

#[tokio::test]
async fn requirement_12_a_doubled_parameter_is_refused_whole() {
    stopped("dup", None, "/problem/malformed").await;
}

#[tokio::test]
async fn requirement_13_an_error_beside_a_code_wins_and_the_code_is_never_redeemed() {
    let world = world().await;
    let mut end = attack(&world, "codeerror", None).await;
    let canceled = AuthorizationState::Canceled;
    assert_eq!(standing(&world, &end.requested).await, canceled);
    let without = end.arrival.replace("&error=access_denied", "");
    assert!(without.contains("code=") && !without.contains("error"));
    let again = end.browser.get(&without).await;
    assert_eq!(again.location(), problem("already-used"));
    assert_eq!(exchanges(&world), 0);
    assert_eq!(standing(&world, &end.requested).await, canceled);
}

#[tokio::test]
async fn requirement_13_an_error_without_a_state_ends_nobodys_consent() {
    let world = world().await;
    let requested = link(&world, "u1").await;
    let mut browser = Browser::at(world.router());
    play(&world, "err", None);
    let arrival = browser.sign_in(&world, &requested).await;
    let (place, query) = arrival.split_once('?').unwrap();
    let (state, others): (Vec<&str>, Vec<&str>) = query
        .split('&')
        .partition(|param| param.starts_with("state="));
    assert!(state.len() == 1 && query.contains("error="), "{arrival}");
    let page = browser.get(&format!("{place}?{}", others.join("&"))).await;
    assert_eq!(page.location(), problem("provider-error"));
    let pending = AuthorizationState::Pending;
    assert_eq!(standing(&world, &requested).await, pending);
    assert_eq!(exchanges(&world), 0);
}

#[tokio::test]
async fn requirement_14_the_log_takes_a_strangers_words_on_one_short_line() {
    let log = Log::default();
    let _logging = log.listen();
    let world = world().await;
    attack(&world, "xss", None).await;
    let forged = format!("x\r\nforged {}\u{202e}", "i".repeat(1500));
    attack(&world, "iss", Some(&forged)).await;
    let pressed = link(&world, "u1").await;
    let pressed = world.engine.press(&pressed.id, None, false).await.unwrap();
    play(&world, "longerr", None);
    let query = world.provider_answers(&pressed.url).await;
    let end = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK)
        .await;
    assert!(end.is_ok());

    let logged = log.text();
    let logged = String::from_utf8_lossy(&logged);
    let words = ["alert(1)", "forged", "long long"];
    let found: BTreeSet<&str> = logged
        .lines()
        .filter_map(|line| words.into_iter().find(|word| line.contains(word)))
        .collect();
    assert_eq!(
        found.len(),
        words.len(),
        "what is bounded has to be there: {found:?}"
    );
    for line in logged.lines() {
        assert!(
            !line.starts_with("Set-Cookie") && !line.starts_with("forged"),
            "{line}"
        );
        assert!(!line.contains(['\r', '\u{202e}']), "{line}");
        for long in ["i".repeat(300), "long ".repeat(60)] {
            assert!(!line.contains(&long), "{line}");
        }
    }
}

#[tokio::test]
async fn requirement_18_and_19_every_step_goes_on_by_303_to_an_address_without_the_code() {
    let world = world().await;
    let requested = link(&world, "u1").await;
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &requested).await;
    assert!(arrival.contains("code="));
    let page = browser.get(&arrival).await;
    assert_eq!(page.status, 303);
    assert!(!page.location().contains("code="));
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn requirement_19_no_answer_makes_a_client_post_again() {
    let world = World::new().await;
    let router = world.router();
    let mut answers = 0;
    for route in all_routes() {
        let path = filled(route);
        let methods = [route.method.as_str(), "HEAD", "POST"];
        for method in methods {
            for (path, host) in [
                (path.clone(), "127.0.0.1:8787"),
                (format!("{path}/"), "127.0.0.1:8787"),
                (format!("/{path}"), "127.0.0.1:8787"),
                (path.clone(), "10.0.0.7"),
            ] {
                let request = Request::builder()
                    .method(method)
                    .uri(&path)
                    .header("host", host)
                    .header("authorization", "Bearer tok_alice")
                    .header("content-type", "application/x-www-form-urlencoded");
                let body = Body::from("action=connect");
                let page = send(&router, request.body(body).unwrap()).await;
                let name = format!("{method} {path} at {host}");
                let goes_on = page.status.is_redirection();
                assert!(!goes_on || page.status == 303, "{name}: {}", page.status);
                if page.headers.contains_key("location") {
                    assert!(goes_on, "{name}: {}", page.status);
                }
                answers += 1;
            }
        }
    }
    assert!(answers > 1000, "{answers} answers");
}

#[tokio::test]
async fn requirement_20_what_was_granted_is_what_is_stored_and_served() {
    for (fault, granted) in [("morescope", "profile admin"), ("lessscope", "profile")] {
        let world = World::new().await;
        let mut new = discovered();
        new.data["userAuthorization"]["scopes"] = match fault {
            "lessscope" => json!(["profile", "email"]),
            _ => json!(["profile"]),
        };
        new.link = Some(NewLink {
            project: "prj_1".to_owned(),
            environments: None,
        });
        let caller = world.server().await;
        let made = world.engine.create_connector(&caller, new).await;
        made.ok().unwrap();
        let order = Order {
            fault: fault.to_owned(),
            endpoint: Some(Endpoint::Token),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        let mut browser = Browser::at(world.router());
        let arrival = browser.sign_in(&world, &link(&world, "u1").await).await;
        browser.get(&arrival).await;
        let live = world.live("u1").await.unwrap();
        assert_eq!(live.sets[0].scope.as_deref(), Some(granted), "{fault}");
        let ask = json!({"connector": DISCOVERED, "subject": {"type": "user", "id": "u1"}});
        let served = world.call("tok_web", "POST /api/v1/tokens", &ask).await;
        let served: Value = serde_json::from_str(&served.body).unwrap();
        assert_eq!(served["scope"], granted, "{fault}: {served}");
        let filter = EventFilter {
            kinds: vec![EventKind::AuthorizationCompleted],
            ..EventFilter::default()
        };
        let events = world
            .store
            .events(&caller.team, &filter, &Page::first(2))
            .await;
        let told = &events.unwrap()[0].data;
        let differs = |name: &str| told.get(name).cloned();
        let expected = match fault {
            "lessscope" => (Some(json!(["email"])), None),
            _ => (None, Some(json!(["admin"]))),
        };
        assert_eq!(
            (differs("missing_scopes"), differs("added_scopes")),
            expected,
            "{fault}"
        );
    }
}

#[tokio::test]
async fn requirement_20_a_refresh_stores_what_it_was_granted_and_keeps_what_it_does_not_say() {
    for (fault, then) in [
        ("lessscope", "profile"),
        ("noscope", "profile email"),
        ("ok", "profile email"),
    ] {
        let world = World::new().await;
        let before = world.connect("u1").await;
        world.expire().await;
        world.strike(fault, Some(1));
        let served = world.token("u1").await.unwrap();
        assert_eq!(served.scope.as_deref(), Some(then), "{fault}");
        let live = world.live("u1").await.unwrap();
        assert_eq!(live.sets[0].scope.as_deref(), Some(then), "{fault}");
        assert_eq!(live.connection.id, before.id);
        let presented = world.presentations();
        assert_eq!(presented.len(), 1, "{fault}");
    }
}

/// The sandbox reads Basic as RFC 6749 §2.3.1 says, so what it decodes to the right secret went out as it was typed.
#[tokio::test]
async fn requirement_23_a_connector_can_say_that_its_server_does_not_decode() {
    for (method, secret, good) in [
        ("client_secret_basic", "p+%x", true),
        ("client_secret_basic", "p%2B%25x", false),
        ("client_secret_basic_raw", "p%2B%25x", true),
        ("client_secret_basic_raw", "p+%x", false),
    ] {
        let world = World::with(Setup {
            client_secret: "p+%x",
            ..Setup::default()
        })
        .await;
        let mut new = discovered();
        new.data.insert("clientSecret".to_owned(), json!(secret));
        new.data
            .insert("tokenEndpointAuthMethod".to_owned(), json!(method));
        let caller = world.server().await;
        let made = world.engine.create_connector(&caller, new).await;
        made.ok().unwrap();
        let mut browser = Browser::at(world.router());
        let arrival = browser.sign_in(&world, &link(&world, "u1").await).await;
        browser.get(&arrival).await;
        assert_eq!(exchanges(&world), 1);
        let connected = world.live("u1").await.is_some();
        assert_eq!(connected, good, "{method} {secret}");
    }
}

//! Attacks on a consent, one by one (requirements 1 to 17): a browser, the whole server, and a
//! provider that misbehaves on demand.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use grantry_api::App;
use grantry_core::Error;
use grantry_core::nouns::AuthorizationState;
use grantry_engine::{AskConsent, CallbackEnd, NewConnector, Requested};
use grantry_sandbox::{Endpoint, FAULTS, Order};
use serde_json::json;

use crate::world::browser::{Browser, Page, standing};
use crate::world::{CALLBACK, PUBLIC, World, token_of};

/// A connector whose server is discovered, so that everything its metadata promises is known.
pub const DISCOVERED: &str = "scl_discovered";

pub async fn world() -> World {
    let world = World::new().await;
    let caller = world.server().await;
    let created = world.engine.create_connector(&caller, discovered()).await;
    created.unwrap_or_else(|error| panic!("{error:?}"));
    world
}

pub fn discovered() -> NewConnector {
    let data = json!({
        "serverUrl": "http://sandbox.test", "clientId": "demo", "clientSecret": "demo-secret",
        "userAuthorization": {"enabled": true, "scopes": ["profile"]},
    });
    NewConnector {
        id: Some(DISCOVERED.into()),
        kind: "oauth".to_owned(),
        name: Some("Discovered".to_owned()),
        data: data.as_object().unwrap().clone(),
        ..NewConnector::default()
    }
}

pub async fn link(world: &World, user: &str) -> Requested {
    let ask = AskConsent {
        token: token_of(user),
        ..AskConsent::default()
    };
    let caller = world.server().await;
    world
        .engine
        .authorize(&caller, DISCOVERED, ask)
        .await
        .unwrap()
}

pub fn play(world: &World, fault: &str, value: Option<&str>) {
    let order = Order {
        fault: fault.to_owned(),
        endpoint: Some(Endpoint::Authorize),
        times: Some(1),
        value: value.map(str::to_owned),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
}

/// Code exchanges that the provider saw.
pub fn exchanges(world: &World) -> usize {
    let log = world.sandbox.log();
    let exchange = Some("authorization_code");
    log.iter()
        .filter(|entry| entry.grant_type.as_deref() == exchange)
        .count()
}

/// A consent that was attacked.
pub struct Attacked {
    pub requested: Requested,
    pub browser: Browser,
    /// Where the provider sent the browser.
    pub arrival: String,
    /// Where that led.
    pub location: String,
}

/// A browser signs in while the provider plays `fault`.
pub async fn attack(world: &World, fault: &str, value: Option<&str>) -> Attacked {
    let requested = link(world, "u1").await;
    let mut browser = Browser::at(world.router());
    play(world, fault, value);
    let arrival = browser.sign_in(world, &requested).await;
    let page = browser.get(&arrival).await;
    clean(&page);
    Attacked {
        location: page.location().to_owned(),
        requested,
        browser,
        arrival,
    }
}

/// What was asked for, and where the browser ended up.
pub async fn attacked(world: &World, fault: &str, value: Option<&str>) -> (Requested, String) {
    let attacked = attack(world, fault, value).await;
    (attacked.requested, attacked.location)
}

/// Nothing of the provider's answer stays in the address bar, the history or a `Referer`
/// (requirements 18 and 19).
pub fn clean(page: &Page) {
    let location = page.location();
    for leak in ["code=", "state=", "iss=", "<", "%3C", "Set-Cookie"] {
        assert!(!location.contains(leak), "{location}");
    }
    assert!(location.len() < 300, "{location}");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["cache-control"], "no-store");
}

pub fn problem(word: &str) -> String {
    format!("{PUBLIC}/problem/{word}")
}

/// How each fault of an authorization response ends: where the browser goes, how the authorization
/// stands. None of them leads to a code exchange but the last.
const TABLE: &[(&str, &str, &str)] = &[
    ("iss", "/problem/wrong-server", "pending"),
    ("noiss", "/problem/wrong-server", "pending"),
    ("wrongstate", "/problem/not-waiting", "pending"),
    ("nostate", "/problem/malformed", "pending"),
    ("dup", "/problem/malformed", "pending"),
    ("codeerror", "/authorize/", "canceled"),
    ("err", "/authorize/", "canceled"),
    ("xss", "/authorize/", "canceled"),
    ("frag", "/problem/malformed", "pending"),
    ("swap", "/authorize/", "success"),
];

#[test]
fn every_fault_of_an_authorization_response_is_played() {
    // `formpost` has no redirect to follow, and the one of `longerr` is longer than any server of ours
    // takes: requirements 14 and 15 below.
    let listed: BTreeSet<&str> = TABLE
        .iter()
        .map(|(name, ..)| *name)
        .chain(["formpost", "longerr"])
        .collect();
    let played = FAULTS
        .iter()
        .filter(|fault| fault.endpoints.contains(&Endpoint::Authorize));
    assert_eq!(listed, played.map(|fault| fault.name).collect());
}

#[tokio::test]
async fn each_fault_of_an_authorization_response_ends_where_the_table_says() {
    for (fault, destination, status) in TABLE {
        let world = world().await;
        let (requested, location) = attacked(&world, fault, None).await;
        let start = format!("{PUBLIC}{destination}");
        assert!(location.starts_with(&start), "{fault}: {location}");
        let state = serde_json::to_value(standing(&world, &requested).await).unwrap();
        assert_eq!(state["status"], *status, "{fault}");
        let expected = usize::from(*fault == "swap");
        assert_eq!(
            exchanges(&world),
            expected,
            "{fault}: the code was sent somewhere"
        );
        let mut browser = Browser::at(world.router());
        let shown = browser.get(&location).await;
        assert!(!shown.body.contains("<script>alert"), "{fault}");
        assert!(
            shown.body.len() < 64 * 1024,
            "{fault}: {} bytes",
            shown.body.len()
        );
        assert!(
            shown.headers.contains_key("content-security-policy"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn requirement_3_an_issuer_is_compared_without_any_normalising() {
    for spelled in [
        "http://sandbox.test/",
        "http://sandbox.test:80",
        "HTTP://sandbox.test",
        "http://SANDBOX.test",
        "http://sandbox.test%2F",
    ] {
        let world = world().await;
        let (_, location) = attacked(&world, "iss", Some(spelled)).await;
        assert_eq!(location, problem("wrong-server"), "{spelled}");
        assert_eq!(exchanges(&world), 0);
    }
}

#[tokio::test]
async fn requirement_4_metadata_of_another_issuer_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let order = Order {
        fault: "issuer".to_owned(),
        endpoint: Some(Endpoint::Metadata),
        ..Order::default()
    };
    world.sandbox.order(order).unwrap();
    let caller = world.server().await;
    let refused = world.engine.create_connector(&caller, discovered()).await;
    let Err(Error::Invalid(problems)) = refused.map(drop) else {
        panic!("accepted");
    };
    assert_eq!(problems[0].field, "data.serverUrl");
    let stored = world.engine.connector(&caller, DISCOVERED).await;
    assert_eq!(stored.map(drop), Err(Error::NotFound("connector")));
}

#[tokio::test]
async fn requirement_5_an_unknown_state_and_one_of_no_flow_lead_to_no_token_request() {
    let world = world().await;
    let mut browser = Browser::at(world.router());
    browser.press(&link(&world, "u1").await).await;
    for (query, ends) in [
        ("code=c&state=unknown", "not-waiting"),
        ("code=c&state=", "malformed"),
        ("code=c&state=%00", "malformed"),
    ] {
        let page = browser
            .get(&format!("/callback?{query}&iss=http://sandbox.test"))
            .await;
        assert!(page.headers.get("set-cookie").is_none());
        assert_eq!(page.location(), problem(ends), "{query}");
    }
    assert_eq!(exchanges(&world), 0);
}

#[tokio::test]
async fn requirement_6_a_state_belongs_to_the_browser_that_pressed_the_button() {
    let world = world().await;
    let requested = link(&world, "u1").await;
    let mut theirs = Browser::at(world.router());
    let arrival = theirs.sign_in(&world, &requested).await;
    let mut without_cookie = Browser::at(world.router());
    let mut with_another = Browser::at(world.router());
    with_another.press(&link(&world, "u2").await).await;
    for browser in [&mut without_cookie, &mut with_another] {
        let page = browser.get(&arrival).await;
        assert_eq!(page.location(), problem("not-waiting"));
        assert!(page.headers.get("set-cookie").is_none());
    }
    assert_eq!(exchanges(&world), 0);
    theirs.get(&arrival).await;
    assert!(matches!(
        standing(&world, &requested).await,
        AuthorizationState::Success { .. }
    ));
}

#[tokio::test]
async fn requirement_7_of_fifty_equal_callbacks_on_three_nodes_one_redeems_the_code() {
    let world = world().await;
    let requested = link(&world, "u1").await;
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &requested).await;
    let mut routers = vec![world.router()];
    for name in ["node-2", "node-3"] {
        let engine = world.another_node(name).await;
        routers.push(grantry_api::router(App {
            engine,
            local: false,
        }));
    }
    let mut tabs: Vec<Browser> = (0..50)
        .map(|n| browser.led_to(routers[n % 3].clone()))
        .collect();
    let pages = world
        .run(join_all(tabs.iter_mut().map(|tab| tab.get(&arrival))))
        .await;
    let already = problem("already-used");
    let refused = pages.iter().filter(|page| page.location() == already);
    assert_eq!(refused.count(), 49);
    assert_eq!(exchanges(&world), 1);
    assert!(matches!(
        standing(&world, &requested).await,
        AuthorizationState::Success { .. }
    ));
}

#[tokio::test]
async fn requirement_8_a_state_lives_ten_minutes_and_outlives_its_process() {
    let world = world().await;
    let late = link(&world, "late").await;
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &late).await;
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(
        browser.get(&arrival).await.location(),
        problem("not-waiting")
    );
    assert_eq!(exchanges(&world), 0);

    let in_time = link(&world, "in time").await;
    let url = browser.press(&in_time).await;
    world.clock.advance(Duration::from_secs(599));
    let arrival = world.provider_redirects(&url).await;
    let engine = world.another_node("node-1, restarted").await;
    let mut browser = browser.led_to(grantry_api::router(App {
        engine,
        local: false,
    }));
    browser.get(&arrival).await;
    assert!(matches!(
        standing(&world, &in_time).await,
        AuthorizationState::Success { .. }
    ));
}

#[tokio::test]
async fn requirement_9_every_press_has_its_own_unguessable_state_challenge_and_nonce() {
    let world = World::new().await;
    let mut new = discovered();
    new.data["userAuthorization"]["scopes"] = json!(["openid"]);
    let caller = world.server().await;
    let made = world.engine.create_connector(&caller, new).await;
    made.ok().unwrap();
    let requested = link(&world, "u1").await;
    let mut browser = Browser::at(world.router());
    let mut drawn = BTreeSet::new();
    for _ in 0..100 {
        let url = browser.press(&requested).await;
        let param = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        assert_eq!(param("code_challenge_method"), "S256");
        // 22 characters of 62 carry 128 bits; a challenge is 32 bytes in base64url.
        assert!(param("state").len() >= 22 && param("code_challenge").len() == 43);
        assert!(param("nonce").len() >= 22, "{url}");
        drawn.extend(["state", "code_challenge", "nonce"].map(param));
    }
    assert_eq!(drawn.len(), 300);
}

#[tokio::test]
async fn requirement_10_a_code_of_another_transaction_is_not_taken() {
    let world = world().await;
    let (victims, attackers) = (link(&world, "victim").await, link(&world, "attacker").await);
    let mut victim = Browser::at(world.router());
    let mut attacker = Browser::at(world.router());
    let arrival = victim.sign_in(&world, &victims).await;
    let stolen = attacker.sign_in(&world, &attackers).await;
    let code = |arrival: &str| {
        let url = url::Url::parse(arrival).unwrap();
        let found = url.query_pairs().find(|(name, _)| name == "code");
        found.unwrap().1.into_owned()
    };
    let injected = arrival.replace(&code(&arrival), &code(&stolen));
    victim.get(&injected).await;
    let again = victim.get(&arrival).await;
    assert_eq!(again.location(), problem("already-used"));
    assert_eq!(exchanges(&world), 1);
    assert!(world.live("victim").await.is_none());
}

#[tokio::test]
async fn requirement_11_s256_is_sent_whatever_the_metadata_says_of_pkce() {
    for fault in ["nopkce", "plainpkce"] {
        let world = World::new().await;
        let order = Order {
            fault: fault.to_owned(),
            endpoint: Some(Endpoint::Metadata),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        let caller = world.server().await;
        world
            .engine
            .create_connector(&caller, discovered())
            .await
            .ok()
            .unwrap();
        let url = Browser::at(world.router())
            .press(&link(&world, "u1").await)
            .await;
        assert!(
            url.query().unwrap().contains("code_challenge_method=S256"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn requirement_14_a_hundred_kilobytes_of_error_end_the_consent_and_go_nowhere() {
    let world = world().await;
    let requested = link(&world, "u1").await;
    let pressed = world
        .engine
        .press(&requested.id, None, false)
        .await
        .unwrap();
    play(&world, "longerr", None);
    let query = world.provider_answers(&pressed.url).await;
    assert!(query.len() > 100 * 1024);
    let end = world
        .engine
        .callback(&query, Some(&pressed.cookie), CALLBACK)
        .await;
    assert!(matches!(end, Ok(CallbackEnd::Ended(_))));
    assert_eq!(
        standing(&world, &requested).await,
        AuthorizationState::Canceled
    );
    let page = Browser::at(world.router()).get(&requested.url).await;
    assert!(page.body.len() < 64 * 1024 && !page.body.contains("long long"));
    assert_eq!(exchanges(&world), 0);
}

#[tokio::test]
async fn requirement_15_an_answer_in_a_form_is_not_taken() {
    let world = world().await;
    let mut browser = Browser::at(world.router());
    let requested = link(&world, "u1").await;
    let arrival = browser.sign_in(&world, &requested).await;
    let query = arrival.split_once('?').unwrap().1.to_owned();
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let page = browser.post("/callback", &fields).await;
    assert!(page.status.is_client_error(), "{}", page.status);
    assert_eq!(exchanges(&world), 0);
    assert_eq!(
        standing(&world, &requested).await,
        AuthorizationState::Pending
    );
}

#[tokio::test]
async fn requirement_16_a_return_url_is_checked_at_the_start_and_at_the_end() {
    const DECLARED: &str = "[[teams]]\nid = \"team_1\"\naccount = \"acc_1\"\nslug = \"acme\"\nname = \"Acme\"\nreturn_origins = [ORIGIN]";
    let world = world().await;
    let caller = world.server().await;
    let ask = |url: &str| AskConsent {
        token: token_of("u1"),
        return_url: Some(url.to_owned()),
        ..AskConsent::default()
    };
    for bad in [
        "//evil.example",
        "https:evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://app.example@evil.example/",
        "https://evil.example/",
        "data:text/html,x",
        "",
    ] {
        let asked = world.engine.authorize(&caller, DISCOVERED, ask(bad)).await;
        assert!(matches!(asked.map(drop), Err(Error::Invalid(_))), "{bad}");
    }
    world
        .apply(&DECLARED.replace("ORIGIN", "\"https://app.example\""))
        .await;
    let asked = world
        .engine
        .authorize(&caller, DISCOVERED, ask("https://app.example/done"))
        .await;
    let requested = asked.ok().unwrap();
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &requested).await;
    world.apply(&DECLARED.replace("ORIGIN", "")).await;
    let page = browser.get(&arrival).await;
    assert!(page.location().starts_with(PUBLIC), "{}", page.location());
}

#[tokio::test]
async fn requirement_17_a_callback_at_another_address_than_the_registered_one_is_refused() {
    let world = world().await;
    let mut browser = Browser::at(world.router());
    let arrival = browser.sign_in(&world, &link(&world, "u1").await).await;
    for (place, taken_in) in [
        ("/callback/acme", true),
        ("/callback/team_1", true),
        ("/cohere/v1/connectors/oauth/token", true),
        ("/callback/", false),
        ("/callback/acme/callback", false),
        ("/CALLBACK", false),
        ("/callback%2f", false),
    ] {
        let elsewhere = arrival.replace("/callback?", &format!("{place}?"));
        let page = browser.get(&elsewhere).await;
        match taken_in {
            true => assert_eq!(page.location(), problem("wrong-server"), "{place}"),
            false => assert_eq!(page.status, 404, "{place}"),
        }
        assert_eq!(exchanges(&world), 0, "{place}");
    }
    browser.get(&arrival).await;
    assert!(world.live("u1").await.is_some(), "at its own address");
}

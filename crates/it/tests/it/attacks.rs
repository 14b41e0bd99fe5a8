//! What `callback` has in one table, each under the number of its requirement, with what the table does not ask; and
//! the attacks that begin after the browser is back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use grantry_core::nouns::{AuthorizationState, EventKind};
use grantry_core::store::{EventFilter, Page};
use grantry_sandbox::{Endpoint, FAULTS, Order};
use serde_json::json;

use crate::callback::{attacked, discovered, exchanges, link, problem, world};
use crate::world::World;
use crate::world::browser::{Browser, standing};

/// No code was redeemed, and the consent can be tried again.
async fn stopped(fault: &str, value: Option<&str>, ends: &str) {
    let world = world().await;
    let (requested, location) = attacked(&world, fault, value).await;
    assert!(location.ends_with(ends), "{fault}: {location}");
    assert_eq!(exchanges(&world), 0, "{fault}");
    let state = standing(&world, &requested).await;
    assert_eq!(state, AuthorizationState::Pending, "{fault}");
    assert!(world.live("u1").await.is_none(), "{fault}");
}

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

#[tokio::test]
async fn requirement_2_a_promised_issuer_that_is_missing_ends_the_flow_and_an_unpromised_one_does_not()
 {
    stopped("noiss", None, "/problem/wrong-server").await;
    let world = World::new().await;
    let order = Order {
        fault: "noissflag".to_owned(),
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
    let (_, location) = attacked(&world, "noiss", None).await;
    assert_ne!(location, problem("wrong-server"));
    assert_eq!(exchanges(&world), 1);
}

#[tokio::test]
async fn requirement_12_a_doubled_parameter_is_refused_whole() {
    stopped("dup", None, "/problem/malformed").await;
}

#[tokio::test]
async fn requirement_13_an_error_beside_a_code_wins_and_no_code_is_redeemed() {
    let world = world().await;
    let (requested, _) = attacked(&world, "codeerror", None).await;
    assert_eq!(exchanges(&world), 0);
    let state = standing(&world, &requested).await;
    assert_eq!(state, AuthorizationState::Canceled);
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
async fn requirement_20_what_was_granted_is_what_is_stored_and_served() {
    for (fault, granted) in [("morescope", "profile admin"), ("lessscope", "profile")] {
        let world = World::new().await;
        let mut new = discovered();
        new.data["userAuthorization"]["scopes"] = match fault {
            "lessscope" => json!(["profile", "email"]),
            _ => json!(["profile"]),
        };
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
async fn requirement_22_an_id_token_that_does_not_hold_ends_the_consent() {
    // Another user's is a good one on a first consent: requirement 21 is what it meets.
    let forged = FAULTS
        .iter()
        .map(|fault| fault.name)
        .filter(|name| name.starts_with("idt_") && *name != "idt_sub");
    let forged: BTreeSet<&str> = forged.collect();
    assert!(forged.len() >= 8, "{forged:?}");
    for fault in forged {
        let world = World::new().await;
        let mut new = discovered();
        new.data["userAuthorization"]["scopes"] = json!(["openid"]);
        let caller = world.server().await;
        let made = world.engine.create_connector(&caller, new).await;
        made.ok().unwrap();
        let order = Order {
            fault: fault.to_owned(),
            endpoint: Some(Endpoint::Token),
            ..Order::default()
        };
        world.sandbox.order(order).unwrap();
        let requested = link(&world, "u1").await;
        let mut browser = Browser::at(world.router());
        let arrival = browser.sign_in(&world, &requested).await;
        browser.get(&arrival).await;
        assert!(world.live("u1").await.is_none(), "{fault}");
        let state = standing(&world, &requested).await;
        let code = "invalid_id_token".to_owned();
        assert_eq!(state, AuthorizationState::Error { code }, "{fault}");
    }
}

#[test]
fn every_attack_on_the_flow_has_a_test_of_its_number() {
    fn read(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                read(&path, all);
            } else if path.extension().is_some_and(|end| end == "rs") {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut all);
    let named: BTreeSet<u32> = all
        .split("fn requirement_")
        .skip(1)
        .flat_map(|name| {
            let words = name.split(['_', '(']);
            words
                .filter(|word| *word != "and")
                .map_while(|word| word.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect();
    let missing: Vec<u32> = (1..=28).filter(|number| !named.contains(number)).collect();
    assert_eq!(
        missing,
        [] as [u32; 0],
        "no test is named `requirement_N_…`"
    );
}

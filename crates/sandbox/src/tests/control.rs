//! The control API, the log, and the checker on a real log.

use serde_json::json;

use super::support::*;
use crate::race::{self, Kind};
use crate::{Endpoint, Entry, FAULTS, Order, Outcome};

async fn control(bench: &Bench, body: &str) -> u16 {
    let reply = bench.try_call("POST", "/_control", &[], body.to_owned());
    reply.await.unwrap().status.as_u16()
}

#[tokio::test]
async fn orders_come_by_http_and_go_by_delete() {
    let bench = Bench::new();
    let token = bench.consented().await;
    let order = r#"{"fault":"s500","times":2,"endpoint":"token","client_id":"demo","grant_type":"refresh_token"}"#;
    assert_eq!(control(&bench, order).await, 204);
    assert_eq!(bench.refresh(&token).await.unwrap().status, 500);
    let state = bench.get("/_control").await.json();
    assert_eq!(state["armed"][0]["times"], 1);
    assert_eq!(state["faults"].as_array().unwrap().len(), FAULTS.len());
    let gone = bench.try_call("DELETE", "/_control", &[], "").await;
    assert_eq!(gone.unwrap().status, 204);
    assert_eq!(bench.get("/_control").await.json()["armed"], json!([]));
    assert_eq!(bench.get("/_log").await.json(), json!([]));
    assert_eq!(bench.refresh(&token).await.unwrap().status, 200);
}

#[tokio::test]
async fn orders_that_mean_nothing_are_refused() {
    let bench = Bench::new();
    for order in [
        r#"{"fault":"nonsense"}"#,
        r#"{"fault":"dup","endpoint":"token"}"#,
        r#"{"fault":"lost","tmies":1}"#,
        "{}",
        "lost",
    ] {
        assert_eq!(control(&bench, order).await, 400, "{order}");
    }
}

#[tokio::test]
async fn an_order_strikes_only_whom_it_names_and_orders_queue() {
    let bench = Bench::new();
    let token = bench.consented().await;
    let only = |client: Option<&str>, grant: Option<&str>, fault: &str| Order {
        client_id: client.map(str::to_owned),
        grant_type: grant.map(str::to_owned),
        ..Order::once(fault)
    };
    for order in [
        only(Some("another"), None, "s429"),
        only(None, Some("client_credentials"), "s429"),
        only(None, None, "s500"),
        only(Some("demo"), Some("refresh_token"), "s503"),
    ] {
        bench.sandbox.order(order).unwrap();
    }
    for status in [500, 503, 200] {
        assert_eq!(bench.refresh(&token).await.unwrap().status, status);
    }
    let pairs = [("grant_type", "client_credentials")];
    assert_eq!(bench.demo("/token", &pairs).await.unwrap().status, 429);
}

#[tokio::test]
async fn the_log_tells_what_was_presented_and_whether_an_answer_went_out() {
    let bench = Bench::new();
    let token = bench.consented().await;
    bench.sandbox.reset();
    bench.sandbox.order(Order::once("s503")).unwrap();
    bench.sandbox.order(Order::once("lost")).unwrap();
    for _ in 0..3 {
        bench.refresh(&token).await;
    }
    let rows: Vec<_> = bench
        .sandbox
        .log()
        .into_iter()
        .map(|entry| {
            assert_eq!(entry.endpoint, Endpoint::Token);
            assert_eq!(entry.client_id.as_deref(), Some("demo"));
            let place = entry.refresh.unwrap();
            assert_eq!((place.family, place.generation), (0, 0));
            let answered = entry.answered_at.is_some();
            (entry.faults.join(","), entry.outcome, entry.error, answered)
        })
        .collect();
    let error = |text: &str| Some(text.to_owned());
    assert_eq!(
        rows,
        [
            (
                "s503".into(),
                Outcome::Skipped,
                error("temporarily_unavailable"),
                false
            ),
            ("lost".into(), Outcome::Done, None, false),
            (
                String::new(),
                Outcome::Refused,
                error("invalid_grant"),
                true
            ),
        ]
    );
    let over_http: Vec<Entry> = serde_json::from_slice(&bench.get("/_log").await.body).unwrap();
    assert_eq!(over_http, bench.sandbox.log());
    let text = bench.get("/_log").await.text();
    assert!(!text.contains(&token) && !text.contains("demo-secret"));
}

#[tokio::test]
async fn the_checker_passes_a_careful_client_and_catches_a_careless_one() {
    let bench = Bench::new();
    let first = bench.consented().await;
    bench.sandbox.order(Order::once("grace")).unwrap();
    bench.refresh(&first).await;
    let second = bench.refresh(&first).await.unwrap().json();
    let second = second["refresh_token"].as_str().unwrap();
    bench.refresh(second).await;
    assert_eq!(race::check(&bench.sandbox.log()), []);
    bench.refresh(second).await;
    let kinds: Vec<_> = race::check(&bench.sandbox.log())
        .iter()
        .map(|violation| (violation.kind, violation.generation))
        .collect();
    assert_eq!(kinds, [(Kind::AfterAnswer, 1)]);
}

#[tokio::test]
async fn the_counts_tell_requests_grants_and_outcomes() {
    let bench = Bench::new();
    let token = bench.consented().await;
    bench.refresh(&token).await;
    bench.refresh(&token).await;
    bench.get("/_trap").await;
    let stats = bench.get("/_stats").await.json();
    assert_eq!(stats["requests"], json!({"token": 3, "authorize": 1}));
    assert_eq!(
        stats["grants"],
        json!({"authorization_code": 1, "refresh_token": 2})
    );
    for (name, count) in [
        ("issued", 2),
        ("refused", 1),
        ("families", 1),
        ("families_killed_by_reuse", 1),
        ("trapped", 1),
    ] {
        assert_eq!(stats[name], count, "{name}");
    }
}

#[tokio::test]
async fn the_home_page_lists_every_fault() {
    let html = Bench::new().get("/").await.text();
    for fault in FAULTS {
        assert!(html.contains(&format!("<code>{}</code>", fault.name)));
    }
}

#[test]
fn fault_names_are_unique_at_each_endpoint() {
    for (index, fault) in FAULTS.iter().enumerate() {
        assert!(!fault.endpoints.is_empty() && !fault.requirements.is_empty());
        for other in &FAULTS[..index] {
            let shared = fault.endpoints.iter().any(|e| other.endpoints.contains(e));
            assert!(fault.name != other.name || !shared, "{}", fault.name);
        }
    }
}

//! `Idempotency-Key`.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use grantry_core::nouns::{Actor, Role};
use grantry_core::testing::cut_short;
use grantry_engine::permissions::Standing;
use grantry_engine::{Repeat, Repeater, fingerprint};
use serde_json::{Value, json};

use super::server::{Answer, Server, request};

async fn ask(server: &Server, bearer: &str, key: &str, route: &str, body: &Value) -> Answer {
    let mut asked: Request<Body> = request(Some(bearer), route, Some(body));
    let key = key.parse().unwrap();
    asked.headers_mut().insert("idempotency-key", key);
    server.send(asked).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some()
}

async fn keys(server: &Server) -> usize {
    let list = server.call("tok_admin", "GET /api/v1/keys?limit=100", None);
    list.await.expect(200)["data"].as_array().unwrap().len()
}

const MAKE: &str = "POST /api/v1/keys";

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first_was_and_not_carried_out_again() {
    let server = Server::start().await;
    let before = keys(&server).await;
    let body = json!({"name": "one"});
    let first = ask(&server, "tok_admin", "k1", MAKE, &body).await;
    first.expect(201);
    assert!(!is_replay(&first));
    for _ in 0..3 {
        let again = ask(&server, "tok_admin", "k1", MAKE, &body).await;
        again.expect(201);
        assert!(is_replay(&again));
        // The key's text, which is in no other answer.
        assert_eq!(again.text, first.text);
        assert_eq!(again.headers["content-type"], "application/json");
    }
    assert_eq!(keys(&server).await, before + 1);
    ask(&server, "tok_admin", "k2", MAKE, &body)
        .await
        .expect(201);
    assert_eq!(keys(&server).await, before + 2);
}

#[tokio::test]
async fn many_at_once_are_carried_out_once() {
    let server = Server::start().await;
    let before = keys(&server).await;
    let body = json!({"name": "one"});
    let asked = (0..16).map(|_| ask(&server, "tok_admin", "k1", MAKE, &body));
    let answers = futures_util::future::join_all(asked).await;
    let made = answers.iter().filter(|answer| answer.status == 201);
    assert!(made.clone().count() > 0);
    let first = made.clone().next().unwrap();
    assert!(made.clone().all(|answer| answer.text == first.text));
    let others = answers.iter().filter(|answer| answer.status != 201);
    for other in others {
        assert_eq!(other.expect(409)["code"], "conflict");
    }
    assert_eq!(keys(&server).await, before + 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_burns_no_key() {
    let body = json!({"name": "one"});
    for steps in 1..100 {
        let server = Server::start().await;
        let before = keys(&server).await;
        let first = ask(&server, "tok_admin", "k1", MAKE, &body);
        let cut = cut_short(first, steps).await;
        server.engine.drain().await;
        // It goes on as if nothing had been, or is told what was done.
        let again = ask(&server, "tok_admin", "k1", MAKE, &body).await;
        again.expect(201);
        assert_eq!(keys(&server).await, before + 1, "{steps}");
        if !cut {
            assert!(is_replay(&again));
            return;
        }
    }
    panic!("it does not end");
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_caller() {
    let server = Server::start().await;
    let before = keys(&server).await;
    let body = json!({"name": "one"});
    ask(&server, "tok_admin", "k1", MAKE, &body)
        .await
        .expect(201);
    let other = json!({"name": "two"});
    ask(&server, "tok_admin", "k1", MAKE, &other)
        .await
        .expect(409);
    let elsewhere = "POST /api/v1/keys?team=team_1";
    ask(&server, "tok_admin", "k1", elsewhere, &body)
        .await
        .expect(409);
    assert_eq!(keys(&server).await, before + 1);
    // Another caller's key of the same text is another key.
    let theirs = ask(&server, "tok_stranger", "k1", MAKE, &other).await;
    theirs.expect(201);
    // What one may not do is not answered from what another did.
    ask(&server, "tok_member", "k1", MAKE, &body)
        .await
        .expect(403);
}

#[tokio::test]
async fn a_refusal_frees_the_key() {
    let server = Server::start().await;
    let wrong = json!({"name": "one", "project": "absent"});
    ask(&server, "tok_admin", "k1", MAKE, &wrong)
        .await
        .expect(404);
    let unknown = json!({"nonsense": 1});
    ask(&server, "tok_admin", "k1", MAKE, &unknown)
        .await
        .expect(400);
    let right = json!({"name": "one"});
    let made = ask(&server, "tok_admin", "k1", MAKE, &right).await;
    made.expect(201);
    assert!(!is_replay(&made));
}

#[tokio::test]
async fn an_answer_without_a_body_is_repeated_too() {
    let server = Server::start().await;
    let route = "POST /api/v1/keys";
    let body = json!({"name": "one"});
    let made = server
        .call("tok_admin", route, Some(&body))
        .await
        .expect(201);
    let delete = format!("DELETE /api/v1/keys/{}", made["id"].as_str().unwrap());
    let first = ask(&server, "tok_admin", "k1", &delete, &json!({})).await;
    first.expect(204);
    let again = ask(&server, "tok_admin", "k1", &delete, &json!({})).await;
    again.expect(204);
    assert!(is_replay(&again));
}

#[tokio::test]
async fn what_was_cut_short_is_never_carried_out_again() {
    let server = Server::start().await;
    let before = keys(&server).await;
    let body = json!({"name": "one"});
    let (team, actor) = ("team_1".into(), the_admin(&server).await);
    let repeater = Repeater {
        team: Some(&team),
        actor: Cow::Borrowed(&actor),
        standing: Standing::Role(Role::Admin),
    };
    // As a process does that dies right after.
    let target = fingerprint(&[MAKE.as_bytes()]);
    let request = fingerprint(&[&target, body.to_string().as_bytes()]);
    let reserved = server.engine.reserve(repeater, "k1", request).await;
    assert!(matches!(reserved, Ok(Repeat::First(_))));
    let refused = ask(&server, "tok_admin", "k1", MAKE, &body)
        .await
        .expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("in a moment"));
    server.clock.advance(Duration::from_secs(300));
    let refused = ask(&server, "tok_admin", "k1", MAKE, &body)
        .await
        .expect(409);
    assert!(
        refused["detail"].as_str().unwrap().contains("not known"),
        "{refused}"
    );
    assert_eq!(keys(&server).await, before);
}

async fn the_admin(server: &Server) -> Actor {
    let caller = server.engine.caller("tok_admin", None).await.unwrap();
    caller.actor.clone()
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let server = Server::start().await;
    let body = json!({"name": "one"});
    let first = ask(&server, "tok_admin", "k1", MAKE, &body).await;
    first.expect(201);
    server.clock.advance(Duration::from_secs(24 * 3600 - 1));
    let replayed = ask(&server, "tok_admin", "k1", MAKE, &body).await;
    assert_eq!(replayed.text, first.text);
    server.clock.advance(Duration::from_secs(1));
    let next = ask(&server, "tok_admin", "k1", MAKE, &json!({"name": "two"})).await;
    next.expect(201);
    assert!(!is_replay(&next));
}

#[tokio::test]
async fn what_is_no_key_is_said_so() {
    let server = Server::start().await;
    for wrong in ["", "two words", &"k".repeat(256)] {
        let refused = ask(&server, "tok_admin", wrong, MAKE, &json!({})).await;
        let refused = refused.expect(400);
        assert_eq!(refused["errors"][0]["field"], "Idempotency-Key");
    }
    // Reads have no use for one.
    let mut asked = request(Some("tok_admin"), "GET /api/v1/projects", None);
    asked
        .headers_mut()
        .insert("idempotency-key", "two words".parse().unwrap());
    server.send(asked).await.expect(200);
}

#[tokio::test]
async fn a_token_is_read_anew_whatever_key_is_named_so_that_a_revocation_ends_it() {
    let server = Server::start().await;
    let read = "POST /api/v1/tokens";
    let whose = json!({"connector": "scl_1", "subject": {"type": "user", "id": "u1"}});
    let first = ask(&server, "tok_workload", "k1", read, &whose).await;
    assert_eq!(first.expect(200)["token"], "at_1");
    let again = ask(&server, "tok_workload", "k1", read, &whose).await;
    assert!(!is_replay(&again));
    let ended = server.call("tok_admin", "DELETE /api/v1/connections/conn_1", None);
    ended.await.expect(200);
    let after = ask(&server, "tok_workload", "k1", read, &whose).await;
    after.expect(422);
}

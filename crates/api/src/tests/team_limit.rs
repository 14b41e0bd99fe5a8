//! How often a team may ask, all its keys together; off by default.

use std::time::Duration;

use super::server::{Answer, Server};

const LIST: &str = "GET /v1/connect/connectors";

async fn ask(server: &Server, key: &str) -> Answer {
    server.call(key, LIST, None).await
}

#[tokio::test]
async fn a_team_asks_so_often_a_minute_and_is_told_how_often() {
    let server = Server::start_with(|settings| settings.limits.team_requests_per_minute = 3).await;
    for key in ["tok_admin", "tok_member", "tok_admin"] {
        ask(&server, key).await.expect(200);
    }
    // Whichever of its keys it asks with, and by the native API, too.
    let refused = ask(&server, "tok_member").await;
    assert_eq!(refused.headers["retry-after"], "20");
    assert_eq!(refused.expect(429)["error"]["code"], "rate_limited");
    let native = server
        .call("tok_admin", "GET /api/v1/connectors", None)
        .await;
    assert_eq!(native.headers["retry-after"], "20");
    assert_eq!(native.expect(429)["code"], "rate_limited");
    // Another team goes on, and so does this one a third of a minute later: once.
    ask(&server, "tok_stranger").await.expect(200);
    server.clock.advance(Duration::from_secs(20));
    ask(&server, "tok_admin").await.expect(200);
    ask(&server, "tok_admin").await.expect(429);
}

#[tokio::test]
async fn a_team_asks_as_often_as_it_likes_unless_the_deployment_says_otherwise() {
    let server = Server::start().await;
    for _ in 0..200 {
        ask(&server, "tok_admin").await.expect(200);
    }
}

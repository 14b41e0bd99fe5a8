//! Who begins sign-ins has proved nothing: an address may begin so many, and is told how many when there are more.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderValue;

use super::server::{Answer, Server, request};
use crate::kit::edge::Visit;

async fn begin(server: &Server, client: Option<&str>) -> Answer {
    let mut asked = request(None, "GET /oauth/authorize?state=s", None);
    let host = HeaderValue::from_static("connect.example");
    asked.headers_mut().insert("host", host);
    asked.extensions_mut().insert(Visit {
        client: client.map(|client| client.parse::<IpAddr>().unwrap()),
        request_id: None,
        traced: false,
        logged: false,
    });
    server.send(asked).await
}

#[tokio::test]
async fn an_address_begins_so_many_sign_ins_a_minute_and_is_told_how_many() {
    let server = Server::start().await;
    for count in 0..600 {
        let answer = begin(&server, Some("2001:db8::1")).await;
        assert_eq!(answer.status, 400, "{count}: {}", answer.text);
    }
    // Of IPv6, whoever has one address has 2^64.
    for client in ["2001:db8::1", "2001:db8::ffff:1"] {
        let refused = begin(&server, Some(client)).await;
        assert_eq!(refused.status, 429, "{client}");
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(refused.headers["content-type"], "text/html; charset=utf-8");
        assert!(
            refused.text.contains("600 sign-ins a minute"),
            "{}",
            refused.text
        );
    }
    // Others, and who comes through the control socket, go on.
    for client in [Some("2001:db8:0:1::1"), Some("192.0.2.7"), None] {
        assert_eq!(begin(&server, client).await.status, 400, "{client:?}");
    }
    server.clock.advance(Duration::from_millis(100));
    assert_eq!(begin(&server, Some("2001:db8::1")).await.status, 400);
    assert_eq!(begin(&server, Some("2001:db8::1")).await.status, 429);
}

#[tokio::test]
async fn the_limit_is_the_deployments_to_choose() {
    let server = Server::start_with(|settings| settings.limits.sign_ins_per_minute = 2).await;
    for status in [400, 400, 429] {
        let answer = begin(&server, Some("192.0.2.7")).await;
        assert_eq!(answer.status, status);
    }
    let refused = begin(&server, Some("192.0.2.7")).await;
    assert_eq!(refused.headers["retry-after"], "30");
    assert!(refused.text.contains("2 sign-ins a minute"));
    let server = Server::start_with(|settings| settings.limits.sign_ins_per_minute = 0).await;
    for _ in 0..1000 {
        assert_eq!(begin(&server, Some("192.0.2.7")).await.status, 400);
    }
}

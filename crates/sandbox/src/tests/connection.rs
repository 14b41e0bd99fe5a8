//! Faults of the connection itself, seen from a raw socket.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::*;
use crate::Order;

/// Everything the server sends to one refresh, and how the connection ended.
async fn refresh_raw(bench: &Bench, token: &str) -> (String, io::Result<()>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "this test is the one that listens"
    )]
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let exchange = async {
        #[expect(clippy::disallowed_methods, reason = "this test is the client")]
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = form(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
        let (name, value) = basic("demo", "demo-secret");
        let request = format!(
            "POST /token HTTP/1.1\r\nhost: sandbox.test\r\nconnection: close\r\n{name}: {value}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        let end = stream.read_to_end(&mut received).await.map(|_| ());
        (String::from_utf8(received).unwrap(), end)
    };
    tokio::select! {
        never = bench.sandbox.serve(listener) => match never {},
        received = exchange => received,
    }
}

/// The declared length and the bytes that came.
fn lengths(response: &str) -> (usize, usize) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let declared = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    (declared.parse().unwrap(), body.len())
}

#[tokio::test]
async fn an_honest_answer_arrives_whole() {
    let bench = Bench::new();
    let token = bench.consented().await;
    let (response, end) = refresh_raw(&bench, &token).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let (declared, came) = lengths(&response);
    assert_eq!(declared, came);
    end.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_a_reset_connection_after_the_rotation() {
    for fault in ["lost", "grace"] {
        let bench = Bench::new();
        let token = bench.consented().await;
        bench.sandbox.order(Order::once(fault)).unwrap();
        let (response, end) = refresh_raw(&bench, &token).await;
        assert_eq!(response, "", "{fault}");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(!bench.is_current(&token), "{fault}");
        let (retry, _) = refresh_raw(&bench, &token).await;
        let status = if fault == "grace" { "200" } else { "400" };
        assert!(retry.starts_with(&format!("HTTP/1.1 {status} ")), "{retry}");
    }
}

#[tokio::test]
async fn a_cut_answer_keeps_its_length_and_loses_its_half() {
    let bench = Bench::new();
    let token = bench.consented().await;
    bench.sandbox.order(Order::once("lostmid")).unwrap();
    let (response, _) = refresh_raw(&bench, &token).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let (declared, came) = lengths(&response);
    assert_eq!(came, declared / 2);
    assert!(!bench.is_current(&token));
}

#[tokio::test]
async fn a_clock_ahead_replaces_the_date_header() {
    let bench = Bench::new();
    let token = bench.consented().await;
    bench.sandbox.order(Order::once("skewdate")).unwrap();
    let (response, _) = refresh_raw(&bench, &token).await;
    let dates: Vec<_> = response
        .lines()
        .filter(|l| l.starts_with("date: "))
        .collect();
    assert_eq!(dates, ["date: Sun, 06 Nov 1994 09:49:37 GMT"]);
}

//! The bare handler that `scripts/bench` sets a warm token read beside: it reads the same POST and
//! returns the same bytes, and does nothing else.
//!
//! `limit_server BODY_FILE` listens on a free port of loopback and prints `ready URL`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measuring stick, not a part of the product"
)]

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::post;

#[tokio::main]
async fn main() {
    let file = std::env::args().nth(1).expect("limit_server BODY_FILE");
    let answer = Bytes::from(std::fs::read(file).expect("a readable file"));
    let handler = post(move |asked: Bytes| async move {
        std::hint::black_box(asked);
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ];
        (headers, answer)
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    println!("ready http://{}", listener.local_addr().expect("bound"));
    axum::serve(listener, Router::new().fallback(handler))
        .await
        .expect("serves until it is killed");
}

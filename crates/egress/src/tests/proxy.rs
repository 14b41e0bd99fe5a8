//! Proxy variables are ignored (requirement 65).

use std::process::Command;

use super::server::{Server, answer, closed_port};
use super::*;

const INNER: &str = "tests::proxy::inside_a_process_with_proxy_variables";

/// A process cannot set its own variables without `unsafe`, so the test runs itself in a child
/// whose variables point to a port where nothing listens.
#[tokio::test]
async fn proxy_variables_are_ignored() {
    let dead = format!("http://127.0.0.1:{}", closed_port().await);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", INNER, "--ignored"]);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, &dead).env(name.to_uppercase(), &dead);
    }
    let output = child.env_remove("REQUEST_METHOD").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "run by `proxy_variables_are_ignored` with the variables set"]
async fn inside_a_process_with_proxy_variables() {
    let server = Server::start([answer(200, "", "")]).await;
    assert_eq!(outcome(&post(&loopback(), server.url("/")).await), Ok(200));
}

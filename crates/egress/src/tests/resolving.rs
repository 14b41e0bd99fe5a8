//! Names that lead somewhere else than they seem (requirements 58–60).

use grantry_core::http::Failure;

use super::server::{Server, answer};
use super::*;

#[tokio::test]
async fn one_forbidden_address_refuses_the_whole_host() {
    let server = Server::start([]).await;
    for answer in [
        &["127.0.0.1", "10.0.0.1"] as &[&str],
        &["10.0.0.1", "127.0.0.1"],
        &["1.1.1.1", "169.254.169.254"],
        &["2606:4700::1111", "::1"],
        &["::ffff:10.0.0.1"],
        &["::ffff:1.1.1.1"],
        &["64:ff9b::a00:1"],
    ] {
        let egress = egress(&["127.0.0.0/8"], Answers::new(&[answer]));
        let url = format!("https://name.example:{}/", server.port);
        let result = post(&egress, url).await;
        assert_eq!(outcome(&result), Err(Failure::Refused), "{answer:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn plain_http_reaches_listed_networks_only_whatever_the_name_resolves_to() {
    let egress = egress(&["127.0.0.0/8"], Answers::new(&[&["1.1.1.1"]]));
    let result = post(&egress, "http://name.example/").await;
    assert_eq!(outcome(&result), Err(Failure::Refused));
}

/// Loopback stands for the public address here: it is the allowed one. The name server answers
/// allowed, forbidden, allowed: were a name resolved a second time between check and connection,
/// the first request would fail.
#[tokio::test]
async fn a_rebinding_name_is_judged_at_every_connection_and_resolved_once_for_it() {
    let server = Server::start([
        answer(200, "Connection: close\r\n", ""),
        answer(200, "", ""),
    ])
    .await;
    let names = Answers::new(&[&["127.0.0.1"], &["10.0.0.1"], &["::ffff:127.0.0.1"]]);
    let egress = egress(&["127.0.0.0/8"], names.clone());
    let url = format!("http://rebinding.example:{}/", server.port);
    for (asked, expected) in [(1, Ok(200)), (2, Err(Failure::Refused)), (3, Ok(200))] {
        let result = post(&egress, &url).await;
        assert_eq!(outcome(&result), expected);
        assert_eq!(names.asked(), asked);
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_name_without_an_address_is_not_sent() {
    for answers in [&[] as &[&[&str]], &[&[]]] {
        let egress = egress(&[], Answers::new(answers));
        let result = post(&egress, "https://name.example/").await;
        assert_eq!(outcome(&result), Err(Failure::NotSent));
        let result = discover(&egress, "https://name.example/").await;
        assert_eq!(outcome(&result), Err(Failure::NotSent));
    }
}

//! Redirects: none for a POST, few and checked ones for metadata (requirements 47, 61).

use grantry_core::http::{Failure, Silence};
use zeroize::Zeroizing;

use super::server::{Act, Server, answer, closed_port};
use super::*;

const REDIRECT: Result<u16, Failure> = Err(Failure::Unknown(Silence::Redirect));

fn redirect(status: u16, location: &str) -> Act {
    answer(status, &format!("Location: {location}\r\n"), "")
}

#[tokio::test]
async fn a_redirect_of_a_token_request_is_returned_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([redirect(status, "/elsewhere")]).await;
        let result = post(&loopback(), server.url("/token")).await;
        assert_eq!(outcome(&result), Ok(status));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn only_a_get_for_discovery_is_followed() {
    for (method, purpose) in [
        (Method::Get, Purpose::Token),
        (Method::Post, Purpose::Discovery),
        (Method::Delete, Purpose::Discovery),
    ] {
        let server = Server::start([redirect(302, "/elsewhere")]).await;
        let result = loopback()
            .send(request(method, server.url("/"), b"", purpose))
            .await;
        assert_eq!(outcome(&result), Ok(302), "{method:?} {purpose:?}");
    }
}

#[tokio::test]
async fn metadata_is_followed_three_times_and_no_further() {
    let hops = |count: usize| (0..count).map(|hop| redirect(302, &format!("/hop/{hop}")));
    let server = Server::start(hops(3).chain([answer(200, "", "{}")])).await;
    let response = discover(&loopback(), server.url("/")).await.ok().unwrap();
    assert_eq!((response.status, response.url.path()), (200, "/hop/2"));

    let server = Server::start(hops(4)).await;
    let result = discover(&loopback(), server.url("/")).await;
    assert_eq!(outcome(&result), REDIRECT);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_place_is_refused() {
    for location in [
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "//169.254.169.254/latest/",
        "https://[::1]/",
        "http://1.1.1.1/",
        "https://user@127.0.0.1/",
        "file:///etc/passwd",
        "https://127.0.0.1:0/",
    ] {
        let server = Server::start([redirect(302, location)]).await;
        let result = discover(&loopback(), server.url("/")).await;
        assert_eq!(outcome(&result), Err(Failure::Refused), "{location}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_name_of_a_private_host_is_refused() {
    let server = Server::start([redirect(302, "https://inside.example/")]).await;
    let egress = egress(&["127.0.0.0/8"], Answers::new(&[&["10.0.0.1"]]));
    let result = discover(&egress, server.url("/")).await;
    assert_eq!(outcome(&result), Err(Failure::Refused));
}

#[tokio::test]
async fn a_redirect_without_a_usable_target_is_no_answer() {
    let dead = format!("http://127.0.0.1:{}/", closed_port().await);
    for act in [
        answer(302, "", ""),
        redirect(302, "http://"),
        redirect(302, &dead),
    ] {
        let server = Server::start([act]).await;
        let result = discover(&loopback(), server.url("/")).await;
        assert_eq!(outcome(&result), REDIRECT);
    }
}

#[tokio::test]
async fn a_redirect_takes_no_header_along_but_accept() {
    let target = Server::start([answer(200, "", "{}")]).await;
    let server = Server::start([redirect(302, &target.url("/meta"))]).await;
    let mut metadata = request(Method::Get, server.url("/"), b"", Purpose::Discovery);
    metadata.headers = vec![
        ("accept", Zeroizing::new("application/json".to_owned())),
        ("authorization", Zeroizing::new("Bearer secret".to_owned())),
        (
            "mcp-protocol-version",
            Zeroizing::new("2026-07-28".to_owned()),
        ),
    ];
    assert_eq!(outcome(&loopback().send(metadata).await), Ok(200));
    let [request] = target.requests().try_into().unwrap();
    assert!(
        request.contains("accept: application/json\r\n"),
        "{request}"
    );
    for absent in ["authorization", "mcp-", "referer"] {
        assert!(!request.contains(absent), "{request}");
    }
}

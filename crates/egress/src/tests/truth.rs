//! *Not sent* and *unknown* are told apart truly (design §6d), and nothing is sent twice.

use std::num::NonZeroUsize;

use grantry_core::http::{Failure, Silence};

use super::server::{Act, Server, answer, closed_port, listen};
use super::*;

const CUT: Result<u16, Failure> = Err(Failure::Unknown(Silence::Cut));

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let url = format!("http://127.0.0.1:{}/", closed_port().await);
    assert_eq!(
        outcome(&post(&loopback(), &url).await),
        Err(Failure::NotSent)
    );
    assert_eq!(
        outcome(&discover(&loopback(), &url).await),
        Err(Failure::NotSent)
    );
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_not_sent() {
    let silent = listen().await;
    let url = format!("https://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let egress = loopback().with_deadline(SHORT);
    assert_eq!(outcome(&post(&egress, url).await), Err(Failure::NotSent));
}

#[tokio::test]
async fn silence_after_the_request_is_unknown() {
    for (act, expected) in [
        (Act::Reset, CUT),
        (Act::Cut(Vec::new()), CUT),
        (Act::Cut(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), CUT),
        (
            Act::Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"acc".to_vec()),
            CUT,
        ),
        (
            Act::Cut(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"acc\r\n".to_vec(),
            ),
            CUT,
        ),
        (Act::Cut(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), CUT),
    ] {
        let server = Server::start([act]).await;
        let result = post(&loopback(), server.url("/token")).await;
        assert_eq!(outcome(&result), expected);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_unknown_at_the_deadline() {
    let server = Server::start([Act::Hang(Vec::new())]).await;
    let egress = loopback().with_deadline(SHORT);
    let result = post(&egress, server.url("/token")).await;
    assert_eq!(outcome(&result), Err(Failure::Unknown(Silence::Timeout)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reset_on_a_reused_connection_is_unknown_and_the_request_is_not_sent_again() {
    let server = Server::start([answer(200, "", ""), Act::Reset]).await;
    let egress = loopback();
    assert_eq!(outcome(&post(&egress, server.url("/token")).await), Ok(200));
    assert_eq!(outcome(&post(&egress, server.url("/token")).await), CUT);
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn every_status_is_an_answer() {
    for status in [
        200, 204, 301, 302, 307, 308, 400, 401, 408, 425, 429, 500, 502, 503,
    ] {
        let server = Server::start([answer(status, "", "")]).await;
        let result = post(&loopback(), server.url("/token")).await;
        assert_eq!(outcome(&result), Ok(status));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_finds_no_place_at_its_host_is_not_sent() {
    let server = Server::start([Act::Hang(Vec::new())]).await;
    let options = Options {
        per_host_max: NonZeroUsize::MIN,
        ..Options::default()
    };
    let policy = Policy::from_strings(["127.0.0.0/8"]).unwrap();
    let egress = Egress::new(policy, Arc::new(NoLookup), &options)
        .unwrap()
        .with_deadline(SHORT);
    let (first, second) = tokio::join!(
        post(&egress, server.url("/token")),
        post(&egress, server.url("/token")),
    );
    assert_eq!(outcome(&first), Err(Failure::Unknown(Silence::Timeout)));
    assert_eq!(outcome(&second), Err(Failure::NotSent));
    assert_eq!(server.requests().len(), 1);
}

/// Requirement 49: whoever searches a slow endpoint, however often, delays no refresh at the same host, on the
/// same port or on another.
#[tokio::test]
async fn a_host_full_of_searches_still_takes_token_requests() {
    let slow = Act::Hang(Vec::new());
    let server = Server::start([slow, answer(200, "", "")]).await;
    let neighbour = Server::start([answer(200, "", "")]).await;
    let options = Options {
        per_host_max: NonZeroUsize::MIN,
        ..Options::default()
    };
    let policy = Policy::from_strings(["127.0.0.0/8"]).unwrap();
    let egress = Egress::new(policy, Arc::new(NoLookup), &options)
        .unwrap()
        .with_deadline(PATIENT);
    let search = request(Method::Post, server.url("/search"), b"{}", Purpose::Search);
    let refreshes = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        for url in [server.url("/token"), neighbour.url("/token")] {
            assert_eq!(outcome(&post(&egress, url).await), Ok(200));
        }
    };
    tokio::select! {
        _ = egress.send(search) => panic!("the endpoint hangs"),
        () = refreshes => {}
    }
}

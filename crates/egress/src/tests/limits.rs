//! Size and time (requirement 46), and what a request and an answer look like.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use grantry_core::http::{Failure, Silence};
use zeroize::Zeroizing;

use super::server::{Act, Server, answer};
use super::*;

const MIB: usize = 1024 * 1024;

const BAD_BODY: Result<u16, Failure> = Err(Failure::Unknown(Silence::BadBody));

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_at_the_cap_is_taken_and_one_byte_more_is_not() {
    for (size, expected) in [(MIB, Ok(200)), (MIB + 1, BAD_BODY)] {
        let body = vec![b' '; size];
        let zipped = answer(200, "Content-Encoding: gzip\r\n", gzip(&body));
        let server = Server::start([answer(200, "", &body), zipped]).await;
        for path in ["/plain", "/gzip"] {
            let result = post(&loopback(), server.url(path)).await;
            assert_eq!(outcome(&result), expected, "{path} {size}");
        }
    }
}

/// An endless body, plain and as a bomb (1 MiB of zeros in a kilobyte, again and again): the client
/// leaves while the server has got rid of no more than the cap and what socket buffers hold.
#[tokio::test]
async fn an_endless_body_is_left_at_the_cap() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    for (headers, piece) in [
        ("\r\n", vec![b' '; 64 * 1024]),
        ("Content-Encoding: gzip\r\n\r\n", gzip(&vec![0; MIB])),
    ] {
        let flood = Act::Flood(format!("{head}{headers}").into_bytes(), piece);
        let server = Server::start([flood]).await;
        let result = post(&loopback(), server.url("/token")).await;
        assert_eq!(outcome(&result), BAD_BODY);
        assert!(server.flooded() < 32 * MIB, "{} bytes", server.flooded());
    }
}

#[tokio::test]
async fn a_body_that_drips_hits_the_total_deadline() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    let server = Server::start([Act::Drip(head, b" ".to_vec())]).await;
    let egress = loopback().with_deadline(SHORT);
    let result = post(&egress, server.url("/token")).await;
    assert_eq!(outcome(&result), Err(Failure::Unknown(Silence::Timeout)));
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_bad() {
    let cut = gzip(b"{\"access_token\":\"x\"}");
    for (encoding, body) in [
        ("gzip", b"no gzip at all".to_vec()),
        ("gzip", cut[..cut.len() - 10].to_vec()),
        ("br", b"whatever".to_vec()),
        ("zstd", b"whatever".to_vec()),
    ] {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let server = Server::start([answer(200, &headers, body)]).await;
        let result = post(&loopback(), server.url("/token")).await;
        assert_eq!(outcome(&result), BAD_BODY, "{encoding}");
    }
}

#[tokio::test]
async fn headers_beyond_their_caps_end_the_exchange() {
    let many = "X: y\r\n".repeat(101);
    let long = format!("X: {}\r\n", "y".repeat(64 * 1024));
    for headers in [many, long] {
        let server = Server::start([answer(200, &headers, "")]).await;
        let result = post(&loopback(), server.url("/token")).await;
        assert!(matches!(outcome(&result), Err(Failure::Unknown(_))));
    }
}

#[tokio::test]
async fn a_request_carries_what_it_was_given_and_says_who_sends_it() {
    let server = Server::start([answer(200, "", ""), answer(200, "", "")]).await;
    let egress = loopback();
    let mut token = request(Method::Post, server.url("/token"), b"a=b", Purpose::Token);
    token.headers = vec![("authorization", Zeroizing::new("Basic eDp5".to_owned()))];
    assert_eq!(outcome(&egress.send(token).await), Ok(200));
    assert_eq!(
        outcome(&discover(&egress, server.url("/meta")).await),
        Ok(200)
    );

    let [post, get] = server.requests().try_into().unwrap();
    for line in [
        "POST /token HTTP/1.1\r\n",
        "authorization: Basic eDp5\r\n",
        "content-length: 3\r\n",
        "accept-encoding: gzip\r\n",
        concat!("user-agent: grantry/", env!("CARGO_PKG_VERSION"), "\r\n"),
    ] {
        assert!(post.contains(line), "{line} in {post}");
    }
    assert!(post.ends_with("\r\n\r\na=b"), "{post}");
    assert!(!post.contains("transfer-encoding"), "{post}");
    assert!(get.starts_with("GET /meta HTTP/1.1\r\n"), "{get}");
    assert!(!get.contains("content-length"), "{get}");
}

#[tokio::test]
async fn a_header_with_a_line_break_is_refused() {
    let server = Server::start([]).await;
    let mut token = request(Method::Post, server.url("/token"), b"a=b", Purpose::Token);
    token.headers = vec![("authorization", Zeroizing::new("x\r\nhost: y".to_owned()))];
    assert_eq!(
        outcome(&loopback().send(token).await),
        Err(Failure::Refused)
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_answer_keeps_its_visible_headers_in_order() {
    let headers = "X-B: 1\r\nX-A: 2\r\nX-B: 3\r\nX-C: \u{e9}\r\n";
    let server = Server::start([answer(200, headers, "{}")]).await;
    let response = discover(&loopback(), server.url("/meta"))
        .await
        .ok()
        .unwrap();
    let names: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(names, ["x-b=1", "x-b=3", "x-a=2"]);
    assert_eq!(&response.body[..], b"{}");
    assert_eq!(response.url.as_str(), server.url("/meta"));
}

#[tokio::test]
async fn a_cookie_is_not_sent_back() {
    let cookie = answer(200, "Set-Cookie: a=b; Path=/\r\n", "");
    let server = Server::start([cookie, answer(200, "", "")]).await;
    let egress = loopback();
    for _ in 0..2 {
        assert_eq!(outcome(&post(&egress, server.url("/token")).await), Ok(200));
    }
    assert!(!server.requests()[1].to_lowercase().contains("cookie"));
}

//! The command line's client.

use grantry_core::Secret;
use grantry_core::http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use url::Url;

use super::server::{Act, Server, answer, closed_port};
use crate::{Local, LocalError};

fn client(url: &str) -> Local {
    Local::http(&Url::parse(url).unwrap(), None).unwrap()
}

#[tokio::test]
async fn a_url_with_a_path_is_a_prefix() {
    let server = Server::start([answer(404, "", "{}")]).await;
    let local = client(&server.url("/base/"));
    let key = Secret::new("key_1");
    let reply = local
        .send(
            Method::Post,
            "/api/v1/keys?a=b",
            Some(&key),
            Some(b"{}".to_vec()),
        )
        .await
        .unwrap();
    assert_eq!((reply.status, &reply.body[..]), (404, &b"{}"[..]));
    let [request] = server.requests().try_into().unwrap();
    for line in [
        "POST /base/api/v1/keys?a=b HTTP/1.1\r\n",
        "authorization: Bearer key_1\r\n",
        "content-type: application/json\r\n",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
}

#[tokio::test]
async fn redirects_are_replies() {
    let server = Server::start([answer(307, "Location: /x\r\n", "")]).await;
    let local = client(&server.url(""));
    let reply = local.send(Method::Get, "/", None, None).await.unwrap();
    assert_eq!(reply.status, 307);
}

#[tokio::test]
async fn an_absent_server_is_told_from_one_that_broke_off() {
    let absent = client(&format!("http://127.0.0.1:{}", closed_port().await));
    let error = absent.send(Method::Get, "/", None, None).await.unwrap_err();
    assert!(error.is_absent(), "{error}");

    let server = Server::start([Act::Reset]).await;
    let local = client(&server.url(""));
    let error = local.send(Method::Get, "/", None, None).await.unwrap_err();
    assert!(matches!(error, LocalError::NoAnswer { .. }));
    assert!(!error.is_absent(), "{error}");
}

#[tokio::test]
async fn a_path_begins_with_a_slash() {
    let local = client("http://127.0.0.1");
    for path in ["", "api", "@evil.example/", ".evil.example/"] {
        let error = local.send(Method::Get, path, None, None).await.unwrap_err();
        assert!(matches!(error, LocalError::BadPath(_)), "{path}");
    }
}

#[tokio::test]
async fn an_endless_reply_is_left() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = Server::start([Act::Flood(head, vec![b' '; 64 * 1024])]).await;
    let local = client(&server.url(""));
    let error = local.send(Method::Get, "/", None, None).await.unwrap_err();
    assert!(matches!(error, LocalError::TooLarge { .. }));
}

#[tokio::test]
async fn the_control_socket_is_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let absent = Local::unix(&path).unwrap();
    let error = absent.send(Method::Get, "/", None, None).await.unwrap_err();
    assert!(error.is_absent(), "{error}");

    #[expect(clippy::disallowed_methods, reason = "the test plays the server")]
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(reply).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let local = Local::unix(&path).unwrap();
    let reply = local
        .send(Method::Get, "/healthz", None, None)
        .await
        .unwrap();
    assert_eq!((reply.status, &reply.body[..]), (200, &b"ok"[..]));
    assert!(
        server
            .await
            .unwrap()
            .starts_with("GET /healthz HTTP/1.1\r\n")
    );
}

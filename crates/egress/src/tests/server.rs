//! A server that does to each request what its script says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What happens to one request.
#[derive(Clone)]
pub(super) enum Act {
    /// Answer and keep the connection.
    Answer(Vec<u8>),
    /// Write this and close.
    Cut(Vec<u8>),
    /// Reset the connection without a word.
    Reset,
    /// Write this and then nothing, until the client leaves.
    Hang(Vec<u8>),
    /// Write the first, then the second again and again, until the client leaves.
    Flood(Vec<u8>, Vec<u8>),
    /// Like `Flood`, one piece each 20 ms: never silent for long, never done.
    Drip(Vec<u8>, Vec<u8>),
}

pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
    flooded: usize,
}

impl Server {
    /// Plays `script`, one act per request.
    pub(super) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        Self::start_with(script, None).await
    }

    pub(super) async fn start_tls(
        script: impl IntoIterator<Item = Act>,
        config: ServerConfig,
    ) -> Self {
        Self::start_with(script, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(script: impl IntoIterator<Item = Act>, tls: Option<TlsAcceptor>) -> Self {
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Seen>>::default();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let server_seen = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server_seen.lock().unwrap().connections += 1;
                let (script, seen, tls) = (script.clone(), server_seen.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => play(stream, &script, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                play(stream, &script, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Every request that arrived whole: head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// Bytes that a flood got rid of before the client left.
    pub(super) fn flooded(&self) -> usize {
        self.seen.lock().unwrap().flooded
    }
}

/// A listener on a free port of loopback.
#[expect(
    clippy::disallowed_methods,
    reason = "the opponent needs a port of its own"
)]
pub(super) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A port of loopback where nothing listens.
pub(super) async fn closed_port() -> u16 {
    listen().await.local_addr().unwrap().port()
}

/// An answer with this status, these header lines and this body.
pub(super) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Act {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    Act::Answer([head.as_bytes(), body].concat())
}

trait Resettable {
    /// Makes the coming close a reset.
    fn reset_on_close(&self);
}

impl Resettable for TcpStream {
    fn reset_on_close(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Resettable for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

async fn play<S: AsyncRead + AsyncWrite + Unpin + Resettable>(
    mut stream: S,
    script: &Mutex<VecDeque<Act>>,
    seen: &Mutex<Seen>,
) {
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().requests.push(request);
        let act = script.lock().unwrap().pop_front();
        match act.expect("a request beyond the script") {
            Act::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::Cut(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                stream.shutdown().await.unwrap();
                return;
            }
            Act::Reset => return stream.reset_on_close(),
            Act::Hang(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                // Ends when the client closes.
                let _ = stream.read(&mut [0]).await;
                return;
            }
            Act::Flood(head, piece) => {
                stream.write_all(&head).await.unwrap();
                while stream.write_all(&piece).await.is_ok() {
                    seen.lock().unwrap().flooded += piece.len();
                }
                return;
            }
            Act::Drip(head, piece) => {
                stream.write_all(&head).await.unwrap();
                let mut tick = tokio::time::interval(Duration::from_millis(20));
                while stream.write_all(&piece).await.is_ok() {
                    tick.tick().await;
                }
                return;
            }
        }
    }
}

/// One request, head and body by its `Content-Length`; `None` when the client closed.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, &mut bytes).await?;
    };
    let text = String::from_utf8(bytes[..head].to_vec())
        .unwrap()
        .to_lowercase();
    let length: usize = text
        .split_once("content-length: ")
        .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
    while bytes.len() < head + length {
        read_more(stream, &mut bytes).await?;
    }
    Some(String::from_utf8(bytes).unwrap())
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(bytes).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

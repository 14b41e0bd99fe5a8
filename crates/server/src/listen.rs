//! Sockets for clients, and serving HTTP on them until it is time to stop.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use grantry_core::Clock as _;
use grantry_core::limits::Limits;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::clock::SystemClock;
use crate::control::ControlSocket;
use crate::failure::{Exit, Failure};
use crate::front::Front;
use crate::port::holder_of;
use crate::seats::{Held, Seat, Seats, Watched};
use crate::tls::Tls;

/// Pause after a failed accept (out of file descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Pause before it is looked again whether somebody has a place without using it.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Listens at `address`.
///
/// # Errors
/// [`Exit::Address`], with who holds the port.
pub async fn tcp(address: SocketAddr) -> Result<TcpListener, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that opens sockets for clients"
    )]
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| refused(address, &error))
}

/// Listens at `address`, or at the first free port after it; says so where it had to move on.
pub async fn tcp_near(address: SocketAddr) -> Result<(TcpListener, Option<Failure>), Failure> {
    const TRIES: u16 = 100;
    let mut busy = None;
    for port in address.port()..=address.port().saturating_add(TRIES) {
        match tcp(SocketAddr::new(address.ip(), port)).await {
            Ok(listener) => return Ok((listener, busy)),
            Err(failure) => busy = busy.or(Some(failure)),
        }
    }
    Err(busy.unwrap_or_else(|| Failure::new(Exit::Address, format!("no free port near {address}"))))
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder_of(address.port());
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            Failure::new(Exit::Address, format!("{address} is taken by {holder}"))
                .hint("Stop it, or give --listen another port.")
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::Address, format!("{address}: {error}"))
                .hint("Ports below 1024 need a privilege; a higher one behind a proxy does not.")
        }
        _ => Failure::new(
            Exit::Address,
            format!("cannot listen at {address}: {error}"),
        ),
    }
}

/// The sockets of a server and what answers at each.
pub struct Doors {
    /// For everybody.
    pub tcp: TcpListener,
    /// Answers there.
    pub public: Router,
    /// For the operator of this machine.
    pub control: ControlSocket,
    /// Answers there.
    pub local: Router,
    /// Makes `tcp` speak TLS.
    pub tls: Option<Tls>,
    /// What is noted of requests at `tcp`.
    pub front: Front,
    /// What clients are held to.
    pub limits: Limits,
}

impl Doors {
    /// Serves until `stop` completes; then accepts nobody new, and returns when every request that
    /// had begun is answered.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        allow_many_connections();
        let http = Arc::new(http(&self.limits));
        let (front, unknown) = (Arc::new(self.front), Arc::new(Front::default()));
        let seats = Seats::new(self.limits.connections_max);
        let connections = GracefulShutdown::new();
        let patience = self.limits.answer_time_max;
        let visitor = |router: &Router, front: &Arc<Front>| Visitor {
            http: Arc::clone(&http),
            watcher: connections.watcher(),
            router: router.clone(),
            front: Arc::clone(front),
            address: None,
            held: None,
            patience,
        };
        let mut stop = std::pin::pin!(stop);
        // Who came and has no place yet.
        let mut guest: Option<(TcpStream, SocketAddr)> = None;
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.tcp.accept(), if guest.is_none() => match accepted {
                    Ok(accepted) => {
                        // An answer is one write; without this it may wait for an acknowledgement.
                        let _only_slower = accepted.0.set_nodelay(true);
                        seats.make_room();
                        guest = Some(accepted);
                    }
                    Err(error) => pause(&error).await,
                },
                held = Arc::clone(&seats).take(), if guest.is_some() => {
                    let Some((stream, from)) = guest.take() else { continue };
                    let visitor = Visitor {
                        address: Some(from.ip()),
                        held: Some(Arc::new(held)),
                        ..visitor(&self.public, &front)
                    };
                    match &self.tls {
                        None => drop(tokio::spawn(visitor.attend(stream))),
                        Some(tls) => {
                            let acceptor = tls.acceptor().clone();
                            let within = self.limits.header_time_max;
                            tokio::spawn(visitor.shake_hands(acceptor, stream, within));
                        }
                    }
                },
                () = SystemClock.sleep(FULL_PAUSE), if guest.is_some() => seats.make_room(),
                accepted = self.control.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(visitor(&self.local, &unknown).attend(stream));
                    }
                    Err(error) => pause(&error).await,
                },
            }
        }
        drop(self.tcp);
        drop(self.control);
        connections.shutdown().await;
    }
}

/// HTTP/1.1 only: its time limit holds from the first byte on, silence included, and what HTTP/2 is
/// good for (many requests on one connection across the internet) is the business of the proxy in front.
fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max)
        .max_buf_size(limits.header_bytes_max);
    http
}

/// A client that was let in, and what it meets.
struct Visitor {
    http: Arc<http1::Builder>,
    watcher: Watcher,
    router: Router,
    front: Arc<Front>,
    address: Option<IpAddr>,
    /// Its place, where there are so many.
    held: Option<Arc<Held>>,
    /// How long it may take in nothing of an answer.
    patience: Duration,
}

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// What a client hears that speaks http where https is spoken.
const WRONG_SCHEME: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
    This port speaks https: ask for https:// instead of http://\n";

impl Visitor {
    /// Serves the client's requests to the end of the connection.
    async fn attend(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            http,
            watcher,
            router,
            front,
            address,
            held,
            patience,
        } = self;
        let seat = held.as_ref().map(|held| held.seat());
        let stream = Watched::new(stream, seat.clone(), patience);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let admitted = front.admit(address, request.map(Body::new));
            let (router, held) = (router.clone(), held.clone());
            if let Some(held) = &held {
                held.begin();
            }
            async move {
                let answer = match admitted {
                    Ok(request) => router.oneshot(request).await,
                    Err(answer) => Ok(*answer),
                };
                if let Some(held) = held {
                    held.end();
                }
                answer
            }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            done = watcher.watch(connection) => if let Err(error) = done {
                tracing::debug!(%error, "a connection broke off");
            },
            () = lost(seat) => tracing::debug!("an idle connection made room for another"),
        }
    }

    /// The same over TLS. The handshake has to be over `within` this time.
    async fn shake_hands(self, acceptor: TlsAcceptor, mut stream: TcpStream, within: Duration) {
        let seat = self.held.as_ref().map(|held| held.seat());
        let handshake = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
                stream.write_all(WRONG_SCHEME).await?;
                return Err(io::Error::other("it does not speak TLS"));
            }
            acceptor.accept(stream).await
        };
        tokio::select! {
            () = SystemClock.sleep(within) => tracing::debug!("a handshake took too long"),
            () = lost(seat) => tracing::debug!("a handshake made room for another connection"),
            done = handshake => match done {
                Ok(stream) => self.attend(stream).await,
                Err(error) => tracing::debug!(%error, "a handshake failed"),
            },
        }
    }
}

/// Completes when the place `seat` is somebody else's.
async fn lost(seat: Option<Arc<Seat>>) {
    match seat {
        Some(seat) => seat.lost().await,
        None => pending().await,
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    SystemClock.sleep(ACCEPT_PAUSE).await;
}

/// The usual limit of 1 024 open files is for programs that call `select`.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    /// A control socket and the folder that it is in.
    fn control() -> (tempfile::TempDir, ControlSocket) {
        let folder = tempfile::tempdir().unwrap();
        let socket = ControlSocket::open(&folder.path().join("control.sock")).unwrap();
        (folder, socket)
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        #[expect(clippy::disallowed_methods, reason = "the test is the client")]
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_that_has_begun_is_answered_after_the_order_to_stop() {
        let tcp = tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (entered, inside) = oneshot::channel::<()>();
        let (leave, left) = oneshot::channel::<()>();
        let once = std::sync::Arc::new(std::sync::Mutex::new(Some((entered, left))));
        let slow = move || async move {
            let taken = once.lock().unwrap().take();
            let (entered, left) = taken.unwrap();
            entered.send(()).unwrap();
            left.await.unwrap();
            "answered"
        };
        let (_folder, control) = control();
        let doors = Doors {
            tcp,
            public: Router::new().route("/", get(slow)),
            control,
            local: Router::new(),
            tls: None,
            front: Front::default(),
            limits: Limits::default(),
        };
        let (order, ordered) = oneshot::channel::<()>();
        let served = tokio::spawn(doors.serve(async { ordered.await.unwrap() }));
        let mut client = connect(address).await;
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        inside.await.unwrap();
        order.send(()).unwrap();
        leave.send(()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("answered"),
            "{answer}"
        );
        served.await.unwrap();
    }

    /// Serves for ever, so many clients at once.
    async fn serving(connections_max: usize, public: Router) -> (tempfile::TempDir, SocketAddr) {
        let limits = Limits {
            connections_max,
            ..Limits::default()
        };
        serving_within(limits, public).await
    }

    async fn serving_within(limits: Limits, public: Router) -> (tempfile::TempDir, SocketAddr) {
        let tcp = tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (folder, control) = control();
        let doors = Doors {
            tcp,
            public,
            control,
            local: Router::new(),
            tls: None,
            front: Front::default(),
            limits,
        };
        tokio::spawn(doors.serve(std::future::pending()));
        (folder, address)
    }

    /// All that the server says until it hangs up.
    async fn told(client: &mut TcpStream) -> String {
        let mut told = Vec::new();
        // A reset is as good as an end.
        let _read = client.read_to_end(&mut told).await;
        String::from_utf8(told).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_silent_or_trickles_its_headers_is_dropped() {
        let (_folder, address) = serving(1, Router::new()).await;
        for begun in ["", "G", "GET / HTTP/1.1\r\nx: ", "PRI * HTTP/2.0\r\n\r\n"] {
            let mut client = connect(address).await;
            client.write_all(begun.as_bytes()).await.unwrap();
            let told = told(&mut client).await;
            assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
        }
    }

    #[tokio::test]
    async fn headers_beyond_64_kib_are_refused() {
        let (_folder, address) = serving(1, Router::new()).await;
        let mut client = connect(address).await;
        let long = format!(
            "GET / HTTP/1.1\r\nx: {}",
            "x".repeat(Limits::default().header_bytes_max)
        );
        client.write_all(long.as_bytes()).await.unwrap();
        let told = told(&mut client).await;
        assert!(told.starts_with("HTTP/1.1 431"), "{told}");
    }

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    /// Slow headers and silence, on every place that there is (requirement 101).
    #[tokio::test]
    async fn who_is_idle_on_the_last_place_makes_room_for_who_comes() {
        let (_folder, address) = serving(2, Router::new()).await;
        let mut idle = Vec::new();
        for begun in ["", "GET / HTTP/1.1\r\nx: ", "G", ""] {
            let mut client = connect(address).await;
            client.write_all(begun.as_bytes()).await.unwrap();
            idle.push(client);
        }
        for _ in 0..3 {
            let mut client = connect(address).await;
            client.write_all(ASK).await.unwrap();
            assert!(told(&mut client).await.starts_with("HTTP/1.1 404"));
        }
        // The first of them lost theirs.
        assert_eq!(told(&mut idle[0]).await, "");
    }

    #[tokio::test]
    async fn who_is_served_keeps_the_place_and_the_next_waits() {
        let (enter, mut entered) = tokio::sync::mpsc::channel(1);
        let leave = Arc::new(tokio::sync::Notify::new());
        let left = Arc::clone(&leave);
        let slow = move || async move {
            enter.send(()).await.unwrap();
            left.notified().await;
            "answered"
        };
        let (_folder, address) = serving(1, Router::new().route("/", get(slow))).await;
        let mut first = connect(address).await;
        first.write_all(ASK).await.unwrap();
        entered.recv().await.unwrap();
        let mut second = connect(address).await;
        second.write_all(ASK).await.unwrap();
        SystemClock.sleep(FULL_PAUSE * 3).await;
        let early = entered.try_recv();
        assert!(early.is_err(), "the second is served on no place");
        leave.notify_one();
        assert!(told(&mut first).await.ends_with("answered"));
        entered.recv().await.unwrap();
        leave.notify_one();
        assert!(told(&mut second).await.ends_with("answered"));
    }

    #[tokio::test]
    async fn who_asks_and_never_reads_is_given_up() {
        const LARGE: usize = 64 << 20;
        let large = || async { vec![0_u8; LARGE] };
        let limits = Limits {
            connections_max: 1,
            answer_time_max: Duration::from_millis(50),
            ..Limits::default()
        };
        let router = Router::new().route("/large", get(large));
        let (_folder, address) = serving_within(limits, router).await;
        let mut first = connect(address).await;
        let ask = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
        first.write_all(ask).await.unwrap();
        let mut second = connect(address).await;
        second.write_all(ASK).await.unwrap();
        assert!(told(&mut second).await.starts_with("HTTP/1.1 404"));
        let mut taken = Vec::new();
        let _broken_off = first.read_to_end(&mut taken).await;
        assert!(taken.len() < LARGE, "it was waited for");
    }

    #[tokio::test]
    async fn a_busy_port_is_refused_by_one_and_passed_over_by_the_other() {
        let first = tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let failure = tcp(address).await.err().unwrap();
        assert_eq!(failure.exit, Exit::Address);
        let me = format!("process {}", std::process::id());
        assert!(failure.message.contains(&me), "{}", failure.message);
        let (second, busy) = tcp_near(address).await.unwrap();
        assert!(second.local_addr().unwrap().port() > address.port());
        assert!(busy.is_some());
    }
}

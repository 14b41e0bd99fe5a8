//! Sockets for clients, and serving HTTP on them until it is time to stop.

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
use tokio::sync::{OwnedSemaphorePermit as Place, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::clock::SystemClock;
use crate::control::ControlSocket;
use crate::failure::{Exit, Failure};
use crate::front::Front;
use crate::port::holder_of;
use crate::tls::Tls;

/// Pause after a failed accept (out of file descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
        let places = Arc::new(Semaphore::new(
            self.limits.connections_max.min(Semaphore::MAX_PERMITS),
        ));
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                (accepted, place) = next(&self.tcp, &places) => match accepted {
                    Ok((stream, from)) => {
                        // An answer is one write; without this it may wait for an acknowledgement.
                        let _only_slower = stream.set_nodelay(true);
                        let visitor = Visitor {
                            http: Arc::clone(&http),
                            watcher: connections.watcher(),
                            router: self.public.clone(),
                            front: Arc::clone(&front),
                            address: Some(from.ip()),
                            place,
                        };
                        match &self.tls {
                            None => drop(tokio::spawn(visitor.attend(stream))),
                            Some(tls) => {
                                let acceptor = tls.acceptor().clone();
                                let within = self.limits.header_time_max;
                                tokio::spawn(visitor.shake_hands(acceptor, stream, within));
                            }
                        }
                    }
                    Err(error) => pause(&error).await,
                },
                accepted = self.control.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let visitor = Visitor {
                            http: Arc::clone(&http),
                            watcher: connections.watcher(),
                            router: self.local.clone(),
                            front: Arc::clone(&unknown),
                            address: None,
                            place: None,
                        };
                        tokio::spawn(visitor.attend(stream));
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

/// The next client, once there is a place for it. The place is free again when it is dropped.
async fn next(
    tcp: &TcpListener,
    places: &Arc<Semaphore>,
) -> (io::Result<(TcpStream, SocketAddr)>, Option<Place>) {
    // The semaphore is never closed, and that is all that could fail.
    let place = Arc::clone(places).acquire_owned().await.ok();
    (tcp.accept().await, place)
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
    /// Free again when the client is gone.
    place: Option<Place>,
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
            place: _place,
        } = self;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let admitted = front.admit(address, request.map(Body::new));
            let router = router.clone();
            async move {
                match admitted {
                    Ok(request) => router.oneshot(request).await,
                    Err(answer) => Ok(*answer),
                }
            }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection broke off");
        }
    }

    /// The same over TLS. The handshake has to be over `within` this time.
    async fn shake_hands(self, acceptor: TlsAcceptor, mut stream: TcpStream, within: Duration) {
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
            done = handshake => match done {
                Ok(stream) => self.attend(stream).await,
                Err(error) => tracing::debug!(%error, "a handshake failed"),
            },
        }
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
    async fn serving(connections_max: usize) -> (tempfile::TempDir, SocketAddr) {
        let tcp = tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (folder, control) = control();
        let doors = Doors {
            tcp,
            public: Router::new(),
            control,
            local: Router::new(),
            tls: None,
            front: Front::default(),
            limits: Limits {
                connections_max,
                ..Limits::default()
            },
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
        let (_folder, address) = serving(1).await;
        for begun in ["", "G", "GET / HTTP/1.1\r\nx: ", "PRI * HTTP/2.0\r\n\r\n"] {
            let mut client = connect(address).await;
            client.write_all(begun.as_bytes()).await.unwrap();
            let told = told(&mut client).await;
            assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
        }
    }

    #[tokio::test]
    async fn headers_beyond_64_kib_are_refused() {
        let (_folder, address) = serving(1).await;
        let mut client = connect(address).await;
        let long = format!(
            "GET / HTTP/1.1\r\nx: {}",
            "x".repeat(Limits::default().header_bytes_max)
        );
        client.write_all(long.as_bytes()).await.unwrap();
        let told = told(&mut client).await;
        assert!(told.starts_with("HTTP/1.1 431"), "{told}");
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_is_served_when_one_is_free() {
        const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let (_folder, address) = serving(1).await;
        let mut first = connect(address).await;
        let mut second = connect(address).await;
        second.write_all(ASK).await.unwrap();
        let mut byte = [0];
        let early = second.try_read(&mut byte);
        assert!(early.is_err(), "{early:?}");
        first.write_all(ASK).await.unwrap();
        assert!(told(&mut first).await.starts_with("HTTP/1.1 404"));
        assert!(told(&mut second).await.starts_with("HTTP/1.1 404"));
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

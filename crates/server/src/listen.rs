//! Sockets for clients, and serving HTTP on them until it is time to stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use grantry_core::Clock as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::clock::SystemClock;
use crate::control::ControlSocket;
use crate::failure::{Exit, Failure};
use crate::port::holder_of;

/// Time for the headers of a request, and between two requests of a connection (requirement 101).
const HEADER_READ_MAX: Duration = Duration::from_secs(10);

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
}

impl Doors {
    /// Serves until `stop` completes; then accepts nobody new, and returns when every request that
    /// had begun is answered.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        allow_many_connections();
        let http = http();
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        // An answer is one write; without this it may wait for an acknowledgement.
                        let _only_slower = stream.set_nodelay(true);
                        attend(&http, &connections, stream, self.public.clone());
                    }
                    Err(error) => pause(&error).await,
                },
                accepted = self.control.listener.accept() => match accepted {
                    Ok((stream, _)) => attend(&http, &connections, stream, self.local.clone()),
                    Err(error) => pause(&error).await,
                },
            }
        }
        drop(self.tcp);
        drop(self.control);
        connections.shutdown().await;
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_MAX);
    http.http2().timer(TokioTimer::new());
    http
}

fn attend(
    http: &auto::Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
) {
    let service = TowerToHyperService::new(router);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection.into_owned());
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke off");
        }
    });
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
    use tokio::net::TcpStream;
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

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_its_headers_is_dropped() {
        let tcp = tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (_folder, control) = control();
        let doors = Doors {
            tcp,
            public: Router::new(),
            control,
            local: Router::new(),
        };
        tokio::spawn(doors.serve(std::future::pending()));
        let mut client = connect(address).await;
        client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        let mut rest = Vec::new();
        let read = client.read_to_end(&mut rest).await;
        assert!(
            read.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
            "{rest:?}"
        );
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

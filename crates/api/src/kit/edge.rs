//! What every answer has, whoever made it: a request id, the headers that keep it from being cached,
//! sniffed or framed, and a shape even when its handler panicked. The only layer there is.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::FutureExt;
use grantry_core::meter::{self, SPANS};
use grantry_core::{Clock, Error, Meter};
use grantry_engine::Engine;
use tower::{Layer, Service};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::call::Asker;
use super::dialect::Dialect;

/// The header of the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The error behind a 5xx answer, for the log. Its text holds no secret.
#[derive(Clone)]
pub struct Failed(pub Error);

/// What the listener knows of a request, as an extension of it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who sent it; none at the control socket.
    pub client: Option<IpAddr>,
    /// The request id of a trusted proxy, fit for a log and a header.
    pub request_id: Option<HeaderValue>,
    /// Its `traceparent` decides whether it is traced, and in which trace: a trusted proxy sent it.
    pub traced: bool,
    /// It has a line in the log though it did not fail.
    pub logged: bool,
}

/// Headers of every answer that does not bring its own.
static HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

/// The layer.
#[derive(Clone)]
pub struct Edge(Arc<House>);

/// Request ids are the process's name and a number: unique without drawing randomness per request.
struct House {
    instance: String,
    next: AtomicU64,
    meter: Arc<dyn Meter>,
    clock: Arc<dyn Clock>,
}

impl Edge {
    /// The edge of the process that `engine` is the heart of.
    pub fn of(engine: &Engine) -> Self {
        let (meter, clock) = (
            Arc::clone(engine.meter()),
            Arc::clone(engine.shared_clock()),
        );
        Self::new(engine.instance(), meter, clock)
    }

    fn new(instance: &str, meter: Arc<dyn Meter>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(House {
            instance: instance.to_owned(),
            next: AtomicU64::new(1),
            meter,
            clock,
        }))
    }
}

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;

    fn layer(&self, inner: S) -> Edged<S> {
        Edged {
            inner,
            house: Arc::clone(&self.0),
        }
    }
}

/// A service behind the [`Edge`].
#[derive(Clone)]
pub struct Edged<S> {
    inner: S,
    house: Arc<House>,
}

impl<S> Service<Request> for Edged<S>
where
    S: Service<Request, Response = Response> + Send,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let dialect = Dialect::of(request.uri().path());
        let route = request.extensions().get::<MatchedPath>().cloned();
        let house = Arc::clone(&self.house);
        let visit = request.extensions().get::<Visit>().cloned();
        let (method, since) = (request.method().clone(), house.clock.boot());
        let span = tracing::info_span!(
            target: SPANS, "request", kind = "server",
            http.request.method = method.as_str(),
            http.route = route.as_ref().map_or("", MatchedPath::as_str),
            traceparent = visit.as_ref().map_or("", |visit| traceparent(visit, &request)),
            http.response.status_code = Empty, request_id = Empty, failed = Empty,
        );
        let answering = self.inner.call(request).instrument(span.clone());
        let answering = AssertUnwindSafe(answering).catch_unwind();
        Box::pin(async move {
            let mut answer = match answering.await {
                Ok(answer) => answer?,
                // The panic's own words are in the log already, by the process's hook.
                Err(_) => {
                    let mut answer = dialect.refuse(&Error::Internal);
                    answer.extensions_mut().insert(Failed(Error::Internal));
                    answer
                }
            };
            let given = visit.as_ref().and_then(|visit| visit.request_id.clone());
            let id = given.or_else(|| HeaderValue::try_from(house.next()).ok());
            if answer.status().is_server_error() || visit.as_ref().is_some_and(|visit| visit.logged)
            {
                let seen = Seen {
                    id: id
                        .as_ref()
                        .and_then(|id| id.to_str().ok())
                        .unwrap_or_default(),
                    method: method.as_str(),
                    // The route's pattern, not the path: a path can hold a verifier.
                    route: route.as_ref().map_or("", MatchedPath::as_str),
                    client: visit.and_then(|visit| visit.client),
                    took: house.clock.boot().saturating_sub(since),
                };
                log(&answer, &seen);
            }
            span.record("http.response.status_code", answer.status().as_u16());
            if let Some(Ok(id)) = id.as_ref().map(HeaderValue::to_str) {
                span.record("request_id", id);
            }
            span.record("failed", answer.status().is_server_error());
            let headers = answer.headers_mut();
            for (name, value) in &HEADERS {
                headers.entry(name).or_insert_with(|| value.clone());
            }
            if let Some(id) = id {
                headers.insert(REQUEST_ID, id);
            }
            house.meter.note(meter::Seen::Request {
                method: method.as_str(),
                route: route.as_ref().map_or("", MatchedPath::as_str),
                status: answer.status().as_u16(),
                took: house.clock.boot().saturating_sub(since),
            });
            Ok(answer)
        })
    }
}

/// The trace that the caller wants this request in (W3C Trace Context). A stranger's word would let
/// anybody fill the exporter, whatever part of the traces the operator wants, or hide in no trace.
fn traceparent<'a>(visit: &Visit, request: &'a Request) -> &'a str {
    if !visit.traced {
        return "";
    }
    let header = request.headers().get("traceparent");
    header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default()
}

impl House {
    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(self.instance.len() + 8);
        id.push_str(&self.instance);
        let _ = write!(id, "-{number:x}");
        id
    }
}

/// A request, as its line in the log names it.
struct Seen<'a> {
    id: &'a str,
    method: &'a str,
    route: &'a str,
    client: Option<IpAddr>,
    took: Duration,
}

/// One line. Ids and fixed words only.
fn log(answer: &Response, seen: &Seen<'_>) {
    let status = answer.status();
    let error = answer.extensions().get::<Failed>();
    let error = error.map(|Failed(error)| tracing::field::display(error));
    let asker = answer.extensions().get::<Asker>();
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                request_id = seen.id,
                method = seen.method,
                route = seen.route,
                status = status.as_u16(),
                ms = seen.took.as_millis() as u64,
                client = seen.client.map(tracing::field::display),
                team = asker.and_then(Asker::team),
                actor = asker.map(Asker::actor),
                error,
                $message
            )
        };
    }
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        line!(error, "a request failed");
    } else if status.is_server_error() {
        line!(warn, "a request failed");
    } else {
        line!(info, "a request was answered");
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use grantry_core::meter::Unmetered;
    use grantry_core::testing::ManualClock;
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn a_strangers_traceparent_decides_nothing() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = Request::get("/").header("traceparent", sent);
        let request = request.body(Body::empty()).unwrap();
        for (traced, wanted) in [(true, sent), (false, "")] {
            let visit = Visit {
                client: None,
                request_id: None,
                traced,
                logged: false,
            };
            assert_eq!(traceparent(&visit, &request), wanted);
        }
    }

    #[tokio::test]
    async fn a_panic_is_answered_in_shape_and_the_next_request_is_served() {
        async fn defect() -> &'static str {
            panic!("a defect")
        }
        let router: Router = Router::new()
            .route("/v1/defect", get(defect))
            .route("/api/v1/defect", get(defect))
            .route("/fine", get(async || "fine"))
            .layer(Edge::new(
                "n1",
                Arc::new(Unmetered),
                Arc::new(ManualClock::default()),
            ));
        let ask = async |path: &str| {
            let asked = Request::get(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(asked).await.unwrap();
            let status = answer.status();
            let id = answer.headers()[REQUEST_ID].to_str().unwrap().to_owned();
            let body = to_bytes(answer.into_body(), 1024).await.unwrap();
            (
                status.as_u16(),
                id,
                String::from_utf8(body.to_vec()).unwrap(),
            )
        };
        let (status, id, body) = ask("/v1/defect").await;
        assert_eq!((status, id.as_str()), (500, "n1-1"));
        assert_eq!(
            body,
            r#"{"error":{"code":"internal_server_error","message":"internal error"}}"#
        );
        let (status, _, body) = ask("/api/v1/defect").await;
        assert!(
            status == 500 && body.contains(r#""code":"internal""#),
            "{body}"
        );
        assert_eq!(ask("/fine").await.2, "fine");
    }
}

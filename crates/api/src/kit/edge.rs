//! What every answer has, whoever made it: a request id, the headers that keep it from being cached,
//! sniffed or framed, and a shape even when its handler panicked. The only layer there is.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::FutureExt;
use grantry_core::Error;
use tower::{Layer, Service};

use super::dialect::Dialect;

/// The header of the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The error behind a 5xx answer, for the log. Its text holds no secret.
#[derive(Clone)]
pub struct Failed(pub Error);

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
pub struct Edge(Arc<Ids>);

/// Request ids are the process's name and a number: unique without drawing randomness per request.
struct Ids {
    instance: String,
    next: AtomicU64,
}

impl Edge {
    /// The edge of the process that `instance` tells from every other.
    pub fn new(instance: &str) -> Self {
        Self(Arc::new(Ids {
            instance: instance.to_owned(),
            next: AtomicU64::new(1),
        }))
    }
}

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;

    fn layer(&self, inner: S) -> Edged<S> {
        Edged {
            inner,
            ids: Arc::clone(&self.0),
        }
    }
}

/// A service behind the [`Edge`].
#[derive(Clone)]
pub struct Edged<S> {
    inner: S,
    ids: Arc<Ids>,
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
        let ids = Arc::clone(&self.ids);
        let answering = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
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
            let id = ids.next();
            if answer.status().is_server_error() {
                log(&answer, route.as_ref(), &id);
            }
            let headers = answer.headers_mut();
            for (name, value) in &HEADERS {
                headers.entry(name).or_insert_with(|| value.clone());
            }
            if let Ok(id) = HeaderValue::try_from(id) {
                headers.insert(REQUEST_ID, id);
            }
            Ok(answer)
        })
    }
}

impl Ids {
    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(self.instance.len() + 8);
        id.push_str(&self.instance);
        let _ = write!(id, "-{number:x}");
        id
    }
}

/// One line per failed answer. The route's pattern, not the path: a path can hold a verifier.
fn log(answer: &Response, route: Option<&MatchedPath>, id: &str) {
    let status = answer.status();
    let route = route.map_or("", MatchedPath::as_str);
    let error = answer.extensions().get::<Failed>();
    let error = error.map(|Failed(error)| tracing::field::display(error));
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(
            request_id = id,
            route,
            status = status.as_u16(),
            error,
            "a request failed"
        );
    } else {
        tracing::warn!(
            request_id = id,
            route,
            status = status.as_u16(),
            error,
            "a request failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_in_shape_and_the_next_request_is_served() {
        async fn defect() -> &'static str {
            panic!("a defect")
        }
        let router: Router = Router::new()
            .route("/v1/defect", get(defect))
            .route("/api/v1/defect", get(defect))
            .route("/fine", get(async || "fine"))
            .layer(Edge::new("n1"));
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

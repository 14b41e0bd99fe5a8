//! An answer as data: an endpoint makes an honest one, faults change it, and only then does it
//! become HTTP.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use grantry_core::Clock;
use serde_json::{Map, Value};

use crate::model::Refusal;

/// An answer that can still be changed.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub payload: Payload,
    /// Waits this long before the first byte.
    pub delay: Duration,
}

/// What follows the headers, and how.
pub(crate) enum Payload {
    /// A JSON object.
    Json(Map<String, Value>),
    /// These bytes.
    Bytes(Bytes),
    /// These bytes, one per second.
    Drip(Bytes),
    /// The first half of these bytes, with the length of all of them; then the connection closes.
    Half(Bytes),
    /// These bytes, then spaces until the reader gives up (or 64 GiB).
    Endless(Bytes),
    /// No answer at all: the connection is reset.
    Reset,
    /// No answer at all: the connection stays open.
    Never,
}

/// On a response: [`crate::Sandbox::serve`] resets the connection instead of sending it.
#[derive(Clone, Copy)]
pub(crate) struct ResetConnection;

impl Answer {
    /// 200 with a JSON object.
    pub(crate) fn json(body: Value) -> Self {
        Self::new(StatusCode::OK, Payload::Json(object(body)))
    }

    /// 200 without a body.
    pub(crate) fn empty() -> Self {
        Self::new(StatusCode::OK, Payload::Bytes(Bytes::new()))
    }

    fn new(status: StatusCode, payload: Payload) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            payload,
            delay: Duration::ZERO,
        }
    }

    /// An OAuth error (RFC 6749 §5.2).
    pub(crate) fn refusal(refusal: Refusal) -> Self {
        let mut answer = Self::json(serde_json::json!({
            "error": refusal.code, "error_description": refusal.description,
        }));
        answer.status = match refusal.code {
            "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        answer
    }

    /// Sets a header; a value that cannot stand in one is left out.
    pub(crate) fn header(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
    }

    /// Replaces status, content type and body.
    pub(crate) fn replace(&mut self, status: StatusCode, media: &str, body: impl Into<Bytes>) {
        self.status = status;
        self.header(CONTENT_TYPE, media);
        self.payload = Payload::Bytes(body.into());
    }

    /// Sets the fields of the object `changes` in a JSON body; it takes the place of other bodies.
    pub(crate) fn set(&mut self, changes: Value) {
        let changes = object(changes);
        match &mut self.payload {
            Payload::Json(fields) => fields.extend(changes),
            other => *other = Payload::Json(changes),
        }
    }

    /// Removes a field of a JSON body.
    pub(crate) fn remove(&mut self, field: &str) {
        if let Payload::Json(fields) = &mut self.payload {
            fields.remove(field);
        }
    }

    /// The text of a JSON field.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        match &self.payload {
            Payload::Json(fields) => fields.get(field)?.as_str(),
            _ => None,
        }
    }

    /// The body as it would be sent honestly.
    pub(crate) fn body(&self) -> Bytes {
        match &self.payload {
            Payload::Json(fields) => Value::Object(fields.clone()).to_string().into(),
            Payload::Bytes(bytes)
            | Payload::Drip(bytes)
            | Payload::Half(bytes)
            | Payload::Endless(bytes) => bytes.clone(),
            Payload::Reset | Payload::Never => Bytes::new(),
        }
    }

    /// Plays the answer. `sent` is called when the last byte was handed to the connection.
    pub(crate) async fn play(
        mut self,
        clock: Arc<dyn Clock>,
        sent: impl FnOnce() + Send + 'static,
    ) -> Response {
        if !self.delay.is_zero() {
            clock.sleep(self.delay).await;
        }
        let bytes = self.body();
        self.headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        self.headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        let mut reset = false;
        let body = match self.payload {
            Payload::Json(_) | Payload::Bytes(_) => {
                sent();
                Body::from(bytes)
            }
            Payload::Drip(_) => {
                self.headers.insert(CONTENT_LENGTH, bytes.len().into());
                drip(bytes, clock, sent)
            }
            Payload::Half(_) => {
                self.headers.insert(CONTENT_LENGTH, bytes.len().into());
                half(&bytes)
            }
            Payload::Endless(_) => endless(bytes),
            Payload::Reset => {
                reset = true;
                self.headers.insert(CONTENT_LENGTH, HeaderValue::from(1));
                half(&bytes)
            }
            Payload::Never => std::future::pending().await,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if reset {
            response.extensions_mut().insert(ResetConnection);
        }
        response
    }
}

/// The fields of `value`, none unless it is an object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn drip(bytes: Bytes, clock: Arc<dyn Clock>, sent: impl FnOnce() + Send + 'static) -> Body {
    let state = (bytes, clock, Some(sent));
    Body::from_stream(stream::unfold(
        state,
        |(mut bytes, clock, mut sent)| async move {
            if bytes.is_empty() {
                return None;
            }
            clock.sleep(Duration::from_secs(1)).await;
            let byte = bytes.split_to(1);
            if bytes.is_empty()
                && let Some(sent) = sent.take()
            {
                sent();
            }
            Some((Ok::<_, Infallible>(byte), (bytes, clock, sent)))
        },
    ))
}

fn half(bytes: &Bytes) -> Body {
    let first = bytes.slice(..bytes.len() / 2);
    let cut = stream::once(async {
        // Lets the connection write out what it has before it learns of the failure.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(stream::iter([Ok(first)]).chain(cut))
}

fn endless(start: Bytes) -> Body {
    let spaces = Bytes::from_static(&[b' '; 64 * 1024]);
    let rest = stream::repeat(spaces).take(1024 * 1024);
    Body::from_stream(stream::iter([start]).chain(rest).map(Ok::<_, Infallible>))
}

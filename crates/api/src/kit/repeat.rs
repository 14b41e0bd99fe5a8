//! `Idempotency-Key` on the native API's writes (draft-ietf-httpapi-idempotency-key-header; the engine's
//! `repeats` says what is promised).

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use grantry_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use grantry_core::nouns::Digest;
use grantry_core::{Error, Result, Secret};
use grantry_engine::{Repeat, fingerprint};

use super::call::Call;
use super::route::Route;

/// The header that names a key.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A request that may be repeated.
pub struct Keyed {
    key: String,
    request: Digest,
}

impl Keyed {
    /// What the request's header says. Routes that do not take a key ignore it.
    pub fn of(route: &Route, parts: &Parts) -> Result<Option<Self>> {
        if !route.takes_idempotency_key() {
            return Ok(None);
        }
        let mut values = parts.headers.get_all(&KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value.to_str().unwrap_or_default();
        let fits = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len());
        if values.next().is_some() || !fits || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "must be one text of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
            );
            return Err(Error::invalid("Idempotency-Key", message));
        }
        let target = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        Ok(Some(Self {
            key: key.to_owned(),
            request: fingerprint(&[parts.method.as_str().as_bytes(), b" ", target.as_bytes()]),
        }))
    }

    /// The body is a part of what is asked.
    pub fn with_body(&mut self, body: &Bytes) {
        self.request = fingerprint(&[&self.request, body]);
    }

    /// Lets `handle` answer `call`, unless that was done before. It runs to its end whatever becomes of
    /// the connection, so that its answer is kept.
    pub async fn once<Fut>(
        self,
        call: Call,
        handle: impl FnOnce(Call) -> Fut + Send + 'static,
    ) -> Result<Response>
    where
        Fut: Future<Output = Result<Response>> + Send + 'static,
    {
        let engine = Arc::clone(&call.engine);
        let work = Arc::clone(&engine);
        engine
            .uncancellable(async move {
                // In here too: a key that was reserved for an act that then never begins is burnt.
                let repeat = work.reserve(call.repeater()?, &self.key, self.request);
                let reserved = match repeat.await? {
                    Repeat::Answer(text) => return replay(&text),
                    Repeat::First(reserved) => reserved,
                };
                match handle(call).await {
                    Ok(answer) => {
                        let (answer, text) = read(answer).await?;
                        work.answered(reserved, &text).await;
                        Ok(answer)
                    }
                    Err(error) => {
                        work.released(reserved, &error).await;
                        Err(error)
                    }
                }
            })
            .await
    }
}

/// The answer, and what is kept of it: its status in the first line, and the body.
async fn read(answer: Response) -> Result<(Response, Secret)> {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|_| Error::Internal)?;
    let text = std::str::from_utf8(&body).map_err(|_| Error::Internal)?;
    let kept = Secret::new(format!("{}\n{text}", parts.status.as_u16()));
    Ok((Response::from_parts(parts, Body::from(body)), kept))
}

fn replay(kept: &Secret) -> Result<Response> {
    let (status, body) = kept.expose().split_once('\n').ok_or(Error::Internal)?;
    let status: StatusCode = status.parse().map_err(|_| Error::Internal)?;
    let mut answer = Response::new(Body::from(body.to_owned()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if !body.is_empty() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    Ok(answer)
}

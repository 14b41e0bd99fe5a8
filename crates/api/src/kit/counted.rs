//! Requests to each endpoint of the Datagrid API, counted per team (`engine::rate`), and what its answers say of that.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use grantry_core::Result;
use grantry_engine::{Bucket, Engine, Verdict};

use super::dialect::Dialect;
use super::route::Route;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How one request stands with its endpoint's limit; nothing until it is known whose it is.
#[derive(Default)]
pub struct Counted(Option<Verdict>);

impl Counted {
    /// Counts the request.
    ///
    /// # Errors
    /// [`grantry_core::Error::RateLimited`].
    pub fn admit(
        &mut self,
        engine: &Engine,
        route: &'static Route,
        bucket: impl FnOnce() -> Bucket,
    ) -> Result<()> {
        if route.dialect() != Dialect::Datagrid {
            return Ok(());
        }
        self.0 = engine.admit_endpoint(&bucket(), route.operation);
        match &self.0 {
            Some(verdict) if !verdict.admitted => Err(verdict.refusal()),
            _ => Ok(()),
        }
    }

    /// Says it in the answer's headers (reference/datagrid §4). A request that nobody is known for counts for nobody.
    pub fn tell(self, engine: &Engine, route: &'static Route, answer: &mut Response) {
        if route.dialect() != Dialect::Datagrid {
            return;
        }
        let Some(verdict) = self
            .0
            .or_else(|| engine.untouched_endpoint(route.operation))
        else {
            return;
        };
        let headers = answer.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(verdict.limit));
        headers.insert(REMAINING, HeaderValue::from(verdict.remaining));
        let reset = (verdict.reset.as_millis() + 999).div_euclid(1000);
        headers.insert(RESET, HeaderValue::from(reset));
        if verdict.remaining == 0 {
            // 0 would make one SDK ignore it and the other spin.
            let seconds = verdict.wait.as_millis().div_ceil(1000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

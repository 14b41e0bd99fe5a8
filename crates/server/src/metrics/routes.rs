//! Requests, by route. The hot path of the house: after the first request of a kind, a request is one
//! look-up in a map that nobody writes to and two atomic additions.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use grantry_api::kit::dialect::Dialect;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::{Made, Maker};

/// Methods that are told apart.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What a request that no route matched is counted as. Its path is the caller's, and may be anything.
const UNMATCHED: &str = "unmatched";

/// Statuses from 100 to 599, each counter made when it is first needed.
const STATUSES: usize = 500;

/// All requests.
pub(super) struct Requests {
    counters: IntCounterVec,
    seconds: HistogramVec,
    routes: HashMap<&'static str, Route>,
    unmatched: Route,
}

struct Route {
    pattern: &'static str,
    /// One for each of [`METHODS`], and one for all others.
    methods: [OnceLock<Calls>; METHODS.len() + 1],
}

struct Calls {
    seconds: Histogram,
    statuses: Box<[OnceLock<IntCounter>]>,
}

impl Route {
    fn new(pattern: &'static str) -> Self {
        Self {
            pattern,
            methods: Default::default(),
        }
    }
}

impl Requests {
    pub fn new(make: &Maker<'_>) -> Made<Self> {
        let patterns = grantry_api::all_routes().map(|route| route.path);
        Ok(Self {
            counters: make.counters(
                "grantry_http_requests_total",
                "Answered requests, by route, method, status and dialect.",
                &["route", "method", "status", "dialect"],
            )?,
            seconds: make.histograms(
                "grantry_http_request_duration_seconds",
                "From a request's headers to its answer's.",
                &["route", "method"],
            )?,
            routes: patterns
                .map(|pattern| (pattern, Route::new(pattern)))
                .collect(),
            unmatched: Route::new(UNMATCHED),
        })
    }

    pub fn note(&self, method: &str, pattern: &str, status: u16, took: Duration) {
        let route = self.routes.get(pattern).unwrap_or(&self.unmatched);
        let at = METHODS.iter().position(|known| *known == method);
        let method = at.map_or("other", |at| METHODS[at]);
        let calls = route.methods[at.unwrap_or(METHODS.len())].get_or_init(|| Calls {
            seconds: self.seconds.with_label_values(&[route.pattern, method]),
            statuses: (0..STATUSES).map(|_| OnceLock::new()).collect(),
        });
        calls.seconds.observe(took.as_secs_f64());
        let at = usize::from(status).saturating_sub(100).min(STATUSES - 1);
        let counter = calls.statuses[at].get_or_init(|| {
            // Its path is not known here, and would be the caller's to choose.
            let dialect = match route.pattern {
                UNMATCHED => "none",
                pattern => Dialect::of(pattern).as_str(),
            };
            let status = status.to_string();
            self.counters
                .with_label_values(&[route.pattern, method, status.as_str(), dialect])
        });
        counter.inc();
    }
}

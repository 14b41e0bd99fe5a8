//! Prometheus metrics: what the ports note, in numbers, on a listener of their own.
//!
//! Names and labels are in `docs/metrics.md`, which a test compares with what is exposed. Labels are
//! fixed words, route patterns and ids of the catalogue: never of a team, a user or a connector.

mod gauges;
mod routes;

use grantry_core::limits::METERED_SERVICES_MAX;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use grantry_core::meter::{Meter, Seen};
use grantry_engine::Engine;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use tokio::net::TcpListener;

use crate::failure::{Exit, Failure};
use gauges::Now;
use routes::Requests;

/// Bounds in seconds: a warm read is far below a millisecond, a refresh may wait for its provider 15 s.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 15.0,
];

/// Writes in a commit.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    token_reads: IntCounterVec,
    /// Of `token_reads`, the one that is hot.
    served: IntCounter,
    refreshes: IntCounterVec,
    services: std::sync::Mutex<std::collections::HashSet<String>>,
    provider_requests: IntCounterVec,
    provider_seconds: HistogramVec,
    database_seconds: HistogramVec,
    commit_writes: Histogram,
    queued_writes: IntGauge,
    repeated_writes: IntCounter,
    pool_wait_seconds: Histogram,
    now: Now,
}

type Made<T> = prometheus::Result<T>;

/// Makes metrics and enters them in the registry.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn entered<C: prometheus::core::Collector + Clone + 'static>(&self, made: C) -> Made<C> {
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.entered(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.entered(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.entered(IntGauge::new(name, help)?)
    }

    fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Made<Histogram> {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.entered(Histogram::with_opts(options)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Made<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.entered(HistogramVec::new(options, labels)?)
    }
}

impl Metrics {
    /// Metrics that are all zero.
    pub fn new() -> Result<Self, Failure> {
        Self::made().map_err(|error| Failure::new(Exit::Failed, format!("metrics: {error}")))
    }

    fn made() -> Made<Self> {
        let registry = Registry::new();
        let make = Maker(&registry);
        let token_reads = make.counters(
            "grantry_token_reads_total",
            "Tokens asked for, by how that ended.",
            &["outcome"],
        )?;
        Ok(Self {
            requests: Requests::new(&make)?,
            served: token_reads.with_label_values(&["served"]),
            token_reads,
            refreshes: make.counters(
                "grantry_token_refreshes_total",
                "Flights that were to renew a token, by service and by how they ended.",
                &["service", "outcome"],
            )?,
            services: std::sync::Mutex::default(),
            provider_requests: make.counters(
                "grantry_provider_requests_total",
                "Outgoing requests, by what they are for, the kind of host, and the status' class or why there is none.",
                &["purpose", "destination", "outcome"],
            )?,
            provider_seconds: make.histograms(
                "grantry_provider_request_duration_seconds",
                "Outgoing requests from begin to the last byte.",
                &["purpose", "destination"],
            )?,
            database_seconds: make.histograms(
                "grantry_database_duration_seconds",
                "Reads and writes of the database, waiting and repeating included.",
                &["operation", "outcome"],
            )?,
            commit_writes: make.histogram(
                "grantry_database_commit_writes",
                "Writes that shared a commit of the embedded database.",
                WRITES,
            )?,
            queued_writes: make.gauge(
                "grantry_database_queued_writes",
                "Writes that waited for the embedded database at its last commit.",
            )?,
            repeated_writes: make.counter(
                "grantry_database_repeated_writes_total",
                "Writes that PostgreSQL refused because of another beside them, and that were run again.",
            )?,
            pool_wait_seconds: make.histogram(
                "grantry_database_pool_wait_duration_seconds",
                "Waiting for a connection to PostgreSQL.",
                SECONDS,
            )?,
            now: Now::new(&make)?,
            registry,
        })
    }

    /// The text format, version 0.0.4, with the gauges of `engine` as they are now.
    pub async fn text(&self, engine: &Engine) -> Result<String, prometheus::Error> {
        self.now.look(engine).await;
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Serves `/metrics` for ever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, engine: Arc<Engine>) {
        let answer = move || {
            let (metrics, engine) = (Arc::clone(&self), Arc::clone(&engine));
            async move {
                match metrics.text(&engine).await {
                    Ok(text) => {
                        ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response()
                    }
                    Err(error) => {
                        tracing::error!(%error, "metrics cannot be written");
                        StatusCode::INTERNAL_SERVER_ERROR.into_response()
                    }
                }
            }
        };
        let router = Router::new().route("/metrics", get(answer));
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    }

    /// `service`, or `other` once there are too many.
    fn known<'a>(&self, service: &'a str) -> &'a str {
        let mut services = self
            .services
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if services.contains(service) {
            return service;
        }
        if services.len() == METERED_SERVICES_MAX {
            return "other";
        }
        services.insert(service.to_owned());
        service
    }
}

impl Meter for Metrics {
    fn note(&self, seen: Seen<'_>) {
        match seen {
            Seen::Request {
                method,
                route,
                status,
                took,
            } => {
                self.requests.note(method, route, status, took);
            }
            Seen::TokenRead { outcome: "served" } => self.served.inc(),
            Seen::TokenRead { outcome } => self.token_reads.with_label_values(&[outcome]).inc(),
            Seen::Refresh { service, outcome } => {
                let service = self.known(service);
                self.refreshes.with_label_values(&[service, outcome]).inc();
            }
            Seen::ProviderRequest {
                purpose,
                destination,
                outcome,
                took,
            } => {
                let labels = [purpose, destination];
                self.provider_requests
                    .with_label_values(&[purpose, destination, outcome])
                    .inc();
                self.provider_seconds
                    .with_label_values(&labels)
                    .observe(took.as_secs_f64());
            }
            Seen::Database {
                operation,
                outcome,
                took,
            } => {
                let labels = [operation, outcome];
                self.database_seconds
                    .with_label_values(&labels)
                    .observe(took.as_secs_f64());
            }
            Seen::Commit { writes, queued } => {
                self.commit_writes.observe(number(writes));
                self.queued_writes
                    .set(i64::try_from(queued).unwrap_or(i64::MAX));
            }
            Seen::WriteRepeated => self.repeated_writes.inc(),
            Seen::PoolWait { took } => self.pool_wait_seconds.observe(took.as_secs_f64()),
        }
    }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests;

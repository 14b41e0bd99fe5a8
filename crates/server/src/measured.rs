//! The way out, with a note and a span of each request.

use std::sync::Arc;

use async_trait::async_trait;
use grantry_core::Clock;
use grantry_core::http::{Failure, Http, Purpose, Request, Response, Silence};
use grantry_core::meter::{Meter, SPANS, Seen};
use grantry_egress::Egress;
use tracing::Instrument as _;
use tracing::field::Empty;

/// `egress`, measured.
pub struct Measured {
    /// What sends.
    pub egress: Egress,
    /// Who is told.
    pub meter: Arc<dyn Meter>,
    /// How long it took.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Http for Measured {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let purpose = match request.purpose {
            Purpose::Token => "token",
            Purpose::Discovery => "discovery",
            Purpose::Search => "search",
            Purpose::Icon => "icon",
            Purpose::Webhook => "webhook",
        };
        let destination = self.egress.destination(&request.url);
        // The host alone: a path or a query can hold what nobody else may read.
        let span = tracing::info_span!(
            target: SPANS, "provider request", kind = "client", purpose, destination,
            server.address = request.url.host_str().unwrap_or_default(),
            outcome = Empty, http.response.status_code = Empty, failed = Empty,
        );
        let since = self.clock.boot();
        let answer = self.egress.send(request).instrument(span.clone()).await;
        let outcome = outcome(&answer);
        self.meter.note(Seen::ProviderRequest {
            purpose,
            destination,
            outcome,
            took: self.clock.boot().saturating_sub(since),
        });
        span.record("outcome", outcome);
        if let Ok(answer) = &answer {
            span.record("http.response.status_code", answer.status);
        }
        span.record("failed", !matches!(outcome, "2xx" | "3xx"));
        answer
    }
}

/// An operator's word for how it ended.
fn outcome(answer: &Result<Response, Failure>) -> &'static str {
    match answer {
        Ok(answer) => match answer.status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        },
        Err(Failure::Refused) => "refused",
        Err(Failure::NotSent) => "not_sent",
        Err(Failure::Unknown(Silence::Timeout)) => "timeout",
        Err(Failure::Unknown(Silence::Cut)) => "cut",
        Err(Failure::Unknown(Silence::BadBody)) => "bad_body",
        Err(Failure::Unknown(Silence::Redirect)) => "redirect",
    }
}

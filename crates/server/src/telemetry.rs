//! The log: standard error, for people on a terminal and as JSON lines otherwise. And, where a collector
//! is configured, the spans that it is sent.

mod otlp;
mod spans;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use grantry_core::meter::SPANS;
use grantry_vault::SystemEntropy;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, filter, fmt, registry};

use crate::clock::SystemClock;
use crate::config::{SpansConfig, environment};
use crate::failure::Failure;
pub use otlp::{Exporter, Flusher};
pub use spans::Spans;

/// Starts the log at `level`, or at what `GRANTRY_LOG` says (`debug`, `info,grantry_engine=trace` …), and
/// hands `spans` what it wants to hear of.
pub fn start(level: &str, spans: Option<Spans>) -> Result<(), Failure> {
    let directives = environment("GRANTRY_LOG");
    let directives = directives.as_deref().unwrap_or(level);
    // Spans are no log: without someone who wants them their call sites are off for good.
    let filter = EnvFilter::try_new(format!("{directives},{SPANS}=off")).map_err(|error| {
        Failure::usage(format!("GRANTRY_LOG is {directives:?}: {error}"))
            .hint("A level (error, warn, info, debug, trace) or target=level pairs would be right.")
    })?;
    let log = fmt::layer().with_writer(io::stderr);
    let log = if io::stderr().is_terminal() {
        log.with_target(false).boxed()
    } else {
        log.json().flatten_event(true).boxed()
    };
    // As one list, not as a layer of `None`: that would have every span made for nobody.
    let mut layers = vec![log.with_filter(filter).boxed()];
    layers.extend(spans.map(|spans| spans.with_filter(filter::filter_fn(Spans::wants)).boxed()));
    let started = registry().with(layers).try_init();
    started.map_err(|error| Failure::usage(format!("cannot start the log: {error}")))
}

/// An exporter that is not running yet.
pub struct Collected {
    exporter: Exporter,
    ended: spans::Ended,
}

/// A layer to hear spans with, and what sends them to the collector of `config`; `extra_ca_pem` is trusted
/// beside the system's authorities.
pub fn collect(
    config: &SpansConfig,
    extra_ca_pem: Option<Vec<u8>>,
) -> Result<(Spans, Collected), Failure> {
    let exporter = Exporter::new(&config.endpoint, extra_ca_pem)?;
    let (layer, ended) = Spans::new(Arc::new(SystemClock), Arc::new(SystemEntropy), config.ratio);
    Ok((layer, Collected { exporter, ended }))
}

impl Collected {
    /// Sends spans from now on, those of before included, in the name of `instance`.
    pub fn start(self, instance: &str) -> Flusher {
        self.exporter.start(instance.to_owned(), self.ended)
    }
}

//! The log: standard error, for people on a terminal and as JSON lines otherwise.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::environment;
use crate::failure::Failure;

/// Starts the log at `level`, or at what `GRANTRY_LOG` says (`debug`, `info,grantry_engine=trace` …).
pub fn start(level: &str) -> Result<(), Failure> {
    let directives = environment("GRANTRY_LOG");
    let directives = directives.as_deref().unwrap_or(level);
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::usage(format!("GRANTRY_LOG is {directives:?}: {error}"))
            .hint("A level (error, warn, info, debug, trace) or target=level pairs would be right.")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = if io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    started.map_err(|error| Failure::usage(format!("cannot start the log: {error}")))
}

//! A backend that is timed.

use std::sync::Arc;

use grantry_core::meter::{Meter, SPANS, Seen};
use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::Db;
use crate::backend::{Backend, Done, Query, Row, Write};
use crate::migrate::Migrations;

/// `B`, with a note of how long each read and write took.
pub struct Metered<B> {
    inner: B,
    meter: Arc<dyn Meter>,
    clock: Arc<dyn Clock>,
}

impl<B: Backend> Db<B> {
    /// The same store, timed.
    pub fn metered(self, meter: Arc<dyn Meter>, clock: Arc<dyn Clock>) -> Db<Metered<B>> {
        self.map(|inner| Metered {
            inner,
            meter,
            clock,
        })
    }
}

impl<B> Metered<B> {
    /// `work`, timed and in a span.
    async fn measure<T>(
        &self,
        operation: &'static str,
        statements: usize,
        work: impl Future<Output = Stored<T>>,
    ) -> Stored<T> {
        let span = tracing::info_span!(
            target: SPANS, "database", kind = "client", operation, statements, outcome = Empty, failed = Empty
        );
        let since = self.clock.boot();
        let done = work.instrument(span.clone()).await;
        let outcome = match &done {
            Ok(_) => "done",
            Err(StoreError::Taken(_) | StoreError::Missing(_) | StoreError::InUse(_)) => "refused",
            Err(_) => "unavailable",
        };
        self.meter.note(Seen::Database {
            operation,
            outcome,
            took: self.clock.boot().saturating_sub(since),
        });
        span.record("outcome", outcome);
        span.record("failed", outcome == "unavailable");
        done
    }
}

impl<B: Backend> Backend for Metered<B> {
    const MIGRATIONS: Migrations = B::MIGRATIONS;

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        self.measure("write", write.len(), self.inner.write(write))
            .await
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        self.measure("read", 1, self.inner.read(query)).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}

//! A reader thread. Threads share one queue: whichever is free takes the next query.

use std::sync::{Mutex, PoisonError};

use grantry_core::store::Stored;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::connection::{run as run_statement, translate};
use crate::backend::{Query, Row};

/// A query and who waits for it.
pub(super) struct Job {
    pub query: Query,
    pub answer: oneshot::Sender<Stored<Vec<Row>>>,
}

/// Runs until the queue is closed and empty.
pub(super) fn run(connection: &Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // The lock is held while waiting and given up before working.
        let next = jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(Job { query, answer }) = next else {
            return;
        };
        if answer.is_closed() {
            continue;
        }
        let rows = run_statement(connection, &query)
            .map(|done| done.rows)
            .map_err(|error| translate(&error));
        let _gone = answer.send(rows);
    }
}

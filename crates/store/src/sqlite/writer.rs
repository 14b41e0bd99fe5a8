//! The writer thread: group commit.
//!
//! All writes that are waiting share one transaction, and so one sync. Each has a savepoint of its
//! own, so that a failing write takes nothing but itself along. Nobody is answered before the
//! commit, so an answer is a durable fact; if the commit fails, all of them fail.

use grantry_core::store::Stored;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::connection::{run as run_statement, translate};
use crate::backend::{Done, Write};

/// Writes in one commit, at most: bounds how long the first of them waits.
const GROUP: usize = 256;

/// A write and who waits for it.
pub(super) struct Job {
    pub write: Write,
    pub answer: oneshot::Sender<Stored<Vec<Done>>>,
}

/// Runs until the queue is closed and empty.
pub(super) fn run(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
        let (writes, answers): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|Job { write, answer }| (write, answer))
            .unzip();
        for (outcome, answer) in commit(connection, &writes).into_iter().zip(answers) {
            // Whoever asked may be gone; the write stands all the same.
            let _gone = answer.send(outcome);
        }
    }
}

/// The outcomes of a group, in its order.
fn commit(connection: &Connection, writes: &[Write]) -> Vec<Stored<Vec<Done>>> {
    let together = || -> rusqlite::Result<Vec<_>> {
        control(connection, "BEGIN IMMEDIATE")?;
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(alone(connection, write)?);
        }
        control(connection, "COMMIT")?;
        Ok(outcomes)
    };
    together().unwrap_or_else(|error| {
        let error = translate(&error);
        // Fails when SQLite has rolled back by itself, which is as good.
        let _already = connection.execute_batch("ROLLBACK");
        vec![Err(error); writes.len()]
    })
}

/// One write in its savepoint. The outer error ends the group: the transaction is gone.
fn alone(connection: &Connection, write: &Write) -> rusqlite::Result<Stored<Vec<Done>>> {
    control(connection, "SAVEPOINT write")?;
    let outcome = statements(connection, write);
    if outcome.is_err() {
        // On a full disk or an I/O error SQLite may roll everything back; this then fails too.
        control(connection, "ROLLBACK TO write")?;
    }
    control(connection, "RELEASE write")?;
    Ok(outcome)
}

fn statements(connection: &Connection, write: &Write) -> Stored<Vec<Done>> {
    write
        .iter()
        .map(|statement| {
            let done =
                run_statement(connection, &statement.query).map_err(|error| translate(&error))?;
            match &statement.expect {
                Some((count, error)) if *count != done.count => Err(error.clone()),
                _ => Ok(done),
            }
        })
        .collect()
}

fn control(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

//! The writer thread: group commit.
//!
//! All writes that are waiting share one transaction, and so one sync. Each has a savepoint of its
//! own, so that a failing write takes nothing but itself along. Nobody is answered before the
//! commit, so an answer is a durable fact; if the commit fails, all of them fail.

use grantry_core::meter::{Meter, Seen};
use grantry_core::store::Stored;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::connection::{run as run_statement, translate};
use crate::backend::{Done, Write};

/// Writes in one commit, at most: bounds how long the first of them waits.
const GROUP: usize = 256;

type Outcome = Stored<Vec<Done>>;

/// A write and who waits for it.
pub(super) struct Job {
    pub write: Write,
    pub answer: oneshot::Sender<Outcome>,
}

/// Runs until the queue is closed and empty.
pub(super) fn run(connection: &Connection, mut jobs: mpsc::Receiver<Job>, meter: &dyn Meter) {
    while let Some(Job { write, answer }) = jobs.blocking_recv() {
        let (mut answers, mut outcomes) = (vec![answer], Vec::new());
        let mut group = || -> Stored<()> {
            control(connection, "BEGIN IMMEDIATE")?;
            outcomes.push(alone(connection, &write)?);
            // What comes in meanwhile goes along: the sync is what costs.
            while outcomes.len() < GROUP
                && let Ok(Job { write, answer }) = jobs.try_recv()
            {
                answers.push(answer);
                outcomes.push(alone(connection, &write)?);
            }
            control(connection, "COMMIT")
        };
        if let Err(error) = group() {
            // Fails when SQLite has rolled back by itself, which is as good.
            let _already = connection.execute_batch("ROLLBACK");
            outcomes = vec![Err(error); answers.len()];
        }
        meter.note(Seen::Commit {
            writes: answers.len(),
            queued: jobs.len(),
        });
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Whoever asked may be gone; the write stands all the same.
            let _gone = answer.send(outcome);
        }
    }
}

/// One write in its savepoint. The outer error ends the group: the transaction is gone.
fn alone(connection: &Connection, write: &Write) -> Stored<Outcome> {
    control(connection, "SAVEPOINT write")?;
    let outcome = statements(connection, write);
    if let Err(error) = &outcome {
        // On a full disk or an I/O error SQLite may roll everything back; this then fails too, and why
        // is what the statement said.
        match connection.execute_batch("ROLLBACK TO write") {
            Ok(()) => {}
            Err(_) if error.is_outage() => return Err(error.clone()),
            Err(error) => return Err(translate(&error)),
        }
    }
    control(connection, "RELEASE write")?;
    Ok(outcome)
}

fn statements(connection: &Connection, write: &Write) -> Outcome {
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

fn control(connection: &Connection, sql: &str) -> Stored<()> {
    let done = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]));
    done.map(drop).map_err(|error| translate(&error))
}

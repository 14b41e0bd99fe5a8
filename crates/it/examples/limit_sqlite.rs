//! The bare group commit that `scripts/bench` sets durable writes beside: as many writers as `wrk`
//! has connections hand one row each to a single thread, which commits what has gathered.
//!
//! `limit_sqlite FILE ROW_BYTES SECONDS` prints the rows per second that were durable.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measuring stick, not a part of the product"
)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;

const WRITERS: usize = 16;

/// One row to be made durable, and whom to tell.
type Job = (Vec<u8>, Sender<()>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .expect("limit_sqlite FILE ROW_BYTES SECONDS")
    };
    let file = next();
    let row_bytes: usize = next().parse().expect("bytes");
    let seconds: u64 = next().parse().expect("seconds");

    let (jobs, queue) = channel::<Job>();
    let writer = std::thread::spawn(move || write(&file, &queue));
    let started = Instant::now();
    let rows: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let jobs = jobs.clone();
                scope.spawn(move || hand_in(&jobs, row_bytes, Duration::from_secs(seconds)))
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("no panic"))
            .sum()
    });
    let elapsed = started.elapsed().as_secs_f64();
    drop(jobs);
    writer.join().expect("no panic");
    println!("{:.0}", rows as f64 / elapsed);
}

/// Hands in one row after another; gives how many became durable.
fn hand_in(jobs: &Sender<Job>, row_bytes: usize, time: Duration) -> u64 {
    let started = Instant::now();
    let mut rows = 0;
    while started.elapsed() < time {
        let (told, durable) = channel();
        jobs.send((vec![7; row_bytes], told))
            .expect("the writer lives");
        durable.recv().expect("the writer answers");
        rows += 1;
    }
    rows
}

/// Commits in groups until nobody is left; the settings are those of the store (design §8).
fn write(file: &str, queue: &Receiver<Job>) {
    let mut database = Connection::open(file).expect("a writable file");
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL);",
        )
        .expect("an empty database");
    while let Ok(first) = queue.recv() {
        let transaction = database.transaction().expect("no other writer");
        let mut waiting = Vec::with_capacity(WRITERS);
        for (body, told) in std::iter::once(first).chain(queue.try_iter()) {
            transaction
                .prepare_cached("INSERT INTO rows (body) VALUES (?1)")
                .and_then(|mut insert| insert.execute([body]))
                .expect("room on the disk");
            waiting.push(told);
        }
        transaction.commit().expect("room on the disk");
        for told in waiting {
            // A writer whose time is up does not listen any more.
            let _ = told.send(());
        }
    }
}

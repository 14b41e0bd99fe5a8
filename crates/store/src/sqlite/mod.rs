//! SQLite: one file, one writer thread, a few reader threads.
//!
//! SQLite has one writer at a time whatever we do; making it a thread of ours turns the queue that
//! would form inside SQLite (as busy errors) into one that shares its commits, and thereby its syncs.

mod connection;
mod reader;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use grantry_core::meter::{Meter, Unmetered};
use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::backend::{Backend, Done, Query, Row, Write, tells_of_a_change};
use crate::migrate::{self, Migration, Migrations};
use crate::{Db, OpenError};

/// How the embedded database is run.
#[derive(Clone)]
pub struct Options {
    /// Reader threads, each with its own connection.
    pub readers: usize,
    /// Largest size of the database file, in pages of 4 KiB. At the limit writes fail as on a full disk.
    pub pages_max: Option<u32>,
    /// Told of each commit.
    pub meter: Arc<dyn Meter>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            pages_max: None,
            meter: Arc::new(Unmetered),
        }
    }
}

/// Writes or reads that may wait before callers have to.
const QUEUE: usize = 1024;

/// The embedded backend. Dropping it finishes what is queued and closes the file.
pub struct Sqlite {
    writes: Option<mpsc::Sender<writer::Job>>,
    reads: Option<mpsc::Sender<reader::Job>>,
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
    changed: Notify,
    #[cfg(any(test, feature = "contract"))]
    temporary: Option<tempfile::TempDir>,
}

impl Sqlite {
    /// Opens the database in the file `path`, makes it (mode 0600) if there is none, and brings it to
    /// this binary's schema. `clock` is the database's clock.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Db<Self>, OpenError> {
        let backend = Self::start(path, &clock, options)?;
        migrate::run(&backend, &clock).await?;
        Ok(Db::new(backend))
    }

    /// The database in the file `path`, which is only read, and left as it is.
    pub(crate) fn for_reading(path: &Path, clock: &Arc<dyn Clock>) -> Result<Self, OpenError> {
        let reading = connection::reader(path, clock)?;
        connection::is_database(&reading)?;
        let (reads, jobs) = mpsc::channel(QUEUE);
        let jobs = std::sync::Mutex::new(jobs);
        let thread = spawn("sqlite-reader", move || reader::run(&reading, &jobs))?;
        Ok(Self {
            writes: None,
            reads: Some(reads),
            writer: None,
            readers: vec![thread],
            changed: Notify::new(),
            #[cfg(any(test, feature = "contract"))]
            temporary: None,
        })
    }

    fn start(path: &Path, clock: &Arc<dyn Clock>, options: Options) -> Result<Self, OpenError> {
        connection::make_file(path)?;
        // The writer's connection comes first: it sets the journal mode that readers rely on.
        let writing = connection::writer(path, clock, options.pages_max)?;
        let (writes, write_jobs) = mpsc::channel(QUEUE);
        let meter = options.meter;
        let writer = spawn("sqlite-writer", move || {
            writer::run(&writing, write_jobs, &*meter)
        })?;
        let mut readers = Vec::new();
        let (reads, read_jobs) = mpsc::channel(QUEUE);
        let read_jobs = Arc::new(std::sync::Mutex::new(read_jobs));
        for _ in 0..options.readers.max(1) {
            let reading = connection::reader(path, clock)?;
            let jobs = Arc::clone(&read_jobs);
            readers.push(spawn("sqlite-reader", move || {
                reader::run(&reading, &jobs)
            })?);
        }
        Ok(Self {
            writes: Some(writes),
            reads: Some(reads),
            writer: Some(writer),
            readers,
            changed: Notify::new(),
            #[cfg(any(test, feature = "contract"))]
            temporary: None,
        })
    }
}

#[cfg(any(test, feature = "contract"))]
impl Db<Sqlite> {
    /// A database of its own in a new directory, which goes with it.
    pub async fn temporary(clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let directory = tempfile::tempdir().map_err(|error| OpenError::File {
            path: std::env::temp_dir().display().to_string(),
            error,
        })?;
        let path = directory.path().join("grantry.db");
        let mut db = Sqlite::open(&path, clock, Options::default()).await?;
        db.backend.temporary = Some(directory);
        Ok(db)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // A closed queue ends its threads, once it is empty. The writer's connection is closed after the others, and
        // so folds the log into the file: of two that close at once each leaves that to the other.
        drop(self.reads.take());
        join(self.readers.drain(..));
        drop(self.writes.take());
        join(self.writer.take());
    }
}

impl Backend for Sqlite {
    const MIGRATIONS: Migrations = Migrations {
        bootstrap: include_str!("../../migrations/sqlite/0000_bootstrap.sql"),
        list: &[
            Migration {
                version: 1,
                name: "init",
                min_binary: 1,
                sql: include_str!("../../migrations/sqlite/0001_init.sql"),
            },
            Migration {
                version: 2,
                name: "belongings",
                min_binary: 1,
                sql: include_str!("../../migrations/sqlite/0002_belongings.sql"),
            },
            Migration {
                version: 3,
                name: "signing_keys",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0003_signing_keys.sql"),
            },
            Migration {
                version: 4,
                name: "keyed_requests",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0004_keyed_requests.sql"),
            },
            Migration {
                version: 5,
                name: "tenancy",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0005_tenancy.sql"),
            },
            Migration {
                version: 6,
                name: "resources",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0006_resources.sql"),
            },
            Migration {
                version: 7,
                name: "provenance",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0007_provenance.sql"),
            },
            Migration {
                version: 8,
                name: "endings",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0008_endings.sql"),
            },
            Migration {
                version: 9,
                name: "datagrid",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0009_datagrid.sql"),
            },
            Migration {
                version: 10,
                name: "credentials",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0010_credentials.sql"),
            },
            Migration {
                version: 11,
                name: "administration",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0011_administration.sql"),
            },
            Migration {
                version: 13,
                name: "registrations",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0013_registrations.sql"),
            },
            Migration {
                version: 14,
                name: "flows",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0014_flows.sql"),
            },
            Migration {
                version: 15,
                name: "mended",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0015_mended.sql"),
            },
            Migration {
                version: 17,
                name: "provisioning",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0017_provisioning.sql"),
            },
            Migration {
                version: 18,
                name: "sign_in",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0018_sign_in.sql"),
            },
            Migration {
                version: 20,
                name: "key_purposes",
                // A program that knows no purposes would sign workloads' tokens with keys of sign-ins.
                min_binary: 20,
                sql: include_str!("../../migrations/sqlite/0020_key_purposes.sql"),
            },
            Migration {
                version: 21,
                name: "setups",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0021_setups.sql"),
            },
            Migration {
                version: 22,
                name: "sign_in_ends",
                // With it came words of an installation's status that older programs do not read.
                min_binary: 22,
                sql: include_str!("../../migrations/sqlite/0022_sign_in_ends.sql"),
            },
            Migration {
                version: 23,
                name: "reinstall",
                min_binary: 3,
                sql: include_str!("../../migrations/sqlite/0023_reinstall.sql"),
            },
        ],
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        let tells = tells_of_a_change(&write);
        let done = ask(self.writes.as_ref(), |answer| writer::Job { write, answer }).await;
        if tells && done.is_ok() {
            self.changed.notify_one();
        }
        done
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        ask(self.reads.as_ref(), |answer| reader::Job { query, answer }).await
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Queues a job and waits for its answer; a thread that is gone is a database that is gone.
async fn ask<J, T>(
    queue: Option<&mpsc::Sender<J>>,
    job: impl FnOnce(oneshot::Sender<Stored<T>>) -> J,
) -> Stored<T> {
    let (answer, answered) = oneshot::channel();
    let queue = queue.ok_or(StoreError::Unavailable)?;
    let queued = queue.send(job(answer)).await;
    queued.map_err(|_| StoreError::Unavailable)?;
    answered.await.unwrap_or(Err(StoreError::Unavailable))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| OpenError::Database(format!("no thread: {error}")))
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a database thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests;

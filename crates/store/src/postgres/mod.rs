//! PostgreSQL: any number of nodes on one database.
//!
//! Every write is one serializable transaction. The database may refuse one because of another that
//! ran beside it; nothing of ours ran in between, so the same list is simply run again.
//!
//! Only what PostgreSQL-compatible distributed engines have too is used: no advisory locks, no
//! session state, and NOTIFY nowhere.

mod retry;
mod tls;
mod value;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Hook, HookError, Pool, Runtime, Timeouts};
use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError};
use tokio::time::timeout;
use tokio_postgres::{Config, IsolationLevel};

use crate::backend::{Backend, Done, Query, Row, Statement, Write};
use crate::migrate::{self, Migration, Migrations};
use crate::{Db, OpenError};
use retry::Refusal;

/// How a PostgreSQL database is used.
#[derive(Clone)]
pub struct Options {
    /// Connections per node.
    pub connections: usize,
    /// How long a caller waits for a connection, new or free.
    pub wait: Duration,
    /// How long a read, or one attempt of a write from its begin to its commit, may take before it is
    /// broken off together with its connection. The change feed relies on 10 s at most.
    pub deadline: Duration,
    /// TLS client settings, for URLs with `sslmode=require` (or `prefer`). The server's certificate is always verified.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16,
            wait: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// What the server itself breaks off. Isolation is not set: a write asks for its own, and a read is one statement.
const SESSION: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'; \
                       SET synchronous_commit = on";

/// The PostgreSQL backend.
pub struct Postgres {
    pool: Pool,
    clock: Arc<dyn Clock>,
    deadline: Duration,
}

impl Postgres {
    /// Connects to `url` (`postgres://…`, libpq's key-value form works too) and brings the database
    /// to this binary's schema. Of several nodes that start at once, one migrates and the others wait.
    pub async fn open(
        url: &str,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Db<Self>, OpenError> {
        let backend = Self::connect(url, Arc::clone(&clock), options).await?;
        migrate::run(&backend, &clock).await?;
        Ok(Db::new(backend))
    }

    /// Connects to `url` and leaves the schema as it is.
    pub(crate) async fn connect(
        url: &str,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let config: Config = url
            .parse()
            .map_err(|error| OpenError::Database(format!("the database URL: {error}")))?;
        let deadline = options.deadline;
        let backend = Self {
            pool: pool(config, options)?,
            clock,
            deadline,
        };
        // The first connection's trouble is the operator's to read, in the database's own words.
        let first = backend
            .pool
            .get()
            .await
            .map_err(|error| OpenError::Database(chain(&error)))?;
        drop(first);
        Ok(backend)
    }

    async fn client(&self) -> Stored<Client> {
        self.pool.get().await.map_err(|error| {
            tracing::error!(error = chain(&error), "no connection to the database");
            StoreError::Unavailable
        })
    }

    /// Runs `work` on a connection of the pool. One that is late is given up, for what it is still
    /// busy with nobody knows.
    async fn in_time<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut client = self.client().await.map_err(Refusal::Answer)?;
        if let Ok(done) = timeout(self.deadline, work(&mut client)).await {
            return done;
        }
        tracing::error!(deadline = ?self.deadline, "the database does not answer in time");
        drop(Client::take(client));
        Err(Refusal::Answer(StoreError::Unavailable))
    }
}

/// One try of a write.
async fn attempt(client: &mut Client, write: &[Statement]) -> Result<Vec<Done>, Refusal> {
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::Serializable)
        .start()
        .await?;
    let mut all = Vec::with_capacity(write.len());
    for statement in write {
        let done = value::run(&transaction, &statement.query).await?;
        if let Some((count, error)) = &statement.expect
            && *count != done.count
        {
            transaction.rollback().await?;
            return Err(Refusal::Answer(error.clone()));
        }
        all.push(done);
    }
    transaction.commit().await?;
    Ok(all)
}

impl Backend for Postgres {
    const MIGRATIONS: Migrations = Migrations {
        bootstrap: include_str!("../../migrations/postgres/0000_bootstrap.sql"),
        list: &[
            Migration {
                version: 1,
                name: "init",
                min_binary: 1,
                sql: include_str!("../../migrations/postgres/0001_init.sql"),
            },
            Migration {
                version: 2,
                name: "belongings",
                min_binary: 1,
                sql: include_str!("../../migrations/postgres/0002_belongings.sql"),
            },
            Migration {
                version: 3,
                name: "signing_keys",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0003_signing_keys.sql"),
            },
            Migration {
                version: 4,
                name: "keyed_requests",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0004_keyed_requests.sql"),
            },
            Migration {
                version: 5,
                name: "tenancy",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0005_tenancy.sql"),
            },
        ],
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        let mut tries = 0;
        loop {
            let tried = self.in_time(async |client| attempt(client, &write).await);
            match tried.await {
                Ok(done) => return Ok(done),
                Err(Refusal::Answer(error)) => return Err(error),
                Err(Refusal::Again(reason)) => {
                    tries += 1;
                    let Some(pause) = retry::pause(tries) else {
                        tracing::error!(%reason, tries, "the database keeps refusing a write because of others beside it");
                        return Err(StoreError::Unavailable);
                    };
                    self.clock.sleep(pause).await;
                }
            }
        }
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        // A single statement is its own snapshot; it needs no transaction around it, and is never
        // refused because of another.
        let read = self.in_time(async |client| Ok(value::run(client, &query).await?.rows));
        read.await.map_err(|refusal| match refusal {
            Refusal::Answer(error) => error,
            Refusal::Again(_) => StoreError::Unavailable,
        })
    }
}

/// Whether the way to the database at `url` leaves this machine.
pub fn leaves_the_machine(url: &str) -> bool {
    url.parse()
        .is_ok_and(|config: Config| tls::leaves_the_machine(&config))
}

fn pool(config: Config, options: Options) -> Result<Pool, OpenError> {
    let manager = tls::manager(config, options.tls)?;
    let prepare = Hook::async_fn(|client, _| {
        Box::pin(async move {
            client
                .batch_execute(SESSION)
                .await
                .map_err(HookError::Backend)
        })
    });
    Pool::builder(manager)
        .max_size(options.connections.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(options.wait),
            create: Some(options.wait),
            recycle: Some(options.wait),
        })
        .post_create(prepare)
        .build()
        .map_err(|error| OpenError::Database(error.to_string()))
}

/// An error with its causes: the database's own words are in the last one.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
#[cfg(feature = "postgres-tests")]
mod tests;

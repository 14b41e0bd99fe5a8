//! PostgreSQL: any number of nodes on one database.
//!
//! Every write is one serializable transaction. The database may refuse one because of another that
//! ran beside it; nothing of ours ran in between, so the same list is simply run again.
//!
//! Only what PostgreSQL-compatible distributed engines have too is used: no advisory locks, no
//! session state, and NOTIFY nowhere.

mod retry;
mod value;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, IsolationLevel, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

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
    /// TLS client settings, for URLs with `sslmode=require` (or `prefer`). The server's certificate is always verified.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16,
            wait: Duration::from_secs(5),
            tls: None,
        }
    }
}

/// No write lives much longer than this, so a position of the change feed that is not committed by then never will be.
const STATEMENT_TIMEOUT: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'; \
                                 SET synchronous_commit = on; SET default_transaction_isolation = 'serializable'";

/// The PostgreSQL backend.
pub struct Postgres {
    pool: Pool,
    clock: Arc<dyn Clock>,
}

impl Postgres {
    /// Connects to `url` (`postgres://…`, libpq's key-value form works too) and brings the database
    /// to this binary's schema. Of several nodes that start at once, one migrates and the others wait.
    pub async fn open(
        url: &str,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Db<Self>, OpenError> {
        let config: Config = url
            .parse()
            .map_err(|error| OpenError::Database(format!("the database URL: {error}")))?;
        let backend = Self {
            pool: pool(config, options)?,
            clock: Arc::clone(&clock),
        };
        // The first connection's trouble is the operator's to read, in the database's own words.
        let first = backend
            .pool
            .get()
            .await
            .map_err(|error| OpenError::Database(chain(&error)))?;
        drop(first);
        migrate::run(&backend, &clock).await?;
        Ok(Db::new(backend))
    }

    async fn client(&self) -> Stored<Client> {
        self.pool.get().await.map_err(|error| {
            tracing::error!(error = chain(&error), "no connection to the database");
            StoreError::Unavailable
        })
    }

    async fn attempt(&self, write: &[Statement]) -> Result<Vec<Done>, Refusal> {
        let mut client = self.client().await.map_err(Refusal::Answer)?;
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
}

impl Backend for Postgres {
    const MIGRATIONS: Migrations = Migrations {
        bootstrap: include_str!("../../migrations/postgres/0000_bootstrap.sql"),
        list: &[Migration {
            version: 1,
            name: "init",
            min_binary: 1,
            sql: include_str!("../../migrations/postgres/0001_init.sql"),
        }],
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        let mut tries = 0;
        loop {
            match self.attempt(&write).await {
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
        let client = self.client().await?;
        // A single statement is its own snapshot; it needs no transaction around it.
        match value::run(&client, &query).await {
            Ok(done) => Ok(done.rows),
            Err(error) => match Refusal::from(error) {
                Refusal::Answer(error) => Err(error),
                Refusal::Again(_) => Err(StoreError::Unavailable),
            },
        }
    }
}

fn pool(config: Config, options: Options) -> Result<Pool, OpenError> {
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match (config.get_ssl_mode(), options.tls) {
        (SslMode::Disable, _) | (SslMode::Prefer, None) => {
            Manager::from_config(config, NoTls, manager)
        }
        (_, Some(tls)) => {
            Manager::from_config(config, MakeRustlsConnect::new((*tls).clone()), manager)
        }
        (_, None) => {
            return Err(OpenError::Database(
                "the database URL asks for TLS, and no TLS settings were given".to_owned(),
            ));
        }
    };
    let prepare = Hook::async_fn(|client, _| {
        Box::pin(async move {
            client
                .batch_execute(STATEMENT_TIMEOUT)
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

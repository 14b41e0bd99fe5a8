//! PostgreSQL: any number of nodes on one database.
//!
//! Every write is one serializable transaction. The database may refuse one because of another that
//! ran beside it; nothing of ours ran in between, so the same list is simply run again.
//!
//! Only what PostgreSQL-compatible distributed engines have too is relied on: no advisory locks, no
//! session state; NOTIFY, where there is one, only makes changes heard sooner.

mod retry;
mod session;
mod target;
#[cfg(any(test, feature = "contract"))]
pub mod testing;
mod tls;
mod value;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use grantry_core::meter::{Meter, Seen, Unmetered};
use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError};
use tokio::sync::RwLock;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::IsolationLevel;

use crate::backend::{Backend, Done, Query, Row, Statement, Write, tells_of_a_change};
use crate::migrate::{self, Migration, Migrations};
use crate::{Db, OpenError};
use retry::Refusal;
use target::Target;
use tls::Way;
use wake::Wake;

/// How a PostgreSQL database is used. What is said of TLS is in its URL.
#[derive(Clone)]
pub struct Options {
    /// Connections per node, at most; one more listens for changes.
    pub connections: usize,
    /// How long a caller waits for a free connection.
    pub wait: Duration,
    /// How long a new connection may take, TLS and the log-in included.
    pub connect: Duration,
    /// How long a read, or one attempt of a write from its begin to its commit, may take before it is
    /// broken off together with its connection. The change feed relies on 10 s at most.
    pub deadline: Duration,
    /// Listens for changes and tells of them by NOTIFY.
    pub notify: bool,
    /// Told of waiting and of repeated writes.
    pub meter: Arc<dyn Meter>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16,
            wait: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            notify: true,
            meter: Arc::new(Unmetered),
        }
    }
}

/// The PostgreSQL backend.
pub struct Postgres {
    pool: Pool,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    meter: Arc<dyn Meter>,
    /// Held alone by a write that lost against others too often.
    crowd: RwLock<()>,
    wake: Arc<Wake>,
    listener: Option<AbortHandle>,
}

impl Postgres {
    /// Connects to `url` (`postgres://…`, libpq's key-value form works too, with its `sslmode`, `sslrootcert`,
    /// `sslcert` and `sslkey`) and brings the database to this binary's schema. Of several nodes that start at
    /// once, one migrates and the others wait.
    pub async fn open(
        url: &str,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Db<Self>, OpenError> {
        let way = Way::to(Target::parse(url)?)?;
        let notify = options.notify;
        let mut backend = Self::over(way.clone(), Arc::clone(&clock), &options).await?;
        migrate::run(&backend, &clock).await?;
        if notify {
            let listener = tokio::spawn(wake::run(way, Arc::clone(&backend.wake), clock));
            backend.listener = Some(listener.abort_handle());
        }
        Ok(Db::new(backend))
    }

    /// Connects to `url` and leaves the schema as it is.
    pub(crate) async fn connect(
        url: &str,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        Self::over(Way::to(Target::parse(url)?)?, clock, &options).await
    }

    async fn over(way: Way, clock: Arc<dyn Clock>, options: &Options) -> Result<Self, OpenError> {
        let backend = Self {
            pool: pool(way, options)?,
            clock,
            deadline: options.deadline,
            meter: Arc::clone(&options.meter),
            crowd: RwLock::new(()),
            wake: Arc::default(),
            listener: None,
        };
        drop(session::get(&backend.pool).await?);
        // With one connection there is nobody to share with.
        if options.connections > 1 {
            session::is_own(&backend.pool).await?;
        }
        Ok(backend)
    }

    async fn client(&self) -> Stored<Client> {
        let since = self.clock.boot();
        let client = self.pool.get().await;
        let took = self.clock.boot().saturating_sub(since);
        self.meter.note(Seen::PoolWait { took });
        client.map_err(|error| {
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
            Migration {
                version: 6,
                name: "resources",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0006_resources.sql"),
            },
            Migration {
                version: 7,
                name: "provenance",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0007_provenance.sql"),
            },
            Migration {
                version: 8,
                name: "endings",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0008_endings.sql"),
            },
            Migration {
                version: 9,
                name: "datagrid",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0009_datagrid.sql"),
            },
            Migration {
                version: 10,
                name: "credentials",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0010_credentials.sql"),
            },
            Migration {
                version: 11,
                name: "administration",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0011_administration.sql"),
            },
            Migration {
                version: 13,
                name: "registrations",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0013_registrations.sql"),
            },
            Migration {
                version: 14,
                name: "flows",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0014_flows.sql"),
            },
            Migration {
                version: 15,
                name: "mended",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0015_mended.sql"),
            },
            Migration {
                version: 17,
                name: "provisioning",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0017_provisioning.sql"),
            },
            Migration {
                version: 18,
                name: "sign_in",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0018_sign_in.sql"),
            },
            Migration {
                version: 20,
                name: "key_purposes",
                // A program that knows no purposes would sign workloads' tokens with keys of sign-ins.
                min_binary: 20,
                sql: include_str!("../../migrations/postgres/0020_key_purposes.sql"),
            },
            Migration {
                version: 21,
                name: "setups",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0021_setups.sql"),
            },
            Migration {
                version: 22,
                name: "sign_in_ends",
                // With it came words of an installation's status that older programs do not read.
                min_binary: 22,
                sql: include_str!("../../migrations/postgres/0022_sign_in_ends.sql"),
            },
            Migration {
                version: 23,
                name: "reinstall",
                min_binary: 3,
                sql: include_str!("../../migrations/postgres/0023_reinstall.sql"),
            },
        ],
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        let mut tries = 0;
        loop {
            let tried = self.in_time(async |client| attempt(client, &write).await);
            let tried = if tries < retry::TRIES_IN_THE_CROWD {
                let _beside_others = self.crowd.read().await;
                tried.await
            } else {
                let _alone = self.crowd.write().await;
                tried.await
            };
            match tried {
                Ok(done) => {
                    if tells_of_a_change(&write) {
                        self.wake.committed.notify_one();
                    }
                    return Ok(done);
                }
                Err(Refusal::Answer(error)) => return Err(error),
                Err(Refusal::NoSuchText) => return Err(StoreError::Missing("text")),
                Err(Refusal::Again(reason)) => {
                    tries += 1;
                    self.meter.note(Seen::WriteRepeated);
                    let Some(pause) = retry::pause(tries, self.clock.boot()) else {
                        tracing::error!(%reason, tries, "the database keeps refusing a write because of others beside it");
                        return Err(StoreError::Unavailable);
                    };
                    self.clock.sleep(pause).await;
                }
            }
        }
    }

    async fn migrate(&self, write: Write) -> Stored<Vec<Done>> {
        let mut tries = 0;
        loop {
            // The limits are the session's: this one is for nothing else, and is given up afterwards.
            let mut client = self.client().await?;
            let tried = async {
                client.batch_execute("SET statement_timeout = 0").await?;
                attempt(&mut client, &write).await
            };
            let tried = tried.await;
            drop(Client::take(client));
            match tried {
                Ok(done) => return Ok(done),
                Err(Refusal::Answer(error)) => return Err(error),
                Err(Refusal::NoSuchText) => return Err(StoreError::Unavailable),
                Err(Refusal::Again(reason)) => {
                    tries += 1;
                    let Some(pause) = retry::pause(tries, self.clock.boot()) else {
                        tracing::error!(%reason, tries, "the database keeps refusing a step of the schema");
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
        match read.await {
            Ok(rows) => Ok(rows),
            Err(Refusal::NoSuchText) => Ok(Vec::new()),
            Err(Refusal::Answer(error)) => Err(error),
            Err(Refusal::Again(_)) => Err(StoreError::Unavailable),
        }
    }

    async fn changed(&self) {
        self.wake.heard.notified().await;
    }
}

/// Whether the way to the database at `url` leaves this machine.
pub fn leaves_the_machine(url: &str) -> bool {
    Target::parse(url).is_ok_and(|target| tls::leaves_the_machine(&target.config))
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

fn pool(way: Way, options: &Options) -> Result<Pool, OpenError> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(way.config, way.tls, recycling);
    let within = options.connect;
    let prepare = Hook::async_fn(move |client, _| {
        Box::pin(async move {
            let done = session::set_up(client, within).await;
            done.map_err(HookError::message)
        })
    });
    Pool::builder(manager)
        .max_size(options.connections.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(options.wait),
            create: Some(options.connect),
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

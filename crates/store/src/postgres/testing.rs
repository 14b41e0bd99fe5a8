//! A PostgreSQL database for one test, whose clock the test holds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is test code, for the tests of several crates"
)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantry_core::store::Stored;
use grantry_core::testing::ManualClock;
use grantry_core::{Clock, Timestamp};
use tokio_postgres::{Config, NoTls};

use super::{Options, Postgres};
use crate::Db;
use crate::backend::{Backend, Done, Query, Row, Write};
use crate::migrate::Migrations;

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// PostgreSQL with the test's clock: every list starts by telling the database what time it is.
pub struct Pretending {
    backend: Postgres,
    clock: ManualClock,
    _database: Database,
}

impl Pretending {
    /// A store in a database of its own on the cluster that `TEST_DATABASE_URL` names.
    pub async fn open(clock: ManualClock) -> Db<Self> {
        let database = Database::migrated(&clock).await;
        let options = Options {
            connections: 8,
            ..Options::default()
        };
        let db = Postgres::open(database.url(), Arc::new(Ticking(clock.clone())), options)
            .await
            .unwrap();
        let pretending = Self {
            backend: db.backend,
            clock,
            _database: database,
        };
        // The migration's function reads the machine's clock; the test holds time in its hand.
        let function = "CREATE OR REPLACE FUNCTION now_us() RETURNS BIGINT LANGUAGE SQL VOLATILE
                        AS $$ SELECT current_setting('grantry.now_us')::BIGINT $$";
        let client = pretending.backend.client().await.unwrap();
        client.batch_execute(function).await.unwrap();
        drop(client);
        Db::new(pretending)
    }

    fn now(&self) -> String {
        format!(
            "SELECT set_config('grantry.now_us', '{}', false)",
            self.clock.now().0
        )
    }
}

impl Backend for Pretending {
    const MIGRATIONS: Migrations = Postgres::MIGRATIONS;

    async fn write(&self, mut write: Write) -> Stored<Vec<Done>> {
        write.insert(0, Query::new(self.now(), vec![]).into());
        let mut done = self.backend.write(write).await?;
        done.remove(0);
        Ok(done)
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        if !query.sql.contains("now_us") {
            return self.backend.read(query).await;
        }
        // A read may land on a connection that was told another time, or none.
        let write = vec![Query::new(self.now(), vec![]).into(), query.into()];
        let mut done = self.backend.write(write).await?;
        Ok(done.pop().map(|done| done.rows).unwrap_or_default())
    }

    async fn changed(&self) {
        self.backend.changed().await;
    }
}

/// A database of its own, dropped with the test.
pub struct Database {
    cluster: Config,
    name: String,
    url: String,
}

impl Database {
    /// Makes an empty one on the cluster that `TEST_DATABASE_URL` names.
    pub async fn make() -> Self {
        Self::named(&next_name(), "").await
    }

    /// Makes one that has this binary's schema: the copy of a template that the cluster's first test migrates,
    /// for every migration run anew is most of what a small test would take.
    async fn migrated(clock: &ManualClock) -> Self {
        let mut hasher = DefaultHasher::new();
        for migration in Postgres::MIGRATIONS.list {
            migration.sql.hash(&mut hasher);
        }
        let template = format!("grantry_template_{:x}", hasher.finish());
        let (client, connection) = cluster().1.connect(NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        // Tests are processes; whoever comes second waits for the first.
        let lock = format!("SELECT pg_advisory_lock(hashtext('{template}'))");
        client.batch_execute(&lock).await.unwrap();
        let known = "SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate";
        let known = client.query_opt(known, &[&template]).await.unwrap();
        if known.is_none() {
            let database = Self::named(&template, "").await;
            let clock = Arc::new(Ticking(clock.clone()));
            let options = Options {
                notify: false,
                ..Options::default()
            };
            drop(
                Postgres::open(database.url(), clock, options)
                    .await
                    .unwrap(),
            );
            let done = format!("ALTER DATABASE {template} IS_TEMPLATE true");
            client.batch_execute(&done).await.unwrap();
            mem::forget(database);
        }
        drop(client);
        connection.await.unwrap().unwrap();
        // PostgreSQL waits some seconds for the template's last connection to end.
        Self::named(&next_name(), &format!("TEMPLATE {template}")).await
    }

    async fn named(name: &str, from: &str) -> Self {
        let (server, config) = cluster();
        let drop_left = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        run(&config, &drop_left).await;
        run(&config, &format!("CREATE DATABASE {name} {from}")).await;
        Self {
            cluster: config,
            url: format!("{server}/{name}"),
            name: name.to_owned(),
        }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (cluster, sql) = (
            self.cluster.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // Drop cannot wait for a future; a thread of its own can.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(&cluster, &sql));
        });
        dropped.join().unwrap();
    }
}

fn next_name() -> String {
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    format!("grantry_test_{}_{number}", std::process::id())
}

/// The cluster's URL without a database, and how to reach the one that the variable names.
fn cluster() -> (String, Config) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that names the tests' cluster"
    )]
    let url = std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL names a PostgreSQL cluster; scripts/test starts one");
    let (server, _) = url.rsplit_once('/').unwrap();
    (server.to_owned(), url.parse().unwrap())
}

async fn run(config: &Config, sql: &str) {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// Shows the test's time, and sleeps by the machine's: a write that is run again must not wait for the test.
pub struct Ticking(pub ManualClock);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn boot(&self) -> Duration {
        self.0.boot()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the pause before a repeated write is real"
        )]
        Box::pin(tokio::time::sleep(duration))
    }
}

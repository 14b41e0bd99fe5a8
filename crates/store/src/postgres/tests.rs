//! The contract on a real PostgreSQL. Behind the feature `postgres-tests`, which `scripts/test` switches on with
//! `TEST_DATABASE_URL` naming a cluster where databases can be made.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantry_core::store::{Store, Stored};
use grantry_core::testing::ManualClock;
use grantry_core::{Clock, StoreError, Timestamp};
use tokio_postgres::{Config, NoTls};

use super::{Options, Postgres};
use crate::Db;
use crate::backend::{Backend, Done, Query, Row, Write};
use crate::migrate::Migrations;

crate::contract_tests!(open);

static DATABASES: AtomicU32 = AtomicU32::new(0);

async fn open(clock: ManualClock) -> Arc<dyn Store> {
    let database = Database::make().await;
    let options = Options {
        connections: 8,
        ..Options::default()
    };
    let db = Postgres::open(&database.url, Arc::new(Ticking(clock.clone())), options)
        .await
        .unwrap();
    let pretending = Pretending {
        backend: db.backend,
        clock,
        _database: database,
    };
    // The migration's function reads the machine's clock; the contract holds time in its hand.
    let function = "CREATE OR REPLACE FUNCTION now_us() RETURNS BIGINT LANGUAGE SQL VOLATILE
                    AS $$ SELECT current_setting('grantry.now_us')::BIGINT $$";
    pretending
        .backend
        .client()
        .await
        .unwrap()
        .batch_execute(function)
        .await
        .unwrap();
    Arc::new(Db::new(pretending))
}

/// PostgreSQL with the test's clock: every list starts by telling the database what time it is.
struct Pretending {
    backend: Postgres,
    clock: ManualClock,
    _database: Database,
}

impl Pretending {
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
        // A read may land on a connection that was told another time, or none.
        let write = vec![Query::new(self.now(), vec![]).into(), query.into()];
        let mut done = self.backend.write(write).await?;
        Ok(done.pop().map(|done| done.rows).unwrap_or_default())
    }
}

/// A database of its own, dropped with the test.
struct Database {
    cluster: Config,
    name: String,
    url: String,
}

impl Database {
    async fn make() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that names the tests' cluster"
        )]
        let cluster = std::env::var("TEST_DATABASE_URL")
            .expect("TEST_DATABASE_URL names a PostgreSQL cluster; scripts/test starts one");
        let name = format!(
            "grantry_test_{}_{}",
            std::process::id(),
            DATABASES.fetch_add(1, Ordering::Relaxed)
        );
        let config: Config = cluster.parse().unwrap();
        run(
            &config,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
        run(&config, &format!("CREATE DATABASE {name}")).await;
        let (server, _) = cluster.rsplit_once('/').unwrap();
        Self {
            cluster: config,
            url: format!("{server}/{name}"),
            name,
        }
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

async fn run(config: &Config, sql: &str) {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// Shows the test's time, and sleeps by the machine's: a write that is run again must not wait for the test.
struct Ticking(ManualClock);

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

#[tokio::test]
async fn nodes_that_start_at_once_migrate_once() {
    let database = Database::make().await;
    let start = || {
        Postgres::open(
            &database.url,
            Arc::new(Ticking(ManualClock::default())),
            Options::default(),
        )
    };
    let (one, two, three) = tokio::join!(start(), start(), start());
    for node in [one, two, three] {
        node.map(drop).unwrap();
    }
}

/// A database that is migrated before `options` apply: those of a test may be too tight for that.
async fn alone(options: Options) -> (Database, Db<Postgres>) {
    let database = Database::make().await;
    let open = async |options| {
        let clock = Arc::new(Ticking(ManualClock::default()));
        Postgres::open(&database.url, clock, options).await.unwrap()
    };
    open(Options::default()).await;
    let db = open(options).await;
    (database, db)
}

#[tokio::test]
async fn reads_are_not_serializable_for_nothing() {
    let (_database, db) = alone(Options::default()).await;
    let level = Query::new(
        "SELECT current_setting('transaction_isolation') AS level",
        vec![],
    );
    let rows = db.backend.read(level.clone()).await.unwrap();
    assert_eq!(rows[0].get("level"), Ok("read committed".to_owned()));
    let done = db.backend.write(vec![level.into()]).await.unwrap();
    assert_eq!(done[0].rows[0].get("level"), Ok("serializable".to_owned()));
}

#[tokio::test]
async fn what_takes_too_long_is_broken_off_with_its_connection() {
    let (_database, db) = alone(Options {
        connections: 1,
        deadline: Duration::from_secs(1),
        ..Options::default()
    })
    .await;
    let slow = Query::new("SELECT 1 FROM pg_sleep(20)", vec![]);
    let quick = Query::new("SELECT 1 AS one", vec![]);
    let late = Err(StoreError::Unavailable);
    assert_eq!(db.backend.read(slow.clone()).await.map(drop), late);
    assert!(db.backend.read(quick.clone()).await.is_ok());
    assert_eq!(db.backend.write(vec![slow.into()]).await.map(drop), late);
    assert!(db.backend.write(vec![quick.into()]).await.is_ok());
}

//! The contract on a real PostgreSQL. Behind the feature `postgres-tests`, which `scripts/test` switches on with
//! `TEST_DATABASE_URL` naming a cluster where databases can be made.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::StoreError;
use grantry_core::store::Store;
use grantry_core::testing::ManualClock;

use super::testing::{Database, Pretending, Ticking};
use super::{Options, Postgres};
use crate::Db;
use crate::backend::{Backend, Query};

crate::contract_tests!(open);

async fn open(clock: ManualClock) -> Arc<dyn Store> {
    Arc::new(Pretending::open(clock).await)
}

#[tokio::test]
async fn nodes_that_start_at_once_migrate_once() {
    let database = Database::make().await;
    let start = || {
        Postgres::open(
            database.url(),
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
        Postgres::open(database.url(), clock, options)
            .await
            .unwrap()
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

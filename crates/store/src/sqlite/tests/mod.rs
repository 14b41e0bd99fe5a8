//! What is SQLite's own: the file, the disk, the plans. The rest is the contract suite.

mod disk;
mod plans;
mod rows;
mod schema;

use std::path::Path;
use std::sync::Arc;

use grantry_core::store::Store;
use grantry_core::testing::ManualClock;

use super::{Options, Sqlite};
use crate::Db;
use crate::backend::{Backend, Statement};

async fn open(clock: ManualClock) -> Arc<dyn Store> {
    Arc::new(temporary(clock).await)
}

async fn temporary(clock: ManualClock) -> Db<Sqlite> {
    Db::temporary(Arc::new(clock)).await.unwrap()
}

async fn open_at(path: &Path) -> Db<Sqlite> {
    let clock = Arc::new(ManualClock::default());
    Sqlite::open(path, clock, Options::default()).await.unwrap()
}

/// Runs SQL of the test's own.
async fn run(db: &Db<Sqlite>, sql: &'static str) {
    let done = db.backend.write(vec![Statement::new(sql, vec![])]).await;
    assert!(done.is_ok(), "{sql}");
}

crate::contract_tests!(open);

//! The database of a world: a SQLite file, or a PostgreSQL database of its own.
//!
//! `GRANTRY_IT_DATABASE=postgres` puts every world on the cluster that `TEST_DATABASE_URL` names;
//! `scripts/test` runs all of this crate both ways.

use std::path::Path;
use std::sync::Arc;

use grantry_core::Store;
use grantry_core::testing::ManualClock;
use grantry_store::postgres::testing::Pretending;
use grantry_store::{Options, Sqlite};

use super::Watch;

/// Whether worlds are on PostgreSQL.
pub fn is_postgres() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told by the environment which database they are on"
    )]
    let wanted = std::env::var("GRANTRY_IT_DATABASE").unwrap_or_default();
    match wanted.as_str() {
        "" | "sqlite" => false,
        "postgres" => true,
        other => panic!("GRANTRY_IT_DATABASE={other}: sqlite or postgres would be right"),
    }
}

/// An empty store under `watch` whose clock is `clock`; a file of it lies in `directory`.
pub async fn open(directory: &Path, watch: &Watch, clock: &ManualClock) -> Arc<dyn Store> {
    if is_postgres() {
        let db = Pretending::open(clock.clone()).await;
        return Arc::new(db.map(|inner| watch.around(inner, clock.clone())));
    }
    let shared = Arc::new(clock.clone());
    let db = Sqlite::open(&directory.join("grantry.db"), shared, Options::default()).await;
    Arc::new(db.unwrap().map(|inner| watch.around(inner, clock.clone())))
}

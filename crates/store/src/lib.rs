//! Storage: the methods of `grantry_core::store`, each a whole transaction, written once.
//!
//! - [`backend`] is the small port below the methods: a write is data, a backend runs it.
//! - [`sqlite`] is the embedded backend: one writer thread with group commit, a pool of readers.
//! - [`postgres`] is the backend for several nodes on one database.
//! - `rows/` says how each noun lies in its table; one file per trait (`connectors.rs`, `refresh.rs` …)
//!   holds the methods.
//! - `contract/` (feature `contract`) is the suite that every backend has to pass.
//!
//! SQL here is text that SQLite and PostgreSQL both run: `?n` parameters, `ON CONFLICT`, `RETURNING`,
//! and one function, `now_us()`, which is the database's clock. A guard is a `SELECT` that must return
//! a row, so a backend has to isolate a write from every other one (serializable).

pub mod backend;
pub mod inspect;
pub mod migrate;
pub mod postgres;
pub mod spool;
pub mod sqlite;

mod batch;
mod belongings;
mod connect;
mod connections;
mod connectors;
mod credentials;
mod db;
mod destinations;
mod endings;
mod installations;
mod keys;
mod metered;
mod refresh;
mod repeats;
mod rows;
mod setups;
mod sign_in;
mod system;
mod team_end;
mod tenancy;
mod unique;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use db::Db;
pub use metered::Metered;
pub use migrate::OpenError;
pub use postgres::Postgres;
pub use spool::DirSpool;
pub use sqlite::{Options, Sqlite};

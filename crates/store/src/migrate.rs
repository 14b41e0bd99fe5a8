//! Brings a database to this binary's schema.
//!
//! Migrations run forward only, one write each, under a leased row: one node migrates, the others
//! wait for it. Each migration records the lowest schema number that a binary must know from then
//! on, so that two versions can run side by side during an upgrade and an older one is refused.
//!
//! Refinery (0.10) was the first choice and does not fit: it knows no lease, it has no place for
//! `min_binary`, and it refuses a database that has migrations it does not know, which is the normal
//! state of the older binary in an upgrade.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError};

use crate::backend::{Backend, Query, Statement, Write};
use crate::rows::{micros, params};

/// How long a node may take for the migrations before another one steps in.
const LEASE: Duration = Duration::from_secs(60);
/// How often a waiting node looks again.
const POLL: Duration = Duration::from_millis(200);

/// A database's schema, as this binary knows it.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// Statements that the runner itself needs; run at every start.
    pub bootstrap: &'static str,
    /// All migrations, by rising version.
    pub list: &'static [Migration],
}

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number, from 1.
    pub version: i64,
    /// What it is for.
    pub name: &'static str,
    /// The lowest schema number a binary must know to run once this is applied.
    pub min_binary: i64,
    /// Statements, each ended by a semicolon and a blank line.
    pub sql: &'static str,
}

impl Migrations {
    /// The schema number of this binary.
    pub fn newest(&self) -> i64 {
        self.list.last().map_or(0, |migration| migration.version)
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database has been migrated by a newer binary that older ones cannot run beside.
    #[error(
        "the database needs a binary with schema {min_binary} or newer, and this one has schema {binary}: \
         start the newer release"
    )]
    BinaryTooOld {
        /// The lowest schema number that may run.
        min_binary: i64,
        /// This binary's.
        binary: i64,
    },
    /// The file or its directory cannot be used.
    #[error("cannot use {path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The database refuses.
    #[error("cannot open the database: {0}")]
    Database(String),
    /// A migration failed; nothing of it was kept.
    #[error("cannot migrate the database to schema {version}: {error}")]
    Migration {
        /// The step.
        version: i64,
        /// What the store says; the database's own words are in the log.
        error: StoreError,
    },
}

/// What a database says about its schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) version: i64,
    pub(crate) min_binary: i64,
}

impl State {
    /// The schema has everything this binary uses, and has not moved on from it.
    pub(crate) fn is_ours<B: Backend>(&self) -> bool {
        let binary = B::MIGRATIONS.newest();
        self.version >= binary && self.min_binary <= binary
    }
}

/// Reads the schema's state.
pub(crate) async fn state<B: Backend>(backend: &B) -> Stored<State> {
    let query = Query::new(
        "SELECT COALESCE(MAX(version), 0) AS version, COALESCE(MAX(min_binary), 0) AS min_binary
         FROM schema_migrations",
        vec![],
    );
    let rows = backend.read(query).await?;
    let number = |column| {
        let row = rows.first().ok_or(StoreError::Unavailable)?;
        row.get(column).map_err(|_| StoreError::Inconsistent {
            table: "schema_migrations",
            column,
            row: String::new(),
        })
    };
    Ok(State {
        version: number("version")?,
        min_binary: number("min_binary")?,
    })
}

/// Brings the database to this binary's schema, or waits until another node has.
pub async fn run<B: Backend>(backend: &B, clock: &Arc<dyn Clock>) -> Result<(), OpenError> {
    let binary = B::MIGRATIONS.newest();
    let failed = |version| move |error| OpenError::Migration { version, error };
    let bootstrap = statements(B::MIGRATIONS.bootstrap).collect();
    backend.write(bootstrap).await.map_err(failed(0))?;
    loop {
        let state = state(backend).await.map_err(failed(0))?;
        if state.min_binary > binary {
            return Err(OpenError::BinaryTooOld {
                min_binary: state.min_binary,
                binary,
            });
        }
        let mut pending = B::MIGRATIONS
            .list
            .iter()
            .filter(|migration| migration.version > state.version);
        let Some(next) = pending.next() else {
            return Ok(());
        };
        if !take_lease(backend).await.map_err(failed(next.version))? {
            clock.sleep(POLL).await;
            continue;
        }
        let applied = backend.migrate(step(next)).await;
        give_lease_back(backend)
            .await
            .map_err(failed(next.version))?;
        match applied {
            // Somebody whose lease ran out applied it after all.
            Ok(_) | Err(StoreError::Taken("migration")) => {}
            Err(error) => return Err(failed(next.version)(error)),
        }
    }
}

/// The migration and its record, in one write. The record comes first: it is what a second runner fails on.
fn step(migration: &Migration) -> Write {
    let record = Statement::new(
        "INSERT INTO schema_migrations (version, name, applied_at, min_binary) VALUES (?1, ?2, now_us(), ?3)",
        params![migration.version, migration.name, migration.min_binary],
    );
    std::iter::once(record)
        .chain(statements(migration.sql))
        .collect()
}

fn statements(sql: &'static str) -> impl Iterator<Item = Statement> {
    sql.split(";\n\n")
        .map(|text| text.trim_end().trim_end_matches(';'))
        .filter(|text| !text.is_empty())
        .map(|text| Statement::new(text, vec![]))
}

/// Unlike other leases this one has no owner who may renew it: two runners in one process are two runners.
async fn take_lease<B: Backend>(backend: &B) -> Stored<bool> {
    let done = backend
        .write(vec![Statement::new(
            "INSERT INTO leases (name, owner, expires_at) VALUES ('migrations', 'migrations', now_us() + ?1)
             ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at
             WHERE leases.expires_at <= now_us()",
            params![micros(LEASE)],
        )])
        .await?;
    Ok(done.iter().any(|done| done.count == 1))
}

async fn give_lease_back<B: Backend>(backend: &B) -> Stored<()> {
    let release = Statement::new("DELETE FROM leases WHERE name = 'migrations'", vec![]);
    backend.write(vec![release]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every migration that was ever released or landed. A new one goes below all others, with a higher number than
    /// any: a database that is at the highest never gets what is put in further up.
    const LISTED: &[(i64, &str)] = &[
        (1, "init"),
        (2, "belongings"),
        (3, "signing_keys"),
        (4, "keyed_requests"),
        (5, "tenancy"),
        (6, "resources"),
        (7, "provenance"),
        (8, "endings"),
        (9, "datagrid"),
        (10, "credentials"),
        (11, "administration"),
        (13, "registrations"),
        (14, "flows"),
        (15, "mended"),
        (17, "provisioning"),
        (18, "sign_in"),
        (20, "key_purposes"),
        (21, "setups"),
        (22, "sign_in_ends"),
        (23, "reinstall"),
    ];

    fn numbers(migrations: &Migrations) -> Vec<(i64, &'static str)> {
        let all = migrations.list.iter();
        all.map(|one| (one.version, one.name)).collect()
    }

    #[test]
    fn migrations_only_ever_follow_those_that_are_there() {
        for migrations in [
            crate::sqlite::Sqlite::MIGRATIONS,
            crate::postgres::Postgres::MIGRATIONS,
        ] {
            let numbers = numbers(&migrations);
            let (before, new) = numbers.split_at(LISTED.len().min(numbers.len()));
            assert_eq!(
                before, LISTED,
                "a listed migration was moved or one put before it"
            );
            assert_eq!(new, [], "add it to LISTED, below the others");
            assert!(
                numbers.is_sorted_by(|one, next| one.0 < next.0),
                "{numbers:?}"
            );
        }
    }
}

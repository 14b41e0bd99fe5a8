//! A database seen from outside: nothing is made, migrated or written. For `grantry doctor`.

use std::path::Path;
use std::sync::Arc;

use grantry_core::store::Stored;
use grantry_core::{Clock, StoreError, Timestamp};

use crate::backend::{Backend, Bad, Query, Row, Statement};
use crate::{Db, OpenError, Postgres, Sqlite, migrate, postgres};

/// Which schema the database has, and which one this binary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The database's; 0 for none.
    pub version: i64,
    /// The lowest that may run on it.
    pub min_binary: i64,
    /// This binary's.
    pub binary: i64,
}

/// What PostgreSQL says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`: 150004 is 15.4.
    pub version: i64,
    /// Its clock.
    pub now: Timestamp,
    /// It follows another server, and takes no writes.
    pub standby: bool,
    /// `default_transaction_read_only`.
    pub read_only: bool,
    /// `fsync`: off, a committed row may be lost with the machine.
    pub fsync: bool,
    /// Connections that it takes in all.
    pub connections_max: i64,
    /// This connection is encrypted.
    pub encrypted: bool,
    /// A write's isolation, as the server reports it within one.
    pub isolation: String,
}

/// The embedded database in the file `path`, which must exist, for reading only.
///
/// # Errors
/// When the file is no database, or cannot be read.
pub fn sqlite(path: &Path, clock: &Arc<dyn Clock>) -> Result<Db<Sqlite>, OpenError> {
    Sqlite::for_reading(path, clock).map(Db::new)
}

/// The PostgreSQL database at `url`, as it is.
///
/// # Errors
/// When there is no connection.
pub async fn postgres(
    url: &str,
    clock: Arc<dyn Clock>,
    options: postgres::Options,
) -> Result<Db<Postgres>, OpenError> {
    Postgres::connect(url, clock, options).await.map(Db::new)
}

impl<B: Backend> Db<B> {
    /// The schema; `version` is 0 where there is none yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema(&self) -> Stored<Schema> {
        let state = migrate::state(&self.backend).await?;
        Ok(Schema {
            version: state.version,
            min_binary: state.min_binary,
            binary: B::MIGRATIONS.newest(),
        })
    }
}

impl Db<Sqlite> {
    /// What SQLite's quick check complains of: nothing, when the file is sound. Reads all of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn complaints(&self) -> Stored<Vec<String>> {
        let query = Query::new("PRAGMA quick_check(5)", vec![]);
        let rows = self.backend.read(query).await?;
        let lines: Stored<Vec<String>> = rows.iter().map(|row| get(row, "quick_check")).collect();
        Ok(lines?.into_iter().filter(|line| line != "ok").collect())
    }
}

impl Db<Postgres> {
    /// What the server says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn server(&self) -> Stored<Server> {
        let query = Query::new(
            "SELECT CAST(current_setting('server_version_num') AS BIGINT) AS version,
                    CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now,
                    CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END AS standby,
                    current_setting('default_transaction_read_only') AS read_only,
                    current_setting('fsync') AS fsync,
                    CAST(current_setting('max_connections') AS BIGINT) AS connections_max,
                    CASE WHEN EXISTS (SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl)
                         THEN 'on' ELSE 'off' END AS encrypted",
            vec![],
        );
        let rows = self.backend.read(query).await?;
        let row = rows.first().ok_or(StoreError::Unavailable)?;
        let on = |column| Ok::<_, StoreError>(get::<String>(row, column)? == "on");
        Ok(Server {
            version: get(row, "version")?,
            now: Timestamp(get(row, "now")?),
            standby: on("standby")?,
            read_only: on("read_only")?,
            fsync: on("fsync")?,
            connections_max: get(row, "connections_max")?,
            encrypted: on("encrypted")?,
            isolation: self.isolation().await?,
        })
    }

    async fn isolation(&self) -> Stored<String> {
        let ask = Statement::new(
            "SELECT current_setting('transaction_isolation') AS isolation",
            vec![],
        );
        let done = self.backend.write(vec![ask]).await?;
        let row = done.first().and_then(|done| done.rows.first());
        get(row.ok_or(StoreError::Unavailable)?, "isolation")
    }
}

fn get<T: crate::backend::FromValue>(row: &Row, column: &'static str) -> Stored<T> {
    row.get(column)
        .map_err(|Bad(column)| StoreError::Inconsistent {
            table: "settings",
            column,
            row: String::new(),
        })
}

#[cfg(test)]
mod tests {
    use grantry_core::testing::ManualClock;

    use super::*;

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::default())
    }

    #[tokio::test]
    async fn a_sound_file_has_a_schema_and_no_complaints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grantry.db");
        drop(
            Sqlite::open(&path, clock(), crate::Options::default())
                .await
                .unwrap(),
        );
        let db = sqlite(&path, &clock()).unwrap();
        let schema = db.schema().await.unwrap();
        assert_eq!(schema.version, schema.binary);
        assert!(schema.version > 0);
        assert!(db.complaints().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_damaged_file_is_complained_of_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grantry.db");
        assert!(sqlite(&path, &clock()).is_err());
        assert!(!path.exists());
        std::fs::write(&path, "no database at all, ".repeat(500)).unwrap();
        let refused = sqlite(&path, &clock()).err().unwrap().to_string();
        assert!(refused.contains("not a database"), "{refused}");

        std::fs::remove_file(&path).unwrap();
        drop(
            Sqlite::open(&path, clock(), crate::Options::default())
                .await
                .unwrap(),
        );
        let mut bytes = std::fs::read(&path).unwrap();
        // The second page and what follows: headers of b-trees.
        bytes[4096..16384].fill(0xA5);
        std::fs::write(&path, bytes).unwrap();
        let db = sqlite(&path, &clock()).unwrap();
        let complaints = db.complaints().await;
        assert!(complaints.is_err() || !complaints.unwrap().is_empty());
    }
}

//! One SQLite connection: how it is set up, and how it runs a statement.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::{Clock, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};

use crate::OpenError;
use crate::backend::{Done, Query, Row, Value};
use crate::unique;

/// How long SQLite waits for a lock of another process (a backup, a shell) before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection; more than the store has.
const STATEMENTS_CACHED: usize = 256;

/// Makes the file, readable by its owner alone. SQLite gives its journal files the same mode.
pub(super) fn make_file(path: &Path) -> Result<(), OpenError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| OpenError::File {
            path: path.display().to_string(),
            error,
        })
}

/// The connection that writes.
///
/// `secure_delete`: a destroyed secret is overwritten, not only unlinked.
pub(super) fn writer(
    path: &Path,
    clock: &Arc<dyn Clock>,
    pages_max: Option<u32>,
) -> Result<Connection, OpenError> {
    let connection = open(path, clock, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let limit = pages_max.map_or(String::new(), |pages| {
        format!("PRAGMA max_page_count = {pages};")
    });
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON;
             PRAGMA journal_size_limit = 67108864;
             {limit}"
        ))
        .map_err(refused)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path, clock: &Arc<dyn Clock>) -> Result<Connection, OpenError> {
    let connection = open(path, clock, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection
        .execute_batch("PRAGMA query_only = ON;")
        .map_err(refused)?;
    Ok(connection)
}

/// Whether the file is a database at all, in SQLite's own words where it is not.
pub(super) fn is_database(connection: &Connection) -> Result<(), OpenError> {
    connection
        .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(refused)
}

fn open(path: &Path, clock: &Arc<dyn Clock>, mode: OpenFlags) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(refused)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(refused)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Without this SQLite prepares a statement anew at every run if its plan could depend on what is
    // bound, and next to a partial index every plan could: it made point reads more than twice as slow.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(refused)?;
    connection
        .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;")
        .map_err(refused)?;
    let clock = Arc::clone(clock);
    connection
        .create_scalar_function("now_us", 0, FunctionFlags::SQLITE_UTF8, move |_| {
            Ok(clock.now().0)
        })
        .map_err(refused)?;
    Ok(connection)
}

fn refused(error: rusqlite::Error) -> OpenError {
    OpenError::Database(error.to_string())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Runs one statement and takes all that it returns.
pub(super) fn run(connection: &Connection, query: &Query) -> rusqlite::Result<Done> {
    let mut statement = connection.prepare_cached(&query.sql)?;
    // By number: in SQLite's own order `?2, ?1` would be bound by first use.
    for (at, value) in query.params.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, value)?;
    }
    if statement.column_count() == 0 {
        let count = statement.raw_execute()?;
        return Ok(Done {
            count,
            rows: Vec::new(),
        });
    }
    let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let values =
            (0..columns.len()).map(|at| row.get_ref(at).and_then(|value| owned(at, value)));
        rows.push(Row {
            columns: Arc::clone(&columns),
            values: values.collect::<rusqlite::Result<_>>()?,
        });
    }
    Ok(Done {
        count: rows.len(),
        rows,
    })
}

fn owned(column: usize, value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(error) => return Err(rusqlite::Error::Utf8Error(column, error)),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        // No column is a float; a stored one is a value that nothing here reads.
        ValueRef::Real(_) => Value::Null,
    })
}

/// What the store says of SQLite's error. Everything but a unique index is trouble of ours or of the
/// machine's, and is logged here, once.
pub(super) fn translate(error: &rusqlite::Error) -> StoreError {
    if let rusqlite::Error::SqliteFailure(code, Some(message)) = error
        && code.code == rusqlite::ErrorCode::ConstraintViolation
        && let Some(columns) = message.strip_prefix("UNIQUE constraint failed: ")
        && let Some(taken) = unique::taken(columns)
    {
        return taken;
    }
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        tracing::error!("the disk of the database is full: no write is taken until there is room");
        return StoreError::Full;
    }
    tracing::error!(%error, "the database refused a statement");
    StoreError::Unavailable
}

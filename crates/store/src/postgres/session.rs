//! What a connection must be: a session of its own, set up before its first use.

use std::time::Duration;

use deadpool_postgres::{Client, Pool, PoolError};
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use super::chain;
use crate::OpenError;

/// What the server itself breaks off. Isolation is not set: a write asks for its own, and a read is one
/// statement. A table that is read from end to end, as PostgreSQL likes to do while it is small, counts as read
/// whole, and every write to it beside would be refused; every query of ours has an index.
const SETTINGS: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'; \
                        SET synchronous_commit = on; SET enable_seqscan = off";

/// Looks at whether two connections share a session. A pooler may be busy with others just then.
const LOOKS: usize = 5;

const SHARED: &str = "a connection pooler that shares sessions stands before it (pgbouncer with pool_mode = \
                      transaction, or statement); settings and prepared statements do not stay with a \
                      connection there. Set pool_mode = session for this database, or name PostgreSQL itself";

/// Sets up a new connection. A pooler may let one log in and then keep it waiting for a server: not longer than
/// `within`.
pub(super) async fn set_up(
    client: &tokio_postgres::Client,
    within: Duration,
) -> Result<(), String> {
    match timeout(within, client.batch_execute(SETTINGS)).await {
        Ok(done) => done.map_err(|error| chain(&error)),
        Err(_) => Err(format!(
            "logged in, but no answer in {within:?}; if there is a pooler, is its pool large enough?"
        )),
    }
}

/// Refuses a way to the database on which connections share sessions.
pub(super) async fn is_own(pool: &Pool) -> Result<(), OpenError> {
    let (one, other) = (get(pool).await?, get(pool).await?);
    for _ in 0..LOOKS {
        let first = process(&one).await?;
        command(&other, "BEGIN").await?;
        let second = process(&other).await;
        command(&other, "ROLLBACK").await?;
        if first.is_some() && first == second? {
            return Err(OpenError::Database(SHARED.to_owned()));
        }
    }
    Ok(())
}

/// A connection. The first one's trouble is the operator's to read, in the database's own words.
pub(super) async fn get(pool: &Pool) -> Result<Client, OpenError> {
    let got = pool.get().await;
    got.map_err(|error: PoolError| OpenError::Database(chain(&error)))
}

async fn command(client: &Client, sql: &str) -> Result<Vec<SimpleQueryMessage>, OpenError> {
    // Nothing prepared: that alone might fail.
    let done = client.simple_query(sql).await;
    done.map_err(|error| OpenError::Database(chain(&error)))
}

/// The server's process that serves the client now; none of an engine that has no such thing.
async fn process(client: &Client) -> Result<Option<i64>, OpenError> {
    let said = command(client, "SELECT pg_backend_pid()").await?;
    let row = said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let number = row.and_then(|text| text.parse().ok());
    Ok(number.filter(|number| *number > 0))
}

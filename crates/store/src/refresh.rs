//! The transactions of the refresh protocol (design §6). Each outcome is the name of the expectation
//! that decides it, so that the decision and the write are one transaction.

use std::time::Duration;

use async_trait::async_trait;
use grantry_core::error::ReconnectReason;
use grantry_core::ids::{TeamId, TokenSetId};
use grantry_core::nouns::{Event, TokenSet};
use grantry_core::store::{
    Begin, ChangeKind, Completion, Live, RefreshStore, Rejection, Retry, Stored,
};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, FromValue, Row, Statement};
use crate::db::guard;
use crate::rows::{change, insert, insert_if, live, micros, one_live, params};

/// The presented set is not its connection's current one, or that connection cannot be refreshed.
const MOVED: StoreError = StoreError::Missing("token_set");
/// Another node holds the lease.
const HELD: StoreError = StoreError::Taken("lease");
/// The connection is revoked, or was never there.
const DEAD: StoreError = StoreError::Missing("connection");
/// The new pair is stored already: the answer to the first try was lost.
const ALREADY_STORED: StoreError = StoreError::Taken("token_set.id");

const CURRENT_AND_ACTIVE: &str =
    "SELECT 1 FROM token_sets t JOIN connections c ON c.id = t.connection
    WHERE t.set_id = ?1 AND t.team = ?2 AND c.state = 'active'";

const CURRENT_AND_LIVE: &str =
    "SELECT 1 FROM token_sets t JOIN connections c ON c.id = t.connection
    WHERE t.set_id = ?1 AND t.team = ?2 AND c.state <> 'revoked'";

fn attempt<T: FromValue>(row: &Row, column: &'static str, set: &TokenSetId) -> Stored<T> {
    row.get(column).map_err(|_| StoreError::Inconsistent {
        table: "refresh_attempts",
        column,
        row: set.to_string(),
    })
}

/// Tells caches of the connection whose current set this is, if it is.
fn set_changed(team: &TeamId, set: &TokenSetId) -> Statement {
    Statement::new(
        "INSERT INTO changes (kind, key, at)
         SELECT ?3, connection, now_us() FROM token_sets WHERE set_id = ?1 AND team = ?2",
        params![set, team, ChangeKind::Connection],
    )
}

#[async_trait]
impl<B: Backend> RefreshStore for Db<B> {
    async fn begin_attempt(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        node: &str,
        lease: Duration,
    ) -> Stored<Begin> {
        let write = vec![
            guard(CURRENT_AND_ACTIVE, params![set, team], MOVED),
            Statement::new(
                "UPDATE token_sets SET lease_node = ?3, lease_until = now_us() + ?4
                 WHERE set_id = ?1 AND team = ?2
                 AND (lease_node IS NULL OR lease_node = ?3 OR lease_until <= now_us())",
                params![set, team, node, micros(lease)],
            )
            .one_or(HELD),
            Statement::new(
                "INSERT INTO refresh_attempts (set_id, number, node, sent_at)
                 SELECT ?1, COALESCE(MAX(number), 0) + 1, ?2, now_us()
                 FROM refresh_attempts WHERE set_id = ?1",
                params![set, node],
            ),
            Statement::new(
                "SELECT number, sent_at FROM refresh_attempts WHERE set_id = ?1 ORDER BY number",
                params![set],
            ),
        ];
        let done = match self.backend.write(write).await {
            Err(MOVED) => return Ok(Begin::Moved),
            Err(HELD) => return Ok(Begin::Held),
            other => other?,
        };
        let attempts = done.last().map_or(&[][..], |done| &done.rows);
        let (Some(first), Some(last)) = (attempts.first(), attempts.last()) else {
            return Err(MOVED);
        };
        Ok(Begin::Go {
            number: attempt(last, "number", set)?,
            first_sent_at: attempt(first, "sent_at", set)?,
        })
    }

    async fn end_attempt(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        node: &str,
        number: u32,
        retry: &Retry,
    ) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "UPDATE token_sets SET not_before = ?3 WHERE set_id = ?1 AND team = ?2",
                params![set, team, retry.not_before],
            )
            .one_or(MOVED),
        ];
        if retry.not_processed {
            write.push(Statement::new(
                "DELETE FROM refresh_attempts WHERE set_id = ?1 AND number = ?2 AND node = ?3",
                params![set, number, node],
            ));
        }
        if retry.release {
            write.extend([
                Statement::new(
                    "UPDATE token_sets SET failures = failures + 1 WHERE set_id = ?1 AND team = ?2",
                    params![set, team],
                ),
                release(team, set, node),
            ]);
        }
        write.push(set_changed(team, set));
        self.run_unless(MOVED, write).await.map(drop)
    }

    async fn complete(
        &self,
        team: &TeamId,
        presented: &TokenSetId,
        next: &TokenSet,
        event: &Event,
    ) -> Stored<Completion> {
        let write = vec![
            Statement::new(
                "SELECT 1 FROM token_sets WHERE set_id = ?1 AND team = ?2",
                params![&next.id, team],
            )
            .none_or(ALREADY_STORED),
            Statement::new(
                "UPDATE connections SET state = 'active', state_reason = NULL,
                 updated_at = CASE WHEN state = 'active' THEN updated_at ELSE ?3 END
                 WHERE id = ?1 AND team = ?2 AND state <> 'revoked'",
                params![&next.connection, team, event.at],
            )
            .one_or(DEAD),
            Statement::new(
                "DELETE FROM token_sets
                 WHERE set_id = ?1 AND team = ?2 AND connection = ?3 AND kind = ?4",
                params![presented, team, &next.connection, &next.kind],
            )
            .one_or(MOVED),
            Statement::new(
                "DELETE FROM refresh_attempts WHERE set_id = ?1",
                params![presented],
            ),
            insert(next),
            insert(event),
            change(ChangeKind::Connection, &next.connection),
        ];
        match self.backend.write(write).await {
            Ok(_) | Err(ALREADY_STORED) => Ok(Completion::Stored),
            Err(DEAD) => Ok(Completion::Dead),
            Err(MOVED) => Ok(Completion::Superseded),
            Err(error) => Err(error),
        }
    }

    async fn reject(
        &self,
        team: &TeamId,
        set: &TokenSetId,
        node: &str,
        number: u32,
        event: &Event,
    ) -> Stored<Rejection> {
        // Both events are prepared; the one whose reason holds is written. A connection that is
        // marked already has had its event.
        let line = |reason: ReconnectReason, attempts: &str| {
            let mut event = event.clone();
            event
                .data
                .insert("reason".to_owned(), reason.as_str().into());
            let condition = format!(
                "EXISTS (SELECT 1 FROM token_sets t JOIN connections c ON c.id = t.connection
                         WHERE t.set_id = {{}} AND t.team = {{}} AND c.state = 'active')
                 AND {attempts} (SELECT 1 FROM refresh_attempts WHERE set_id = {{}} AND number <> {{}})"
            );
            insert_if(&event, &condition, params![set, team, set, number])
        };
        let write = vec![
            guard(CURRENT_AND_LIVE, params![set, team], MOVED),
            Statement::new(
                "SELECT 1 FROM token_sets
                 WHERE set_id = ?1 AND team = ?2 AND lease_node <> ?3 AND lease_until > now_us()",
                params![set, team, node],
            )
            .none_or(HELD),
            line(ReconnectReason::LostResponse, "EXISTS"),
            line(ReconnectReason::Rejected, "NOT EXISTS"),
            Statement::new(
                "UPDATE connections SET state = 'needs_reauth', updated_at = ?4,
                 state_reason = CASE WHEN EXISTS
                 (SELECT 1 FROM refresh_attempts WHERE set_id = ?1 AND number <> ?3) THEN ?5 ELSE ?6 END
                 WHERE id IN (SELECT connection FROM token_sets WHERE set_id = ?1 AND team = ?2)
                 AND state = 'active'",
                params![
                    set,
                    team,
                    number,
                    event.at,
                    ReconnectReason::LostResponse,
                    ReconnectReason::Rejected,
                ],
            ),
            release(team, set, node),
            set_changed(team, set),
            Statement::new(
                "SELECT c.state_reason FROM token_sets t JOIN connections c ON c.id = t.connection
                 WHERE t.set_id = ?1 AND t.team = ?2",
                params![set, team],
            )
            .one_or(MOVED),
        ];
        let done = match self.backend.write(write).await {
            Err(MOVED) => return Ok(Rejection::Moved),
            Err(HELD) => return Ok(Rejection::Held),
            other => other?,
        };
        let row = done.last().and_then(|done| done.rows.first());
        let reason = row.and_then(|row| row.get("state_reason").ok());
        Ok(Rejection::Marked {
            lost_response: reason == Some(ReconnectReason::LostResponse),
        })
    }

    async fn idle_sets(
        &self,
        idle_since: Timestamp,
        now: Timestamp,
        after: Option<&(Timestamp, TokenSetId)>,
        limit: u32,
    ) -> Stored<Vec<Live>> {
        let mut query = live(
            "JOIN connectors o ON o.id = c.connector
             WHERE t.refresh IS NOT NULL AND t.received_at < ?1 AND t.not_before <= ?2
             AND (t.lease_until IS NULL OR t.lease_until <= now_us())
             AND c.state = 'active' AND o.deleted_at IS NULL
             AND (o.fault_not_before IS NULL OR o.fault_not_before <= ?2)",
            params![idle_since, now],
        );
        if let Some((received_at, set)) = after {
            query.push(
                " AND (t.received_at, t.set_id) > ({}, {})",
                params![*received_at, set],
            );
        }
        query.push(" ORDER BY t.received_at, t.set_id LIMIT {}", params![limit]);
        let rows = self.backend.read(query).await?;
        let one = |row: &Row| one_live(std::slice::from_ref(row)).transpose();
        rows.iter().filter_map(one).collect()
    }
}

/// Gives `node`'s lease back; somebody else's stays.
fn release(team: &TeamId, set: &TokenSetId, node: &str) -> Statement {
    Statement::new(
        "UPDATE token_sets SET lease_node = NULL, lease_until = NULL
         WHERE set_id = ?1 AND team = ?2 AND lease_node = ?3",
        params![set, team, node],
    )
}

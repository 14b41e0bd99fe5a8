//! The ends of deleted connectors: what has to follow, in as many transactions as it takes.

use std::time::Duration;

use async_trait::async_trait;
use grantry_core::ids::{ConnectorId, TeamId};
use grantry_core::nouns::{Actor, Event};
use grantry_core::store::{Ended, Ending, EndingStore, RevocationScope, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Bad, Query, Row, Statement, Value};
use crate::connections::Ending as Ends;
use crate::db::guard;
use crate::rows::{json, params};

/// Notes the ends of the connectors that `found` finds (`FROM connectors …`, its first parameter being
/// number 4).
pub(crate) fn begin(
    found: &str,
    params: Vec<Value>,
    at: Timestamp,
    claim: Duration,
    event: &Event,
) -> Statement {
    let mut query = Query::new(
        "INSERT INTO endings (connector, team, actor, at, not_before)
         SELECT id, team, ?1, ?2, ?3 FROM connectors ",
        params![json(&event.actor), at, at.after(claim)],
    );
    query.push(found, params);
    query.into()
}

/// A connector comes back: what was still to be done for its end is not done any more. It has to have lost
/// its connections: they would come back too.
pub(crate) fn cancel(connector: &ConnectorId) -> [Statement; 2] {
    [
        Statement::new(
            "SELECT 1 FROM endings e WHERE e.connector = ?1 AND EXISTS
             (SELECT 1 FROM connections c
              WHERE c.team = e.team AND c.connector = e.connector AND c.state <> 'revoked')",
            params![connector],
        )
        .none_or(StoreError::InUse("connector.end")),
        Statement::new(
            "DELETE FROM endings WHERE connector = ?1",
            params![connector],
        ),
    ]
}

fn ending(row: &Row) -> Stored<Ending> {
    let read = || {
        Ok::<_, Bad>(Ending {
            connector: row.get("connector")?,
            team: row.get("team")?,
            actor: row.json::<Actor>("actor")?,
        })
    };
    read().map_err(|Bad(column)| StoreError::Inconsistent {
        table: "endings",
        column,
        row: format!("{:?}", row.value("connector")),
    })
}

#[async_trait]
impl<B: Backend> EndingStore for Db<B> {
    async fn due_endings(
        &self,
        now: Timestamp,
        claim: Duration,
        limit: u32,
    ) -> Stored<Vec<Ending>> {
        let claimed = Statement::new(
            "UPDATE endings SET not_before = ?2 WHERE connector IN
             (SELECT connector FROM endings WHERE not_before <= ?1 ORDER BY not_before, connector LIMIT ?3)
             RETURNING connector, team, actor",
            params![now, now.after(claim), limit],
        );
        let done = self.backend.write(vec![claimed]).await?;
        done.iter()
            .flat_map(|done| &done.rows)
            .map(ending)
            .collect()
    }

    async fn delay_ending(
        &self,
        team: &TeamId,
        connector: &ConnectorId,
        not_before: Timestamp,
    ) -> Stored<()> {
        self.run(vec![Statement::new(
            "UPDATE endings SET not_before = ?3 WHERE connector = ?1 AND team = ?2",
            params![connector, team, not_before],
        )])
        .await
    }

    async fn end_connections(
        &self,
        ending: &Ending,
        at: Timestamp,
        claim: Duration,
        limit: u32,
        event: &Event,
    ) -> Stored<Ended> {
        let Ending {
            connector, team, ..
        } = ending;
        // It may have come back since: then its connections are nobody's to end.
        let is_ending = guard(
            "SELECT 1 FROM endings e JOIN connectors c ON c.id = e.connector
             WHERE e.connector = ?1 AND e.team = ?2 AND c.deleted_at IS NOT NULL",
            params![connector, team],
            StoreError::Missing("ending"),
        );
        let scope = RevocationScope {
            connector: connector.clone(),
            connection: None,
            subject: None,
            environment: None,
            installation: None,
        };
        let ends = Ends::of(team, &scope, Some(limit));
        self.end(vec![is_ending], &ends, at, claim, event, vec![])
            .await
    }

    async fn finish_ending(&self, team: &TeamId, connector: &ConnectorId) -> Stored<()> {
        const GONE: StoreError = StoreError::Missing("ending");
        let write = vec![
            Statement::new(
                "SELECT 1 FROM connections
                 WHERE team = ?1 AND connector = ?2 AND state <> 'revoked' LIMIT 1",
                params![team, connector],
            )
            .none_or(StoreError::InUse("connector.connections")),
            Statement::new(
                "SELECT 1 FROM revocations WHERE connector = ?1 AND team = ?2 LIMIT 1",
                params![connector, team],
            )
            .none_or(StoreError::InUse("connector.revocations")),
            Statement::new(
                "DELETE FROM endings WHERE connector = ?1 AND team = ?2",
                params![connector, team],
            )
            .one_or(GONE),
            Statement::new(
                "UPDATE connectors SET secrets = NULL, registration = NULL, registration_secrets = NULL
                 WHERE id = ?1 AND team = ?2 AND deleted_at IS NOT NULL",
                params![connector, team],
            ),
        ];
        self.run_unless(GONE, write).await.map(drop)
    }
}

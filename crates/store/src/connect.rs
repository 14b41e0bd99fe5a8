//! Authorizations and flows.

use async_trait::async_trait;
use grantry_core::ids::AuthorizationId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Digest, Event, Flow, TokenSet,
};
use grantry_core::store::{ChangeKind, ConnectStore, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Statement};
use crate::connectors::connector_is_live;
use crate::db::guard;
use crate::rows::{Upsert, authorization_state, change, insert, params, select};

/// Ends a pending authorization; it is `Missing` when it is not pending.
fn end(id: &AuthorizationId, state: &AuthorizationState, at: Timestamp) -> Statement {
    let mut values = params![id, at];
    values.extend(authorization_state(state));
    Statement::new(
        "UPDATE authorizations SET state = ?3, state_detail = ?4, over_at = ?2
         WHERE id = ?1 AND state = 'pending'",
        values,
    )
    .one_or(StoreError::Missing("authorization"))
}

#[async_trait]
impl<B: Backend> ConnectStore for Db<B> {
    async fn create_authorization(
        &self,
        authorization: &Authorization,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            connector_is_live(&authorization.team, &authorization.grant.connector),
            insert(authorization),
            insert(event),
        ])
        .await
    }

    async fn authorization(&self, id: &AuthorizationId) -> Stored<Option<Authorization>> {
        self.first(select::<Authorization>("WHERE id = ?1", params![id]))
            .await
    }

    async fn authorization_by_verifier(&self, verifier: &Digest) -> Stored<Option<Authorization>> {
        self.first(select::<Authorization>(
            "WHERE verifier = ?1",
            params![verifier],
        ))
        .await
    }

    async fn start_flow(&self, flow: &Flow) -> Stored<()> {
        self.run(vec![
            guard(
                "SELECT 1 FROM authorizations
                 WHERE id = ?1 AND team = ?2 AND state = 'pending' AND expires_at > ?3",
                params![&flow.authorization, &flow.team, flow.created_at],
                StoreError::Missing("authorization"),
            ),
            insert(flow),
        ])
        .await
    }

    async fn flow(&self, state: &Digest) -> Stored<Option<Flow>> {
        self.first(select::<Flow>("WHERE state = ?1", params![state]))
            .await
    }

    async fn take_flow(&self, state: &Digest, at: Timestamp) -> Stored<bool> {
        let done = self
            .backend
            .write(vec![Statement::new(
                "UPDATE flows SET used_at = ?2, over_at = ?2
                 WHERE state = ?1 AND used_at IS NULL AND expires_at > ?2",
                params![state, at],
            )])
            .await?;
        Ok(done.iter().any(|done| done.count == 1))
    }

    async fn fail_authorization(
        &self,
        id: &AuthorizationId,
        state: &AuthorizationState,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![end(id, state, event.at), insert(event)])
            .await
    }

    async fn complete_authorization(
        &self,
        id: &AuthorizationId,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<()> {
        let success = AuthorizationState::Success {
            connection: connection.id.clone(),
        };
        let renewed = Upsert {
            key: "id",
            kept: &["created_at"],
            quiet: &[],
        };
        let mut write = vec![
            connector_is_live(&connection.team, &connection.grant.connector),
            guard(
                "SELECT 1 FROM authorizations WHERE id = ?1 AND team = ?2 AND connector = ?3",
                params![id, &connection.team, &connection.grant.connector],
                StoreError::Missing("authorization"),
            ),
            end(id, &success, event.at),
            // Only the live connection of this very grant is renewed under its id.
            renewed
                .when(
                    connection,
                    "connections.team = excluded.team AND connections.connector = excluded.connector
                     AND connections.grant_key = excluded.grant_key AND connections.state <> 'revoked'",
                )
                .one_or(StoreError::Taken("connection.id")),
        ];
        for set in sets {
            let of_kind = || params![&connection.id, &set.kind];
            write.extend([
                Statement::new(
                    "DELETE FROM refresh_attempts WHERE set_id IN
                     (SELECT set_id FROM token_sets WHERE connection = ?1 AND kind = ?2)",
                    of_kind(),
                ),
                Statement::new(
                    "DELETE FROM token_sets WHERE connection = ?1 AND kind = ?2",
                    of_kind(),
                ),
                insert(set),
            ]);
        }
        write.push(insert(event));
        write.push(change(ChangeKind::Connection, &connection.id));
        self.run(write).await
    }
}

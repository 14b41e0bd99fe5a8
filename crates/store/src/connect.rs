//! Authorizations and flows.

use async_trait::async_trait;
use grantry_core::ids::{AuthorizationId, ConnectorId, TeamId};
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Digest, DueWebhook, Event, Flow, HeldConsent,
    Installation, Revocation, TokenSet, WebhookSecret,
};
use grantry_core::store::{AuthorizationFilter, ChangeKind, ConnectStore, Page, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Bad, Query, Row, Statement, Value, Write};
use crate::connections::and_subject;
use crate::connectors::{connector_is_live, reckon_reinstall};
use crate::db::{by_time, guard};
use crate::rows::{
    Noun, Upsert, authorization_state, change, decode, insert, insert_if, json, params, select,
    update,
};

/// Stores a flow of an authorization that is pending and in time.
pub(crate) fn start(flow: &Flow) -> [Statement; 2] {
    [
        guard(
            "SELECT 1 FROM authorizations
             WHERE id = ?1 AND team = ?2 AND state = 'pending' AND expires_at > ?3",
            params![&flow.authorization, &flow.team, flow.created_at],
            StoreError::Missing("authorization"),
        ),
        insert(flow),
    ]
}

/// Moves an authorization on from the state of the word `from`, in which it must be.
pub(crate) fn advance(
    id: &AuthorizationId,
    from: &'static str,
    to: &AuthorizationState,
    over_at: Timestamp,
) -> Statement {
    let mut values = params![id, over_at, from];
    values.extend(authorization_state(to));
    Statement::new(
        "UPDATE authorizations SET state = ?4, state_detail = ?5, over_at = ?2,
         webhook_due = CASE WHEN webhook IS NULL THEN NULL ELSE CAST(?2 AS BIGINT) END
         WHERE id = ?1 AND state = ?3",
        values,
    )
    .one_or(StoreError::Missing("authorization"))
}

pub(crate) const PENDING: &str = "pending";
pub(crate) const UNCONFIRMED: &str = "unconfirmed";

/// The connector is live, and the authorization is of it and of its team.
pub(crate) fn can_end(
    id: &AuthorizationId,
    team: &TeamId,
    connector: &ConnectorId,
) -> [Statement; 2] {
    [
        connector_is_live(team, connector),
        guard(
            "SELECT 1 FROM authorizations WHERE id = ?1 AND team = ?2 AND connector = ?3",
            params![id, team, connector],
            StoreError::Missing("authorization"),
        ),
    ]
}

/// Ends an authorization with a connection: from the state `from` on.
pub(crate) fn complete(
    id: &AuthorizationId,
    from: &'static str,
    connection: &Connection,
    sets: &[TokenSet],
    event: &Event,
) -> Write {
    let success = AuthorizationState::Success {
        connection: connection.id.clone(),
    };
    let renewed = Upsert {
        key: "id",
        kept: &["created_at"],
        quiet: &[],
    };
    let mut write = can_end(id, &connection.team, &connection.grant.connector).to_vec();
    write.extend([
        advance(id, from, &success, event.at),
        queue_replaced(connection, event.at),
        // Only the live connection of this very grant is renewed under its id.
        renewed
            .when(
                connection,
                "connections.team = excluded.team AND connections.connector = excluded.connector
                 AND connections.grant_key = excluded.grant_key AND connections.state <> 'revoked'",
            )
            .one_or(StoreError::Taken("connection.id")),
    ]);
    for set in sets {
        write.extend(in_place_of_its_kind(set));
    }
    write.push(insert(event));
    write.push(change(ChangeKind::Connection, &connection.id));
    write
}

/// Queues for revocation what `connection` has of another account than the one that it is to be of. Where a sibling is of
/// that account too it stays alive: many providers end all of an account's tokens with one.
fn queue_replaced(connection: &Connection, at: Timestamp) -> Statement {
    let columns = Revocation::COLUMNS.join(", ");
    Statement::new(
        format!(
            "INSERT INTO revocations ({columns})
             SELECT t.set_id, c.team, c.connector, c.id, t.access, t.refresh, t.servers, 0, ?1, ?1
             FROM connections c JOIN token_sets t ON t.connection = c.id
             WHERE c.id = ?2 AND c.state <> 'revoked' AND c.external_subject <> ?3 AND NOT EXISTS
             (SELECT 1 FROM connections s WHERE s.team = c.team AND s.connector = c.connector
              AND s.external_subject = c.external_subject AND s.id <> c.id AND s.state <> 'revoked')
             ON CONFLICT (set_id) DO NOTHING"
        ),
        params![at, &connection.id, connection.external_subject.as_deref()],
    )
}

/// Puts `set` in the place of the connection's set of its kind, and of what was attempted with that.
pub(crate) fn in_place_of_its_kind(set: &TokenSet) -> [Statement; 3] {
    let of_kind = || params![&set.connection, &set.kind];
    [
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
    ]
}

/// Queues the pairs of held consents for revocation: those that `condition` finds, its first parameter
/// being number 3. Returns what is queued.
pub(crate) fn queue_held(
    at: Timestamp,
    not_before: Timestamp,
    condition: &str,
    params: Vec<Value>,
) -> Statement {
    let columns = Revocation::COLUMNS.join(", ");
    let mut query = Query::new(
        format!(
            "INSERT INTO revocations ({columns})
             SELECT set_id, team, connector, connection, access, refresh, servers, 0, ?1, ?2
             FROM held_consents WHERE "
        ),
        params![at, not_before],
    );
    query.push(&format!("{condition} RETURNING {columns}"), params);
    query.into()
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

    async fn authorizations(
        &self,
        team: &TeamId,
        filter: &AuthorizationFilter,
        page: &Page,
    ) -> Stored<Vec<Authorization>> {
        let mut query = select::<Authorization>("WHERE team = ?1", params![team]);
        if let Some(id) = &filter.id {
            query.push(" AND id = {}", params![id]);
        }
        if let Some(connector) = &filter.connector {
            query.push(" AND connector = {}", params![connector]);
        }
        if let Some(subject) = &filter.subject {
            and_subject(&mut query, subject);
        }
        if let Some(at) = filter.open_at {
            query.push(
                " AND state IN ('pending', 'unconfirmed') AND over_at > {}",
                params![at],
            );
        }
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn authorization_by_verifier(&self, verifier: &Digest) -> Stored<Option<Authorization>> {
        self.first(select::<Authorization>(
            "WHERE verifier = ?1",
            params![verifier],
        ))
        .await
    }

    async fn start_flow(&self, flow: &Flow) -> Stored<()> {
        self.run(start(flow).to_vec()).await
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
        self.run(vec![advance(id, PENDING, state, event.at), insert(event)])
            .await
    }

    async fn hold_consent(&self, held: &HeldConsent, event: &Event) -> Stored<()> {
        let id = &held.authorization;
        let mut write = can_end(id, &held.team, &held.connector).to_vec();
        write.extend([
            advance(
                id,
                PENDING,
                &AuthorizationState::Unconfirmed,
                held.expires_at,
            ),
            insert(held),
            insert(event),
        ]);
        self.run(write).await
    }

    async fn held_consent(&self, id: &AuthorizationId) -> Stored<Option<HeldConsent>> {
        self.first(select::<HeldConsent>(
            "WHERE authorization_id = ?1",
            params![id],
        ))
        .await
    }

    async fn expired_consents(&self, now: Timestamp, limit: u32) -> Stored<Vec<HeldConsent>> {
        self.all(select::<HeldConsent>(
            "WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
            params![now, limit],
        ))
        .await
    }

    async fn confirm_consent(
        &self,
        id: &AuthorizationId,
        code: &Digest,
        connection: &Connection,
        set: &TokenSet,
        event: &Event,
    ) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "DELETE FROM held_consents
                 WHERE authorization_id = ?1 AND code = ?2 AND expires_at > ?3",
                params![id, code, event.at],
            )
            .one_or(StoreError::Missing("held_consent")),
        ];
        let sets = std::slice::from_ref(set);
        write.extend(complete(id, UNCONFIRMED, connection, sets, event));
        self.run(write).await
    }

    async fn drop_consent(
        &self,
        id: &AuthorizationId,
        state: &AuthorizationState,
        event: &Event,
    ) -> Stored<()> {
        // As with `queue_replaced`: anybody's page can begin a consent that nobody confirms.
        let alone = "authorization_id = {} AND NOT EXISTS
             (SELECT 1 FROM connections s WHERE s.team = held_consents.team AND s.connector = held_consents.connector
              AND s.external_subject = held_consents.external_subject AND s.state <> 'revoked')";
        self.run(vec![
            advance(id, UNCONFIRMED, state, event.at),
            queue_held(event.at, event.at, alone, params![id]),
            Statement::new(
                "DELETE FROM held_consents WHERE authorization_id = ?1",
                params![id],
            ),
            insert(event),
        ])
        .await
    }

    async fn complete_authorization(
        &self,
        id: &AuthorizationId,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<()> {
        self.run(complete(id, PENDING, connection, sets, event))
            .await
    }

    async fn complete_installation(
        &self,
        id: &AuthorizationId,
        installation: &Installation,
        may_be_default: bool,
        connection: &Connection,
        sets: &[TokenSet],
        event: &Event,
    ) -> Stored<()> {
        let renewed = Upsert {
            key: "id",
            kept: &["created_by", "created_at"],
            quiet: &[],
        };
        let Installation {
            team,
            connector,
            external_id,
            ..
        } = installation;
        let mut write = complete(id, PENDING, connection, sets, event);
        write.extend([
            renewed
                .when(
                    installation,
                    "installations.team = excluded.team AND installations.connector = excluded.connector
                     AND installations.external_id = excluded.external_id",
                )
                .one_or(StoreError::Taken("installation.id")),
            reckon_reinstall(team, connector),
            change(ChangeKind::Connector, connector),
        ]);
        if may_be_default {
            write.push(Statement::new(
                "UPDATE connectors SET default_installation = ?3, updated_at = ?4, updated_by = ?5
                 WHERE id = ?1 AND team = ?2 AND default_installation IS NULL",
                params![connector, team, external_id, event.at, json(&event.actor)],
            ));
        }
        self.run(write).await
    }

    async fn due_webhooks(&self, now: Timestamp, limit: u32) -> Stored<Vec<DueWebhook>> {
        let query = select::<Authorization>(
            "WHERE webhook_due <= ?1 ORDER BY webhook_due LIMIT ?2",
            params![now, limit],
        );
        let rows = self.backend.read(query).await?;
        let bad = |Bad(column)| StoreError::Inconsistent {
            table: "authorizations",
            column,
            row: String::new(),
        };
        let due = |row: &Row| {
            Ok(DueWebhook {
                authorization: decode(row)?,
                ended_at: row.get("over_at").map_err(bad)?,
                tries: row.get("webhook_tries").map_err(bad)?,
                due: row.get("webhook_due").map_err(bad)?,
            })
        };
        rows.iter().map(due).collect()
    }

    async fn move_webhook(
        &self,
        id: &AuthorizationId,
        from: Timestamp,
        to: Option<Timestamp>,
        tries: u32,
    ) -> Stored<bool> {
        let moved = Statement::new(
            "UPDATE authorizations SET webhook_due = ?3, webhook_tries = ?4
             WHERE id = ?1 AND webhook_due = ?2",
            params![id, from, to, tries],
        );
        let elsewhere = StoreError::Missing("webhook");
        self.run_unless(elsewhere.clone(), vec![moved.one_or(elsewhere)])
            .await
    }

    async fn webhook_secret(&self, team: &TeamId) -> Stored<Option<WebhookSecret>> {
        self.first(select::<WebhookSecret>("WHERE team = ?1", params![team]))
            .await
    }

    async fn put_webhook_secret(
        &self,
        secret: &WebhookSecret,
        expected: Option<Timestamp>,
        event: &Event,
    ) -> Stored<bool> {
        let put = match expected {
            None => insert_if(
                secret,
                "NOT EXISTS (SELECT 1 FROM webhook_secrets WHERE team = {})",
                params![&secret.team],
            ),
            Some(made_at) => update(
                secret,
                &["team"],
                "WHERE team = {} AND made_at = {}",
                params![&secret.team, made_at],
            ),
        };
        let moved = StoreError::Missing("webhook_secret");
        let write = vec![
            guard(
                "SELECT 1 FROM teams WHERE id = ?1",
                params![&secret.team],
                StoreError::Missing("team"),
            ),
            put.one_or(moved.clone()),
            insert(event),
        ];
        self.run_unless(moved, write).await
    }
}

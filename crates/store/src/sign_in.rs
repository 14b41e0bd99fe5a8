//! Sign-ins, their codes and refresh tokens.

use async_trait::async_trait;
use grantry_core::ids::{AuthorizationId, SignInId, TeamId};
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Connector, Digest, Event, Flow, SignIn,
    SignInGrant, SignedIn, TokenSet,
};
use grantry_core::store::{SignInStore, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Bad, Query, Row, Statement, Value, Write};
use crate::connect::{PENDING, UNCONFIRMED, advance, can_end, complete, start};
use crate::connectors::connector_is_live;
use crate::db::and_in;
use crate::rows::{insert, params, select};

/// What a session rests on is there: its connection, and the link of its connector to its project in its environment,
/// which goes with either. A link's environments are a list in JSON.
const RESTS: &str = "EXISTS (SELECT 1 FROM connections c WHERE c.id = sign_ins.connection AND c.team = sign_ins.team
         AND c.state <> 'revoked')
     AND EXISTS (SELECT 1 FROM links l WHERE l.connector = sign_ins.connector AND l.project = sign_ins.project
         AND l.team = sign_ins.team
         AND replace(l.environments, '\"' || sign_ins.environment || '\"', '') <> l.environments)";

/// Nobody redeemed them before `?1`, and nothing that they brought waits for its revocation any more.
const UNREDEEMED: &str = "FROM sign_ins WHERE project IS NULL AND expires_at < ?1
     AND NOT EXISTS (SELECT 1 FROM held_consents h WHERE h.authorization_id = sign_ins.authorization_id)
     ORDER BY expires_at, id LIMIT ?2";

/// Uses up a code or refresh token that works at `at`, of a sign-in for which `also` holds.
fn spend(hash: &Digest, refresh: bool, at: Timestamp, also: &str) -> Statement {
    Statement::new(
        format!(
            "UPDATE sign_in_grants SET used_at = ?3
             WHERE hash = ?1 AND refresh = ?2 AND used_at IS NULL AND expires_at > ?3
             AND EXISTS (SELECT 1 FROM sign_ins WHERE id = sign_in AND ended_at IS NULL
                AND sign_ins.expires_at > ?3 AND {also})"
        ),
        params![hash, refresh, at],
    )
    .one_or(StoreError::Missing("grant"))
}

#[async_trait]
impl<B: Backend> SignInStore for Db<B> {
    async fn connectors_called(&self, uid: &str, limit: u32) -> Stored<Vec<Connector>> {
        self.all(select::<Connector>(
            "WHERE uid = ?1 AND deleted_at IS NULL ORDER BY id LIMIT ?2",
            params![uid, limit],
        ))
        .await
    }

    async fn start_sign_in(
        &self,
        sign_in: &SignIn,
        authorization: &Authorization,
        flow: &Flow,
    ) -> Stored<()> {
        let mut write = vec![
            connector_is_live(&authorization.team, &authorization.grant.connector),
            insert(authorization),
            insert(sign_in),
        ];
        write.extend(start(flow));
        self.run(write).await
    }

    async fn sign_in_of(&self, authorization: &AuthorizationId) -> Stored<Option<SignIn>> {
        self.first(select::<SignIn>(
            "WHERE authorization_id = ?1",
            params![authorization],
        ))
        .await
    }

    async fn sign_in(&self, team: &TeamId, id: &SignInId) -> Stored<Option<SignIn>> {
        self.first(select::<SignIn>(
            "WHERE id = ?1 AND team = ?2",
            params![id, team],
        ))
        .await
    }

    async fn session(&self, team: &TeamId, id: &SignInId, at: Timestamp) -> Stored<Option<SignIn>> {
        self.first(select::<SignIn>(
            &format!(
                "WHERE id = ?1 AND team = ?2 AND ended_at IS NULL AND expires_at > ?3 AND {RESTS}"
            ),
            params![id, team, at],
        ))
        .await
    }

    async fn answer_sign_in(&self, answer: &SignedIn, event: &Event) -> Stored<()> {
        let held = &answer.held;
        let id = &held.authorization;
        let mut write: Write = can_end(id, &held.team, &held.connector).to_vec();
        write.extend([
            advance(
                id,
                PENDING,
                &AuthorizationState::Unconfirmed,
                held.expires_at,
            ),
            insert(held),
            Statement::new(
                "UPDATE sign_ins SET identity = ?3 WHERE authorization_id = ?1 AND team = ?2",
                params![id, &held.team, &answer.identity],
            )
            .one_or(StoreError::Missing("authorization")),
            insert(&answer.code),
            insert(event),
        ]);
        self.run(write).await
    }

    async fn sign_in_grant(&self, hash: &Digest) -> Stored<Option<SignInGrant>> {
        self.first(select::<SignInGrant>("WHERE hash = ?1", params![hash]))
            .await
    }

    async fn redeem_code(
        &self,
        code: &Digest,
        sign_in: &SignIn,
        refresh: Option<&SignInGrant>,
        connection: &Connection,
        set: &TokenSet,
        event: &Event,
    ) -> Stored<()> {
        let id = &sign_in.authorization;
        let session = sign_in.session.as_ref();
        let mut write: Write = vec![
            spend(code, false, event.at, "project IS NULL"),
            Statement::new(
                "DELETE FROM held_consents
                 WHERE authorization_id = ?1 AND code = ?2 AND expires_at > ?3",
                params![id, code, event.at],
            )
            .one_or(StoreError::Missing("grant")),
            Statement::new(
                "UPDATE sign_ins SET project = ?3, environment = ?4, connection = ?5, expires_at = ?6
                 WHERE id = ?1 AND team = ?2 AND project IS NULL",
                params![
                    &sign_in.id,
                    &sign_in.team,
                    session.map(|session| &session.project),
                    session.map(|session| session.environment.as_str()),
                    session.map(|session| &session.connection),
                    sign_in.expires_at,
                ],
            )
            .one_or(StoreError::Missing("grant")),
        ];
        write.extend(refresh.map(insert));
        let sets = std::slice::from_ref(set);
        write.extend(complete(id, UNCONFIRMED, connection, sets, event));
        self.run(write).await
    }

    async fn rotate_refresh(
        &self,
        presented: &Digest,
        next: &SignInGrant,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            spend(presented, true, event.at, RESTS),
            Statement::new(
                "UPDATE sign_ins SET expires_at = ?3 WHERE id = ?1 AND team = ?2",
                params![&next.sign_in, &next.team, next.expires_at],
            )
            .one_or(StoreError::Missing("grant")),
            insert(next),
            insert(event),
        ])
        .await
    }

    async fn end_sign_in(
        &self,
        team: &TeamId,
        id: &SignInId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<bool> {
        let over = StoreError::Missing("sign_in");
        let ended = Statement::new(
            "UPDATE sign_ins SET ended_at = ?3, identity = NULL
             WHERE id = ?1 AND team = ?2 AND ended_at IS NULL",
            params![id, team, at],
        );
        self.run_unless(over.clone(), vec![ended.one_or(over), insert(event)])
            .await
    }

    async fn end_lost_sign_ins(
        &self,
        now: Timestamp,
        after: Option<&SignInId>,
        limit: u32,
    ) -> Stored<Option<SignInId>> {
        let lost = format!("(expires_at <= ?1 OR NOT ({RESTS}))");
        // Looked for by a reader: most often there is nothing to write.
        let looked = Query::new(
            format!(
                "SELECT id, CASE WHEN {lost} THEN 1 ELSE 0 END AS lost FROM sign_ins
                 WHERE identity IS NOT NULL AND project IS NOT NULL AND id > ?2 ORDER BY id LIMIT ?3"
            ),
            params![now, after.map_or("", SignInId::as_str), limit],
        );
        let rows = self.backend.read(looked).await?;
        let read = |row: &Row| Ok::<_, Bad>((row.get::<SignInId>("id")?, row.get::<bool>("lost")?));
        let found: Result<Vec<_>, Bad> = rows.iter().map(read).collect();
        let found = found.map_err(|Bad(column)| StoreError::Inconsistent {
            table: "sign_ins",
            column,
            row: format!("behind {after:?}"),
        })?;
        let gone = found
            .iter()
            .filter(|(_, lost)| *lost)
            .map(|(id, _)| id.into());
        let gone: Vec<Value> = gone.collect();
        if !gone.is_empty() {
            let mut end = Query::new(
                format!(
                    "UPDATE sign_ins SET identity = NULL, ended_at = ?1 WHERE {lost} AND ended_at IS NULL"
                ),
                params![now],
            );
            and_in(&mut end, "id", gone);
            self.run(vec![end.into()]).await?;
        }
        let all = found.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(found
            .into_iter()
            .next_back()
            .map(|(id, _)| id)
            .filter(|_| !all))
    }

    async fn drop_unredeemed_sign_ins(&self, before: Timestamp, limit: u32) -> Stored<u64> {
        let drop = |table: &str, key: &str, found: &str| {
            Statement::new(
                format!("DELETE FROM {table} WHERE {key} IN (SELECT {found} {UNREDEEMED})"),
                params![before, limit],
            )
        };
        let done = self
            .backend
            .write(vec![
                drop("flows", "authorization_id", "authorization_id"),
                drop("authorizations", "id", "authorization_id"),
                // The last, since the others are found by it.
                drop("sign_ins", "id", "id"),
            ])
            .await?;
        let gone = done.last().map_or(0, |done| done.count);
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}

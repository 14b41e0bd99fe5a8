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
use crate::backend::{Backend, Statement, Write};
use crate::connect::{PENDING, UNCONFIRMED, advance, can_end, complete, start};
use crate::connectors::connector_is_live;
use crate::rows::{insert, params, select};

/// Uses up a code or refresh token that works at `at`.
fn spend(hash: &Digest, refresh: bool, at: Timestamp) -> Statement {
    Statement::new(
        "UPDATE sign_in_grants SET used_at = ?3
         WHERE hash = ?1 AND refresh = ?2 AND used_at IS NULL AND expires_at > ?3
         AND EXISTS (SELECT 1 FROM sign_ins WHERE id = sign_in AND ended_at IS NULL AND expires_at > ?3)",
        params![hash, refresh, at],
    )
    .one_or(StoreError::Missing("grant"))
}

#[async_trait]
impl<B: Backend> SignInStore for Db<B> {
    async fn connectors_called(&self, uid: &str) -> Stored<Vec<Connector>> {
        self.all(select::<Connector>(
            "WHERE uid = ?1 AND deleted_at IS NULL LIMIT 2",
            params![uid],
        ))
        .await
    }

    async fn start_sign_in(
        &self,
        sign_in: &SignIn,
        authorization: &Authorization,
        flow: &Flow,
        event: &Event,
    ) -> Stored<()> {
        let mut write = vec![
            connector_is_live(&authorization.team, &authorization.grant.connector),
            insert(authorization),
            insert(sign_in),
            insert(event),
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
            spend(code, false, event.at),
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
            spend(presented, true, event.at),
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
}

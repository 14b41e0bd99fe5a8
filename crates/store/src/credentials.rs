//! Credentials and link flows.

use async_trait::async_trait;
use grantry_core::StoreError;
use grantry_core::ids::{AuthorizationId, ConnectionId, TeamId};
use grantry_core::nouns::{
    Annotation, Authorization, AuthorizationState, CodeSwap, Connection, Credential, Digest, Event,
    Flow, HeldConsent, LinkFlow, TokenSet,
};
use grantry_core::store::{ChangeKind, CredentialStore, Stays, Stored};

use crate::Db;
use crate::backend::{Backend, Statement, Write};
use crate::connect::{UNCONFIRMED, advance, in_place_of_its_kind, start};
use crate::connectors::connector_is_live;
use crate::db::and_in;
use crate::rows::{Upsert, change, insert, params, select};

/// What is kept with a connection, but for the columns that stay as they are.
fn put_row(credential: &Credential, stay: &[&str]) -> Statement {
    let upsert = Upsert {
        key: "connection",
        kept: &[&["team"][..], stay].concat(),
        quiet: &[],
    };
    upsert.when(credential, "credentials.team = excluded.team")
}

/// The connection as given, with its token set if there is a new one, and what is kept with it.
fn put(
    connection: &Connection,
    set: Option<&TokenSet>,
    credential: &Credential,
    stays: Stays,
    event: &Event,
) -> Write {
    let mut kept = Vec::new();
    kept.extend(stays.live.then_some("created_at"));
    kept.extend((stays.live && stays.name).then_some("name"));
    let renewed = Upsert {
        key: "id",
        kept: &kept,
        quiet: &[],
    };
    let ours = "connections.team = excluded.team AND connections.connector = excluded.connector";
    let condition = match stays.live {
        true => ours.to_owned(),
        false => format!("{ours} AND connections.state = 'revoked'"),
    };
    let mut write = vec![
        connector_is_live(&connection.team, &connection.grant.connector),
        renewed
            .when(connection, &condition)
            .one_or(StoreError::Taken("connection.id")),
    ];
    if let Some(set) = set {
        write.extend(in_place_of_its_kind(set));
    }
    let stay: &[&str] = match stays.live && stays.metadata {
        true => &["metadata"],
        false => &[],
    };
    write.extend([
        put_row(credential, stay),
        insert(event),
        change(ChangeKind::Connection, &connection.id),
    ]);
    write
}

/// Takes what is held, if `held` is still how it is held, and in time.
fn take(held: &HeldConsent, event: &Event) -> Statement {
    Statement::new(
        "DELETE FROM held_consents
         WHERE authorization_id = ?1 AND code = ?2 AND expires_at > ?3",
        params![&held.authorization, &held.code, event.at],
    )
    .one_or(StoreError::Missing("held_consent"))
}

#[async_trait]
impl<B: Backend> CredentialStore for Db<B> {
    async fn credentials(
        &self,
        team: &TeamId,
        connections: &[ConnectionId],
    ) -> Stored<Vec<Credential>> {
        if connections.is_empty() {
            return Ok(vec![]);
        }
        let mut query = select::<Credential>("WHERE team = ?1", params![team]);
        let ids = connections.iter().map(Into::into).collect();
        and_in(&mut query, "connection", ids);
        self.all(query).await
    }

    async fn put_credential(
        &self,
        connection: &Connection,
        set: Option<&TokenSet>,
        credential: &Credential,
        stays: Stays,
        event: &Event,
    ) -> Stored<()> {
        self.run(put(connection, set, credential, stays, event))
            .await
    }

    async fn annotate_connection(
        &self,
        team: &TeamId,
        id: &ConnectionId,
        annotation: &Annotation,
        event: &Event,
    ) -> Stored<()> {
        let Annotation {
            name,
            properties,
            metadata,
        } = annotation;
        let mut stay = vec!["kind", "imported"];
        stay.extend(properties.is_none().then_some("properties"));
        stay.extend(metadata.is_none().then_some("metadata"));
        // Of a connection of another dialect nothing is kept yet.
        let anew = Credential {
            connection: id.clone(),
            team: team.clone(),
            kind: String::new(),
            properties: properties.clone().unwrap_or_default(),
            metadata: metadata.clone().unwrap_or_default(),
            imported: None,
            updated_at: event.at,
        };
        self.run(vec![
            Statement::new(
                "UPDATE connections SET name = COALESCE(?3, name), updated_at = ?4
                 WHERE id = ?1 AND team = ?2 AND state <> 'revoked'",
                params![id, team, name.as_deref(), event.at],
            )
            .one_or(StoreError::Missing("connection")),
            put_row(&anew, &stay),
            insert(event),
            change(ChangeKind::Connection, id),
        ])
        .await
    }

    async fn create_link_flow(
        &self,
        authorization: &Authorization,
        link: &LinkFlow,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            connector_is_live(&authorization.team, &authorization.grant.connector),
            insert(authorization),
            insert(link),
            insert(event),
        ])
        .await
    }

    async fn link_flow(&self, id: &AuthorizationId) -> Stored<Option<LinkFlow>> {
        self.first(select::<LinkFlow>(
            "WHERE authorization_id = ?1",
            params![id],
        ))
        .await
    }

    async fn start_link_flow(&self, flow: &Flow) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "UPDATE link_flows SET started_at = ?2
                 WHERE authorization_id = ?1 AND started_at IS NULL AND expires_at > ?2",
                params![&flow.authorization, flow.created_at],
            )
            .one_or(StoreError::Missing("link_flow")),
        ];
        write.extend(start(flow));
        self.run(write).await
    }

    async fn held_by_code(&self, code: &Digest) -> Stored<Option<HeldConsent>> {
        self.first(select::<HeldConsent>("WHERE code = ?1", params![code]))
            .await
    }

    async fn swap_code(&self, swap: &CodeSwap, event: &Event) -> Stored<()> {
        self.run(vec![
            connector_is_live_of(&swap.authorization, swap),
            Statement::new(
                "UPDATE held_consents SET code = ?3, expires_at = ?4
                 WHERE authorization_id = ?1 AND code = ?2 AND expires_at > ?5",
                params![
                    &swap.authorization,
                    &swap.old,
                    &swap.new,
                    swap.expires_at,
                    event.at
                ],
            )
            .one_or(StoreError::Missing("held_consent")),
            Statement::new(
                "UPDATE authorizations SET over_at = ?2 WHERE id = ?1 AND state = 'unconfirmed'",
                params![&swap.authorization, swap.expires_at],
            )
            .one_or(StoreError::Missing("authorization")),
            insert(event),
        ])
        .await
    }

    async fn hand_out_consent(
        &self,
        held: &HeldConsent,
        state: &AuthorizationState,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            take(held, event),
            advance(&held.authorization, UNCONFIRMED, state, event.at),
            insert(event),
        ])
        .await
    }

    async fn confirm_credential(
        &self,
        held: &HeldConsent,
        connection: &Connection,
        set: &TokenSet,
        credential: &Credential,
        stays: Stays,
        event: &Event,
    ) -> Stored<()> {
        let success = AuthorizationState::Success {
            connection: connection.id.clone(),
        };
        let mut write = vec![
            take(held, event),
            advance(&held.authorization, UNCONFIRMED, &success, event.at),
        ];
        write.extend(put(connection, Some(set), credential, stays, event));
        self.run(write).await
    }
}

/// The connector that a code is exchanged for is the authorization's, and live.
fn connector_is_live_of(id: &AuthorizationId, swap: &CodeSwap) -> Statement {
    Statement::new(
        "SELECT 1 FROM authorizations a JOIN connectors c ON c.id = a.connector AND c.team = a.team
         WHERE a.id = ?1 AND c.id = ?2 AND c.deleted_at IS NULL",
        params![id, &swap.connector],
    )
    .one_or(StoreError::Missing("connector"))
}

//! Secrets, invitations, MCP servers.

use async_trait::async_trait;
use grantry_core::StoreError;
use grantry_core::ids::{InviteId, McpServerId, SecretId, TeamId};
use grantry_core::nouns::{Event, Invite, McpServer, NamedSecret};
use grantry_core::store::{BelongingStore, Page, Stored};

use crate::Db;
use crate::backend::{Backend, Statement, Value};
use crate::db::{UNCHANGED, by_time};
use crate::rows::{Noun, Upsert, insert, params, replace, select};
use crate::tenancy::team_exists;

/// What stays of a row that is there, and what is no difference by itself.
const SECRET: Upsert<'static> = Upsert {
    key: "id",
    kept: &["team", "created_at"],
    quiet: &["updated_at"],
};
/// The same secret sealed anew is other bytes: the stored ones stay.
const SECRET_WITHOUT_VALUE: Upsert<'static> = Upsert {
    key: "id",
    kept: &["team", "created_at", "value"],
    quiet: &["updated_at"],
};
const INVITE: Upsert<'static> = Upsert {
    key: "id",
    kept: &["team", "created_by", "created_at"],
    quiet: &[],
};
const MCP_SERVER: Upsert<'static> = SECRET;

impl<B: Backend> Db<B> {
    /// Puts a row of a team, unless its id is another team's.
    async fn put_belonging<N: Noun>(
        &self,
        team: &TeamId,
        put: Statement,
        id: Value,
        taken: &'static str,
        event: &Event,
    ) -> Stored<bool> {
        let elsewhere = format!("SELECT 1 FROM {} WHERE id = ?1 AND team <> ?2", N::TABLE);
        let write = vec![
            team_exists(team),
            Statement::new(elsewhere, vec![id, team.into()]).none_or(StoreError::Taken(taken)),
            put.one_or(UNCHANGED),
            insert(event),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn delete_belonging<N: Noun>(
        &self,
        team: &TeamId,
        id: Value,
        missing: &'static str,
        event: &Event,
    ) -> Stored<()> {
        let delete = format!("DELETE FROM {} WHERE id = ?1 AND team = ?2", N::TABLE);
        let write = vec![
            Statement::new(delete, vec![id, team.into()]).one_or(StoreError::Missing(missing)),
            insert(event),
        ];
        self.run(write).await
    }

    async fn belonging<N: Noun>(&self, team: &TeamId, id: Value) -> Stored<Option<N>> {
        let query = select::<N>("WHERE id = ?1 AND team = ?2", vec![id, team.into()]);
        self.first(query).await
    }
}

#[async_trait]
impl<B: Backend> BelongingStore for Db<B> {
    async fn put_secret(
        &self,
        secret: &NamedSecret,
        value_changed: bool,
        event: &Event,
    ) -> Stored<bool> {
        let upsert = if value_changed {
            SECRET
        } else {
            SECRET_WITHOUT_VALUE
        };
        let (put, id) = (upsert.of(secret), (&secret.id).into());
        self.put_belonging::<NamedSecret>(&secret.team, put, id, "secret.id", event)
            .await
    }

    async fn update_secret(
        &self,
        old: &NamedSecret,
        new: &NamedSecret,
        event: &Event,
    ) -> Stored<()> {
        self.run(vec![
            replace(old, new).one_or(StoreError::Missing("secret")),
            insert(event),
        ])
        .await
    }

    async fn secret(&self, team: &TeamId, id_or_name: &str) -> Stored<Option<NamedSecret>> {
        self.first(select::<NamedSecret>(
            "WHERE team = ?1 AND (id = ?2 OR name = ?2)
             ORDER BY CASE WHEN id = ?2 THEN 0 ELSE 1 END LIMIT 1",
            params![team, id_or_name],
        ))
        .await
    }

    async fn secrets(&self, team: &TeamId, page: &Page) -> Stored<Vec<NamedSecret>> {
        let mut query = select::<NamedSecret>("WHERE team = ?1", params![team]);
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn delete_secret(&self, team: &TeamId, id: &SecretId, event: &Event) -> Stored<()> {
        self.delete_belonging::<NamedSecret>(team, id.into(), "secret", event)
            .await
    }

    async fn put_invite(&self, invite: &Invite, event: &Event) -> Stored<bool> {
        let (put, id) = (INVITE.of(invite), (&invite.id).into());
        self.put_belonging::<Invite>(&invite.team, put, id, "invite.id", event)
            .await
    }

    async fn invite(&self, team: &TeamId, id: &InviteId) -> Stored<Option<Invite>> {
        self.belonging(team, id.into()).await
    }

    async fn invites(
        &self,
        team: &TeamId,
        email: Option<&str>,
        page: &Page,
    ) -> Stored<Vec<Invite>> {
        let mut query = select::<Invite>("WHERE team = ?1", params![team]);
        if let Some(email) = email {
            query.push(" AND email = {}", params![email]);
        }
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn delete_invite(&self, team: &TeamId, id: &InviteId, event: &Event) -> Stored<()> {
        self.delete_belonging::<Invite>(team, id.into(), "invite", event)
            .await
    }

    async fn put_mcp_server(&self, server: &McpServer, event: &Event) -> Stored<bool> {
        let (put, id) = (MCP_SERVER.of(server), (&server.id).into());
        self.put_belonging::<McpServer>(&server.team, put, id, "mcp_server.id", event)
            .await
    }

    async fn mcp_server(&self, team: &TeamId, id: &McpServerId) -> Stored<Option<McpServer>> {
        self.belonging(team, id.into()).await
    }

    async fn mcp_servers(&self, team: &TeamId, page: &Page) -> Stored<Vec<McpServer>> {
        let mut query = select::<McpServer>("WHERE team = ?1", params![team]);
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn delete_mcp_server(
        &self,
        team: &TeamId,
        id: &McpServerId,
        event: &Event,
    ) -> Stored<()> {
        self.delete_belonging::<McpServer>(team, id.into(), "mcp_server", event)
            .await
    }
}

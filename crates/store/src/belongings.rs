//! Secrets, invitations, MCP servers, icons.

use async_trait::async_trait;
use grantry_core::ids::{InviteId, McpServerId, SecretId, TeamId};
use grantry_core::nouns::{Event, Icon, Invite, McpServer, Membership, NamedSecret};
use grantry_core::store::{BelongingStore, ChangeKind, Listed, Page, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Query, Statement, Value, Write};
use crate::db::{UNCHANGED, by_time};
use crate::rows::{Noun, Upsert, change, insert, insert_if, params, replace, select};
use crate::tenancy::{of_the_account, team_exists};

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
            tombstone(N::TABLE, "id = ?1", team, id.clone(), event.at),
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

/// Remembers where the rows stood that are about to be deleted: those that `which` finds, whose `?1` is `value`.
fn tombstone(
    table: &'static str,
    which: &'static str,
    team: &TeamId,
    value: Value,
    at: Timestamp,
) -> Statement {
    Statement::new(
        format!(
            "INSERT INTO tombstones (id, team, place, deleted_at)
             SELECT id, team, created_at, ?3 FROM {table} WHERE {which} AND team = ?2
             ON CONFLICT (team, id) DO UPDATE SET place = excluded.place, deleted_at = excluded.deleted_at"
        ),
        vec![value, team.into(), at.into()],
    )
}

/// Ends the secrets that an MCP server owns, but `kept`.
fn drop_owned(server: &McpServer, kept: Option<&NamedSecret>) -> Statement {
    Statement::new(
        "DELETE FROM secrets WHERE owner = ?1 AND team = ?2 AND id <> ?3",
        params![
            &server.id,
            &server.team,
            kept.map_or("", |secret| secret.id.as_str())
        ],
    )
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
        let mut query = select::<NamedSecret>("WHERE team = ?1 AND owner IS NULL", params![team]);
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn delete_secret(&self, team: &TeamId, id: &SecretId, event: &Event) -> Stored<()> {
        self.delete_belonging::<NamedSecret>(team, id.into(), "secret", event)
            .await
    }

    async fn list_place(&self, team: &TeamId, list: Listed, id: &str) -> Stored<Option<Timestamp>> {
        let table = match list {
            Listed::Connectors => "connectors",
            Listed::Connections => "connections",
            Listed::Secrets => NamedSecret::TABLE,
            Listed::Invites => Invite::TABLE,
            Listed::McpServers => McpServer::TABLE,
        };
        let query = Query::new(
            format!(
                "SELECT created_at AS place FROM {table} WHERE id = ?1 AND team = ?2
                 UNION ALL SELECT place FROM tombstones WHERE id = ?1 AND team = ?2"
            ),
            params![id, team],
        );
        let rows = self.backend.read(query).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let place = row.get("place").map_err(|_| StoreError::Inconsistent {
            table,
            column: "created_at",
            row: id.to_owned(),
        });
        place.map(Some)
    }

    async fn put_accepted_invite(
        &self,
        invite: &Invite,
        membership: &Membership,
        event: &Event,
    ) -> Stored<bool> {
        let elsewhere = "SELECT 1 FROM invites WHERE id = ?1 AND team <> ?2";
        let write = vec![
            team_exists(&invite.team),
            of_the_account(&membership.team, &membership.user),
            Statement::new(elsewhere, params![&invite.id, &invite.team])
                .none_or(StoreError::Taken("invite.id")),
            INVITE.of(invite).one_or(UNCHANGED),
            insert_if(
                membership,
                "NOT EXISTS (SELECT 1 FROM memberships WHERE user_id = {} AND team = {})",
                params![&membership.user, &membership.team],
            ),
            insert(event),
            change(ChangeKind::User, &membership.user),
        ];
        self.run_unless(UNCHANGED, write).await
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

    async fn create_mcp_server(
        &self,
        server: &McpServer,
        secret: Option<&NamedSecret>,
        at_most: usize,
        event: &Event,
    ) -> Stored<()> {
        let mut write: Write = vec![
            team_exists(&server.team),
            Statement::new(
                "SELECT 1 FROM (SELECT COUNT(*) AS there FROM mcp_servers WHERE team = ?1) AS counted
                 WHERE there >= ?2",
                params![&server.team, i64::try_from(at_most).unwrap_or(i64::MAX)],
            )
            .none_or(StoreError::InUse("team.mcp_servers")),
            insert(server),
        ];
        write.extend(secret.map(insert));
        write.push(insert(event));
        self.run(write).await
    }

    async fn change_mcp_server(
        &self,
        old: &McpServer,
        new: &McpServer,
        secret: Option<&NamedSecret>,
        drops: bool,
        event: &Event,
    ) -> Stored<()> {
        let mut write: Write = vec![replace(old, new).one_or(StoreError::Missing("mcp_server"))];
        write.extend(secret.map(insert));
        if drops {
            write.push(drop_owned(new, secret));
        }
        write.push(insert(event));
        self.run(write).await
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
        let of_server = || params![id, team];
        let write = vec![
            tombstone(McpServer::TABLE, "id = ?1", team, id.into(), event.at),
            Statement::new(
                "DELETE FROM secrets WHERE owner = ?1 AND team = ?2",
                of_server(),
            ),
            Statement::new(
                "DELETE FROM mcp_servers WHERE id = ?1 AND team = ?2",
                of_server(),
            )
            .one_or(StoreError::Missing("mcp_server")),
            insert(event),
        ];
        self.run(write).await
    }

    async fn put_icon(&self, icon: &Icon, event: &Event) -> Stored<()> {
        let mut put = insert(icon).query;
        put.push(
            " ON CONFLICT (team, digest) DO UPDATE SET created_at = excluded.created_at",
            vec![],
        );
        self.run(vec![team_exists(&icon.team), put.into(), insert(event)])
            .await
    }

    async fn icon(&self, team: &TeamId, digest: &str) -> Stored<Option<Icon>> {
        let query = select::<Icon>("WHERE team = ?1 AND digest = ?2", params![team, digest]);
        self.first(query).await
    }

    async fn has_icon(&self, team: &TeamId, digest: &str) -> Stored<bool> {
        let query = Query::new(
            "SELECT 1 FROM icons WHERE team = ?1 AND digest = ?2",
            params![team, digest],
        );
        Ok(!self.backend.read(query).await?.is_empty())
    }
}

//! Accounts, teams, people, projects, keys, catalogue overlays.
//!
//! A `put_*` keeps `created_at` of a row that exists: it says when the row was first made.

use async_trait::async_trait;
use grantry_core::ids::{AccountId, KeyId, ProjectId, TeamId, UserId};
use grantry_core::nouns::{Account, Digest, Event, Key, Membership, Project, Service, Team, User};
use grantry_core::store::{ChangeKind, Page, Stored, TenancyStore};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Statement, Write};
use crate::db::{UNCHANGED, after_id, and_contains, by_time, guard, rows_wanted};
use crate::rows::{Upsert, change, insert, params, select};

const BY_ID: Upsert<'static> = Upsert {
    key: "id",
    kept: &["created_at"],
    quiet: &[],
};

fn account_exists(id: &AccountId) -> Statement {
    guard(
        "SELECT 1 FROM accounts WHERE id = ?1",
        params![id],
        StoreError::Missing("account"),
    )
}

pub(crate) fn team_exists(id: &TeamId) -> Statement {
    guard(
        "SELECT 1 FROM teams WHERE id = ?1",
        params![id],
        StoreError::Missing("team"),
    )
}

#[async_trait]
impl<B: Backend> TenancyStore for Db<B> {
    async fn put_account(&self, account: &Account, event: &Event) -> Stored<bool> {
        let write = vec![BY_ID.of(account).one_or(UNCHANGED), insert(event)];
        self.run_unless(UNCHANGED, write).await
    }

    async fn account(&self, id: &AccountId) -> Stored<Option<Account>> {
        self.first(select::<Account>("WHERE id = ?1", params![id]))
            .await
    }

    async fn accounts(&self, search: Option<&str>, page: &Page) -> Stored<Vec<Account>> {
        let mut query = select::<Account>("WHERE id > ?1", params![after_id(page)]);
        and_contains(&mut query, &["id", "name"], search);
        query.push(" ORDER BY id LIMIT {}", params![rows_wanted(page)]);
        self.all(query).await
    }

    async fn put_team(&self, team: &Team, event: &Event) -> Stored<bool> {
        let write = vec![
            account_exists(&team.account),
            Statement::new(
                "SELECT 1 FROM teams WHERE id = ?1 AND account <> ?2",
                params![&team.id, &team.account],
            )
            .none_or(StoreError::Missing("account")),
            BY_ID.of(team).one_or(UNCHANGED),
            insert(event),
            change(ChangeKind::Team, &team.id),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn team(&self, id_or_slug: &str) -> Stored<Option<Team>> {
        self.first(select::<Team>(
            "WHERE id = ?1 OR slug = ?1 ORDER BY CASE WHEN id = ?1 THEN 0 ELSE 1 END LIMIT 1",
            params![id_or_slug],
        ))
        .await
    }

    async fn teams(&self, account: Option<&AccountId>, page: &Page) -> Stored<Vec<Team>> {
        let mut query = select::<Team>("WHERE id > ?1", params![after_id(page)]);
        if let Some(account) = account {
            query.push(" AND account = {}", params![account]);
        }
        query.push(" ORDER BY id LIMIT {}", params![rows_wanted(page)]);
        self.all(query).await
    }

    async fn put_user(&self, user: &User, event: &Event) -> Stored<bool> {
        let write = vec![
            account_exists(&user.account),
            Statement::new(
                "SELECT 1 FROM users WHERE id = ?1 AND account <> ?2",
                params![&user.id, &user.account],
            )
            .none_or(StoreError::Taken("user.id")),
            BY_ID.of(user).one_or(UNCHANGED),
            insert(event),
            change(ChangeKind::User, &user.id),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn user(&self, id: &UserId) -> Stored<Option<User>> {
        self.first(select::<User>("WHERE id = ?1", params![id]))
            .await
    }

    async fn put_membership(&self, membership: &Membership, event: &Event) -> Stored<bool> {
        let upsert = Upsert {
            key: "user_id, team",
            kept: &["user_id", "team"],
            quiet: &[],
        };
        let write = vec![
            team_exists(&membership.team),
            // People are members of their own account's teams only.
            guard(
                "SELECT 1 FROM users u JOIN teams t ON t.account = u.account
                 WHERE u.id = ?1 AND t.id = ?2",
                params![&membership.user, &membership.team],
                StoreError::Missing("user"),
            ),
            upsert.of(membership).one_or(UNCHANGED),
            insert(event),
            change(ChangeKind::User, &membership.user),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn memberships(&self, user: &UserId) -> Stored<Vec<Membership>> {
        self.all(select::<Membership>(
            "WHERE user_id = ?1 ORDER BY team",
            params![user],
        ))
        .await
    }

    async fn put_project(&self, project: &Project, event: &Event) -> Stored<bool> {
        let write = vec![
            team_exists(&project.team),
            Statement::new(
                "SELECT 1 FROM projects WHERE id = ?1 AND team <> ?2",
                params![&project.id, &project.team],
            )
            .none_or(StoreError::Taken("project.id")),
            BY_ID.of(project).one_or(UNCHANGED),
            insert(event),
            change(ChangeKind::Project, &project.id),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn project(&self, team: &TeamId, id_or_name: &str) -> Stored<Option<Project>> {
        self.first(select::<Project>(
            "WHERE team = ?1 AND (id = ?2 OR name = ?2)
             ORDER BY CASE WHEN id = ?2 THEN 0 ELSE 1 END LIMIT 1",
            params![team, id_or_name],
        ))
        .await
    }

    async fn projects(&self, team: &TeamId, page: &Page) -> Stored<Vec<Project>> {
        let mut query = select::<Project>("WHERE team = ?1", params![team]);
        if let Some((name, _)) = &page.after {
            query.push(" AND name > {}", params![name]);
        }
        query.push(" ORDER BY name LIMIT {}", params![rows_wanted(page)]);
        self.all(query).await
    }

    async fn project_by_id(&self, id: &ProjectId) -> Stored<Option<Project>> {
        self.first(select::<Project>("WHERE id = ?1", params![id]))
            .await
    }

    async fn put_key(&self, key: &Key, event: &Event) -> Stored<bool> {
        let upsert = Upsert {
            key: "hash",
            kept: &["id", "created_at"],
            quiet: &[],
        };
        let mut write: Write = Vec::new();
        write.extend(key.account.as_ref().map(account_exists));
        write.extend(key.team.as_ref().map(team_exists));
        write.extend([
            upsert.of(key).one_or(UNCHANGED),
            insert(event),
            change(ChangeKind::Key, &key.hash),
        ]);
        self.run_unless(UNCHANGED, write).await
    }

    async fn key_by_hash(&self, hash: &Digest) -> Stored<Option<Key>> {
        self.first(select::<Key>("WHERE hash = ?1", params![hash]))
            .await
    }

    async fn keys(
        &self,
        account: Option<&AccountId>,
        team: Option<&TeamId>,
        page: &Page,
    ) -> Stored<Vec<Key>> {
        let mut query = match (team, account) {
            (Some(team), _) => select::<Key>("WHERE team = ?1", params![team]),
            (None, Some(account)) => select::<Key>(
                "WHERE level = 'account' AND account = ?1 AND team IS NULL",
                params![account],
            ),
            (None, None) => select::<Key>("WHERE level = 'server' AND team IS NULL", vec![]),
        };
        if let (Some(_), Some(account)) = (team, account) {
            query.push(" AND account = {}", params![account]);
        }
        by_time(&mut query, "created_at", page);
        self.all(query).await
    }

    async fn revoke_key(
        &self,
        id: &KeyId,
        team: Option<&TeamId>,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()> {
        let mut revoke = crate::backend::Query::new(
            "UPDATE keys SET revoked_at = ?1 WHERE id = ?2 AND revoked_at IS NULL",
            params![at, id],
        );
        if let Some(team) = team {
            revoke.push(" AND team = {}", params![team]);
        }
        self.run(vec![
            Statement::from(revoke).one_or(StoreError::Missing("key")),
            insert(event),
            Statement::new(
                "INSERT INTO changes (kind, key, at) SELECT ?2, hash, now_us() FROM keys WHERE id = ?1",
                params![id, ChangeKind::Key],
            ),
        ])
        .await
    }

    async fn put_service(&self, service: &Service, event: &Event) -> Stored<bool> {
        let write = vec![
            BY_ID.of(service).one_or(UNCHANGED),
            change(ChangeKind::Service, &service.id),
            insert(event),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn services(&self) -> Stored<Vec<Service>> {
        self.all(select::<Service>("ORDER BY id", vec![])).await
    }
}

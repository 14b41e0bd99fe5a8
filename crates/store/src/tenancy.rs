//! Accounts, teams, people, projects, catalogue overlays.
//!
//! A `put_*` keeps `created_at` of a row that exists: it says when the row was first made.

use std::time::Duration;

use async_trait::async_trait;
use grantry_core::ids::{AccountId, ProjectId, TeamId, UserId};
use grantry_core::nouns::{
    Account, Environment, Event, Membership, Project, Role, Service, Team, User,
};
use grantry_core::store::{ChangeKind, Member, Page, Stored, TeamFilter, TenancyStore, UserFilter};
use grantry_core::{StoreError, Timestamp};

use crate::Db;
use crate::backend::{Backend, Query, Statement};
use crate::db::{UNCHANGED, after_id, and_contains, and_in, by_id, by_name, guard, rows_wanted};
use crate::destinations::Gone;
use crate::keys::revoke_keys;
use crate::rows::{Noun, Upsert, change, insert, params, replace, select};

const BY_ID: Upsert<'static> = Upsert {
    key: "id",
    kept: &["created_at"],
    quiet: &[],
};

pub(crate) fn account_exists(id: &AccountId) -> Statement {
    guard(
        "SELECT 1 FROM accounts WHERE id = ?1",
        params![id],
        StoreError::Missing("account"),
    )
}

/// A person is a member of teams of their own account only.
pub(crate) fn of_the_account(team: &TeamId, user: &UserId) -> Statement {
    guard(
        "SELECT 1 FROM users u JOIN teams t ON t.account = u.account
         WHERE u.id = ?1 AND t.id = ?2",
        params![user, team],
        StoreError::Missing("user"),
    )
}

pub(crate) fn team_exists(id: &TeamId) -> Statement {
    guard(
        "SELECT 1 FROM teams WHERE id = ?1",
        params![id],
        StoreError::Missing("team"),
    )
}

const MEMBERSHIP: Upsert<'static> = Upsert {
    key: "user_id, team",
    kept: &["user_id", "team"],
    quiet: &[],
};

/// Makes the person a member wherever in their account their mail address is invited, as it is written there or in
/// another case; the first invitation of a team says as what. The invitations are accepted with that.
fn accept_invites(user: &User, at: Timestamp) -> [Statement; 2] {
    const WAITING: &str = "lower(email) = lower(?1) AND accepted_at IS NULL
         AND (expires_at IS NULL OR expires_at > ?2) AND team IN (SELECT id FROM teams WHERE account = ?3)";
    let who = || params![&user.email, at, &user.account];
    let join = format!(
        "INSERT INTO memberships (team, user_id, role, words)
         SELECT team, ?4, role, words FROM invites WHERE {WAITING} ORDER BY created_at, id
         ON CONFLICT DO NOTHING"
    );
    let accept = format!("UPDATE invites SET accepted_at = ?2 WHERE {WAITING}");
    [
        Statement::new(join, [who(), params![&user.id]].concat()),
        Statement::new(accept, who()),
    ]
}

const LAST_OWNER: StoreError = StoreError::InUse("team.owner");

/// Fails while the person is the only owner of the team.
fn another_owner(team: &TeamId, user: &UserId) -> Statement {
    Statement::new(
        "SELECT 1 FROM memberships mine WHERE mine.user_id = ?1 AND mine.team = ?2 AND mine.role = 'owner'
         AND NOT EXISTS (SELECT 1 FROM memberships other
                         WHERE other.team = ?2 AND other.role = 'owner' AND other.user_id <> ?1)",
        params![user, team],
    )
    .none_or(LAST_OWNER)
}

/// What has to hold for a membership, and the row itself.
fn membership(membership: &Membership) -> [Statement; 3] {
    [
        team_exists(&membership.team),
        of_the_account(&membership.team, &membership.user),
        MEMBERSHIP.of(membership).one_or(UNCHANGED),
    ]
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

    async fn update_account(&self, old: &Account, new: &Account, event: &Event) -> Stored<()> {
        let missing = StoreError::Missing("account");
        self.run(vec![replace(old, new).one_or(missing), insert(event)])
            .await
    }

    async fn delete_account(&self, id: &AccountId, at: Timestamp, event: &Event) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "SELECT 1 FROM teams WHERE account = ?1 LIMIT 1",
                params![id],
            )
            .none_or(StoreError::InUse("account.teams")),
            Statement::new("DELETE FROM accounts WHERE id = ?1", params![id])
                .one_or(StoreError::Missing("account")),
            Statement::new(
                "INSERT INTO changes (kind, key, at) SELECT ?2, id, now_us() FROM users WHERE account = ?1",
                params![id, ChangeKind::User],
            ),
            Statement::new("DELETE FROM users WHERE account = ?1", params![id]),
            insert(event),
        ];
        write.extend(revoke_keys(
            "level = 'account' AND account = ?2 AND team IS NULL",
            at,
            params![id],
        ));
        self.run(write).await
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

    async fn teams(&self, filter: &TeamFilter, page: &Page) -> Stored<Vec<Team>> {
        let mut query = select::<Team>("WHERE id > ''", params![]);
        if let Some(id) = &filter.id {
            query.push(" AND id = {}", params![id]);
        }
        if let Some(account) = &filter.account {
            query.push(" AND account = {}", params![account]);
        }
        if let Some(member) = &filter.member {
            query.push(
                " AND id IN (SELECT team FROM memberships WHERE user_id = {})",
                params![member],
            );
        }
        and_contains(
            &mut query,
            &["id", "slug", "name"],
            filter.search.as_deref(),
        );
        by_id(&mut query, "id", page);
        self.all(query).await
    }

    async fn update_team(&self, old: &Team, new: &Team, event: &Event) -> Stored<()> {
        self.run(vec![
            replace(old, new).one_or(StoreError::Missing("team")),
            insert(event),
            change(ChangeKind::Team, &new.id),
        ])
        .await
    }

    async fn delete_team(
        &self,
        id: &TeamId,
        force: bool,
        at: Timestamp,
        claim: Duration,
        event: &Event,
    ) -> Stored<()> {
        self.run(crate::team_end::of(id, force, at, claim, event))
            .await
    }

    async fn put_user(&self, user: &User, event: &Event) -> Stored<bool> {
        let mut write = vec![
            account_exists(&user.account),
            Statement::new(
                "SELECT 1 FROM users WHERE id = ?1 AND account <> ?2",
                params![&user.id, &user.account],
            )
            .none_or(StoreError::Taken("user.id")),
            BY_ID.of(user).one_or(UNCHANGED),
        ];
        write.extend(accept_invites(user, event.at));
        write.push(insert(event));
        write.push(change(ChangeKind::User, &user.id));
        self.run_unless(UNCHANGED, write).await
    }

    async fn user(&self, id: &UserId) -> Stored<Option<User>> {
        self.first(select::<User>("WHERE id = ?1", params![id]))
            .await
    }

    async fn person(&self, account: &AccountId, id_or_email: &str) -> Stored<Option<User>> {
        self.first(select::<User>(
            "WHERE account = ?1 AND (id = ?2 OR email = ?2)
             ORDER BY CASE WHEN id = ?2 THEN 0 ELSE 1 END LIMIT 1",
            params![account, id_or_email],
        ))
        .await
    }

    async fn users(
        &self,
        account: &AccountId,
        filter: &UserFilter,
        page: &Page,
    ) -> Stored<Vec<User>> {
        let mut query = select::<User>("WHERE account = ?1", params![account]);
        if let Some(email) = &filter.email {
            query.push(" AND email = {}", params![email]);
        }
        let columns = ["id", "email", "first_name", "last_name"];
        and_contains(&mut query, &columns, filter.search.as_deref());
        match filter.by_id {
            true => by_id(&mut query, "id", page),
            false => by_name(&mut query, "email", page),
        }
        self.all(query).await
    }

    async fn update_user(&self, old: &User, new: &User, event: &Event) -> Stored<()> {
        let mut write = vec![replace(old, new).one_or(StoreError::Missing("user"))];
        write.extend(accept_invites(new, event.at));
        write.push(insert(event));
        write.push(change(ChangeKind::User, &new.id));
        self.run(write).await
    }

    async fn delete_user(
        &self,
        account: &AccountId,
        id: &UserId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "DELETE FROM users WHERE id = ?1 AND account = ?2",
                params![id, account],
            )
            .one_or(StoreError::Missing("user")),
            Statement::new(
                "SELECT 1 FROM memberships mine WHERE mine.user_id = ?1 AND mine.role = 'owner'
                 AND NOT EXISTS (SELECT 1 FROM memberships other WHERE other.team = mine.team
                                 AND other.role = 'owner' AND other.user_id <> ?1) LIMIT 1",
                params![id],
            )
            .none_or(LAST_OWNER),
            Statement::new("DELETE FROM memberships WHERE user_id = ?1", params![id]),
            insert(event),
            change(ChangeKind::User, id),
        ];
        write.extend(revoke_keys("user_id = ?2", at, params![id]));
        self.run(write).await
    }

    async fn put_membership(&self, put: &Membership, event: &Event) -> Stored<bool> {
        let mut write = Vec::from(membership(put));
        write.push(insert(event));
        write.push(change(ChangeKind::User, &put.user));
        self.run_unless(UNCHANGED, write).await
    }

    async fn change_membership(&self, put: &Membership, event: &Event) -> Stored<bool> {
        let mut write = Vec::from(membership(put));
        if put.role != Role::Owner {
            write.insert(0, another_owner(&put.team, &put.user));
        }
        write.push(insert(event));
        write.push(change(ChangeKind::User, &put.user));
        self.run_unless(UNCHANGED, write).await
    }

    async fn set_roles(
        &self,
        account: &AccountId,
        user: &UserId,
        role: Role,
        event: &Event,
    ) -> Stored<bool> {
        let changed = Statement::new(
            "UPDATE memberships SET role = ?3, words = '{}'
             WHERE user_id = ?2 AND role <> 'owner' AND (role <> ?3 OR words <> '{}')
             AND team IN (SELECT id FROM teams WHERE account = ?1)",
            params![account, user, role],
        );
        let write = vec![
            Statement::new(
                "SELECT 1 FROM memberships WHERE user_id = ?2 AND role <> 'owner'
                 AND (role <> ?3 OR words <> '{}')
                 AND team IN (SELECT id FROM teams WHERE account = ?1) LIMIT 1",
                params![account, user, role],
            )
            .one_or(UNCHANGED),
            changed,
            insert(event),
            change(ChangeKind::User, user),
        ];
        self.run_unless(UNCHANGED, write).await
    }

    async fn delete_membership(&self, team: &TeamId, user: &UserId, event: &Event) -> Stored<()> {
        self.run(vec![
            another_owner(team, user),
            Statement::new(
                "DELETE FROM memberships WHERE user_id = ?1 AND team = ?2",
                params![user, team],
            )
            .one_or(StoreError::Missing("membership")),
            insert(event),
            change(ChangeKind::User, user),
        ])
        .await
    }

    async fn memberships(&self, user: &UserId) -> Stored<Vec<Membership>> {
        self.all(select::<Membership>(
            "WHERE user_id = ?1 ORDER BY team",
            params![user],
        ))
        .await
    }

    async fn memberships_of(&self, users: &[UserId]) -> Stored<Vec<Membership>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = select::<Membership>("WHERE 1 = 1", vec![]);
        and_in(
            &mut query,
            "user_id",
            users.iter().map(Into::into).collect(),
        );
        query.push(" ORDER BY user_id, team", vec![]);
        self.all(query).await
    }

    async fn members(
        &self,
        team: &TeamId,
        search: Option<&str>,
        page: &Page,
    ) -> Stored<Vec<Member>> {
        let columns = User::COLUMNS.join(", u.");
        let mut query = Query::new(
            format!(
                "SELECT u.{columns}, m.role, m.words FROM memberships m JOIN users u ON u.id = m.user_id
                 WHERE m.team = ?1"
            ),
            params![team],
        );
        let columns = ["u.id", "u.email", "u.first_name", "u.last_name"];
        and_contains(&mut query, &columns, search);
        by_id(&mut query, "m.user_id", page);
        self.all(query).await
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

    async fn projects(
        &self,
        team: &TeamId,
        search: Option<&str>,
        page: &Page,
    ) -> Stored<Vec<Project>> {
        let mut query = select::<Project>("WHERE team = ?1", params![team]);
        if let Some((name, _)) = &page.after {
            query.push(" AND name > {}", params![name]);
        }
        and_contains(&mut query, &["id", "name"], search);
        query.push(" ORDER BY name LIMIT {}", params![rows_wanted(page)]);
        self.all(query).await
    }

    async fn projects_of(&self, team: &TeamId, ids: &[ProjectId]) -> Stored<Vec<Project>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = select::<Project>("WHERE team = ?1", params![team]);
        and_in(
            &mut query,
            "id",
            ids.iter().flat_map(|id| params![id]).collect(),
        );
        query.push(" ORDER BY id", vec![]);
        self.all(query).await
    }

    async fn project_by_id(&self, id: &ProjectId) -> Stored<Option<Project>> {
        self.first(select::<Project>("WHERE id = ?1", params![id]))
            .await
    }

    async fn update_project(&self, old: &Project, new: &Project, event: &Event) -> Stored<()> {
        self.run(vec![
            replace(old, new).one_or(StoreError::Missing("project")),
            insert(event),
            change(ChangeKind::Project, &new.id),
        ])
        .await
    }

    async fn remove_environments(
        &self,
        old: &Project,
        new: &Project,
        environments: &[Environment],
        at: Timestamp,
        event: &Event,
    ) -> Stored<()> {
        let Project { id, team, .. } = new;
        let mut write = vec![
            replace(old, new).one_or(StoreError::Missing("project")),
            insert(event),
            change(ChangeKind::Project, id),
            tell_links(team, id),
        ];
        for environment in environments {
            // A link's environments are a list in JSON: this one with the comma behind it, before it, or alone.
            let quoted = serde_json::Value::from(environment.as_str()).to_string();
            write.push(Statement::new(
                "UPDATE links SET updated_at = ?6,
                 environments = replace(replace(replace(environments, ?3, ''), ?4, ''), ?5, '')
                 WHERE project = ?1 AND team = ?2 AND replace(environments, ?5, '') <> environments",
                params![
                    id,
                    team,
                    format!("{quoted},"),
                    format!(",{quoted}"),
                    &quoted,
                    at
                ],
            ));
            write.extend(revoke_keys(
                "project = ?2 AND environment = ?3",
                at,
                params![id, environment],
            ));
        }
        write.push(Statement::new(
            "DELETE FROM links WHERE project = ?1 AND team = ?2 AND environments = '[]'",
            params![id, team],
        ));
        if environments.is_empty() {
            return self.run(write).await;
        }
        let gone = Gone {
            team,
            project: id,
            environments,
        };
        self.run_without_destinations(&gone, at, write).await
    }

    async fn delete_project(
        &self,
        team: &TeamId,
        id: &ProjectId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()> {
        let mut write = vec![
            Statement::new(
                "DELETE FROM projects WHERE id = ?1 AND team = ?2",
                params![id, team],
            )
            .one_or(StoreError::Missing("project")),
            tell_links(team, id),
            Statement::new(
                "DELETE FROM links WHERE project = ?1 AND team = ?2",
                params![id, team],
            ),
            insert(event),
            change(ChangeKind::Project, id),
        ];
        write.extend(revoke_keys("project = ?2", at, params![id]));
        let gone = Gone {
            team,
            project: id,
            environments: &[],
        };
        self.run_without_destinations(&gone, at, write).await
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

    async fn delete_service(&self, id: &str, event: &Event) -> Stored<()> {
        self.run(vec![
            Statement::new("DELETE FROM services WHERE id = ?1", params![id])
                .one_or(StoreError::Missing("service")),
            change(ChangeKind::Service, id),
            insert(event),
        ])
        .await
    }
}

/// Tells the caches of every connector that the project is linked to.
fn tell_links(team: &TeamId, project: &ProjectId) -> Statement {
    Statement::new(
        "INSERT INTO changes (kind, key, at) SELECT ?3, connector, now_us() FROM links
         WHERE project = ?1 AND team = ?2",
        params![project, team, ChangeKind::Connector],
    )
}

//! Accounts, teams, people, projects, services.

use std::sync::Arc;

use grantry_core::Result;
use grantry_core::ids::{ProjectId, TeamId};
use grantry_core::nouns::{Account, Environment, Membership, Project, Service, Team, User, Words};

use serde_json::json;

use super::{Person, Planner, Step, Write, gather, or_old};
use crate::apply::parse::Rows;
use crate::apply::rows::{AccountRow, ProjectRow, ServiceRow, TeamRow, UserRow};

impl Planner<'_> {
    pub(super) async fn accounts(&mut self, rows: Rows<AccountRow>) -> Result<Vec<Step>> {
        let store = &self.engine.ports.store;
        let stored = gather(rows.iter().map(|(_, row)| store.account(&row.id)).collect()).await?;
        let steps = rows.into_iter().zip(stored).map(|((place, row), old)| {
            let account = Account {
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
                id: row.id,
                name: row.name,
            };
            self.accounts.insert(account.id.clone());
            let id = account.id.to_string();
            Step::put(place, &id, old.as_ref(), account, Write::Account)
        });
        Ok(steps.collect())
    }

    pub(super) async fn teams(&mut self, rows: Rows<TeamRow>) -> Result<Vec<Step>> {
        let store = &self.engine.ports.store;
        let name = |row: &TeamRow| {
            row.id
                .as_ref()
                .map_or(row.slug.clone(), ToString::to_string)
        };
        let names: Vec<String> = rows.iter().map(|(_, row)| name(row)).collect();
        let stored = gather(names.iter().map(|name| store.team(name)).collect()).await?;
        let slugs = gather(rows.iter().map(|(_, row)| store.team(&row.slug)).collect()).await?;
        let mut steps = Vec::with_capacity(rows.len());
        for (((place, row), old), at_slug) in rows.into_iter().zip(stored).zip(slugs) {
            // A look-up by id also finds a team whose slug that is.
            let old = old.filter(|old| row.id.as_ref().is_none_or(|id| *id == old.id));
            let id = match (&row.id, &old) {
                (Some(id), _) => id.clone(),
                (None, Some(old)) => old.id.clone(),
                (None, None) => TeamId::mint(self.now, self.engine.entropy()),
            };
            if at_slug.is_some_and(|other| other.slug == row.slug && other.id != id) {
                self.problem(&place, "slug", "is taken by another team");
            }
            self.account(&place, "account", &row.account).await?;
            if let Some(old) = old.as_ref().filter(|old| old.account != row.account) {
                let message = format!(
                    "must stay {}: a team does not change its account",
                    old.account
                );
                self.problem(&place, "account", message);
            }
            let team = Team {
                id,
                account: row.account,
                name: or_old(row.name, old.as_ref(), |old| &old.name, || row.slug.clone()),
                slug: row.slug,
                return_origins: or_old(
                    row.return_origins,
                    old.as_ref(),
                    |old| &old.return_origins,
                    Vec::new,
                ),
                words: old
                    .as_ref()
                    .map_or_else(Words::new, |old| old.words.clone()),
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
            };
            self.scope.add(&team);
            self.know_team(&Arc::new(team.clone()));
            let id = team.id.to_string();
            steps.push(Step::put(place, &id, old.as_ref(), team, Write::Team));
        }
        Ok(steps)
    }

    pub(super) async fn users(&mut self, rows: Rows<UserRow>) -> Result<Vec<Step>> {
        let store = &self.engine.ports.store;
        let stored = gather(rows.iter().map(|(_, row)| store.user(&row.id)).collect()).await?;
        let joined = gather(
            rows.iter()
                .map(|(_, row)| store.memberships(&row.id))
                .collect(),
        )
        .await?;
        let mut steps = Vec::with_capacity(rows.len());
        for (((place, row), old), memberships) in rows.into_iter().zip(stored).zip(joined) {
            let mut account = row.account.clone();
            if let Some(account) = &account {
                self.account(&place, "account", account).await?;
            }
            let mut declared = Vec::new();
            for wanted in row.memberships() {
                let Some(team) = self.team(&place, "team", &wanted.team).await? else {
                    continue;
                };
                match &account {
                    Some(account) if *account != team.account => {
                        let message = format!("{:?} is not a team of {account}", wanted.team);
                        self.problem(&place, "team", message);
                    }
                    _ => account = Some(team.account.clone()),
                }
                let stands = memberships
                    .iter()
                    .find(|one| one.team == team.id && one.role == wanted.role);
                declared.push(Membership {
                    team: team.id.clone(),
                    user: row.id.clone(),
                    role: wanted.role,
                    words: stands.map_or_else(Words::new, |one| one.words.clone()),
                });
            }
            let Some(account) = account else {
                continue;
            };
            if let Some(old) = old.as_ref().filter(|old| old.account != account) {
                let message = format!("is taken by a person of {}", old.account);
                self.problem(&place, "id", message);
            }
            let user = User {
                id: row.id,
                account,
                email: row.email,
                first_name: or_old(
                    row.first_name,
                    old.as_ref(),
                    |old| &old.first_name,
                    String::new,
                ),
                last_name: or_old(
                    row.last_name,
                    old.as_ref(),
                    |old| &old.last_name,
                    String::new,
                ),
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
            };
            self.scope.declares_person(&user.id, &declared);
            steps.push(self.person(place, old, user, &memberships, declared));
        }
        Ok(steps)
    }

    /// A person with their memberships: those that are declared, and those that stand.
    fn person(
        &mut self,
        place: super::Place,
        old: Option<User>,
        user: User,
        standing: &[Membership],
        declared: Vec<Membership>,
    ) -> Step {
        let same_team =
            |one: &Membership, list: &[Membership]| list.iter().any(|other| other.team == one.team);
        let kept = standing.iter().filter(|one| !same_team(one, &declared));
        let memberships = kept.chain(&declared).cloned().collect();
        let person = Person {
            user: user.clone(),
            memberships,
        };
        self.people.insert(user.id.to_string(), person);

        let id = user.id.to_string();
        let mut step = Step::put(place, &id, old.as_ref(), user, Write::User);
        for membership in declared {
            let stood = standing.iter().find(|one| one.team == membership.team);
            if stood != Some(&membership) {
                let old = stood.map(|one| json!(one.role)).into();
                let field = format!("memberships.{}", membership.team);
                let new = json!(membership.role);
                step.part(field, old, new, Write::Membership(membership));
            }
        }
        step
    }

    pub(super) async fn projects(&mut self, rows: Rows<ProjectRow>) -> Result<Vec<Step>> {
        let mut steps = Vec::with_capacity(rows.len());
        let mut of_team = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            if let Some(team) = self.team(&place, "team", &row.team).await? {
                of_team.push((place, row, team.id.clone()));
            }
        }
        let store = &self.engine.ports.store;
        let same_name = of_team
            .iter()
            .map(|(_, row, team)| store.project(team, &row.name));
        let same_name = gather(same_name.collect()).await?;
        let same_id = of_team.iter().map(|(_, row, _)| async {
            match &row.id {
                Some(id) => store.project_by_id(id).await,
                None => Ok(None),
            }
        });
        let same_id = gather(same_id.collect()).await?;
        for (((place, row, team), by_name), by_id) in
            of_team.into_iter().zip(same_name).zip(same_id)
        {
            let by_name = by_name.filter(|other| other.name == row.name);
            let old = match &row.id {
                Some(_) => by_id,
                None => by_name.clone(),
            };
            let id = match (&row.id, &old) {
                (Some(id), _) => id.clone(),
                (None, Some(old)) => old.id.clone(),
                (None, None) => ProjectId::mint(self.now, self.engine.entropy()),
            };
            if old.as_ref().is_some_and(|old| old.team != team) {
                self.problem(&place, "id", "is taken by a project of another team");
            }
            if by_name.is_some_and(|other| other.id != id) {
                self.problem(&place, "name", "is taken by another project of the team");
            }
            let keeps_urls = row.base_urls.is_none();
            let mut project = Project {
                id,
                team,
                name: row.name,
                custom_environments: or_old(
                    row.custom_environments,
                    old.as_ref(),
                    |old| &old.custom_environments,
                    Vec::new,
                ),
                base_urls: or_old(
                    row.base_urls,
                    old.as_ref(),
                    |old| &old.base_urls,
                    Default::default,
                ),
                provisions: or_old(
                    row.provisions,
                    old.as_ref(),
                    |old| &old.provisions,
                    Default::default,
                ),
                sign_in_uris: or_old(
                    row.sign_in_uris,
                    old.as_ref(),
                    |old| &old.sign_in_uris,
                    Vec::new,
                ),
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
            };
            if keeps_urls {
                // As where an environment is removed by itself: its URL goes with it.
                let mut urls = std::mem::take(&mut project.base_urls);
                urls.retain(|name, _| project.has_environment(&Environment::from(name.as_str())));
                project.base_urls = urls;
            }
            for (field, message) in crate::connect::sign_in_uri_problems(&project.sign_in_uris) {
                self.problem(&place, field, &message);
            }
            for name in project.base_urls.keys() {
                if !project.has_environment(&Environment::from(name.as_str())) {
                    let message = "is not an environment of the project";
                    self.problem(&place, format!("base_urls.{name}"), message);
                }
            }
            self.know_project(&Arc::new(project.clone()));
            let id = project.id.to_string();
            let write = |project: Project| match old.clone() {
                Some(old) if !gone(&old, &project).is_empty() => {
                    Write::Narrowed(Box::new(old), Box::new(project))
                }
                _ => Write::Project(project),
            };
            steps.push(Step::put(place, &id, old.as_ref(), project, write));
        }
        Ok(steps)
    }

    pub(super) fn services(&mut self, rows: Rows<ServiceRow>) -> Vec<Step> {
        let mut steps = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            let service = Service {
                id: row.id,
                data: row.data,
            };
            let at = self.services.iter().position(|old| old.id == service.id);
            let old = at.map(|at| std::mem::replace(&mut self.services[at], service.clone()));
            if old.is_none() {
                self.services.push(service.clone());
            }
            let id = service.id.clone();
            steps.push(Step::put(place, &id, old.as_ref(), service, Write::Service));
        }
        steps
    }
}

/// The environments that a project has no longer.
pub fn gone(old: &Project, new: &Project) -> Vec<Environment> {
    let stays = |id: &str| new.custom_environments.iter().any(|one| one.id == id);
    let before = old.custom_environments.iter();
    let gone = before.filter(|one| !stays(&one.id));
    gone.map(|one| Environment::from(one.id.as_str())).collect()
}

//! Projects and their environments.

use grantry_core::limits::ENVIRONMENTS_MAX;
use std::collections::BTreeMap;

use grantry_core::ids::{self, ProjectId};
use grantry_core::nouns::{CustomEnvironment, Environment, EventKind, Project};
use grantry_core::store::Page;
use grantry_core::{Error, Result};

use super::checks::{Checks, NAME};
use crate::apply::Shape;
use crate::connect::sign_in_uri_problems;
use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine};

/// What a new project shall be.
#[derive(Clone, Debug, Default)]
pub struct NewProject {
    /// Unique within the team.
    pub name: String,
    /// Slugs of environments beside the three built-in ones.
    pub environments: Vec<String>,
    /// Where it is served, by environment (id or slug).
    pub base_urls: BTreeMap<String, String>,
    /// Its workloads may make connectors by themselves.
    pub provisions: bool,
    /// Where the answers to its sign-ins may go.
    pub sign_in_uris: Vec<String>,
}

/// What shall be other about a project. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ProjectPatch {
    /// Unique within the team.
    pub name: Option<String>,
    /// By environment (id or slug): another base URL, or none any more.
    pub base_urls: BTreeMap<String, Option<String>>,
    /// Whether its workloads may make connectors by themselves.
    pub provisions: Option<bool>,
    /// In place of those there are.
    pub sign_in_uris: Option<Vec<String>>,
}

/// The id of the environment that `named` is the id or slug of.
fn environment_of(project: &Project, named: &str) -> Option<String> {
    let custom = &project.custom_environments;
    let by_id = custom.iter().find(|one| one.id == named);
    let found = by_id.or_else(|| custom.iter().find(|one| one.slug == named));
    match found {
        Some(custom) => Some(custom.id.clone()),
        None => Environment::BUILT_IN
            .contains(&named)
            .then(|| named.to_owned()),
    }
}

/// Sets and removes base URLs; what is wrong with them goes to `checks`.
fn serve(project: &mut Project, base_urls: &BTreeMap<String, Option<String>>, checks: &mut Checks) {
    for (named, url) in base_urls {
        let field = format!("base_urls.{named}");
        checks.text(&field, &Shape::Url, url.as_deref());
        match (environment_of(project, named), url) {
            (None, _) => checks.add(field, "is not an environment of the project"),
            (Some(id), Some(url)) => {
                project.base_urls.insert(id, url.clone());
            }
            (Some(id), None) => {
                project.base_urls.remove(&id);
            }
        }
    }
}

fn check_sign_in_uris(project: &Project, checks: &mut Checks) {
    for (field, message) in sign_in_uri_problems(&project.sign_in_uris) {
        checks.add(field, message);
    }
}

/// What is wrong with `slug` as the name of a further environment.
fn check_slug(project: &Project, slug: &str, field: &str, checks: &mut Checks) {
    checks.text(field, &Shape::Slug, Some(slug));
    if environment_of(project, slug).is_some() {
        checks.add(field, "is the name of another environment of the project");
    }
}

impl Engine {
    /// The team's projects, by name; with `search`, those with that text in id or name.
    pub async fn projects(
        &self,
        caller: &Caller,
        search: Option<&str>,
        page: &Page,
    ) -> Result<CursorPage<Project>> {
        caller.require(Act::ReadLists)?;
        let rows = self
            .ports
            .store
            .projects(&caller.team, search, page)
            .await?;
        Ok(cut(rows, page, |row| {
            (row.name.clone(), row.id.to_string())
        }))
    }

    /// One project, by id or name.
    pub async fn read_project(&self, caller: &Caller, id_or_name: &str) -> Result<Project> {
        caller.require(Act::ReadLists)?;
        self.project(caller, id_or_name).await
    }

    /// Makes a project. [`Error::Conflict`] when another one of the team has the name.
    pub async fn create_project(&self, caller: &Caller, new: NewProject) -> Result<Project> {
        caller.require(Act::ManageProjects)?;
        let now = self.now();
        let mut checks = Checks::default();
        checks.text("name", &NAME, Some(&new.name));
        let mut project = Project {
            id: ProjectId::mint(now, self.entropy()),
            team: caller.team.clone(),
            name: new.name,
            custom_environments: Vec::new(),
            base_urls: BTreeMap::new(),
            provisions: new.provisions,
            sign_in_uris: new.sign_in_uris,
            created_at: now,
        };
        check_sign_in_uris(&project, &mut checks);
        for (index, slug) in new.environments.iter().enumerate() {
            check_slug(
                &project,
                slug,
                &format!("custom_environments[{index}]"),
                &mut checks,
            );
            project.custom_environments.push(self.environment(slug));
        }
        if new.environments.len() > ENVIRONMENTS_MAX {
            let message = format!("must have at most {ENVIRONMENTS_MAX} items");
            checks.add("custom_environments", message);
        }
        let base_urls = new
            .base_urls
            .into_iter()
            .map(|(named, url)| (named, Some(url)))
            .collect();
        serve(&mut project, &base_urls, &mut checks);
        checks.done()?;
        let event = self
            .draft(EventKind::ProjectCreated, caller)
            .with("project", project.id.as_str())
            .done();
        self.ports.store.put_project(&project, &event).await?;
        Ok(project)
    }

    fn environment(&self, slug: &str) -> CustomEnvironment {
        CustomEnvironment {
            id: format!("env_{}", ids::unique(self.now(), self.entropy())),
            slug: slug.to_owned(),
        }
    }

    /// Changes a project. [`Error::Conflict`] when another one of the team has the name.
    pub async fn update_project(
        &self,
        caller: &Caller,
        id_or_name: &str,
        patch: ProjectPatch,
    ) -> Result<Project> {
        caller.require(Act::ManageProjects)?;
        let kind = EventKind::ProjectUpdated;
        self.change_project(caller, id_or_name, kind, |project, checks| {
            if let Some(name) = &patch.name {
                checks.text("name", &NAME, Some(name));
                project.name.clone_from(name);
            }
            serve(project, &patch.base_urls, checks);
            project.provisions = patch.provisions.unwrap_or(project.provisions);
            if let Some(uris) = &patch.sign_in_uris {
                project.sign_in_uris.clone_from(uris);
                check_sign_in_uris(project, checks);
            }
        })
        .await
    }

    async fn change_project(
        &self,
        caller: &Caller,
        id_or_name: &str,
        kind: EventKind,
        change: impl Fn(&mut Project, &mut Checks) + Send + Sync,
    ) -> Result<Project> {
        // Once: with its name changed meanwhile it would not be found by that again.
        let id = self.project(caller, id_or_name).await?.id;
        let event = self.draft(kind, caller).with("project", id.as_str()).done();
        let project = changed!(
            old = self.project(caller, id.as_str()).await?,
            new = {
                let (mut new, mut checks) = (old.clone(), Checks::default());
                change(&mut new, &mut checks);
                checks.done()?;
                new
            },
            self.ports.store.update_project(&old, &new, &event)
        );
        self.caches.callers.clear();
        Ok(project)
    }

    /// Deletes a project: its links go, and with them what connectors send it; its keys are revoked, its workload tokens
    /// are refused. What was connected stays: connections belong to connectors.
    pub async fn delete_project(&self, caller: &Caller, id_or_name: &str) -> Result<()> {
        caller.require(Act::ManageProjects)?;
        let id = self.project(caller, id_or_name).await?.id;
        let event = self
            .draft(EventKind::ProjectDeleted, caller)
            .with("project", id.as_str())
            .done();
        let deleted = self
            .ports
            .store
            .delete_project(&caller.team, &id, self.now(), &event)
            .await;
        self.caches.clear();
        Ok(deleted?)
    }

    /// Gives a project an environment called `slug`; its id is minted.
    pub async fn add_environment(
        &self,
        caller: &Caller,
        project: &str,
        slug: &str,
    ) -> Result<Project> {
        caller.require(Act::ManageProjects)?;
        let environment = self.environment(slug);
        let kind = EventKind::EnvironmentCreated;
        self.change_project(caller, project, kind, |project, checks| {
            check_slug(project, slug, "slug", checks);
            if project.custom_environments.len() >= ENVIRONMENTS_MAX {
                let message = format!("a project has at most {ENVIRONMENTS_MAX} environments");
                checks.add("slug", message);
            }
            project.custom_environments.push(environment.clone());
        })
        .await
    }

    /// Gives a project's own environment another slug; its id, which links and keys name, stays.
    pub async fn rename_environment(
        &self,
        caller: &Caller,
        project: &str,
        environment: &str,
        slug: &str,
    ) -> Result<Project> {
        caller.require(Act::ManageProjects)?;
        let id = self
            .custom_environment(caller, project, environment)
            .await?;
        let kind = EventKind::EnvironmentUpdated;
        self.change_project(caller, project, kind, |project, checks| {
            let named = |one: &CustomEnvironment| one.id == id.id;
            if project
                .custom_environments
                .iter()
                .any(|one| named(one) && one.slug == slug)
            {
                return;
            }
            check_slug(project, slug, "slug", checks);
            for one in project
                .custom_environments
                .iter_mut()
                .filter(|one| named(one))
            {
                slug.clone_into(&mut one.slug);
            }
        })
        .await
    }

    /// Takes an environment from a project: keys and links in it end, so do events that connectors send there, and its base
    /// URL goes.
    pub async fn remove_environment(
        &self,
        caller: &Caller,
        project: &str,
        environment: &str,
    ) -> Result<Project> {
        caller.require(Act::ManageProjects)?;
        let gone = self
            .custom_environment(caller, project, environment)
            .await?;
        let id = self.project(caller, project).await?.id;
        let event = self
            .draft(EventKind::EnvironmentDeleted, caller)
            .with("project", id.as_str())
            .with("environment", gone.id.as_str())
            .done();
        let (at, named) = (self.now(), Environment::from(gone.id.as_str()));
        let project = changed!(
            old = self.project(caller, id.as_str()).await?,
            new = {
                let mut new = old.clone();
                new.custom_environments.retain(|one| one.id != gone.id);
                new.base_urls.remove(&gone.id);
                new
            },
            self.ports.store.remove_environments(
                &old,
                &new,
                std::slice::from_ref(&named),
                at,
                &event
            )
        );
        self.caches.clear();
        Ok(project)
    }

    /// One of a project's own environments, by id or slug; the built-in ones are not for changing.
    async fn custom_environment(
        &self,
        caller: &Caller,
        project: &str,
        named: &str,
    ) -> Result<CustomEnvironment> {
        let project = self.project(caller, project).await?;
        if Environment::BUILT_IN.contains(&named) {
            return Err(Error::conflict(format!("{named} is built in")));
        }
        let id = environment_of(&project, named);
        let mut own = project.custom_environments.into_iter();
        let found = own.find(|one| Some(&one.id) == id.as_ref());
        found.ok_or(Error::NotFound("environment"))
    }
}

//! Which projects may use a connector, and in which environments.

use std::collections::HashMap;

use grantry_core::ids::ProjectId;
use grantry_core::nouns::{Environment, EventKind, Link, Project};
use grantry_core::store::Page;
use grantry_core::{Error, Problem, Result};

use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine};

impl Engine {
    /// The link of a project, with the project (reference/vercel-connect B3).
    pub async fn link(
        &self,
        caller: &Caller,
        connector: &str,
        project: &str,
    ) -> Result<(Link, Project)> {
        caller.require(Act::ReadLists)?;
        let entry = self.live_connector(caller, connector).await?;
        let project = self.project(caller, project).await?;
        let link = entry.links.iter().find(|link| link.project == project.id);
        Ok((link.cloned().ok_or(Error::NotFound("link"))?, project))
    }

    /// All links of a connector, by project id.
    pub async fn links(
        &self,
        caller: &Caller,
        connector: &str,
        page: &Page,
    ) -> Result<CursorPage<Link>> {
        caller.require(Act::ReadLists)?;
        let entry = self.live_connector(caller, connector).await?;
        let after = page.after.as_ref().map_or("", |(project, _)| project);
        let links = entry.links.iter();
        let links = links.filter(|link| link.project.as_str() > after);
        let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let rows = links.take(wanted.saturating_add(1)).cloned().collect();
        Ok(cut(rows, page, |link: &Link| {
            (link.project.to_string(), link.connector.to_string())
        }))
    }

    /// All links of a project, by connector id.
    pub async fn project_links(
        &self,
        caller: &Caller,
        project: &str,
        page: &Page,
    ) -> Result<CursorPage<Link>> {
        caller.require(Act::ReadLists)?;
        let project = self.project(caller, project).await?;
        let store = &self.ports.store;
        let rows = store.project_links(&caller.team, &project.id, page).await?;
        Ok(cut(rows, page, |link: &Link| {
            (link.connector.to_string(), link.project.to_string())
        }))
    }

    /// Makes a link, or replaces its environments (B4).
    pub async fn put_link(
        &self,
        caller: &Caller,
        connector: &str,
        project: &str,
        environments: Vec<Environment>,
    ) -> Result<(Link, Project)> {
        caller.require(Act::ManageConnectors)?;
        let entry = self.live_connector(caller, connector).await?;
        let project = self.project(caller, project).await?;
        let environments =
            checked_environments(&project, environments, "environments").map_err(Error::Invalid)?;
        let now = self.now();
        let link = Link {
            team: caller.team.clone(),
            connector: entry.connector.id.clone(),
            project: project.id.clone(),
            environments,
            created_at: now,
            updated_at: now,
        };
        let event = self.link_event(caller, &link);
        let stored = self.ports.store.put_link(&link, &event).await;
        self.forget_connector(&link.connector);
        Ok((stored?, project))
    }

    /// Removes a link (B5).
    pub async fn delete_link(&self, caller: &Caller, connector: &str, project: &str) -> Result<()> {
        caller.require(Act::ManageConnectors)?;
        let entry = self.live_connector(caller, connector).await?;
        let project = self.project(caller, project).await?;
        let id = &entry.connector.id;
        let event = self
            .draft(EventKind::LinkDeleted, caller)
            .connector(id)
            .with("project", project.id.as_str())
            .done();
        let deleted = self
            .ports
            .store
            .delete_link(&caller.team, id, &project.id, &event)
            .await;
        self.forget_connector(id);
        Ok(deleted?)
    }

    /// The projects of links, by id.
    pub async fn projects_of_links<'a>(
        &self,
        caller: &Caller,
        links: impl IntoIterator<Item = &'a Link>,
    ) -> Result<HashMap<ProjectId, Project>> {
        caller.require(Act::ReadLists)?;
        let mut ids: Vec<_> = links.into_iter().map(|link| link.project.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = self.ports.store.projects_of(&caller.team, &ids).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
    }

    /// A project of the caller's team, by id or name.
    pub async fn project(&self, caller: &Caller, id_or_name: &str) -> Result<Project> {
        self.ports
            .store
            .project(&caller.team, id_or_name)
            .await?
            .ok_or(Error::NotFound("project"))
    }
}

/// The environments without duplicates; a problem when there is none, or one that the project lacks.
pub fn checked_environments(
    project: &Project,
    environments: Vec<Environment>,
    field: &str,
) -> Result<Vec<Environment>, Vec<Problem>> {
    let mut kept: Vec<Environment> = Vec::new();
    let mut problems = Vec::new();
    for (index, environment) in environments.into_iter().enumerate() {
        if !project.has_environment(&environment) {
            let custom: Vec<&str> = project
                .custom_environments
                .iter()
                .map(|custom| custom.id.as_str())
                .collect();
            let known = [&Environment::BUILT_IN[..], &custom].concat().join(", ");
            problems.push(Problem::new(
                format!("{field}[{index}]"),
                format!("is not an environment of the project; it has {known}"),
            ));
        } else if !kept.contains(&environment) {
            kept.push(environment);
        }
    }
    if kept.is_empty() && problems.is_empty() {
        problems.push(Problem::new(field, "must name at least one environment"));
    }
    if problems.is_empty() {
        Ok(kept)
    } else {
        Err(problems)
    }
}

//! Connectors and their links.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use grantry_core::ids::{ProjectId, TeamId};
use grantry_core::nouns::{Connector, ConnectorType, Environment, Link, TriggerDestination};
use grantry_core::store::Declared;
use grantry_core::{Error, Result, Secret, Timestamp};
use serde_json::{Value, json};

use super::{AT_ONCE, Place, Planner, Step, Write, gather, server_in};
use crate::apply::parse::Rows;
use crate::apply::report::{Change, FieldChange};
use crate::apply::rows::{ConnectorRow, DestinationRow, LinkRow, Redirect, Row as _};
use crate::apply::shown::differences;
use crate::connectors::{Checked, carry, checked_environments, offline_problems, terms_at};
use crate::{NewConnector, catalogue};

/// A declared connector that holds for itself.
struct Wanted {
    place: Place,
    has_id: bool,
    checked: Checked,
    /// What the row leaves out, as it stays.
    left: Left,
    links: Option<Vec<LinkRow>>,
}

/// Fields that stay as they are when the row leaves them out.
struct Left {
    metadata: bool,
    redirect: bool,
    icon: bool,
    background_color: bool,
    accent_color: bool,
    default_installation: bool,
    triggers_enabled: bool,
    events: bool,
    trigger_destinations: bool,
}

/// A stored connector with what hangs on it.
struct Standing {
    connector: Connector,
    secrets: HashMap<String, Secret>,
    links: Vec<Link>,
}

impl Planner<'_> {
    pub(super) async fn connectors(&mut self, rows: Rows<ConnectorRow>) -> Result<Vec<Step>> {
        let mut all = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            if let Some(team) = self.team(&place, "team", &row.team).await? {
                all.extend(self.wanted_connector(place, row, &team.id).await?);
            }
        }
        let store = &self.engine.ports.store;
        let of = |wanted: &Wanted| {
            let Connector { team, id, uid, .. } = &wanted.checked.connector;
            (team.clone(), id.to_string(), uid.clone())
        };
        let names: Vec<_> = all.iter().map(of).collect();
        let by_id = names.iter().map(|(team, id, _)| store.connector(team, id));
        let by_id = gather(by_id.collect()).await?;
        let by_uid = names
            .iter()
            .map(|(team, _, uid)| store.connector(team, uid));
        let by_uid = gather(by_uid.collect()).await?;
        let mut old = Vec::with_capacity(all.len());
        for ((wanted, by_id), by_uid) in all.iter().zip(by_id).zip(by_uid) {
            let declared = &wanted.checked.connector;
            let by_id = by_id.filter(|found| found.id == declared.id);
            let by_uid =
                by_uid.filter(|found| found.uid == declared.uid && found.deleted_at.is_none());
            let found = if wanted.has_id { by_id } else { by_uid.clone() };
            if let Some(other) = by_uid
                && found.as_ref().is_none_or(|found| found.id != other.id)
                && !wanted.checked.generated_uid
            {
                let message = format!("is already used by connector {}", other.id);
                self.problem(&wanted.place, "uid", message);
            }
            old.push(found);
        }
        let standing = stream::iter(old.into_iter().map(|old| self.standing(old)))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let mut steps = Vec::with_capacity(all.len());
        for (wanted, standing) in all.into_iter().zip(standing) {
            steps.push(self.connector(wanted, standing).await?);
        }
        Ok(steps)
    }

    async fn standing(&self, old: Option<Connector>) -> Result<Option<Standing>> {
        let Some(connector) = old else {
            return Ok(None);
        };
        let store = &self.engine.ports.store;
        Ok(Some(Standing {
            secrets: self.engine.connector_secrets(&connector).await?,
            links: store.links(&connector.team, &connector.id).await?,
            connector,
        }))
    }

    async fn wanted_connector(
        &mut self,
        place: Place,
        row: ConnectorRow,
        team: &TeamId,
    ) -> Result<Option<Wanted>> {
        let left = Left {
            metadata: row.metadata.is_none(),
            redirect: row.redirect.is_none(),
            icon: row.icon.is_none(),
            background_color: row.background_color.is_none(),
            accent_color: row.accent_color.is_none(),
            default_installation: row.default_installation.is_none(),
            triggers_enabled: row.triggers_enabled.is_none(),
            events: row.events.is_none(),
            trigger_destinations: row.trigger_destinations.is_none(),
        };
        let destinations = row.trigger_destinations.unwrap_or_default();
        let destinations = self.destinations(&place, team, destinations).await?;
        let (has_id, links) = (row.id.is_some(), row.links);
        let new = NewConnector {
            id: row.id,
            kind: row.kind,
            uid: row.uid,
            name: Some(row.name),
            service: row.service,
            data: row.data,
            metadata: row.metadata.unwrap_or_default(),
            triggers_enabled: row.triggers_enabled.unwrap_or_default(),
            events: row.events.unwrap_or_default(),
            icon: filled(row.icon),
            background_color: filled(row.background_color),
            accent_color: filled(row.accent_color),
            ..NewConnector::default()
        };
        let checked = self.engine.checked(&server_in(team), &new, None);
        let checked = checked.map_err(in_our_spelling);
        let Some(mut checked) = self.accept(&place, "", checked)? else {
            return Ok(None);
        };
        checked.connector.trigger_destinations = destinations;
        checked.connector.default_installation = filled(row.default_installation);
        if let Some(Redirect::Team) = row.redirect {
            let path = format!("/callback/{team}");
            checked.connector.redirect_uri = self.engine.settings().url(&path);
        }
        let service = catalogue::row_for(&self.services, &checked.connector);
        let missing = offline_problems(&checked.connector, service.as_ref())?;
        let missing = missing.into_iter();
        self.problems
            .extend(missing.map(|problem| place.problem(problem.field, problem.message)));
        Ok(Some(Wanted {
            place,
            has_id,
            checked,
            left,
            links,
        }))
    }

    /// Where the connector's events shall go.
    async fn destinations(
        &mut self,
        place: &Place,
        team: &TeamId,
        rows: Vec<DestinationRow>,
    ) -> Result<Vec<TriggerDestination>> {
        let mut destinations = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            let field = |name: &str| format!("trigger_destinations[{index}].{name}");
            let Some(project) = self
                .project(place, &field("project"), team, &row.project)
                .await?
            else {
                continue;
            };
            let mut custom_environment_id = None;
            if let Some(name) = &row.custom_environment {
                let mut all = project.custom_environments.iter();
                match all.find(|own| own.id == *name || own.slug == *name) {
                    Some(own) => custom_environment_id = Some(own.id.clone()),
                    None => self.problem(
                        place,
                        field("custom_environment"),
                        format!("{name:?} is no custom environment of {}", project.name),
                    ),
                }
                if row.branch.is_some() {
                    let message = "does not go with custom_environment: give one of them";
                    self.problem(place, field("branch"), message);
                }
            }
            if row.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
                self.problem(place, field("path"), "must begin with /");
            }
            destinations.push(TriggerDestination {
                project_id: project.id.clone(),
                branch: row.branch,
                custom_environment_id,
                path: row.path,
            });
        }
        Ok(destinations)
    }

    async fn connector(&mut self, wanted: Wanted, standing: Option<Standing>) -> Result<Step> {
        let Wanted {
            place,
            has_id: _,
            checked,
            left,
            links,
        } = wanted;
        let mut secrets = checked.secrets;
        let (step, connector) = match &standing {
            None => {
                let connector = checked.connector;
                let id = connector.id.to_string();
                let mut step = Step::new(place, &id, Change::Created, Vec::new());
                step.writes.push(Write::Connector {
                    connector: Box::new(connector.clone()),
                    secrets: Some(secrets),
                    declared: Declared {
                        read: None,
                        secrets: true,
                        client: true,
                    },
                    replaced: None,
                });
                (step, connector)
            }
            Some(standing) => {
                let old = &standing.connector;
                let mut connector = left.of(checked.connector, old);
                if checked.generated_uid {
                    connector.uid.clone_from(&old.uid);
                }
                keep_value_ids(&mut connector, &mut secrets, old, &standing.secrets);
                if let Err(problem) = carry(old, &mut connector) {
                    let field = match problem.field.as_str() {
                        "redirectUri" => "redirect",
                        field => field,
                    };
                    self.problem(&place, field, problem.message);
                }
                let both = [old, &connector];
                let rows = both.map(|of| catalogue::row_for(&self.services, of));
                connector.terms_at =
                    terms_at(both, [&rows[0], &rows[1]].map(Option::as_ref), self.now);
                let mut fields = differences(old, &connector);
                let changed = changed_secrets(&connector, &secrets, &standing.secrets);
                let declared = Declared {
                    read: Some(old.updated_at),
                    // Those of a deleted connector are destroyed once its tokens have ended, which may be a moment from now.
                    secrets: !changed.is_empty() || old.deleted_at.is_some(),
                    client: !changed.is_empty()
                        || old.data != connector.data
                        || old.registration != connector.registration
                        || old.deleted_at.is_some(),
                };
                if !changed.contains("data.clientSecret") {
                    connector.client_secret.clone_from(&old.client_secret);
                }
                fields.extend(changed.into_iter().map(FieldChange::secret));
                let change = match old.deleted_at {
                    Some(_) => Change::Restored,
                    None if fields.is_empty() => Change::Unchanged,
                    None => Change::Updated,
                };
                let id = connector.id.to_string();
                let mut step = Step::new(place, &id, change, fields);
                if change != Change::Unchanged {
                    step.writes.push(Write::Connector {
                        connector: Box::new(connector.clone()),
                        secrets: declared.secrets.then_some(secrets),
                        declared,
                        replaced: old.registration.is_some().then(|| Box::new(old.clone())),
                    });
                }
                (step, connector)
            }
        };
        let mut step = step.called(&connector);
        let connector = Arc::new(connector);
        if let Some(links) = links {
            let standing = standing.map_or_else(Vec::new, |standing| standing.links);
            self.links(&mut step, links, standing, &connector).await?;
        }
        let names = [connector.id.as_str(), &connector.uid];
        self.connectors
            .add(connector.team.as_str(), names, Arc::clone(&connector));
        Ok(step)
    }

    /// The connector's links: those that are declared, and, where the plan prunes, no others.
    async fn links(
        &mut self,
        step: &mut Step,
        rows: Vec<LinkRow>,
        standing: Vec<Link>,
        connector: &Connector,
    ) -> Result<()> {
        let field = |project: &ProjectId| format!("links.{project}");
        let mut declared = HashSet::new();
        for (index, row) in rows.into_iter().enumerate() {
            let Some(link) = self.link(&step.place, index, row, connector).await? else {
                continue;
            };
            declared.insert(link.project.clone());
            let old = standing.iter().find(|old| old.project == link.project);
            if old.is_none_or(|old| old.environments != link.environments) {
                let old = old.map(|old| json!(old.environments)).into();
                let new = json!(link.environments);
                step.part(field(&link.project), old, new, Write::Link(link));
            }
        }
        if self.scope.has(ConnectorRow::TABLE, &connector.team) {
            for link in standing {
                if !declared.contains(&link.project) {
                    let old = json!(link.environments);
                    let write = Write::Unlink(link.team, link.connector, link.project.clone());
                    step.part(field(&link.project), old, Value::Null, write);
                }
            }
        }
        Ok(())
    }

    async fn link(
        &mut self,
        place: &Place,
        index: usize,
        row: LinkRow,
        connector: &Connector,
    ) -> Result<Option<Link>> {
        let field = format!("links[{index}]");
        let project = self
            .project(
                place,
                &format!("{field}.project"),
                &connector.team,
                &row.project,
            )
            .await?;
        let Some(project) = project else {
            return Ok(None);
        };
        let all = || Environment::BUILT_IN.map(Environment::from).to_vec();
        let environments = row.environments.unwrap_or_else(all);
        let path = format!("{field}.environments");
        let checked = checked_environments(&project, environments, &path);
        let checked = checked.map_err(grantry_core::Error::Invalid);
        let environments = self.accept(place, &path, checked)?;
        Ok(environments.map(|environments| Link {
            team: connector.team.clone(),
            connector: connector.id.clone(),
            project: project.id.clone(),
            environments,
            created_at: self.now,
            updated_at: self.now,
        }))
    }
}

/// Gives each value of an `api-key` connector that is stored already the id it is stored under:
/// ids are minted anew whenever a declaration is read, and a value that keeps its id is no change.
fn keep_value_ids(
    connector: &mut Connector,
    secrets: &mut [(String, Secret)],
    old: &Connector,
    stored: &HashMap<String, Secret>,
) {
    let ids_of = |connector: &Connector| -> Vec<String> {
        let values = connector.data.get("values").and_then(Value::as_array);
        let ids = values
            .into_iter()
            .flatten()
            .filter_map(|value| value.get("id"));
        ids.filter_map(|id| id.as_str().map(str::to_owned))
            .collect()
    };
    let mut free = ids_of(old);
    for minted in ids_of(connector) {
        let Some((name, secret)) = secrets.iter_mut().find(|(name, _)| *name == minted) else {
            continue;
        };
        let is_this = |id: &String| {
            stored
                .get(id)
                .is_some_and(|known| known.expose() == secret.expose())
        };
        let Some(at) = free.iter().position(is_this) else {
            continue;
        };
        let id = free.remove(at);
        let values = connector
            .data
            .get_mut("values")
            .and_then(Value::as_array_mut);
        for value in values.into_iter().flatten() {
            if value.get("id").is_some_and(|id| *id == minted) {
                value["id"] = Value::String(id.clone());
            }
        }
        name.clone_from(&id);
    }
}

impl Left {
    /// The stored connector as it is declared.
    fn of(self, declared: Connector, old: &Connector) -> Connector {
        let mut connector = Connector {
            id: old.id.clone(),
            team: old.team.clone(),
            secrets: old.secrets.clone(),
            created_by: old.created_by.clone(),
            created_at: old.created_at,
            // Two changes of one row never carry the same time: it is what tells them apart.
            updated_at: declared.updated_at.max(Timestamp(old.updated_at.0 + 1)),
            ..declared
        };
        macro_rules! keep {
            ($($field:ident <- $left:ident),*) => {
                $(if self.$left {
                    connector.$field.clone_from(&old.$field);
                })*
            };
        }
        keep!(
            metadata <- metadata,
            redirect_uri <- redirect,
            icon <- icon,
            background_color <- background_color,
            accent_color <- accent_color,
            default_installation <- default_installation,
            triggers_enabled <- triggers_enabled,
            events <- events,
            trigger_destinations <- trigger_destinations
        );
        connector
    }
}

/// A text that says something.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The engine names fields as the Vercel dialect does, a file as the noun does.
fn in_our_spelling(error: Error) -> Error {
    match error {
        Error::Invalid(mut problems) => {
            for problem in &mut problems {
                let ours = match problem.field.as_str() {
                    "backgroundColor" => "background_color",
                    "accentColor" => "accent_color",
                    _ => continue,
                };
                ours.clone_into(&mut problem.field);
            }
            Error::Invalid(problems)
        }
        other => other,
    }
}

/// The fields whose secrets are other ones than those stored. All are the operator's own; nobody
/// else learns how long this takes.
fn changed_secrets(
    connector: &Connector,
    declared: &[(String, Secret)],
    stored: &HashMap<String, Secret>,
) -> BTreeSet<String> {
    let field = |name: &str| match connector.kind {
        // Values are known by ids that nobody declares.
        ConnectorType::ApiKey => "data.values".to_owned(),
        _ => format!("data.{name}"),
    };
    let is_stored = |(name, secret): &&(String, Secret)| {
        let known = stored.get(name);
        known.is_some_and(|known| known.expose() == secret.expose())
    };
    let changed = declared.iter().filter(|secret| !is_stored(secret));
    let gone = stored.keys().filter(|name| {
        let mut names = declared.iter().map(|(declared, _)| declared);
        !names.any(|declared| declared == *name)
    });
    let names = changed.map(|(name, _)| name).chain(gone);
    names.map(|name| field(name)).collect()
}

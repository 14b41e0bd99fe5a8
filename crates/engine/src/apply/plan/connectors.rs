//! Connectors and their links.

use std::collections::HashMap;
use std::sync::Arc;

use grantry_core::ids::TeamId;
use grantry_core::nouns::{Connector, Environment, Link};
use grantry_core::{Result, Secret};
use serde_json::Value;

use super::{Change, Place, Planner, Step, Write, gather, server_in};
use crate::NewConnector;
use crate::apply::parse::Rows;
use crate::apply::rows::{ConnectorRow, LinkRow};
use crate::catalogue::row_of;
use crate::connectors::{Checked, checked_environments, offline_problems};

/// A declared connector that holds for itself.
struct Wanted {
    place: Place,
    has_id: bool,
    checked: Checked,
    links: Vec<LinkRow>,
}

impl Planner<'_> {
    pub(super) async fn connectors(&mut self, rows: Rows<ConnectorRow>) -> Result<Vec<Step>> {
        let mut all = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            if let Some(team) = self.team(&place, "team", &row.team).await? {
                all.extend(self.wanted_connector(place, row, &team.id)?);
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
        let mut steps = Vec::with_capacity(all.len());
        for ((wanted, by_id), by_uid) in all.into_iter().zip(by_id).zip(by_uid) {
            let declared = &wanted.checked.connector;
            let by_id = by_id.filter(|found| found.id == declared.id);
            let by_uid =
                by_uid.filter(|found| found.uid == declared.uid && found.deleted_at.is_none());
            let old = if wanted.has_id { by_id } else { by_uid.clone() };
            if let Some(other) = by_uid
                && old.as_ref().is_none_or(|old| old.id != other.id)
                && !wanted.checked.generated_uid
            {
                let message = format!("is already used by connector {}", other.id);
                self.problem(&wanted.place, "uid", message);
            }
            steps.extend(self.connector(wanted, old).await?);
        }
        Ok(steps)
    }

    fn wanted_connector(
        &mut self,
        place: Place,
        row: ConnectorRow,
        team: &TeamId,
    ) -> Result<Option<Wanted>> {
        let (has_id, links) = (row.id.is_some(), row.links);
        let new = NewConnector {
            id: row.id,
            kind: row.kind,
            uid: row.uid,
            name: Some(row.name),
            service: row.service,
            data: row.data,
            metadata: row.metadata,
            ..NewConnector::default()
        };
        let checked = self.engine.checked(&server_in(team), &new, None);
        let Some(checked) = self.accept(&place, "", checked)? else {
            return Ok(None);
        };
        let service = row_of(&self.services, &checked.connector.service);
        let missing = offline_problems(&checked.connector, service.as_ref())?;
        let missing = missing.into_iter();
        self.problems
            .extend(missing.map(|problem| place.problem(problem.field, problem.message)));
        Ok(Some(Wanted {
            place,
            has_id,
            checked,
            links,
        }))
    }

    async fn connector(&mut self, wanted: Wanted, old: Option<Connector>) -> Result<Option<Step>> {
        let Wanted {
            place,
            has_id: _,
            checked,
            links,
        } = wanted;
        let Checked {
            connector: declared,
            mut secrets,
            generated_uid,
        } = checked;
        let (connector, change, same_secrets) = match &old {
            None => (declared, Change::Created, false),
            Some(old) => {
                let stored = self.engine.connector_secrets(old).await?;
                let mut connector = Connector {
                    name: declared.name,
                    kind: declared.kind,
                    service: declared.service,
                    data: declared.data,
                    metadata: declared.metadata,
                    updated_by: declared.updated_by,
                    updated_at: declared.updated_at,
                    deleted_at: None,
                    fault: None,
                    ..old.clone()
                };
                if !generated_uid {
                    connector.uid = declared.uid;
                }
                keep_value_ids(&mut connector, &mut secrets, old, &stored);
                let same_secrets = are_stored(&secrets, &stored);
                let change = match (&old.deleted_at, same_secrets && same(&connector, old)) {
                    (Some(_), _) => Change::Restored,
                    (None, true) => Change::Unchanged,
                    (None, false) => Change::Updated,
                };
                (connector, change, same_secrets)
            }
        };
        let standing = match &old {
            Some(old) => {
                let store = &self.engine.ports.store;
                store.links(&old.team, &old.id).await?
            }
            None => Vec::new(),
        };
        let mut step = Step::new(place, connector.id.as_str(), change, Vec::new());
        if change != Change::Unchanged {
            step.writes.push(Write::Connector {
                connector: Box::new(connector.clone()),
                secrets: (!same_secrets).then_some(secrets),
            });
        }
        let connector = Arc::new(connector);
        for (index, link) in links.into_iter().enumerate() {
            let link = self.link(&step.place, index, link, &connector).await?;
            let news = |link: &Link| {
                !standing
                    .iter()
                    .any(|old| old.project == link.project && old.environments == link.environments)
            };
            step.writes.extend(link.filter(news).map(Write::Link));
        }
        if step.row.change == Change::Unchanged && !step.writes.is_empty() {
            step.row.change = Change::Updated;
        }
        let names = [connector.id.as_str(), &connector.uid];
        self.connectors
            .add(connector.team.as_str(), names, Arc::clone(&connector));
        Ok(Some(step))
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

/// Whether the declared secrets are exactly the stored ones. Both are the operator's own; nobody
/// else learns how long this takes.
fn are_stored(declared: &[(String, Secret)], stored: &HashMap<String, Secret>) -> bool {
    declared.len() == stored.len()
        && declared.iter().all(|(name, secret)| {
            stored
                .get(name)
                .is_some_and(|known| known.expose() == secret.expose())
        })
}

/// Whether two states of a connector differ in nothing that is declared.
fn same(one: &Connector, other: &Connector) -> bool {
    one.uid == other.uid
        && one.name == other.name
        && one.kind == other.kind
        && one.service == other.service
        && one.data == other.data
        && one.metadata == other.metadata
}

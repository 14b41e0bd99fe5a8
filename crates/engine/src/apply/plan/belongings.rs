//! Secrets, MCP servers, invitations. Each is known by its id, else by its name within the team.

use grantry_core::Result;
use grantry_core::ids::{InviteId, McpServerId, SecretId, TeamId};
use grantry_core::nouns::{Actor, Invite, McpServer, NamedSecret, Role, Sealed};
use grantry_core::store::Page;
use serde_json::Map;

use super::prune::every;
use super::{Planner, Step, Write, gather};
use crate::apply::parse::Rows;
use crate::apply::report::{Change, FieldChange};
use crate::apply::rows::{InviteRow, McpServerRow, SecretRow};
use crate::apply::shown::differences;

impl Planner<'_> {
    pub(super) async fn secrets(&mut self, rows: Rows<SecretRow>) -> Result<Vec<Step>> {
        let mut of_team = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            if let Some(team) = self.team(&place, "team", &row.team).await? {
                of_team.push((place, row, team.id.clone()));
            }
        }
        let store = &self.engine.ports.store;
        let by_name = of_team
            .iter()
            .map(|(_, row, team)| store.secret(team, &row.name));
        let by_name = gather(by_name.collect()).await?;
        let by_id = of_team.iter().map(|(_, row, team)| async move {
            match &row.id {
                Some(id) => store.secret(team, id.as_str()).await,
                None => Ok(None),
            }
        });
        let by_id = gather(by_id.collect()).await?;
        let mut steps = Vec::with_capacity(of_team.len());
        for (((place, row, team), by_name), by_id) in of_team.into_iter().zip(by_name).zip(by_id) {
            // A look-up by name also finds a secret whose id that is, and the other way round.
            let by_name = by_name.filter(|found| found.name == row.name);
            let old = match &row.id {
                Some(id) => by_id.filter(|found| found.id == *id),
                None => by_name.clone(),
            };
            let id = match (row.id, &old) {
                (Some(id), _) => id,
                (None, Some(old)) => old.id.clone(),
                (None, None) => SecretId::mint(self.now, self.engine.entropy()),
            };
            if let Some(other) = by_name.filter(|other| other.id != id) {
                let message = format!("is the name of secret {}", other.id);
                self.problem(&place, "name", message);
            }
            let same_value = match &old {
                Some(old) => self.engine.has_value(old, &row.value).await?,
                None => false,
            };
            let secret = NamedSecret {
                id,
                team,
                name: row.name,
                label: None,
                owner: old.as_ref().and_then(|old| old.owner.clone()),
                value: old
                    .as_ref()
                    .map_or(Sealed(Vec::new()), |old| old.value.clone()),
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
                updated_at: self.now,
            };
            let mut fields = old
                .as_ref()
                .map_or_else(Vec::new, |old| differences(old, &secret));
            if old.is_some() && !same_value {
                fields.push(FieldChange::secret("value"));
            }
            let change = match &old {
                None => Change::Created,
                Some(_) if fields.is_empty() => Change::Unchanged,
                Some(_) => Change::Updated,
            };
            let mut step =
                Step::new(place, secret.id.as_str(), change, fields).named(secret.name.clone());
            if change != Change::Unchanged {
                step.writes.push(Write::Secret {
                    secret,
                    value: (!same_value).then_some(row.value),
                });
            }
            steps.push(step);
        }
        Ok(steps)
    }

    pub(super) async fn mcp_servers(&mut self, rows: Rows<McpServerRow>) -> Result<Vec<Step>> {
        let mut steps = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            let Some(team) = self.team(&place, "team", &row.team).await? else {
                continue;
            };
            let store = &self.engine.ports.store;
            let old = match &row.id {
                Some(id) => store.mcp_server(&team.id, id).await?,
                None => {
                    let all = self.mcp_servers_of(&team.id).await?;
                    all.into_iter().find(|server| server.name == row.name)
                }
            };
            let id = match (row.id, &old) {
                (Some(id), _) => id,
                (None, Some(old)) => old.id.clone(),
                (None, None) => McpServerId::mint(self.now, self.engine.entropy()),
            };
            let server = McpServer {
                id: id.clone(),
                team: team.id.clone(),
                name: row.name,
                base_url: row.base_url,
                data: old.as_ref().map_or_else(Map::new, |old| old.data.clone()),
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
                updated_at: old.as_ref().map_or(self.now, |old| old.updated_at),
            };
            let at = self.now;
            let write = move |server| {
                Write::McpServer(McpServer {
                    updated_at: at,
                    ..server
                })
            };
            steps.push(Step::put(place, id.as_str(), old.as_ref(), server, write));
        }
        Ok(steps)
    }

    pub(super) async fn mcp_servers_of(&self, team: &TeamId) -> Result<Vec<McpServer>> {
        let store = &self.engine.ports.store;
        every(
            |page| async move { store.mcp_servers(team, &page).await },
            |row| (row.created_at.0.to_string(), row.id.to_string()),
        )
        .await
    }

    pub(super) async fn invites(&mut self, rows: Rows<InviteRow>) -> Result<Vec<Step>> {
        let mut steps = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            let Some(team) = self.team(&place, "team", &row.team).await? else {
                continue;
            };
            let store = &self.engine.ports.store;
            let old = match &row.id {
                Some(id) => store.invite(&team.id, id).await?,
                None => {
                    let newest = Page::first(1);
                    let invites = store.invites(&team.id, Some(&row.email), &newest).await?;
                    invites.into_iter().next()
                }
            };
            let id = match (row.id, &old) {
                (Some(id), _) => id,
                (None, Some(old)) => old.id.clone(),
                (None, None) => InviteId::mint(self.now, self.engine.entropy()),
            };
            let invite = Invite {
                id: id.clone(),
                team: team.id.clone(),
                email: row.email,
                role: row
                    .role
                    .or(old.as_ref().map(|old| old.role))
                    .unwrap_or(Role::Member),
                words: old
                    .as_ref()
                    .filter(|old| row.role.is_none_or(|role| role == old.role))
                    .map_or_else(Map::new, |old| old.words.clone()),
                created_by: old
                    .as_ref()
                    .map_or(Actor::Server, |old| old.created_by.clone()),
                created_at: old.as_ref().map_or(self.now, |old| old.created_at),
                expires_at: row
                    .expires_at
                    .or(old.as_ref().and_then(|old| old.expires_at)),
                accepted_at: old.as_ref().and_then(|old| old.accepted_at),
            };
            steps.push(Step::put(
                place,
                id.as_str(),
                old.as_ref(),
                invite,
                Write::Invite,
            ));
        }
        Ok(steps)
    }
}

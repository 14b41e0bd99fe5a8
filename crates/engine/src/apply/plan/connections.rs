//! Connections: grants that exist already and are taken in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::Result;
use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{Connector, Grant, Scopes};
use grantry_core::store::ConnectorFilter;
use serde_json::Map;

use super::{Change, LOOKED_AT, Place, Planner, Step, Write, gather, server_in};
use crate::apply::parse::Rows;
use crate::apply::rows::ConnectionRow;
use crate::connectors::{Entry, servers_of};
use crate::lists::Import;
use crate::{AskToken, NewPair};

/// A declared connection whose connector is known.
struct Wanted {
    place: Place,
    row: ConnectionRow,
    connector: Arc<Connector>,
    grant: Grant,
}

impl Planner<'_> {
    pub(super) async fn connections(&mut self, rows: Rows<ConnectionRow>) -> Result<Vec<Step>> {
        let mut all = Vec::with_capacity(rows.len());
        let mut seen = HashMap::new();
        for (place, row) in rows {
            let Some(wanted) = self.wanted_connection(place, row).await? else {
                continue;
            };
            self.scope.declares_connections_of(&wanted.connector);
            let key = (wanted.connector.id.clone(), wanted.grant.key());
            if let Some(first) = seen.insert(key, wanted.place.row) {
                let message = format!(
                    "names the same grant as row {}: connector, environment, subject, installation, scopes, audience and resources are equal",
                    first.unwrap_or_default()
                );
                self.problem(&wanted.place, "", message);
            }
            all.push(wanted);
        }
        let store = &self.engine.ports.store;
        let by_grant = all
            .iter()
            .map(|wanted| store.connection_by_grant(&wanted.connector.team, &wanted.grant));
        let by_grant = gather(by_grant.collect()).await?;
        let by_id = all.iter().map(|wanted| async move {
            match &wanted.row.id {
                Some(id) => store.connection(&wanted.connector.team, id).await,
                None => Ok(None),
            }
        });
        let by_id = gather(by_id.collect()).await?;
        for (wanted, by_id) in all.iter().zip(&by_id) {
            let grant = by_id.as_ref().map(|found| &found.connection.grant);
            let is_wanted = |grant: &Grant| {
                grant.connector == wanted.grant.connector && grant.key() == wanted.grant.key()
            };
            if !grant.is_none_or(is_wanted) {
                let message = "is the id of a connection with another grant (connector, environment, subject, \
                               installation, scopes, audience or resources differ)";
                self.problem(&wanted.place, "id", message.to_owned());
            }
        }
        let steps = all.into_iter().zip(by_grant).zip(by_id);
        Ok(steps
            .map(|((wanted, by_grant), by_id)| {
                let live = |id: &grantry_core::store::Live| {
                    id.connection.state != grantry_core::nouns::ConnectionState::Revoked
                };
                match (by_grant.or(by_id.clone().filter(live)), by_id) {
                    (Some(standing), _) => {
                        let id = standing.connection.id.to_string();
                        let name = wanted.row.name.unwrap_or_default();
                        Step::new(wanted.place, &id, Change::Unchanged, Vec::new()).named(name)
                    }
                    (None, Some(_)) => self.import(wanted, Change::Restored),
                    (None, None) => self.import(wanted, Change::Created),
                }
            })
            .collect())
    }

    async fn wanted_connection(
        &mut self,
        place: Place,
        row: ConnectionRow,
    ) -> Result<Option<Wanted>> {
        let Some(connector) = self.connector_of(&place, &row).await? else {
            return Ok(None);
        };
        let ask = AskToken {
            subject: row.subject(),
            environment: row.environment.clone(),
            installation: row.installation.clone(),
            scopes: Scopes::from_list(row.scopes.clone()),
            audience: row.audience.clone(),
            resources: row.resources.clone(),
            ..AskToken::default()
        };
        let entry = Entry {
            connector: Connector::clone(&connector),
            links: Vec::new(),
            inactive: Vec::new(),
        };
        let caller = server_in(&connector.team);
        let grant = self.engine.grant_of(&caller, &entry, ask);
        let grant = self.accept(&place, "subject", grant)?;
        Ok(grant.map(|grant| Wanted {
            place,
            row,
            connector,
            grant,
        }))
    }

    /// The connector that the row names, by id or uid: one of this file, or with `team` one of the server.
    async fn connector_of(
        &mut self,
        place: &Place,
        row: &ConnectionRow,
    ) -> Result<Option<Arc<Connector>>> {
        let name = &row.connector;
        if let Some(team) = &row.team {
            let Some(team) = self.team(place, "team", team).await? else {
                return Ok(None);
            };
            if let Some(connector) = self.connectors.get(team.id.as_str(), name) {
                return Ok(Some(connector));
            }
            let stored = self.engine.ports.store.connector(&team.id, name).await?;
            if let Some(connector) = stored.filter(|stored| stored.deleted_at.is_none()) {
                let connector = Arc::new(connector);
                let names = [connector.id.as_str(), &connector.uid];
                self.connectors
                    .add(team.id.as_str(), names, Arc::clone(&connector));
                return Ok(Some(connector));
            }
            let stored = match self.hints() {
                true => {
                    let filter = ConnectorFilter::default();
                    let store = &self.engine.ports.store;
                    store.connectors(&team.id, &filter, &LOOKED_AT).await?
                }
                false => Vec::new(),
            };
            let stored = stored.iter().flat_map(|row| [row.id.as_str(), &row.uid]);
            let known = self.connectors.names(team.id.as_str());
            let hint = self.hint(name, known.chain(stored));
            let what = format!("connector of {}", team.id);
            self.problem(place, "connector", super::missing(name, &what, &hint));
            return Ok(None);
        }
        let named: Vec<_> = self.connectors.anywhere(name).cloned().collect();
        match named.as_slice() {
            [] => {}
            [connector] => return Ok(Some(Arc::clone(connector))),
            _ => {
                let message =
                    format!("{name:?} is a connector of several teams: give its team too");
                self.problem(place, "connector", message);
                return Ok(None);
            }
        }
        let hint = self.hint(name, self.connectors.all_names());
        let message = format!(
            "{name:?} is no connector of this file; to name one of the server, give its team too{hint}"
        );
        self.problem(place, "connector", message);
        Ok(None)
    }

    fn import(&self, wanted: Wanted, change: Change) -> Step {
        let Wanted {
            place,
            row,
            connector,
            grant,
        } = wanted;
        let id = row.id;
        let id = id.unwrap_or_else(|| ConnectionId::mint(self.now, self.engine.entropy()));
        let new = Import {
            id: Some(id.clone()),
            grant,
            name: row.name,
            external_subject: row.external_subject,
            pair: NewPair {
                access: row.access_token,
                expires_in: row.expires_in.map(Duration::from_secs),
                refresh: row.refresh_token,
                refresh_ends: None,
                scope: None,
                metadata: Map::new(),
                servers: Some(servers_of(&connector)),
            },
        };
        let name = new.name.clone().unwrap_or_default();
        let mut step = Step::new(place, id.as_str(), change, Vec::new()).named(name);
        let write = Write::Connection(connector.team.clone(), Box::new(new));
        step.writes.push(write);
        step
    }
}

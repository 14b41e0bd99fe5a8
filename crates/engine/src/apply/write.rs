//! The writes of a plan.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Actor, Event, EventKind};
use grantry_core::{Error, Result};

use super::plan::{AT_ONCE, Step, Write, server_in};
use super::{AppliedRow, Change};
use crate::Engine;
use crate::events::Draft;

impl Engine {
    /// Writes the rows of one table, many at once, and returns their lines of the report.
    pub(super) async fn write_stage(self: &Arc<Self>, stage: Vec<Step>) -> Result<Vec<AppliedRow>> {
        let changes = stage.iter().any(|step| !step.writes.is_empty());
        let steps: Vec<_> = stage
            .into_iter()
            .map(|step| self.write_step(step))
            .collect();
        let rows = stream::iter(steps)
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await;
        if changes {
            // Who may do what follows from teams, people, projects and keys alike.
            self.caches.callers.clear();
            self.caches.catalogue.clear();
        }
        rows
    }

    async fn write_step(self: &Arc<Self>, step: Step) -> Result<AppliedRow> {
        for write in step.writes {
            match self.write(write, &step.row).await {
                Ok(()) => {}
                // Somebody else was faster, or has it where the plan could not look.
                Err(Error::Conflict { message }) => {
                    return Err(Error::Invalid(vec![step.place.problem("", message).into()]));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(step.row)
    }

    async fn write(self: &Arc<Self>, write: Write, row: &AppliedRow) -> Result<()> {
        let store = &self.ports.store;
        let event = |kind, team| self.applied(kind, team, row);
        let applied = |team| event(EventKind::Applied, team);
        match write {
            Write::Account(account) => store.put_account(&account, &applied(None)).await?,
            Write::Team(team) => store.put_team(&team, &applied(Some(&team.id))).await?,
            Write::User(user) => store.put_user(&user, &applied(None)).await?,
            Write::Membership(membership) => {
                let event = applied(Some(&membership.team));
                store.put_membership(&membership, &event).await?
            }
            Write::Project(project) => {
                store
                    .put_project(&project, &applied(Some(&project.team)))
                    .await?
            }
            Write::Service(service) => store.put_service(&service, &applied(None)).await?,
            Write::Key(key) => {
                let kind = match row.change {
                    Change::Created => EventKind::KeyCreated,
                    _ => EventKind::Applied,
                };
                store.put_key(&key, &event(kind, key.team.as_ref())).await?
            }
            Write::Connector {
                mut connector,
                secrets,
            } => {
                if let Some(secrets) = &secrets {
                    connector.secrets = self.seal_secrets(&connector, secrets).await?;
                }
                let kind = match row.change {
                    Change::Created | Change::Restored => EventKind::ConnectorCreated,
                    Change::Updated | Change::Unchanged => EventKind::ConnectorUpdated,
                };
                let event = Event {
                    connector: Some(connector.id.clone()),
                    ..event(kind, Some(&connector.team))
                };
                let put = store
                    .put_connector(&connector, secrets.is_some(), &event)
                    .await;
                self.forget_connector(&connector.id);
                put?
            }
            Write::Link(link) => {
                let event = Event {
                    connector: Some(link.connector.clone()),
                    ..event(EventKind::LinkPut, Some(&link.team))
                };
                let put = store.put_link(&link, &event).await;
                self.forget_connector(&link.connector);
                put.map(|_| true)?
            }
            Write::Connection(team, new) => {
                self.import_connection(&server_in(&team), *new).await?.1
            }
        };
        Ok(())
    }

    fn applied(&self, kind: EventKind, team: Option<&TeamId>, row: &AppliedRow) -> Event {
        Draft::new(kind, team, Actor::Server, self.now(), self.entropy())
            .with("table", row.table.as_str())
            .with("row", row.id.as_str())
            .with("change", row.change.as_str())
            .done()
    }
}

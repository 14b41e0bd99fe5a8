//! The writes of a plan.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Actor, Event, EventKind};
use grantry_core::store::RevocationScope;
use grantry_core::{Error, Result};

use super::plan::{AT_ONCE, Removal, Step, Write, server_in};
use super::report::{AppliedRow, Change};
use crate::Engine;
use crate::events::Draft;

impl Engine {
    /// Writes the rows of one table, many at once, and returns their lines of the report. `done` is
    /// told how many there are so far.
    pub(super) async fn write_stage(
        self: &Arc<Self>,
        stage: Vec<Step>,
        done: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<Vec<AppliedRow>> {
        let changes = stage.iter().any(|step| !step.writes.is_empty());
        let steps: Vec<_> = stage
            .into_iter()
            .map(|step| self.write_step(step))
            .collect();
        let rows = stream::iter(steps)
            .buffered(AT_ONCE)
            .enumerate()
            .map(|(index, row)| {
                done(index + 1);
                row
            })
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
        let event = |kind, team: Option<&TeamId>| self.applied(kind, team, row);
        let applied = |team| event(EventKind::Applied, team);
        match write {
            Write::Account(account) => {
                store.put_account(&account, &applied(None)).await?;
            }
            Write::Team(team) => {
                store.put_team(&team, &applied(Some(&team.id))).await?;
            }
            Write::User(user) => {
                store.put_user(&user, &applied(None)).await?;
            }
            Write::Membership(membership) => {
                let event = applied(Some(&membership.team));
                store.put_membership(&membership, &event).await?;
            }
            Write::Project(project) => {
                store
                    .put_project(&project, &applied(Some(&project.team)))
                    .await?;
            }
            Write::Service(service) => {
                store.put_service(&service, &applied(None)).await?;
            }
            Write::Key(key) => {
                let kind = match row.change {
                    Change::Created => EventKind::KeyCreated,
                    _ => EventKind::Applied,
                };
                store.put_key(&key, &event(kind, key.team.as_ref())).await?;
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
                    Change::Updated | Change::Unchanged | Change::Removed => {
                        EventKind::ConnectorUpdated
                    }
                };
                let event = Event {
                    connector: Some(connector.id.clone()),
                    ..event(kind, Some(&connector.team))
                };
                let put = store
                    .put_connector(&connector, secrets.is_some(), &event)
                    .await;
                self.forget_connector(&connector.id);
                put?;
            }
            Write::Link(link) => {
                let event = Event {
                    connector: Some(link.connector.clone()),
                    ..event(EventKind::LinkPut, Some(&link.team))
                };
                let put = store.put_link(&link, &event).await;
                self.forget_connector(&link.connector);
                put?;
            }
            Write::Unlink(team, connector, project) => {
                let caller = server_in(&team);
                self.delete_link(&caller, connector.as_str(), project.as_str())
                    .await?;
            }
            Write::Secret { mut secret, value } => {
                if let Some(value) = &value {
                    secret.value = self.seal_value(&secret.team, &secret.id, value).await?;
                }
                let event = event(EventKind::SecretPut, Some(&secret.team));
                store.put_secret(&secret, value.is_some(), &event).await?;
            }
            Write::McpServer(server) => {
                let event = event(EventKind::McpServerPut, Some(&server.team));
                store.put_mcp_server(&server, &event).await?;
            }
            Write::Invite(invite) => {
                let event = event(EventKind::InvitePut, Some(&invite.team));
                store.put_invite(&invite, &event).await?;
            }
            Write::Remove(removal) => self.remove(removal, row).await?,
            Write::Connection(team, new) => {
                self.import_connection(&server_in(&team), *new).await?;
            }
        };
        Ok(())
    }

    /// Does what the API's deletions do: what hangs on the row ends too, at the provider as well.
    async fn remove(self: &Arc<Self>, removal: Removal, row: &AppliedRow) -> Result<()> {
        let store = &self.ports.store;
        let event = |kind, team| self.applied(kind, Some(team), row);
        match removal {
            Removal::Connection(team, connector, connection) => {
                let caller = server_in(&team);
                let entry = self.live_connector(&caller, connector.as_str()).await?;
                let scope = RevocationScope {
                    connector,
                    connection: Some(connection),
                    subject: None,
                    environment: None,
                    installation: None,
                };
                let queued = self.begin_revocation(&caller, &scope).await?;
                let engine = Arc::clone(self);
                self.tasks.spawn(async move {
                    let client = engine.revoking_client(&entry.connector).await;
                    engine.revoke_at_provider(&client, queued).await
                });
            }
            Removal::Connector(team, id) => {
                self.delete_connector(&server_in(&team), id.as_str())
                    .await?;
            }
            Removal::Key(team, id) => self.revoke_key(&server_in(&team), &id).await?,
            Removal::Secret(team, id) => {
                let event = event(EventKind::SecretDeleted, &team);
                store.delete_secret(&team, &id, &event).await?;
            }
            Removal::McpServer(team, id) => {
                let event = event(EventKind::McpServerDeleted, &team);
                store.delete_mcp_server(&team, &id, &event).await?;
            }
            Removal::Invite(team, id) => {
                let event = event(EventKind::InviteDeleted, &team);
                store.delete_invite(&team, &id, &event).await?;
            }
        }
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

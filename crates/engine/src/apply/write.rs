//! The writes of a plan, many in one transaction.

use std::sync::Arc;

use grantry_core::ids::TeamId;
use grantry_core::nouns::{Actor, Event, EventKind};
use grantry_core::store::{Put, RevocationScope};
use grantry_core::{Error, Result, StoreError};

use super::plan::{Removal, Step, Write, environments_gone, server_in};
use super::problem::Place;
use super::report::{AppliedRow, Change};
use crate::Engine;
use crate::events::Draft;
use crate::tenancy::or_last_owner;

/// Writes of one transaction. Batches come one after the other and not side by side: writes of one
/// table that run together make a serializable database refuse them again and again.
const BATCH: usize = 200;

/// A row to put, and where it was declared.
type Placed = (Place, (Put, Event));

/// What a write came to.
enum Prepared {
    /// It is part of the next batch.
    Put(Box<(Put, Event)>),
    /// Nothing is left to do.
    Done,
}

impl Engine {
    /// Writes the rows of one table and returns their lines of the report. `done` is told how many
    /// there are so far.
    pub(super) async fn write_stage(
        self: &Arc<Self>,
        stage: Vec<Step>,
        done: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<Vec<AppliedRow>> {
        let changes = stage.iter().any(|step| !step.writes.is_empty());
        let written = self.write_rows(stage, done).await;
        if changes {
            // Who may do what follows from teams, people, projects and keys alike.
            self.caches.callers.clear();
            self.caches.catalogue.clear();
        }
        written
    }

    async fn write_rows(
        self: &Arc<Self>,
        stage: Vec<Step>,
        done: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<Vec<AppliedRow>> {
        let mut rows = Vec::with_capacity(stage.len());
        let mut batch = Vec::with_capacity(BATCH);
        let mut replaced = Vec::new();
        let mut settled = 0;
        let last = stage.len();
        for Step { place, row, writes } in stage {
            for mut write in writes {
                if let Write::Connector {
                    connector,
                    replaced: before,
                    ..
                } = &mut write
                {
                    let before = before.take();
                    replaced.extend(before.map(|before| (before, connector.clone())));
                }
                match self.prepare(write, &row).await? {
                    Prepared::Put(put) => batch.push((place.clone(), *put)),
                    Prepared::Done => {}
                }
            }
            rows.push(row);
            if batch.len() >= BATCH || rows.len() == last {
                self.put_batch(&mut batch).await?;
                for (before, now) in replaced.drain(..) {
                    self.end_replaced(&before, &now).await;
                }
            }
            if batch.is_empty() {
                (settled + 1..=rows.len()).for_each(done);
                settled = rows.len();
            }
        }
        Ok(rows)
    }

    /// Puts all rows of the batch together or, where one of them stands in the way, each alone.
    async fn put_batch(&self, batch: &mut Vec<Placed>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (places, puts): (Vec<Place>, Vec<(Put, Event)>) = batch.drain(..).unzip();
        let put = match self.ports.store.put_all(&puts).await {
            Err(StoreError::Taken(_) | StoreError::Missing(_) | StoreError::InUse(_)) => {
                self.put_each(&places, &puts).await
            }
            put => put.map_err(Error::from),
        };
        for (put, _) in &puts {
            match put {
                Put::Connector(connector, _) => self.forget_connector(&connector.id),
                Put::Link(link) => self.forget_connector(&link.connector),
                _ => {}
            }
        }
        put
    }

    async fn put_each(&self, places: &[Place], puts: &[(Put, Event)]) -> Result<()> {
        for (place, one) in places.iter().zip(puts.chunks(1)) {
            match self.ports.store.put_all(one).await {
                // Somebody else was faster with the same.
                Ok(()) | Err(StoreError::Missing("difference")) => {}
                Err(StoreError::InUse("connector.end")) => {
                    let message = "was deleted a moment ago and still has connections that are about to end: \
                                   apply it again";
                    return Err(Error::Invalid(vec![place.problem("", message).into()]));
                }
                Err(StoreError::Missing("connector as it was read")) => {
                    let message =
                        "was changed by somebody else while this was applied: apply it again";
                    return Err(Error::Invalid(vec![place.problem("", message).into()]));
                }
                // Somebody else was faster, or has it where the plan could not look.
                Err(error @ (StoreError::Taken(_) | StoreError::Missing(_))) => {
                    let problem = place.problem("", error.to_string());
                    return Err(Error::Invalid(vec![problem.into()]));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What is to be put for one write; what takes something away is done at once.
    async fn prepare(self: &Arc<Self>, write: Write, row: &AppliedRow) -> Result<Prepared> {
        let event = |kind, team: Option<&TeamId>| self.applied(kind, team, row);
        let applied = |team| event(EventKind::Applied, team);
        let put = match write {
            Write::Account(account) => (Put::Account(account), applied(None)),
            Write::Team(team) => {
                let event = applied(Some(&team.id));
                (Put::Team(team), event)
            }
            Write::User(user) => (Put::User(user), applied(None)),
            Write::Membership(membership) => {
                let event = applied(Some(&membership.team));
                (Put::Membership(membership), event)
            }
            Write::Project(project) => {
                let event = applied(Some(&project.team));
                (Put::Project(project), event)
            }
            Write::Narrowed(old, new) => {
                let (gone, event) = (environments_gone(&old, &new), applied(Some(&new.team)));
                let store = &self.ports.store;
                let narrowed = store
                    .remove_environments(&old, &new, &gone, self.now(), &event)
                    .await;
                // Links of many connectors may be other now.
                self.caches.clear();
                match narrowed {
                    Err(StoreError::Missing(_)) => {
                        let name = &new.name;
                        let message =
                            format!("project {name} is being changed by others: apply it again");
                        return Err(Error::busy(message));
                    }
                    narrowed => narrowed?,
                }
                return Ok(Prepared::Done);
            }
            Write::Service(service) => (Put::Service(service), applied(None)),
            Write::Key(key) => {
                let kind = match row.change {
                    Change::Created => EventKind::KeyCreated,
                    _ => EventKind::Applied,
                };
                let event = event(kind, key.team.as_ref());
                (Put::Key(key), event)
            }
            Write::Connector {
                mut connector,
                secrets,
                declared,
                replaced: _,
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
                (Put::Connector(connector, declared), event)
            }
            Write::Link(link) => {
                let event = Event {
                    connector: Some(link.connector.clone()),
                    ..event(EventKind::LinkPut, Some(&link.team))
                };
                (Put::Link(link), event)
            }
            Write::Secret { mut secret, value } => {
                if let Some(value) = &value {
                    secret.value = self.seal_value(&secret.team, &secret.id, value).await?;
                }
                let event = event(EventKind::SecretPut, Some(&secret.team));
                (Put::Secret(secret, value.is_some()), event)
            }
            Write::Connection(team, import) => {
                let prepared = self.prepare_import(&server_in(&team), *import).await?;
                let (connection, set, event) = prepared;
                (Put::Connection(Box::new(connection), set), event)
            }
            Write::McpServer(server) => {
                let event = event(EventKind::McpServerPut, Some(&server.team));
                (Put::McpServer(server), event)
            }
            Write::Invite(invite) => {
                let event = event(EventKind::InvitePut, Some(&invite.team));
                (Put::Invite(invite), event)
            }
            Write::Unlink(team, connector, project) => {
                let caller = server_in(&team);
                let deleted = self.delete_link(&caller, connector.as_str(), project.as_str());
                gone(deleted.await)?;
                return Ok(Prepared::Done);
            }
            Write::Remove(removal) => {
                gone(self.remove(removal, row).await)?;
                return Ok(Prepared::Done);
            }
        };
        Ok(Prepared::Put(Box::new(put)))
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
                    connection: Some(connection),
                    ..RevocationScope::of(connector)
                };
                let ended = self.begin_revocation(&caller, &scope, 1).await?;
                let engine = Arc::clone(self);
                self.tasks.spawn(async move {
                    let client = engine.revoking_client(&entry.connector).await;
                    engine.revoke_at_provider(&client, ended.queued).await
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
            Removal::Project(team, id) => {
                self.delete_project(&server_in(&team), id.as_str()).await?;
            }
            Removal::Membership(team, user) => {
                let event = event(EventKind::MembershipDeleted, &team);
                or_last_owner(store.delete_membership(&team, &user, &event).await)?;
            }
            Removal::User(account, user) => {
                let event = self.applied(EventKind::UserDeleted, None, row);
                let now = self.now();
                or_last_owner(store.delete_user(&account, &user, now, &event).await)?;
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

/// What somebody else has removed meanwhile is removed.
fn gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(Error::NotFound(_) | Error::Gone(_)) => Ok(()),
        removed => removed,
    }
}

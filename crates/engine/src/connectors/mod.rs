//! A team's registered clients.

mod consequences;
mod create;
mod data;
mod destinations;
mod discovered;
mod endings;
mod enrol;
mod expiry;
mod grants;
mod health;
mod icon;
mod install;
mod links;
mod manifest;
mod names;
mod provenance;
mod provision;
mod reveal;
mod server;
mod services;
mod tenant;
pub mod types;
mod update;
mod view;

use std::sync::Arc;

use grantry_core::error::Forbidden;
use grantry_core::ids::ConnectorId;
use grantry_core::nouns::{
    Connector, Environment, EventKind, Installation, InstallationStatus, Link,
};
use grantry_core::store::Ending;
use grantry_core::{Error, Result};

pub use consequences::Consequences;
pub(crate) use consequences::terms_at;
pub use create::{Checked, NewConnector, NewLink};
pub(crate) use data::is_web_url;
pub use data::{AskedField, asked_fields};
pub use discovered::Discovered;
pub use enrol::{
    Enrolling, Said, carry, jwt_bearer_enabled, keeps_refresh_tokens, redirect_uri,
    resource_problem, user_scopes,
};
pub use grants::{app_scopes, bearer_scopes};
pub use health::{Health, HealthBasis, HealthStatus};
pub(crate) use icon::is_url;
pub(crate) use install::{
    Installed, brought, by_consent, install_page, installing, mints, told_at,
};
pub use links::checked_environments;
pub use manifest::SlackApp;
pub use provenance::{servers_of, within};
pub use server::{OauthClient, asks_at, offline_problems};
pub use services::{ServiceWays, Way, input_schema};
pub(crate) use services::{as_url, ways};
pub use update::{Changed, ConnectorChange, OAUTH_CALLBACK_OF_COHERE};
pub use view::{Capabilities, ConnectorView, service_name};

use crate::permissions::Act;
use crate::tokens::CLAIM;
use crate::{Caller, Engine};

/// A connector as it is cached: the row and its links.
pub struct Entry {
    /// The row; its secrets are sealed.
    pub connector: Connector,
    /// Which projects may use it.
    pub links: Vec<Link>,
    /// Installations that are not active.
    pub inactive: Vec<Installation>,
}

impl Entry {
    fn is(&self, installation: Option<&str>, of: impl Fn(InstallationStatus) -> bool) -> bool {
        let named = |row: &&Installation| Some(row.external_id.as_str()) == installation;
        self.inactive
            .iter()
            .find(named)
            .is_some_and(|row| of(row.status))
    }

    /// Refuses an installation for which no tokens are given out.
    pub(crate) fn require_active(&self, installation: Option<&str>) -> Result<()> {
        if self.is(installation, |status| {
            status == InstallationStatus::Suspended
        }) {
            let reason = "this installation is suspended".to_owned();
            return Err(Error::Unresolvable { reason });
        }
        Ok(())
    }

    /// Whether an installation's provider said that it gives no tokens of it: none that it gave before is worth anything.
    pub(crate) fn is_over_there(&self, installation: Option<&str>) -> bool {
        self.is(installation, InstallationStatus::is_theirs)
    }

    /// Refuses a workload whose project is not linked, or not in its environment.
    fn require_link(&self, caller: &Caller) -> Result<()> {
        let Some(project) = caller.project() else {
            return Ok(());
        };
        let link = self
            .links
            .iter()
            .find(|link| link.project.as_str() == project);
        let link = link.ok_or(Error::Forbidden(Forbidden::NotLinked))?;
        let environment: Environment = caller.environment();
        if link.environments.contains(&environment) {
            Ok(())
        } else {
            Err(Error::Forbidden(Forbidden::EnvironmentNotEnabled))
        }
    }
}

impl Engine {
    /// One connector by id or uid, as a caller who may read it sees it.
    pub async fn connector(&self, caller: &Caller, id_or_uid: &str) -> Result<ConnectorView> {
        caller.require(Act::ReadConnector)?;
        let entry = self.usable_connector(caller, id_or_uid).await?;
        Ok(ConnectorView::of(&entry, &*self.catalogue().await?))
    }

    /// Deletes a connector: from here on it gives out nothing, and its links are gone. Its connections end and
    /// its tokens are revoked at the provider where that is possible (reference/vercel-connect A9), both in as
    /// many transactions as it takes; then its secrets are destroyed.
    pub async fn delete_connector(
        self: &Arc<Self>,
        caller: &Caller,
        id_or_uid: &str,
    ) -> Result<()> {
        caller.require(Act::ManageConnectors)?;
        let entry = self.live_connector(caller, id_or_uid).await?;
        let event = self
            .draft(EventKind::ConnectorDeleted, caller)
            .connector(&entry.connector.id)
            .done();
        let engine = Arc::clone(self);
        self.uncancellable(async move {
            let ending = Ending {
                connector: entry.connector.id.clone(),
                team: entry.connector.team.clone(),
                actor: event.actor.clone(),
            };
            let (team, id) = (&ending.team, &ending.connector);
            let store = &engine.ports.store;
            let deleted = store
                .delete_connector(team, id, engine.now(), CLAIM, &event)
                .await;
            engine.forget_connector(id);
            deleted?;
            // The first ones before the answer, which is all of them as a rule.
            let some = engine.end_some(&ending).await;
            let work = Arc::clone(&engine);
            engine
                .tasks
                .spawn(async move { work.end_after(&entry.connector, ending, some).await });
            Ok(())
        })
        .await
    }

    /// The entry of a connector of the caller's team that the caller may use.
    pub(crate) async fn usable_connector(
        &self,
        caller: &Caller,
        id_or_uid: &str,
    ) -> Result<Arc<Entry>> {
        let entry = self.live_connector(caller, id_or_uid).await?;
        entry.require_link(caller)?;
        Ok(entry)
    }

    /// The entry of a live connector of the caller's team. [`Error::Gone`] for a deleted one.
    pub(crate) async fn live_connector(
        &self,
        caller: &Caller,
        id_or_uid: &str,
    ) -> Result<Arc<Entry>> {
        let entry = self.entry(&caller.team, id_or_uid).await?;
        if entry.connector.deleted_at.is_some() {
            Err(Error::Gone("connector"))
        } else {
            Ok(entry)
        }
    }

    /// The entry of a connector, from memory where that can be trusted.
    pub(crate) async fn entry(
        &self,
        team: &grantry_core::ids::TeamId,
        id_or_uid: &str,
    ) -> Result<Arc<Entry>> {
        let named = |entry: &Entry| {
            let connector = &entry.connector;
            connector.team == *team
                && (connector.id.as_str() == id_or_uid || connector.uid == id_or_uid)
        };
        let reference = format!("{team}\0{id_or_uid}");
        if self.caches_are_fresh()
            && let Some(id) = self.caches.connector_refs.get(&reference)
            && let Some(entry) = self.caches.connectors.get(&*id)
            // A uid may have moved on to another connector since the reference was kept.
            && named(&entry)
            && entry.connector.deleted_at.is_none()
        {
            return Ok(entry);
        }
        let found = self
            .ports
            .store
            .connector(team, id_or_uid)
            .await?
            .ok_or(Error::NotFound("connector"))?;
        let id = found.id.clone();
        let ticket = self.caches.connectors.ticket(&id);
        // Read again under the ticket: the look-up by name may have seen an older row than the ticket covers.
        let connector = self
            .ports
            .store
            .connector(team, id.as_str())
            .await?
            .ok_or(Error::NotFound("connector"))?;
        let links = self.ports.store.links(team, &id).await?;
        let inactive = self.ports.store.inactive(team, &id).await?;
        let entry = Arc::new(Entry {
            connector,
            links,
            inactive,
        });
        self.caches.connectors.fill(ticket, &id, Arc::clone(&entry));
        let reference_ticket = self.caches.connector_refs.ticket(&reference);
        self.caches
            .connector_refs
            .fill(reference_ticket, &reference, Arc::new(id));
        Ok(entry)
    }

    pub(crate) fn forget_connector(&self, id: &ConnectorId) {
        self.caches.connectors.invalidate(id);
    }
}

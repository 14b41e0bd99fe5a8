//! Installations: app-level grants in provider tenants. A token request names one by its external id; one
//! that names none gets the connector's default (reference/vercel-connect D1).

use grantry_core::ids::InstallationId;
use grantry_core::limits::{EXTERNAL_ID_BYTES_MAX, LABEL_BYTES_MAX};
use grantry_core::nouns::{Connector, EventKind, Installation, InstallationStatus};
use grantry_core::store::{Page, RevocationScope};
use grantry_core::{Error, Problem, Result, StoreError, Timestamp};
use std::sync::Arc;

use crate::connectors::{install_page, installing, types};
use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine, Revoked};

/// What a new installation shall be.
#[derive(Clone, Debug, Default)]
pub struct NewInstallation {
    /// The provider's id of it.
    pub external_id: String,
    /// The provider's id of the tenant, where that is another one.
    pub tenant: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Use it when a token request names none.
    pub default: bool,
}

/// What of an installation shall change; absent parts stay.
#[derive(Clone, Debug, Default)]
pub struct InstallationChange {
    /// Another tenant, or none.
    pub tenant: Option<Option<String>>,
    /// Another name, or none.
    pub name: Option<Option<String>>,
    /// Whether tokens are given out.
    pub status: Option<InstallationStatus>,
    /// Make it the default, or let it be that no more.
    pub default: Option<bool>,
}

/// An installation as callers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstallationView {
    /// The row.
    pub installation: Installation,
    /// Whether it is its connector's default.
    pub default: bool,
    /// Whether it has to be made again: its connector's application asks for more since, or as another client.
    pub outdated: bool,
}

impl InstallationView {
    pub(crate) fn of(installation: Installation, connector: &Connector) -> Self {
        let default = connector.default_installation.as_deref();
        Self {
            default: default == Some(installation.external_id.as_str()),
            // As the connector's `reinstall_at` is reckoned.
            outdated: installation.terms_at < connector.terms_at
                && installation.status != InstallationStatus::Removed
                && installing(connector).is_some(),
            installation,
        }
    }
}

impl NewInstallation {
    /// What is wrong with it, of a connector that is installed on `page`.
    pub(crate) fn problems(&self, page: Option<types::Page>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let external_id = self.external_id.as_str();
        text_problem(
            "external_id",
            external_id,
            EXTERNAL_ID_BYTES_MAX,
            &mut problems,
        );
        // A token is asked for by exactly this id.
        if external_id.trim() != external_id {
            problems.push(Problem::new(
                "external_id",
                "must not begin or end with a blank",
            ));
        }
        if external_id == "*" {
            problems.push(Problem::new("external_id", "means all of them"));
        }
        if let Some(page) = page
            && problems.is_empty()
            && !page.is_id(external_id)
        {
            problems.push(Problem::new("external_id", page.id_rule()));
        }
        optional_problem(
            "tenant",
            self.tenant.as_deref(),
            EXTERNAL_ID_BYTES_MAX,
            &mut problems,
        );
        optional_problem("name", self.name.as_deref(), LABEL_BYTES_MAX, &mut problems);
        problems
    }
}

impl Engine {
    /// A connector's installations, newest first.
    pub async fn installations(
        &self,
        caller: &Caller,
        connector: &str,
        page: &Page,
    ) -> Result<CursorPage<InstallationView>> {
        caller.require(Act::ReadLists)?;
        let entry = self.live_connector(caller, connector).await?;
        let id = &entry.connector.id;
        let store = &self.ports.store;
        let rows = store.installations(&caller.team, id, page).await?;
        let rows = rows.into_iter();
        let rows = rows.map(|row| InstallationView::of(row, &entry.connector));
        Ok(cut(rows.collect(), page, |row: &InstallationView| {
            let row = &row.installation;
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// One installation.
    pub async fn installation(
        &self,
        caller: &Caller,
        id: &InstallationId,
    ) -> Result<InstallationView> {
        caller.require(Act::ReadLists)?;
        let found = self.ports.store.installation(&caller.team, id).await?;
        let installation = found.ok_or(Error::NotFound("installation"))?;
        let entry = self
            .live_connector(caller, installation.connector.as_str())
            .await?;
        Ok(InstallationView::of(installation, &entry.connector))
    }

    /// Takes in that a connector's application is installed in a tenant.
    pub async fn create_installation(
        &self,
        caller: &Caller,
        connector: &str,
        new: NewInstallation,
    ) -> Result<InstallationView> {
        caller.require(Act::ManageConnectors)?;
        let entry = self.live_connector(caller, connector).await?;
        let problems = new.problems(install_page(&entry.connector));
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let now = self.now();
        let installation = Installation {
            id: InstallationId::mint(now, self.entropy()),
            team: caller.team.clone(),
            connector: entry.connector.id.clone(),
            external_id: new.external_id,
            tenant: new.tenant,
            name: new.name,
            status: InstallationStatus::Active,
            terms_at: entry.connector.terms_at,
            created_by: caller.actor.clone(),
            created_at: now,
            updated_at: now,
        };
        let event = self.installation_event(caller, EventKind::InstallationPut, &installation);
        let store = &self.ports.store;
        let created = store.create_installation(&installation, &event).await;
        match created {
            Err(StoreError::Taken("installation.external_id")) => {
                return Err(Error::conflict(format!(
                    "external_id: {} is already an installation of this connector",
                    installation.external_id
                )));
            }
            created => created?,
        }
        if new.default {
            self.set_default(caller, &installation, true).await?;
        }
        self.forget_connector(&installation.connector);
        self.installation(caller, &installation.id).await
    }

    /// Changes an installation, or which one is the default.
    pub async fn update_installation(
        &self,
        caller: &Caller,
        id: &InstallationId,
        change: InstallationChange,
    ) -> Result<InstallationView> {
        caller.require(Act::ManageConnectors)?;
        let mut problems = Vec::new();
        let tenant = change.tenant.as_ref().and_then(Option::as_deref);
        optional_problem("tenant", tenant, EXTERNAL_ID_BYTES_MAX, &mut problems);
        let name = change.name.as_ref().and_then(Option::as_deref);
        optional_problem("name", name, LABEL_BYTES_MAX, &mut problems);
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let store = &self.ports.store;
        let old = self.installation(caller, id).await?;
        let stored = old.installation;
        let mut new = Installation {
            tenant: change.tenant.unwrap_or_else(|| stored.tenant.clone()),
            name: change.name.unwrap_or_else(|| stored.name.clone()),
            status: change.status.unwrap_or(stored.status),
            ..stored.clone()
        };
        if new != stored {
            // Two changes of one row never carry the same time: it is what tells them apart.
            new.updated_at = self.now().max(Timestamp(stored.updated_at.0 + 1));
            let event = self.installation_event(caller, EventKind::InstallationPut, &new);
            match store
                .update_installation(&new, stored.updated_at, &event)
                .await
            {
                Err(StoreError::Missing(_)) => {
                    return Err(Error::busy(
                        "the installation was changed meanwhile: try again",
                    ));
                }
                updated => updated?,
            }
        }
        if let Some(default) = change.default.filter(|default| *default != old.default) {
            self.set_default(caller, &new, default).await?;
        }
        self.forget_connector(&new.connector);
        self.installation(caller, id).await
    }

    /// Removes an installation and ends its connections. They go first: a removal that was cut short can
    /// be asked for again.
    pub async fn delete_installation(
        self: &Arc<Self>,
        caller: &Caller,
        id: &InstallationId,
    ) -> Result<Revoked> {
        caller.require(Act::ManageConnectors)?;
        let installation = self.installation(caller, id).await?.installation;
        let entry = self
            .live_connector(caller, installation.connector.as_str())
            .await?;
        let event = self.installation_event(caller, EventKind::InstallationDeleted, &installation);
        let scope = RevocationScope {
            installation: Some(installation.external_id.clone()),
            ..RevocationScope::of(installation.connector.clone())
        };
        let (engine, caller) = (Arc::clone(self), caller.clone());
        self.uncancellable(async move {
            let ended = engine.end_all(&caller, &entry, &scope).await?;
            let store = &engine.ports.store;
            let deleted = store.delete_installation(&installation, None, &event).await;
            engine.forget_connector(&installation.connector);
            deleted?;
            // Those that were made meanwhile.
            let late = engine.end_all(&caller, &entry, &scope).await?;
            Ok(ended.and(late))
        })
        .await
    }

    async fn set_default(
        &self,
        caller: &Caller,
        installation: &Installation,
        default: bool,
    ) -> Result<()> {
        let event = self.installation_event(caller, EventKind::InstallationPut, installation);
        let Installation {
            id,
            team,
            connector,
            ..
        } = installation;
        let id = default.then_some(id);
        let store = &self.ports.store;
        Ok(store
            .set_default_installation(team, connector, id, &event)
            .await?)
    }

    fn installation_event(
        &self,
        caller: &Caller,
        kind: EventKind,
        installation: &Installation,
    ) -> grantry_core::nouns::Event {
        self.draft(kind, caller)
            .connector(&installation.connector)
            .with("installation", installation.id.as_str())
            .done()
    }
}

fn text_problem(field: &str, text: &str, max: usize, problems: &mut Vec<Problem>) {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
        let message = format!("must be 1 to {max} bytes without control characters");
        problems.push(Problem::new(field, message));
    }
}

fn optional_problem(field: &str, text: Option<&str>, max: usize, problems: &mut Vec<Problem>) {
    if let Some(text) = text {
        text_problem(field, text, max, problems);
    }
}

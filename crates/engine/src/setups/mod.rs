//! Connectors that somebody asks for and a person registers at their service (reference/vercel-connect A2): a link,
//! once, for one connector. Whoever has the link may finish what was asked for in the requester's name, and nothing
//! else; nobody else learns it.
//!
//! - `ask`: somebody wants a connector; it is made at once where its server registers clients by itself.
//! - `complete`: it is registered, in one transaction with the connector; installed; or called off.
//! - `page`: what the link shows.
//! - `github`: GitHub makes an app of a manifest.
//! - `slack`: so does Slack.

mod ask;
mod complete;
mod github;
mod page;
mod slack;

use grantry_core::ids::{ConnectorId, SetupId};
use grantry_core::nouns::{AuthorizationState, Setup, SetupState};
use grantry_core::{Error, Result};

pub use ask::{AskSetup, Asked};
pub use complete::Filling;
#[cfg(test)]
pub(crate) use github::config_of as github_config_of;
pub use github::{GithubEnd, GithubForm, GithubPlace};
pub use page::{SetupFlow, SetupPage};

use crate::connectors::installing;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// How far a setup has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupProgress {
    /// Nobody has registered it yet.
    Pending,
    /// The connector is there, and its requester waits for its application to be installed.
    Installing,
    /// The connector is there.
    Done {
        /// The provider's id of what was installed.
        installation: Option<String>,
    },
    /// Somebody said no.
    Canceled,
    /// Nobody registered it in time.
    Expired,
}

/// A setup as those see it who asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SetupView {
    /// The row.
    pub setup: Setup,
    /// How far it has come.
    pub progress: SetupProgress,
    /// The link.
    pub url: String,
}

impl SetupView {
    /// The connector, once it is there.
    pub fn connector(&self) -> Option<&ConnectorId> {
        let there = matches!(
            self.progress,
            SetupProgress::Installing | SetupProgress::Done { .. }
        );
        there.then_some(&self.setup.connector)
    }
}

impl Engine {
    /// A setup of the caller's team.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that is not.
    pub async fn setup(&self, caller: &Caller, id: &SetupId) -> Result<SetupView> {
        caller.require(Act::ManageConnectors)?;
        let setup = self.setup_of(caller, id).await?;
        self.setup_view(setup).await
    }

    /// The setup whose requester polls with `verifier` (reference/vercel-connect E3); `None` where it is not of a setup.
    pub async fn setup_result(&self, verifier: &str) -> Result<Option<SetupView>> {
        let code = grantry_vault::hash::sha256(&[verifier.as_bytes()]);
        match self.ports.store.setup_by_code(&code).await? {
            Some(setup) => self.setup_view(setup).await.map(Some),
            None => Ok(None),
        }
    }

    async fn setup_of(&self, caller: &Caller, id: &SetupId) -> Result<Setup> {
        let found = self.ports.store.setup(id).await?;
        let found = found.filter(|setup| setup.team == caller.team);
        found.ok_or(Error::NotFound("setup"))
    }

    /// Where the setup's page is.
    pub fn setup_url(&self, id: &SetupId) -> String {
        self.settings.url(&format!("/register/{id}"))
    }

    async fn setup_view(&self, setup: Setup) -> Result<SetupView> {
        let progress = match setup.state {
            SetupState::Pending if setup.is_open(self.now()) => SetupProgress::Pending,
            SetupState::Pending => SetupProgress::Expired,
            SetupState::Canceled => SetupProgress::Canceled,
            SetupState::Created | SetupState::Finished => self.installed_of(&setup).await?,
        };
        Ok(SetupView {
            url: self.setup_url(&setup.id),
            progress,
            setup,
        })
    }

    /// What became of the installation of a connector that is there. Nobody waits for it beyond the setup's time, and
    /// one that failed can be begun again until then.
    async fn installed_of(&self, setup: &Setup) -> Result<SetupProgress> {
        let done = |installation| Ok(SetupProgress::Done { installation });
        if !setup.ask.autoinstall {
            return done(None);
        }
        if let Some(id) = &setup.install
            && let Some(authorization) = self.ports.store.authorization(id).await?
            && let AuthorizationState::Success { connection } = &authorization.state
        {
            let made = self.ports.store.connection(&setup.team, connection).await?;
            return done(made.and_then(|live| live.connection.grant.installation));
        }
        if setup.state == SetupState::Finished || self.now() >= setup.expires_at {
            return done(None);
        }
        let row = self
            .ports
            .store
            .connector(&setup.team, setup.connector.as_str());
        let row = row.await?.filter(|row| row.deleted_at.is_none());
        match row.as_ref().and_then(installing) {
            Some(_) => Ok(SetupProgress::Installing),
            None => done(None),
        }
    }
}

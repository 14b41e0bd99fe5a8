//! A setup becomes a connector, once, in the transaction that makes the connector. Before that nothing of it is
//! stored, so there is nothing half after a crash.

use std::sync::Arc;

use grantry_core::ids::SetupId;
use grantry_core::nouns::{Actor, Connector, EventKind, Install, Setup, SetupState, Subject};
use grantry_core::{Error, Problem, Result, StoreError};
use serde_json::{Map, Value, json};
use url::Url;

use super::ask::registers_itself;
use super::{SetupProgress, SetupView, github};
use crate::connectors::checked_environments;
use crate::events::Draft;
use crate::permissions::Act;
use crate::principal::Principal;
use crate::tokens::AskToken;
use crate::{AskConsent, Caller, ConnectorView, Engine, NewConnector, NewLink};

/// What a setup lacked.
#[derive(Default)]
pub struct Filling {
    /// The type's data, secrets included: they are sealed and not kept.
    pub data: Map<String, Value>,
}

impl Engine {
    /// Registers the connector in the name of who asked for it. For whoever has the link.
    ///
    /// # Errors
    /// [`Error::Invalid`] names every wrong field of `data`, and the setup stays open; [`Error::Gone`] when it has
    /// ended, or who asked may not make connectors any more.
    pub async fn complete_by_link(
        self: &Arc<Self>,
        id: &SetupId,
        filling: Filling,
    ) -> Result<ConnectorView> {
        let setup = self.open_setup(id).await?;
        let maker = self.maker_of(&setup).await?;
        self.check_makeable(&maker, &setup).await?;
        self.make_of_setup(&maker, &setup, filling, true).await
    }

    /// The same for somebody of its team who may make connectors, and makes this one.
    ///
    /// # Errors
    /// As [`Engine::complete_by_link`], and [`Error::NotFound`] for a setup of others.
    pub async fn complete_setup(
        self: &Arc<Self>,
        caller: &Caller,
        id: &SetupId,
        filling: Filling,
    ) -> Result<SetupView> {
        caller.require(Act::ManageConnectors)?;
        let setup = self.setup_of(caller, id).await?;
        if !setup.is_open(self.now()) {
            return Err(Error::conflict("this setup has ended already"));
        }
        match self.make_of_setup(caller, &setup, filling, false).await {
            Err(Error::Gone("setup")) => Err(Error::conflict("this setup has ended already")),
            made => {
                made?;
                self.setup(caller, id).await
            }
        }
    }

    /// Calls it off. For whoever has the link.
    pub async fn cancel_by_link(&self, id: &SetupId) -> Result<()> {
        let setup = self.open_setup(id).await?;
        let maker = self.maker_of(&setup).await?;
        match self.withdraw_setup(&maker, &setup, true).await {
            Err(Error::Conflict { .. }) => Err(Error::Gone("setup")),
            canceled => canceled,
        }
    }

    /// Nobody waits for an installation. For whoever has the link.
    pub async fn finish_by_link(&self, id: &SetupId) -> Result<()> {
        match self.ports.store.finish_setup(id).await {
            Err(StoreError::Missing(_)) => Err(Error::Gone("setup")),
            finished => Ok(finished?),
        }
    }

    /// The link under which the created application is installed. For whoever has the setup's link.
    pub async fn install_by_link(self: &Arc<Self>, id: &SetupId) -> Result<String> {
        let view = self.setup_by_link(id).await?;
        if view.progress != SetupProgress::Installing {
            return Err(Error::Gone("setup"));
        }
        let setup = view.setup;
        let store = &self.ports.store;
        if let Some(standing) = &setup.install
            && let Some(standing) = store.authorization(standing).await?
            && crate::connect::is_open(&standing, self.now())
        {
            return Ok(self.consent_url(&standing));
        }
        let maker = self.maker_of(&setup).await?;
        let ask = AskConsent {
            token: AskToken {
                subject: Some(Subject::App),
                ..AskToken::default()
            },
            install: Some(Install::default()),
            ..AskConsent::default()
        };
        let asked = self
            .authorize(&maker, setup.connector.as_str(), ask)
            .await?;
        match store
            .install_setup(id, setup.install.as_ref(), &asked.id)
            .await
        {
            Err(StoreError::Missing(_)) => Err(Error::conflict("it was begun just now")),
            noted => {
                noted?;
                Ok(asked.url)
            }
        }
    }

    /// The setup of a link, however far it has come.
    pub(super) async fn setup_by_link(&self, id: &SetupId) -> Result<SetupView> {
        let setup = self.ports.store.setup(id).await?;
        self.setup_view(setup.ok_or(Error::NotFound("setup"))?)
            .await
    }

    /// The setup of a link that can still be registered.
    pub(super) async fn open_setup(&self, id: &SetupId) -> Result<Setup> {
        let setup = self.ports.store.setup(id).await?;
        let setup = setup.ok_or(Error::NotFound("setup"))?;
        match setup.is_open(self.now()) {
            true => Ok(setup),
            false => Err(Error::Gone("setup")),
        }
    }

    /// Makes the connector as `maker`; `by_link` says that who does it is only known to have the link.
    pub(super) async fn make_of_setup(
        self: &Arc<Self>,
        maker: &Caller,
        setup: &Setup,
        filling: Filling,
        by_link: bool,
    ) -> Result<ConnectorView> {
        let new = NewConnector {
            by_link,
            ..connector_of(setup, filling)
        };
        self.create_connector(maker, new).await
    }

    /// What making the connector can fail at here, asked before anything is made elsewhere for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what is not there any more.
    pub(super) async fn check_makeable(&self, maker: &Caller, setup: &Setup) -> Result<()> {
        const GONE: &str = "is not there any more: ask for the connector again";
        let ask = &setup.ask;
        let mut problems = Vec::new();
        if let Some(id) = &ask.project {
            match (self.project(maker, id).await, &ask.environments) {
                (Ok(project), Some(named)) => {
                    let found = checked_environments(&project, named.clone(), "environments");
                    problems.extend(found.err().unwrap_or_default());
                }
                (Err(Error::NotFound(_)), _) => problems.push(Problem::new("project", GONE)),
                (found, _) => drop(found?),
            }
        }
        if problems.is_empty() {
            let goes_to = ask.trigger_destination.as_slice();
            self.destination_problems(maker, goes_to, "triggerDestination", &mut problems)
                .await?;
        }
        if let Some(icon) = &ask.icon {
            match self.settled_icon(maker, icon).await {
                Err(Error::Invalid(_)) => problems.push(Problem::new("icon", GONE)),
                settled => drop(settled?),
            }
        }
        match problems.is_empty() {
            true => self.keys.ready(&setup.team).await,
            false => Err(Error::Invalid(problems)),
        }
    }

    /// An event of somebody of whom only the link is known.
    pub(crate) fn link_draft(&self, kind: EventKind, maker: &Caller) -> Draft {
        let (now, team) = (self.now(), Some(&maker.team));
        Draft::new(kind, team, Actor::EndUser, now, self.entropy())
            .with("via", "link")
            .with("requested_by", json!(maker.actor))
    }

    /// The event of a connector that was made by somebody of whom only the link is known. By it a team sees whether that
    /// was what it had asked for: whose application it is, and at which server.
    pub(crate) fn made_by_link(&self, maker: &Caller, connector: &Connector) -> Draft {
        let data = &connector.data;
        let app = data.get("appId").or_else(|| data.get("clientId"));
        let owner = data.get("owner").and_then(|owner| owner.get("slug"));
        let host = data.get("serverConfig").and_then(|config| {
            let url = Url::parse(config.get("token_endpoint")?.as_str()?).ok()?;
            Some(Value::from(url.host_str()?))
        });
        let details = [
            ("app", app.cloned()),
            ("owner", owner.cloned()),
            ("host", host),
        ];
        let draft = self.link_draft(EventKind::ConnectorCreated, maker);
        details.into_iter().fold(draft, |draft, (name, value)| {
            let Some(value) = value else { return draft };
            draft.with(name, value)
        })
    }

    /// Who asked, with what they may do now: a link does not outlive the credential or the standing of whoever made it.
    pub(super) async fn maker_of(&self, setup: &Setup) -> Result<Caller> {
        let gone = |error| match error {
            Error::Unauthenticated | Error::NotFound(_) | Error::Forbidden(_) => {
                Error::Gone("setup")
            }
            error => error,
        };
        let principal = match setup.credential {
            hash if hash == Principal::OPERATOR.credential => Principal::OPERATOR,
            hash => self.principal_of_key(hash).await.map_err(gone)?,
        };
        let maker = self.act_in(&principal, Some(setup.team.as_str())).await;
        let maker = maker.map_err(gone)?;
        maker.require(Act::ManageConnectors).map_err(gone)?;
        Ok(maker)
    }
}

fn connector_of(setup: &Setup, mut filling: Filling) -> NewConnector {
    let ask = &setup.ask;
    let data = &mut filling.data;
    if registers_itself(setup) && !data.contains_key("serverConfig") {
        let server = data.entry("serverUrl");
        server.or_insert_with(|| ask.service.as_str().into());
    }
    if let Some(host) = &ask.host {
        let config = data.entry("serverConfig");
        config.or_insert_with(|| github::config_of(host));
    }
    NewConnector {
        id: Some(setup.connector.clone()),
        setup: Some(setup.id.clone()),
        kind: ask.kind.as_str().to_owned(),
        service: Some(ask.service.clone()),
        connection_method: ask.connection_method.clone(),
        name: ask.name.clone(),
        data: filling.data,
        link: ask.project.clone().map(|project| NewLink {
            project,
            environments: ask.environments.clone(),
        }),
        triggers_enabled: ask.triggers,
        events: ask.events.clone(),
        trigger_destination: ask.trigger_destination.clone(),
        icon: ask.icon.clone(),
        background_color: ask.background_color.clone(),
        accent_color: ask.accent_color.clone(),
        ..NewConnector::default()
    }
}

impl SetupView {
    /// Whether the connector is there.
    pub fn is_created(&self) -> bool {
        matches!(self.setup.state, SetupState::Created | SetupState::Finished)
    }
}

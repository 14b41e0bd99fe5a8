//! A setup becomes a connector, once, in the transaction that makes the connector. Before that nothing of it is
//! stored, so there is nothing half after a crash.

use std::sync::Arc;

use grantry_core::ids::{KeyId, SetupId, UserId};
use grantry_core::nouns::{Actor, Install, Role, Setup, SetupState, Subject};
use grantry_core::store::KeyOwner;
use grantry_core::{Error, Result, StoreError};
use serde_json::{Map, Value};

use super::ask::registers_itself;
use super::{SetupProgress, SetupView};
use crate::permissions::{Act, Standing};
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
        self.make_of_setup(&maker, &setup, filling).await
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
        match self.make_of_setup(caller, &setup, filling).await {
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
        match self.withdraw_setup(&maker, &setup).await {
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

    /// Makes the connector as `maker`.
    pub(super) async fn make_of_setup(
        self: &Arc<Self>,
        maker: &Caller,
        setup: &Setup,
        filling: Filling,
    ) -> Result<ConnectorView> {
        self.create_connector(maker, connector_of(setup, filling))
            .await
    }

    /// Who asked, with what they may do now: a link does not outlive the standing of whoever made it.
    pub(super) async fn maker_of(&self, setup: &Setup) -> Result<Caller> {
        let gone = Error::Gone("setup");
        let standing = match &setup.requested_by {
            Actor::Server => Some(Standing::Server),
            Actor::User { id } => {
                let user = UserId::from(id.as_str());
                let places = self.ports.store.memberships(&user);
                let places = places.await?;
                let place = places.into_iter().find(|place| place.team == setup.team);
                place.map(|place| Standing::Role(place.role))
            }
            Actor::Key { id } => self
                .role_of_key(setup, &id.as_str().into())
                .await?
                .map(Standing::Role),
            _ => None,
        };
        let standing = standing.filter(|standing| standing.may(Act::ManageConnectors));
        Ok(Caller {
            team: setup.team.clone(),
            standing: standing.ok_or(gone)?,
            actor: setup.requested_by.clone(),
            credential: [0; 32],
            until: None,
        })
    }

    /// What a key that belongs to nobody may do, while it may do anything.
    async fn role_of_key(&self, setup: &Setup, id: &KeyId) -> Result<Option<Role>> {
        let store = &self.ports.store;
        let mut owners = vec![KeyOwner::Team(setup.team.clone())];
        if let Some(team) = store.team(setup.team.as_str()).await? {
            owners.push(KeyOwner::Account(team.account));
        }
        for owner in owners {
            if let Some(key) = store.key(&owner, id).await? {
                let now = self.now();
                let ended =
                    key.revoked_at.is_some() || key.expires_at.is_some_and(|end| end <= now);
                return Ok((!ended).then_some(key.role));
            }
        }
        Ok(None)
    }
}

fn connector_of(setup: &Setup, mut filling: Filling) -> NewConnector {
    let ask = &setup.ask;
    let data = &mut filling.data;
    if registers_itself(setup) && !data.contains_key("serverConfig") {
        let server = data.entry("serverUrl");
        server.or_insert_with(|| ask.service.as_str().into());
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

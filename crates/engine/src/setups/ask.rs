//! Somebody wants a connector (reference/vercel-connect A2).

use std::sync::Arc;

use grantry_core::ids::ConnectorId;
use grantry_core::limits::{SETUP_TIME, SETUPS_OPEN_MAX};
use grantry_core::nouns::{ConnectorType, Digest, EventKind, Setup, SetupAsk, SetupState};
use grantry_core::store::Page;
use grantry_core::{Error, Problem, Result, StoreError, entropy};

use super::complete::Filling;
use super::{SetupProgress, SetupView};
use crate::connect::{code_ended, code_taken};
use crate::connectors::{as_url, checked_environments, ways};
use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, ConnectorView, CursorPage, Engine, NewConnector};

/// Characters of a link's secret part: more than 128 bits.
const ID_CHARS: usize = 32;

/// What is asked for.
#[derive(Default)]
pub struct AskSetup {
    /// The connector, without its type and its `data`.
    pub new: NewConnector,
    /// The team's own server of the service: GitHub Enterprise Server, by its host name.
    pub host: Option<String>,
    /// It is done when its application is installed, too.
    pub autoinstall: bool,
    /// Hash of the handle for the result, where the requester chose one (reference/vercel-connect E3).
    pub code: Option<Digest>,
}

/// What became of that.
pub struct Asked {
    /// The setup; its link is for a person, unless the connector is there.
    pub view: SetupView,
    /// The connector, where it is.
    pub made: Option<ConnectorView>,
}

impl Engine {
    /// Makes the connector, where its server registers clients by itself, else a link under which a person registers
    /// it. The same again with the same code is answered as the first time.
    ///
    /// # Errors
    /// [`Error::Invalid`] names every wrong field, as when a connector is made; [`Error::Conflict`] for a code that
    /// stands for something else, or when too many of the team's wait.
    pub async fn ask_setup(self: &Arc<Self>, caller: &Caller, ask: AskSetup) -> Result<Asked> {
        caller.require(Act::ManageConnectors)?;
        let code = ask.code;
        let wanted = self.checked_ask(caller, ask).await?;
        if let Some(code) = &code {
            let store = &self.ports.store;
            if let Some(standing) = store.setup_by_code(code).await? {
                return self.asked_again(caller, standing, &wanted).await;
            }
            // The results of both are polled in one place.
            if store.authorization_by_verifier(code).await?.is_some() {
                return Err(code_taken());
            }
        }
        let now = self.now();
        let setup = Setup {
            // The link is the credential, so it tells nothing and is guessed by nobody.
            id: format!("scr_{}", entropy::alphanumeric(self.entropy(), ID_CHARS)).into(),
            team: caller.team.clone(),
            connector: ConnectorId::mint(now, self.entropy()),
            code,
            ask: wanted,
            requested_by: caller.actor.clone(),
            credential: caller.credential,
            requester: self.requester(caller).await?,
            state: SetupState::Pending,
            install: None,
            created_at: now,
            expires_at: now.after(SETUP_TIME),
        };
        let event = self
            .draft(EventKind::SetupRequested, caller)
            .connector(&setup.connector)
            .with("type", setup.ask.kind.as_str())
            .with("service", setup.ask.service.as_str())
            .done();
        let most = u32::try_from(SETUPS_OPEN_MAX).unwrap_or(u32::MAX);
        match self.ports.store.create_setup(&setup, most, &event).await {
            Err(StoreError::InUse("team.setups")) => {
                let message = format!(
                    "{SETUPS_OPEN_MAX} connectors of this team wait to be registered: finish or cancel some"
                );
                return Err(Error::conflict(message));
            }
            Err(StoreError::Taken("setup.code")) => {
                return Err(Error::conflict("request_code: it is being used right now"));
            }
            created => created?,
        }
        self.begun(caller, setup).await
    }

    /// What comes of an open setup at once: its connector, where its server registers clients by itself.
    async fn begun(self: &Arc<Self>, caller: &Caller, setup: Setup) -> Result<Asked> {
        if !registers_itself(&setup) {
            let view = self.setup_view(setup).await?;
            return Ok(Asked { view, made: None });
        }
        let filling = Filling::default();
        match self.make_of_setup(caller, &setup, filling, false).await {
            Ok(made) => {
                let view = self.setup(caller, &setup.id).await?;
                let made = Some(made);
                Ok(Asked { view, made })
            }
            // It does not register clients, or not this one: a person can.
            Err(Error::Invalid(problems)) if problems.iter().all(is_client_id) => {
                let view = self.setup_view(setup).await?;
                Ok(Asked { view, made: None })
            }
            // The same asked at the same time was faster.
            Err(Error::Gone("setup")) => {
                let view = self.setup(caller, &setup.id).await?;
                self.ended(caller, view).await
            }
            // Clients ask again by themselves, and it may go better then. Without a code nobody would find it.
            Err(error) if setup.code.is_some() && is_passing(&error) => Err(error),
            Err(error) => {
                self.withdraw_setup(caller, &setup, false).await?;
                Err(error)
            }
        }
    }

    /// The answer to what was asked before with the same code.
    async fn asked_again(
        self: &Arc<Self>,
        caller: &Caller,
        standing: Setup,
        wanted: &SetupAsk,
    ) -> Result<Asked> {
        let same = standing.team == caller.team
            && standing.requested_by == caller.actor
            && standing.ask == *wanted;
        if !same {
            return Err(code_taken());
        }
        let view = self.setup_view(standing).await?;
        match view.progress {
            SetupProgress::Pending => self.begun(caller, view.setup).await,
            _ => self.ended(caller, view).await,
        }
    }

    /// The answer about a setup that is not open any more.
    async fn ended(&self, caller: &Caller, view: SetupView) -> Result<Asked> {
        let Some(connector) = view.connector() else {
            return Err(code_ended());
        };
        let made = Some(self.connector(caller, connector.as_str()).await?);
        Ok(Asked { view, made })
    }

    /// Everything that can be said of a connector before its credentials are known, checked as when it is made.
    async fn checked_ask(&self, caller: &Caller, ask: AskSetup) -> Result<SetupAsk> {
        let catalogue = self.catalogue().await?;
        let mut new = ask.new;
        let service = new.service.as_deref().map(str::trim).unwrap_or_default();
        let service = service.to_owned();
        match (catalogue.service(&service), &new.connection_method) {
            (Some(row), None) => {
                let ways = ways(row);
                let Some(way) = ways.first() else {
                    let message = format!(
                        "{service} has no connection methods here: make it with type and data"
                    );
                    return Err(Error::invalid("service", message));
                };
                new.connection_method = Some(way.word.to_owned());
            }
            (Some(_), Some(_)) => {}
            (None, _) if service.is_empty() => {
                return Err(Error::invalid("service", "is required"));
            }
            (None, _) => {
                let Some((_, url)) = as_url(&service) else {
                    let message = format!(
                        "{service:?} is neither in the catalogue of services nor the URL of a server"
                    );
                    return Err(Error::invalid("service", message));
                };
                new.service = Some(url);
                new.kind = ConnectorType::Oauth.as_str().to_owned();
            }
        }
        new = self.preset(&catalogue, new)?;
        let project = match &new.link {
            Some(link) => Some(self.project(caller, &link.project).await?),
            None => None,
        };
        let mut problems: Vec<Problem> = match self.checked(caller, &new, project.as_ref()) {
            // Its data are what a person is asked for.
            Err(Error::Invalid(found)) => found
                .into_iter()
                .filter(|problem| !problem.field.starts_with("data"))
                .collect(),
            checked => {
                checked?;
                Vec::new()
            }
        };
        let goes_to = new.trigger_destination.as_slice();
        let before = problems.len();
        self.destination_problems(caller, goes_to, "triggerDestination", &mut problems)
            .await?;
        // There is one, so it has no number.
        for problem in &mut problems[before..] {
            problem.field.truncate("triggerDestination".len());
        }
        let environments = new.link.and_then(|link| link.environments);
        let environments = match (&project, environments) {
            (Some(project), Some(named)) => {
                match checked_environments(project, named, "environments") {
                    Ok(environments) => Some(environments),
                    Err(found) => {
                        problems.extend(found);
                        None
                    }
                }
            }
            _ => None,
        };
        let Some(kind) = ConnectorType::from_word(&new.kind).filter(|_| problems.is_empty()) else {
            return Err(match problems.is_empty() {
                true => Error::Internal,
                false => Error::Invalid(problems),
            });
        };
        let icon = match &new.icon {
            Some(icon) => Some(self.settled_icon(caller, icon).await?),
            None => None,
        };
        let host = match ask.host.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(host) => Some(self.checked_host(kind, host).await?),
        };
        Ok(SetupAsk {
            kind,
            host,
            service: new.service.unwrap_or(service).trim().to_owned(),
            connection_method: new.connection_method,
            name: new.name,
            project: project.map(|project| project.id.to_string()),
            environments,
            triggers: new.triggers_enabled,
            events: new.events,
            trigger_destination: new.trigger_destination,
            icon,
            background_color: new.background_color,
            accent_color: new.accent_color,
            autoinstall: ask.autoinstall,
        })
    }

    /// The team's open setups, newest first. Their links are told to nobody but who asked.
    pub async fn open_setups(&self, caller: &Caller, page: &Page) -> Result<CursorPage<Setup>> {
        caller.require(Act::ManageConnectors)?;
        let (store, now) = (&self.ports.store, self.now());
        let rows = store.open_setups(&caller.team, None, now, page).await?;
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.connector.to_string())
        }))
    }

    /// Takes a setup back for its own team, by its id or by the id that its connector would have.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it has ended.
    pub async fn cancel_setup(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require(Act::ManageConnectors)?;
        let connector = ConnectorId::from(id);
        let (store, page) = (&self.ports.store, Page::first(1));
        let named = store.open_setups(&caller.team, Some(&connector), self.now(), &page);
        let setup = match named.await?.into_iter().next() {
            Some(setup) => setup,
            None => self.setup_of(caller, &id.into()).await?,
        };
        self.withdraw_setup(caller, &setup, false).await
    }

    pub(super) async fn withdraw_setup(
        &self,
        caller: &Caller,
        setup: &Setup,
        by_link: bool,
    ) -> Result<()> {
        let event = match by_link {
            true => self.link_draft(EventKind::SetupCanceled, caller),
            false => self.draft(EventKind::SetupCanceled, caller),
        };
        let event = event.connector(&setup.connector).done();
        match self.ports.store.cancel_setup(&setup.id, &event).await {
            Err(StoreError::Missing(_)) => Err(Error::conflict("this setup has ended already")),
            canceled => Ok(canceled?),
        }
    }
}

/// Whether nobody has to be asked for credentials: the server that the service names may register a client.
pub(super) fn registers_itself(setup: &Setup) -> bool {
    setup.ask.connection_method.is_none() && setup.ask.kind == ConnectorType::Oauth
}

/// The same may succeed a moment later.
fn is_passing(error: &Error) -> bool {
    use Error::{Busy, Conflict, Full, Provider, RateLimited, Unavailable};
    match error {
        Provider { .. } | RateLimited { .. } | Busy { .. } | Unavailable | Full => true,
        Conflict { passing, .. } => *passing,
        _ => false,
    }
}

fn is_client_id(problem: &Problem) -> bool {
    problem.field == "data.clientId"
}

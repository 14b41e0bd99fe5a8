//! Making connectors (reference/vercel-connect A1).

use std::sync::Arc;

use grantry_core::ids::{ConnectorId, SecretId, SetupId, TokenSetId};
use grantry_core::nouns::{
    Connector, ConnectorType, Environment, EventKind, Link, Project, Sealed, SecretRef,
    TriggerDestination,
};
use grantry_core::store::LinkChange;
use grantry_core::{Error, Problem, Result, Secret, StoreError, Timestamp, entropy};
use grantry_vault::envelope::Place;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::destinations::enabled;
use super::enrol::{Enrolment, Unenrolled};
use super::names::{
    generated_uid, look_problems, name_of, server_of_service, service_of, slug, uid_complaint,
};
use super::server::secrets_of;
use super::{ConnectorView, data, links::checked_environments, types};
use crate::permissions::Act;
use crate::{Caller, Engine};

/// What a caller says of a connector to be made. Field names in problems are the Vercel dialect's.
#[derive(Default)]
pub struct NewConnector {
    /// Minted when absent.
    pub id: Option<ConnectorId>,
    /// It completes this setup, in the same transaction.
    pub setup: Option<SetupId>,
    /// Of who completes it only that setup's link is known: the event tells that, not of the caller.
    pub by_link: bool,
    /// Without an `id`: mint one from the name, `acme-wiki-4k2x9b`, in place of our own form.
    pub named_id: bool,
    /// A word of [`ConnectorType`].
    pub kind: String,
    /// Generated from service and name when absent.
    pub uid: Option<String>,
    /// The linked project's name when absent.
    pub name: Option<String>,
    /// Catalogue id or URL; taken from `data` when absent.
    pub service: Option<String>,
    /// By which of the service's ways (`services`): it supplies type, endpoints and defaults.
    pub connection_method: Option<String>,
    /// What that way leaves open, by name.
    pub params: Map<String, Value>,
    /// For which of the service's parts.
    pub target: Option<String>,
    /// The type's data, secrets included: they are sealed and not kept.
    pub data: Map<String, Value>,
    /// Annotations.
    pub metadata: Map<String, Value>,
    /// Link it at once.
    pub link: Option<NewLink>,
    /// What is missing in `data` is asked for when somebody wants to connect, not now: dialects whose
    /// connectors are filled in step by step.
    pub incomplete: bool,
    /// Take in provider events.
    pub triggers_enabled: bool,
    /// Events wanted.
    pub events: Vec<String>,
    /// One of [`Engine::redirect_uris`]; the first when absent.
    pub redirect_uri: Option<String>,
    /// Where events go.
    pub trigger_destination: Option<TriggerDestination>,
    /// SHA-1 of an uploaded image, or a URL to fetch one from.
    pub icon: Option<String>,
    /// `#rrggbb`
    pub background_color: Option<String>,
    /// `#rrggbb`
    pub accent_color: Option<String>,
}

/// A connector that holds what can be checked without asking anybody, its secrets still apart.
pub struct Checked {
    /// The row, its `secrets` not sealed yet.
    pub connector: Connector,
    /// To be sealed.
    pub secrets: Vec<(String, Secret)>,
    /// The caller chose no uid.
    pub generated_uid: bool,
}

/// What goes into a new row beside the connector itself.
struct Parts<'a> {
    secrets: Vec<(String, Secret)>,
    enrolment: Option<&'a Enrolment>,
    generated_uid: bool,
    named_id: bool,
    setup: Option<&'a SetupId>,
    by_link: bool,
}

/// A link to be made with a connector.
pub struct NewLink {
    /// Project id or name.
    pub project: String,
    /// All three built-in ones when absent.
    pub environments: Option<Vec<Environment>>,
}

impl Engine {
    /// Makes a connector, and its link. Errors: [`Error::Invalid`] names every wrong field and
    /// nothing is stored; [`Error::Conflict`] for a uid in use.
    #[tracing::instrument(target = "grantry_spans", name = "create_connector", skip_all)]
    pub async fn create_connector(
        self: &Arc<Self>,
        caller: &Caller,
        new: NewConnector,
    ) -> Result<ConnectorView> {
        caller.require(Act::ManageConnectors)?;
        // A client that was registered for it must be stored, or ended again, whatever becomes of the caller.
        let (engine, caller) = (Arc::clone(self), caller.clone());
        self.uncancellable(async move { engine.create(&caller, new).await })
            .await
    }

    pub(super) async fn create(&self, caller: &Caller, new: NewConnector) -> Result<ConnectorView> {
        let new = self.preset(&*self.catalogue().await?, new)?;
        let project = match &new.link {
            Some(link) => Some(self.project(caller, &link.project).await?),
            None => None,
        };
        let Checked {
            mut connector,
            secrets,
            generated_uid,
        } = self.checked(caller, &new, project.as_ref())?;
        let (incomplete, named_id) = (new.incomplete, new.named_id && new.id.is_none());
        // A destination may name the connector's project as the connector does.
        if let Some(project) = &project {
            for goes_to in &mut connector.trigger_destinations {
                if goes_to.project_id.as_str() == project.name {
                    goes_to.project_id = project.id.clone();
                }
            }
        }
        let mut links = match (new.link, project) {
            (Some(link), Some(project)) => vec![self.link_of(&connector, &project, link)?],
            _ => vec![],
        };
        let goes_to = &connector.trigger_destinations;
        let mut problems = Vec::new();
        self.destination_problems(caller, goes_to, "triggerDestination", &mut problems)
            .await?;
        if !problems.is_empty() {
            // There is one, so it has no number.
            problems
                .iter_mut()
                .for_each(|problem| problem.field.truncate("triggerDestination".len()));
            return Err(Error::Invalid(problems));
        }
        for LinkChange { link, .. } in enabled(&connector, goes_to, &links, connector.created_at) {
            links.retain(|standing| standing.project != link.project);
            links.push(link);
        }
        self.check_server(&connector, incomplete).await?;
        self.probe(caller, &connector, &secrets).await?;
        if let Some(icon) = &new.icon {
            connector.icon = Some(self.settled_icon(caller, icon).await?);
        }
        // Before the commit, after which nothing may fail.
        let catalogue = self.catalogue().await?;
        if !generated_uid {
            self.require_free_uid(&connector).await?;
        }
        let enrolment = match incomplete {
            true => None,
            false => self.enrolment_of(&connector).await?,
        };
        let parts = Parts {
            secrets,
            enrolment: enrolment.as_ref(),
            generated_uid,
            named_id,
            setup: new.setup.as_ref(),
            by_link: new.by_link,
        };
        let made = self.insert_connector(caller, &mut connector, &mut links, &parts);
        match (made.await, enrolment) {
            (Ok(()), _) => Ok(ConnectorView::with(connector, links, &catalogue)),
            // Nobody will ever use the client. After an outage the row may be there, and with it the client.
            (Err(error), Some(enrolment)) if !matches!(error, Error::Unavailable) => {
                self.withdraw(&enrolment).await;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Refuses a uid in use before anything is made elsewhere for the connector.
    async fn require_free_uid(&self, connector: &Connector) -> Result<()> {
        let store = &self.ports.store;
        let found = store.connector(&connector.team, &connector.uid).await?;
        match found.filter(|found| found.uid == connector.uid && found.deleted_at.is_none()) {
            Some(_) => Err(uid_taken(connector)),
            None => Ok(()),
        }
    }

    async fn insert_connector(
        &self,
        caller: &Caller,
        connector: &mut Connector,
        links: &mut [Link],
        parts: &Parts<'_>,
    ) -> Result<()> {
        let Parts {
            generated_uid,
            named_id,
            ..
        } = *parts;
        for last in [false, false, true] {
            // Sealed into the row of this id.
            connector.secrets = self.seal_secrets(connector, &parts.secrets).await?;
            if let Some(enrolment) = parts.enrolment {
                self.enrolled_with(connector, enrolment).await?;
            }
            let event = match parts.by_link {
                true => self.made_by_link(caller, connector),
                false => self.draft(EventKind::ConnectorCreated, caller),
            };
            let event = event
                .connector(&connector.id)
                .with("type", connector.kind.as_str())
                .with("uid", connector.uid.as_str())
                .done();
            let store = &self.ports.store;
            let made = match parts.setup {
                Some(setup) => store.complete_setup(setup, connector, links, &event).await,
                None => store.create_connector(connector, links, &event).await,
            };
            match made {
                Ok(()) => return Ok(()),
                Err(StoreError::Missing("setup")) => return Err(Error::Gone("setup")),
                // The caller did not choose these, so their being taken is not the caller's business.
                Err(StoreError::Taken("connector.uid")) if generated_uid && !last => {
                    let more = entropy::alphanumeric(self.entropy(), 8).to_lowercase();
                    connector.uid = format!("{}-{more}", connector.uid);
                }
                Err(StoreError::Taken("connector.id")) if named_id && !last => {
                    connector.id = self.named_id(&connector.name);
                    for link in &mut *links {
                        link.connector = connector.id.clone();
                    }
                }
                Err(StoreError::Taken("connector.uid")) => return Err(uid_taken(connector)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Internal)
    }

    /// What a connector that is not stored yet is enrolled as, where it needs that.
    pub(super) async fn enrolment_of(&self, connector: &Connector) -> Result<Option<Enrolment>> {
        if !self.lacks_enrolment(connector).await? {
            return Ok(None);
        }
        let enrolment = self.enrol(connector).await;
        enrolment.map(Some).map_err(Unenrolled::of_caller)
    }

    /// An id that says what it is of: at most 48 characters of the name's, and six at random.
    fn named_id(&self, name: &str) -> ConnectorId {
        let mut slug = slug(name);
        slug.truncate(48);
        let random = entropy::alphanumeric(self.entropy(), 6).to_lowercase();
        match slug.trim_matches('-') {
            "" => format!("connector-{random}"),
            slug => format!("{slug}-{random}"),
        }
        .into()
    }

    /// Checks everything that can be checked without asking anybody.
    pub(crate) fn checked(
        &self,
        caller: &Caller,
        new: &NewConnector,
        project: Option<&Project>,
    ) -> Result<Checked> {
        let mut problems = Vec::new();
        let url = new.service.as_deref().and_then(server_of_service);
        let kind = match new.kind.as_str() {
            // A URL alone is an OAuth client's to be (reference/vercel-connect §9).
            "" => url.map(|_| ConnectorType::Oauth),
            word => ConnectorType::from_word(word),
        };
        let mut data = new.data.clone();
        if let (Some(url), Some(ConnectorType::Oauth)) = (url, kind)
            && !["clientId", "serverUrl", "serverConfig"]
                .iter()
                .any(|name| data.contains_key(*name))
        {
            data.insert("serverUrl".to_owned(), url.into());
        }
        if kind.is_none() {
            let known = ConnectorType::WORDS.join(", ");
            let message = match new.kind.as_str() {
                "" => format!("is required: one of {known}"),
                other => format!(
                    "{other:?} is not a connector type this server offers; it offers {known}"
                ),
            };
            problems.push(Problem::new("type", message));
        }
        let checked = kind.and_then(|kind| {
            let mint = || TokenSetId::mint(self.now(), self.entropy()).to_string();
            data::check(kind, &data, new.incomplete, &mint)
                .map_err(|found| problems.extend(found))
                .ok()
        });
        let name = name_of(new, project, kind, &mut problems);
        let uid = new
            .uid
            .as_deref()
            .map(str::trim)
            .filter(|uid| !uid.is_empty());
        if let Some(complaint) = uid.and_then(uid_complaint) {
            problems.push(Problem::new("uid", complaint));
        }
        look_problems(
            new.icon.as_deref(),
            new.background_color.as_deref(),
            new.accent_color.as_deref(),
            &mut problems,
        );
        let redirect_uris = self.redirect_uris(caller);
        if let Some(uri) = &new.redirect_uri
            && !redirect_uris.contains(uri)
        {
            let message = format!("must be one of {}", redirect_uris.join(", "));
            problems.push(Problem::new("redirectUri", message));
        }
        if new
            .service
            .as_deref()
            .is_some_and(|service| service.len() > 512 || service.chars().any(char::is_control))
        {
            problems.push(Problem::new(
                "service",
                "must be a catalogue id or URL of at most 512 bytes",
            ));
        }
        if new.trigger_destination.is_some() && !new.triggers_enabled {
            problems.push(Problem::new(
                "triggerDestination",
                "needs triggers to be enabled",
            ));
        }
        let (Some(kind), Some(checked), true) = (kind, checked, problems.is_empty()) else {
            return Err(Error::Invalid(problems));
        };
        if let Some(found) = super::server::config_problems(&checked.public) {
            return Err(Error::Invalid(found));
        }
        if let Some(found) = self.audience_problem(&checked.public) {
            return Err(Error::Invalid(vec![found]));
        }

        let now = self.now();
        let id = match &new.id {
            Some(id) => id.clone(),
            None if new.named_id => self.named_id(&name),
            None => ConnectorId::mint(now, self.entropy()),
        };
        let service = service_of(new.service.as_deref(), &checked.public, kind);
        let generated = uid.is_none();
        let uid = uid.map_or_else(|| generated_uid(&service, &name), str::to_owned);
        let client_secret = types::of(kind).client.map(|client| client.secret);
        let connector = Connector {
            id,
            team: caller.team.clone(),
            uid,
            name,
            kind,
            service,
            connection_method: new.connection_method.clone(),
            target: new.target.clone(),
            data: checked.public,
            secrets: None,
            client_secret: checked
                .secrets
                .iter()
                .any(|(name, _)| Some(name.as_str()) == client_secret)
                .then(|| self.secret_ref(now)),
            registration: None,
            registration_secrets: None,
            metadata: new.metadata.clone(),
            redirect_uri: new
                .redirect_uri
                .clone()
                .unwrap_or_else(|| self.settings.url("/callback")),
            default_installation: None,
            terms_at: None,
            reinstall_at: None,
            triggers_enabled: new.triggers_enabled,
            events: new.events.clone(),
            trigger_destinations: new.trigger_destination.iter().cloned().collect(),
            icon: new.icon.clone(),
            background_color: new.background_color.clone(),
            accent_color: new.accent_color.clone(),
            fault: None,
            failed_exchange: None,
            created_by: caller.actor.clone(),
            updated_by: caller.actor.clone(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        Ok(Checked {
            connector,
            secrets: checked.secrets,
            generated_uid: generated,
        })
    }

    fn link_of(&self, connector: &Connector, project: &Project, link: NewLink) -> Result<Link> {
        let all = || Environment::BUILT_IN.map(Environment::from).to_vec();
        let environments = link.environments.unwrap_or_else(all);
        let environments =
            checked_environments(project, environments, "environments").map_err(Error::Invalid)?;
        Ok(Link {
            team: connector.team.clone(),
            connector: connector.id.clone(),
            project: project.id.clone(),
            environments,
            created_at: connector.created_at,
            updated_at: connector.created_at,
        })
    }
}

impl Engine {
    /// What a secret that is given now is known by.
    pub(super) fn secret_ref(&self, at: Timestamp) -> SecretRef {
        SecretRef {
            id: SecretId::mint(at, self.entropy()),
            at,
        }
    }

    /// The connector's secrets as one sealed JSON object; `None` when there are none.
    pub(crate) async fn seal_secrets(
        &self,
        connector: &Connector,
        secrets: &[(String, Secret)],
    ) -> Result<Option<Sealed>> {
        self.seal_into(secrets_of, connector, secrets).await
    }

    /// Secrets by name as one sealed JSON object; `None` when there are none.
    pub(super) async fn seal_into(
        &self,
        place: fn(&Connector) -> Place<'_>,
        connector: &Connector,
        secrets: &[(String, Secret)],
    ) -> Result<Option<Sealed>> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let mut json = Zeroizing::new(String::from("{"));
        for (index, (name, secret)) in secrets.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let name = serde_json::to_string(name).map_err(|_| Error::Internal)?;
            let value = Zeroizing::new(
                serde_json::to_string(secret.expose()).map_err(|_| Error::Internal)?,
            );
            json.push_str(&format!("{comma}{name}:"));
            json.push_str(&value);
        }
        json.push('}');
        self.keys.ready(&connector.team).await?;
        let sealed = self.keys.seal(place(connector), json.as_bytes())?;
        Ok(Some(sealed))
    }
}

fn uid_taken(connector: &Connector) -> Error {
    let uid = &connector.uid;
    Error::conflict(format!("uid: {uid} is already used by another connector"))
}

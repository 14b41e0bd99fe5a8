//! How a connector that was given no more than a URL comes to a client: the URL leads to a resource or an authorization
//! server, that server registers a client (RFC 7591), and the connector is bound to both from then on. What was given
//! out by one server is presented to no other.
//!
//! A provider must not be made to register without end (requirement 26): whoever is about to ask notes that first, in
//! the row, with the time before which nobody asks again.

mod describe;
mod keys;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::limits::{
    METADATA_ENTRIES_MAX, REGISTRATIONS_APART_TIME, REGISTRATIONS_APART_TIME_MAX,
};
use grantry_core::nouns::{
    Connector, ConnectorType, EventKind, Means, RegisteredClient, Registration,
};
use grantry_core::{Error, Result, Secret, StoreError, Timestamp};
use grantry_oauth::client::{AuthMethod, Client};
use grantry_oauth::register::{Management, RegistrationError};
use grantry_oauth::server::{Endpoint, Server};
use grantry_oauth::text::Redaction;
use grantry_vault::envelope::Place;
use quick_cache::sync::Cache;
use serde_json::Value;
use url::Url;

use super::discovered::At;
use super::server::{Unresolved, layered};
use describe::{Description, bound_to};
pub use describe::{
    client_id, elsewhere, jwt_bearer_enabled, keeps_refresh_tokens, may_be_registered,
    resource_problem, user_scopes,
};
pub(super) use describe::{moved, registered, tells_otherwise};
pub use keys::{Said, Signer};

use crate::Engine;
use crate::tokens::{PAUSE, TRIES, unanswered};

/// The registered client's secret.
const CLIENT_SECRET: &str = "clientSecret";
/// What opens the registration (RFC 7592).
const ACCESS_TOKEN: &str = "registrationAccessToken";

/// How far apart registrations that fail are, at first.
const FAILED_APART: Duration = Duration::from_secs(60);

/// Who is registering a connector in this process: one at a time, by its id, or by team and uid before it has one.
pub struct Enrolling(Cache<String, Arc<tokio::sync::Mutex<()>>>);

impl Default for Enrolling {
    fn default() -> Self {
        Self(Cache::new(METADATA_ENTRIES_MAX))
    }
}

impl Enrolling {
    /// Whose turn it is with `name`.
    pub(super) fn of(&self, name: &str) -> Result<Arc<tokio::sync::Mutex<()>>> {
        self.0.get_or_insert_with(name, || Ok(Arc::default()))
    }
}

/// What a connector was enrolled as.
pub(super) struct Enrolment {
    pub registration: Registration,
    pub secrets: HashMap<String, Secret>,
    /// The client is new at its server, rather than one that stays.
    pub fresh: bool,
}

/// Why a connector has no client.
pub(super) enum Unenrolled {
    /// Its server is not known.
    Server(Unresolved),
    /// The server did not register one.
    Registration(RegistrationError),
    /// The server does not register clients by itself.
    NotOffered,
    /// The server of a resource does not offer PKCE with S256 (requirement 11).
    NoPkce,
}

impl<T: Into<Unresolved>> From<T> for Unenrolled {
    fn from(error: T) -> Self {
        Self::Server(error.into())
    }
}

impl Unenrolled {
    /// For who makes or changes the connector: which field is to be other.
    pub(super) fn of_caller(self) -> Error {
        let required = |why: String| Error::invalid("data.clientId", format!("is required: {why}"));
        match self {
            Self::Server(unresolved) => unresolved.of_caller(),
            Self::NotOffered => {
                required("the authorization server does not register clients by itself".to_owned())
            }
            Self::NoPkce => Error::invalid(
                "data.serverUrl",
                "is a resource whose authorization server does not offer PKCE with S256",
            ),
            Self::Registration(RegistrationError::Unavailable { retry_after }) => Error::Provider {
                code: "registration_unavailable",
                timeout: false,
                retry_after,
            },
            Self::Registration(error) => required(format!(
                "the authorization server did not register a client: {error}"
            )),
        }
    }

    /// For who uses the connector.
    fn of_user(self) -> Error {
        let reason = match self {
            Self::Server(unresolved) => return unresolved.into(),
            Self::Registration(RegistrationError::Unavailable { retry_after }) => {
                return Error::Provider {
                    code: "registration_unavailable",
                    timeout: false,
                    retry_after,
                };
            }
            Self::Registration(_) => {
                return Error::Provider {
                    code: "registration_refused",
                    timeout: false,
                    retry_after: None,
                };
            }
            Self::NotOffered => {
                "the connector has no client id, and its authorization server does not register clients by itself"
            }
            Self::NoPkce => {
                "the authorization server does not offer PKCE with S256, which a resource needs"
            }
        };
        Error::Unresolvable {
            reason: reason.to_owned(),
        }
    }
}

fn server_url(connector: &Connector) -> Option<&str> {
    let is_oauth = connector.kind == ConnectorType::Oauth;
    let url = connector.data.get("serverUrl").and_then(Value::as_str);
    url.filter(|_| is_oauth)
}

/// Where the secrets of a registration are sealed into.
fn place(connector: &Connector) -> Place<'_> {
    Place {
        team: connector.team.as_str(),
        table: "connectors",
        row: connector.id.as_str(),
        field: "registration",
    }
}

impl Engine {
    /// `connector` with what it needs to make requests: it is bound to its server, and has a client there. Its row is
    /// changed where that is new; nobody's disconnect cuts that short.
    pub(crate) async fn enrolled<'a>(
        self: &Arc<Self>,
        connector: &'a Connector,
    ) -> Result<Cow<'a, Connector>> {
        if !self.lacks_enrolment(connector).await? {
            return Ok(Cow::Borrowed(connector));
        }
        let (engine, connector) = (Arc::clone(self), connector.clone());
        let enrolled = self.uncancellable(async move { engine.enrol_once(connector).await });
        enrolled.await.map(Cow::Owned)
    }

    /// Whether `connector` has to be enrolled before it is used.
    pub(super) async fn lacks_enrolment(&self, connector: &Connector) -> Result<bool> {
        if self.lacks_key(connector) {
            return Ok(true);
        }
        let Some(url) = server_url(connector) else {
            return Ok(false);
        };
        let bound = connector.registration.as_ref();
        let bound = bound.is_some_and(|registration| registration.issuer.is_some());
        if !connector.data.contains_key("clientId") {
            return Ok(!bound || self.lacks_client(connector));
        }
        if bound {
            return Ok(false);
        }
        // A typed client of an authorization server needs nothing; one of a resource has to know it.
        let (http, clock) = (&*self.ports.http, &*self.ports.clock);
        let located = self.discovered.get(http, clock, At::Url(url)).await;
        Ok(located.is_ok_and(|located| located.resource.is_some()))
    }

    /// Whether there is no client yet, or none that its server still takes.
    fn lacks_client(&self, connector: &Connector) -> bool {
        let takes = |client: &RegisteredClient| {
            let ended = client
                .secret_expires_at
                .is_some_and(|end| end <= self.now());
            !client.lost && !ended
        };
        !registered(connector).is_some_and(takes)
    }

    /// Notes that the server does not know the registered client any more: a new one is registered when it is needed
    /// and its time has come.
    pub(crate) async fn lose_client(&self, connector: &Connector) -> Result<()> {
        let Some(refused) = registered(connector) else {
            return Ok(());
        };
        for _ in 0..TRIES {
            let mut row = self.stored_row(connector).await?;
            let read = row.updated_at;
            let Some(client) = row
                .registration
                .as_mut()
                .and_then(|registration| registration.client.as_mut())
                .filter(|client| client.id == refused.id && !client.lost)
            else {
                return Ok(());
            };
            client.lost = true;
            row.updated_at = self.now().max(Timestamp(read.0 + 1));
            let set = self.ports.store.set_registration(&row, read, None).await;
            self.forget_connector(&row.id);
            match set {
                Err(StoreError::Missing(_)) => self.ports.clock.sleep(PAUSE).await,
                set => return Ok(set?),
            }
        }
        Ok(())
    }

    /// One at a time in this process; across processes the row decides.
    async fn enrol_once(self: Arc<Self>, connector: Connector) -> Result<Connector> {
        let turn = self.enrolling.of(connector.id.as_str())?;
        let _turn = turn.lock().await;
        for _ in 0..TRIES {
            let row = self.stored_row(&connector).await?;
            if !self.lacks_enrolment(&row).await? {
                return Ok(row);
            }
            let mut asked = row.clone();
            let standing = row.registration.clone().unwrap_or_default();
            let now = self.now();
            let asks = server_url(&row).is_some();
            if asks && now < standing.not_before {
                let wait = standing.not_before.since(now);
                return Err(unanswered("registration_failed", false, wait));
            }
            asked.registration = Some(Registration {
                asked: standing.asked + u32::from(asks),
                not_before: match asks {
                    true => now.after(doubled(FAILED_APART, standing.asked)),
                    false => standing.not_before,
                },
                ..standing
            });
            asked.updated_at = now.max(Timestamp(row.updated_at.0 + 1));
            let store = &self.ports.store;
            match store.set_registration(&asked, row.updated_at, None).await {
                // Somebody else changed it, perhaps by registering it.
                Err(StoreError::Missing(_)) => self.ports.clock.sleep(PAUSE).await,
                noted => {
                    noted?;
                    self.forget_connector(&asked.id);
                    let enrolment = self.enrol(&asked, false).await.map_err(|why| {
                        let error = why.of_user();
                        tracing::warn!(connector = %asked.id, %error, "a connector could not be registered");
                        error
                    })?;
                    return self.keep_enrolment(asked, enrolment).await;
                }
            }
        }
        Err(unanswered("registration_failed", false, PAUSE))
    }

    async fn stored_row(&self, connector: &Connector) -> Result<Connector> {
        let store = &self.ports.store;
        let row = store
            .connector(&connector.team, connector.id.as_str())
            .await?;
        row.filter(|row| row.deleted_at.is_none())
            .ok_or(Error::Gone("connector"))
    }

    /// Where `connector` leads, a client there, and its keys: what stands of its registration stays. `tell`: the
    /// server is told anew what the client is.
    pub(super) async fn enrol(
        &self,
        connector: &Connector,
        tell: bool,
    ) -> Result<Enrolment, Unenrolled> {
        let mut registration = connector.registration.clone().unwrap_or_default();
        let mut secrets = self.registration_secrets(connector).await?;
        let typed = connector.data.contains_key("clientId");
        let server = match (&registration.issuer, server_url(connector)) {
            (None, Some(url)) => {
                let (http, clock) = (&*self.ports.http, &*self.ports.clock);
                let located = self.discovered.get(http, clock, At::Url(url)).await?;
                let resource = located.resource.as_ref();
                registration.resource =
                    resource.map(|resource| bound_to(resource, &located.server));
                // A typed client goes where its URL leads; one that was registered, only where it was.
                if resource.is_some() || !typed {
                    registration.issuer.clone_from(&located.server.issuer);
                }
                let catalogue = self.catalogue().await?;
                layered(connector, catalogue.of(connector), Some(&located.server))?.server
            }
            _ => self.resolve_server(connector).await?.server,
        };
        if registration.resource.is_some() && server.check_pkce(true).is_err() {
            return Err(Unenrolled::NoPkce);
        }
        let mut enrolment = Enrolment {
            registration,
            secrets: std::mem::take(&mut secrets),
            fresh: false,
        };
        if typed || server_url(connector).is_none() {
            enrolment.registration.client = None;
        } else if tell || self.lacks_client(connector) {
            self.enrol_client(connector, &server, &mut enrolment)
                .await?;
        }
        self.keep_keys(connector, &server, &mut enrolment).await?;
        Ok(enrolment)
    }

    /// A client at `server`: the standing one, where its registration can be managed, else a new one.
    async fn enrol_client(
        &self,
        connector: &Connector,
        server: &Server,
        enrolment: &mut Enrolment,
    ) -> Result<(), Unenrolled> {
        let now = self.now();
        let bound = Connector {
            registration: Some(enrolment.registration.clone()),
            ..connector.clone()
        };
        let description = Description::of(&bound, server, &self.client_jwks_uri(connector));
        let Enrolment {
            registration,
            secrets,
            fresh,
        } = enrolment;
        registration.asked = registration.asked.max(1);
        registration.not_before =
            now.after(doubled(REGISTRATIONS_APART_TIME, registration.asked - 1));
        if let Some(client) = self.document_client(connector, server) {
            secrets.remove(CLIENT_SECRET);
            secrets.remove(ACCESS_TOKEN);
            registration.client = Some(client);
            return Ok(());
        }
        // The client stays where that can be, and with it all that was granted to it.
        let renewed = match self.managed(connector, secrets) {
            Some((client, management)) => {
                let asked = description.metadata().update(&client, &management);
                let answered = self.register(&description, server, asked).await;
                answered.ok().filter(|found| found.client.id == client.id)
            }
            None => None,
        };
        *fresh = renewed.is_none();
        let found = match renewed {
            Some(found) => found,
            None => {
                if server.url(Endpoint::Registration).is_err() {
                    return Err(Unenrolled::NotOffered);
                }
                let asked = description.metadata().request(server, None);
                let asked = asked.map_err(|_| Unenrolled::NotOffered)?;
                self.register(&description, server, asked).await?
            }
        };
        secrets.remove(CLIENT_SECRET);
        let secret = found.client.secret;
        secrets.extend(secret.map(|secret| (CLIENT_SECRET.to_owned(), secret)));
        let standing = registered(connector).filter(|_| !*fresh);
        let management = match found.management {
            Some(Management { url, token }) => {
                secrets.insert(ACCESS_TOKEN.to_owned(), token);
                Some(url.to_string())
            }
            // An update need not repeat it (RFC 7592 §3).
            None => standing.and_then(|client| client.management.clone()),
        };
        if management.is_none() {
            secrets.remove(ACCESS_TOKEN);
        }
        registration.client = Some(RegisteredClient {
            id: found.client.id,
            means: Means::Dynamic,
            auth: found.client.auth.as_str().to_owned(),
            management,
            secret_expires_at: found.secret_expires_at,
            registered_at: standing.map_or(now, |client| client.registered_at),
            lost: false,
        });
        Ok(())
    }

    async fn register(
        &self,
        description: &Description,
        server: &Server,
        request: grantry_core::http::Request,
    ) -> Result<grantry_oauth::register::Registered, Unenrolled> {
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        let metadata = description.metadata();
        let parsed = metadata.parse(server, result, &redaction, self.now());
        parsed.map_err(Unenrolled::Registration)
    }

    /// The standing client of a registration that can be managed, and what manages it.
    fn managed(
        &self,
        connector: &Connector,
        secrets: &HashMap<String, Secret>,
    ) -> Option<(Client, Management)> {
        let client = registered(connector)?;
        let management = management(client, secrets)?;
        let client = Client {
            id: client.id.clone(),
            secret: secrets.get(CLIENT_SECRET).cloned(),
            auth: AuthMethod::parse(&client.auth)?,
        };
        Some((client, management))
    }

    /// Puts an enrolment into a connector.
    pub(super) async fn enrolled_with(
        &self,
        connector: &mut Connector,
        enrolment: &Enrolment,
    ) -> Result<()> {
        let secrets: Vec<_> = enrolment.secrets.clone().into_iter().collect();
        connector.registration_secrets = self.seal_into(place, connector, &secrets).await?;
        connector.registration = Some(enrolment.registration.clone());
        Ok(())
    }

    /// Stores an enrolment in the row, or ends it again where the row has gone another way meanwhile.
    async fn keep_enrolment(
        self: &Arc<Self>,
        asked: Connector,
        enrolment: Enrolment,
    ) -> Result<Connector> {
        let issuer = enrolment.registration.issuer.clone().unwrap_or_default();
        let mut row = asked.clone();
        self.enrolled_with(&mut row, &enrolment).await?;
        let mut expected = asked.updated_at;
        let mut tries = 0;
        loop {
            tries += 1;
            row.updated_at = self.now().max(Timestamp(expected.0 + 1));
            let event = self
                .system_draft(EventKind::ConnectorRegistered, &row.team)
                .connector(&row.id)
                .with("issuer", issuer.as_str())
                .done();
            let store = &self.ports.store;
            let kept = store.set_registration(&row, expected, Some(&event)).await;
            self.forget_connector(&row.id);
            match kept {
                Ok(()) => {
                    // What the server refused was the client before.
                    if row.fault.is_some() && enrolment.fresh {
                        self.recovered(&row).await;
                    }
                    return Ok(row);
                }
                Err(StoreError::Missing(_)) if tries < TRIES => {
                    let now = self.stored_row(&asked).await;
                    match now {
                        Ok(now)
                            if !moved(&asked, &now) && now.registration == asked.registration =>
                        {
                            expected = now.updated_at;
                            row = Connector {
                                registration: row.registration,
                                registration_secrets: row.registration_secrets,
                                ..now
                            };
                        }
                        now => {
                            self.withdraw(&enrolment).await;
                            return now;
                        }
                    }
                }
                Err(error) if error.is_outage() && tries < TRIES => {
                    self.ports.clock.sleep(PAUSE).await;
                }
                Err(error) => {
                    // An outage may have stored it: then the client is in use.
                    if !error.is_outage() {
                        self.withdraw(&enrolment).await;
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// The secrets of a connector's registration, by name.
    pub(super) async fn registration_secrets(
        &self,
        connector: &Connector,
    ) -> Result<HashMap<String, Secret>> {
        self.open_from(place(connector), connector.registration_secrets.as_ref())
            .await
    }

    /// The registered client of a connector, as its requests need it.
    pub(super) async fn registered_client(&self, connector: &Connector) -> Result<Option<Client>> {
        let Some(client) = registered(connector) else {
            return Ok(None);
        };
        let mut secrets = self.registration_secrets(connector).await?;
        Ok(Some(Client {
            id: client.id.clone(),
            secret: secrets.remove(CLIENT_SECRET),
            auth: AuthMethod::parse(&client.auth).unwrap_or(AuthMethod::Basic),
        }))
    }

    /// Ends the client of an enrolment that came to nothing, if it is a new one.
    pub(super) async fn withdraw(&self, enrolment: &Enrolment) {
        let client = enrolment.registration.client.as_ref();
        if let Some(client) = client.filter(|_| enrolment.fresh) {
            self.end_client(client, &enrolment.secrets).await;
        }
    }

    /// Ends the registered client of a connector at its server (RFC 7592 §2.3). Returns whether that is settled: a
    /// server that does not answer may be asked again.
    pub(super) async fn end_client_of(&self, connector: &Connector) -> Result<bool> {
        let client = connector.registration.as_ref();
        let Some(client) = client.and_then(|registration| registration.client.as_ref()) else {
            return Ok(true);
        };
        let secrets = self.registration_secrets(connector).await?;
        Ok(self.end_client(client, &secrets).await)
    }

    async fn end_client(
        &self,
        client: &RegisteredClient,
        secrets: &HashMap<String, Secret>,
    ) -> bool {
        let Some(management) = management(client, secrets) else {
            return true;
        };
        let result = self.ports.http.send(management.delete()).await;
        let settled = Management::is_settled(&result);
        let status = result.as_ref().map_or(0, |answer| answer.status);
        tracing::info!(
            status,
            settled,
            "a registered client is ended at its server"
        );
        settled
    }
}

fn management(client: &RegisteredClient, secrets: &HashMap<String, Secret>) -> Option<Management> {
    Some(Management {
        url: Url::parse(client.management.as_deref()?).ok()?,
        token: secrets.get(ACCESS_TOKEN)?.clone(),
    })
}

/// `first`, doubled `times` times, and no more than [`REGISTRATIONS_APART_TIME_MAX`].
fn doubled(first: Duration, times: u32) -> Duration {
    first
        .saturating_mul(1 << times.min(20))
        .min(REGISTRATIONS_APART_TIME_MAX)
}

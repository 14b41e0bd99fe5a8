//! How a connector that was given no more than a URL comes to a client: the URL leads to a resource or an authorization
//! server, that server registers a client (RFC 7591), and the connector is bound to both from then on. What was given
//! out by one server is presented to no other.
//!
//! A client that stands is kept: all that was granted hangs on its id. It is given up when its server definitely knows it
//! no more, or when the connector moves to another server; never for a server that is away. And a provider must not be made
//! to register without end (requirement 26): whoever is about to ask notes that first, in the row, with the time before
//! which nobody asks again.

mod client;
mod describe;
mod keep;
mod keys;
mod tell;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::ids::ConnectorId;
use grantry_core::limits::METADATA_ENTRIES_MAX;
use grantry_core::nouns::{Connector, ConnectorType, Registration};
use grantry_core::{Error, Result, Secret, Timestamp};
use grantry_oauth::client::{AuthMethod, Client};
use grantry_oauth::register::RegistrationError;
use grantry_vault::envelope::Place;
use quick_cache::sync::Cache;
use serde_json::Value;

use super::discovered::At;
use super::server::{Unresolved, layered};
use describe::bound_to;
pub(super) use describe::registered;
pub use describe::{
    carry, client_id, elsewhere, jwt_bearer_enabled, keeps_refresh_tokens, may_be_registered,
    redirect_uri, resource_problem, user_scopes,
};
pub use keys::{Said, Signer};

use crate::Engine;
use crate::tokens::unanswered;

/// The registered client's secret.
const CLIENT_SECRET: &str = "clientSecret";
/// What opens the registration (RFC 7592).
const ACCESS_TOKEN: &str = "registrationAccessToken";

/// What is being registered in this process.
pub struct Enrolling {
    /// One at a time, by a connector's id, or by team and uid before it has one.
    turns: Cache<String, Arc<tokio::sync::Mutex<()>>>,
    /// Connectors whose clients are being registered, as they will be: their server may fetch the public keys, or the icon,
    /// before it answers.
    clients: Cache<ConnectorId, Arc<Connector>>,
}

impl Default for Enrolling {
    fn default() -> Self {
        Self {
            turns: Cache::new(METADATA_ENTRIES_MAX),
            clients: Cache::new(METADATA_ENTRIES_MAX),
        }
    }
}

impl Enrolling {
    /// Whose turn it is with `name`.
    pub(super) fn of(&self, name: &str) -> Result<Arc<tokio::sync::Mutex<()>>> {
        self.turns.get_or_insert_with(name, || Ok(Arc::default()))
    }
}

/// What has to be done about a connector's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// There is none yet.
    First,
    /// Its server takes it no more: it refuses it again and again, or the secret has ended.
    Another,
    /// Its server is to be told of it anew: it is described otherwise, or its secret will end. Nothing waits for that.
    Word,
}

/// What a connector was enrolled as.
#[derive(Clone)]
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
    /// The client before was registered too lately for another one.
    TooSoon(Duration),
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
            Self::TooSoon(wait) => unanswered("registration_failed", false, wait),
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
            Self::TooSoon(wait) => return unanswered("registration_failed", false, wait),
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

    /// The turn of who asks the server of a connector about its client: one at a time in this process. Across processes
    /// the row decides.
    pub(super) async fn turn(&self, id: &ConnectorId) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        Ok(self.enrolling.of(id.as_str())?.lock_owned().await)
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
        let issuer = bound.and_then(|registration| registration.issuer.as_ref());
        if !connector.data.contains_key("clientId") {
            let rests = bound.is_some_and(|registration| self.now() < registration.not_before);
            return Ok(issuer.is_none()
                || match self.want(connector) {
                    Some(Want::First | Want::Another) => true,
                    Some(Want::Word) => !rests,
                    None => false,
                });
        }
        if issuer.is_some() {
            return Ok(false);
        }
        // A typed client of an authorization server needs nothing; one of a resource has to know it.
        let (http, clock) = (&*self.ports.http, &*self.ports.clock);
        let located = self.discovered.get(http, clock, At::Url(url)).await;
        Ok(located.is_ok_and(|located| located.resource.is_some()))
    }

    /// What has to be done about the client of a connector that is to come to one by itself.
    fn want(&self, connector: &Connector) -> Option<Want> {
        let Some(client) = registered(connector) else {
            return Some(Want::First);
        };
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now());
        if client.lost || passed(client.secret_expires_at) {
            Some(Want::Another)
        } else if client.untold || passed(client.renew_at) {
            Some(Want::Word)
        } else {
            None
        }
    }

    /// Where `connector` leads, a client there, and its keys: what stands of its registration stays.
    pub(super) async fn enrol(&self, connector: &Connector) -> Result<Enrolment, Unenrolled> {
        // What is answered can be sealed.
        self.keys.ready(&connector.team).await?;
        let mut registration = connector.registration.clone().unwrap_or_default();
        let secrets = self.registration_secrets(connector).await?;
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
            secrets,
            fresh: false,
        };
        if typed || server_url(connector).is_none() {
            enrolment.registration.client = None;
            self.keep_keys(connector, &server, &mut enrolment).await?;
        } else if let Some(want) = self.want(connector) {
            Box::pin(self.enrol_client(connector, &server, &mut enrolment, want)).await?;
        } else {
            self.keep_keys(connector, &server, &mut enrolment).await?;
        }
        self.drop_keys(connector, &mut enrolment);
        Ok(enrolment)
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
}

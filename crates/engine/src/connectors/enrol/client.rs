//! A client at a server: the standing one, told of anew where its registration can be managed (RFC 7592), or a new one
//! (RFC 7591); and its end there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::http::{Failure, Request, Response};
use grantry_core::limits::{REGISTRATIONS_APART_TIME, REGISTRATIONS_APART_TIME_MAX};
use grantry_core::nouns::{Connector, Means, RegisteredClient, Registration};
use grantry_core::{Result, Secret, Timestamp};
use grantry_oauth::client::{AuthMethod, Client};
use grantry_oauth::register::{Management, Registered, RegistrationError, Standing};
use grantry_oauth::server::{Endpoint, Server};
use grantry_oauth::text::Redaction;
use url::Url;

use super::describe::{Description, registered};
use super::{ACCESS_TOKEN, CLIENT_SECRET, Enrolment, Unenrolled, Want};
use crate::Engine;

/// How often in a row an answer that may not be the server's own has to say that registrations are not managed there,
/// before a client that cannot be used any more is given up for it: three hours, as asking grows rarer.
const PATIENT: u32 = 8;

/// A secret is renewed no longer than this before its end.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// After how long another client may take the place of one that was lost.
pub(super) fn another_from(
    registration: &Registration,
    client: &RegisteredClient,
    now: Timestamp,
) -> Timestamp {
    let losses = losses(registration, client, now);
    client.registered_at.after(apart(losses))
}

/// How often clients were lost, less one for each week that the last one has done well beyond what it had to.
fn losses(registration: &Registration, client: &RegisteredClient, now: Timestamp) -> u32 {
    let had_to = client.registered_at.after(apart(registration.asked));
    let weeks = now.since(had_to).as_secs() / REGISTRATIONS_APART_TIME_MAX.as_secs();
    let weeks = u32::try_from(weeks).unwrap_or(u32::MAX);
    registration.asked.saturating_sub(weeks).max(1)
}

/// How far apart two new clients are after so many.
fn apart(asked: u32) -> Duration {
    doubled(REGISTRATIONS_APART_TIME, asked.saturating_sub(1))
}

/// `first`, doubled `times` times, and no more than [`REGISTRATIONS_APART_TIME_MAX`].
pub(super) fn doubled(first: Duration, times: u32) -> Duration {
    first
        .saturating_mul(1 << times.min(20))
        .min(REGISTRATIONS_APART_TIME_MAX)
}

/// When a secret that was made at `now` is renewed: when a quarter of its life, at most [`AHEAD`], is left.
fn renewed_at(end: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let end = end?;
    let ahead = (end.since(now) / 4).min(AHEAD);
    Some(end.before(ahead))
}

impl Engine {
    /// A client at `server`, as far as `want` asks for one. The standing one stays where that can be, and with it all that
    /// was granted to it.
    pub(super) async fn enrol_client(
        &self,
        connector: &Connector,
        server: &Server,
        enrolment: &mut Enrolment,
        want: Want,
    ) -> Result<(), Unenrolled> {
        if let Some(client) = registered(connector)
            && self
                .kept_client(connector, client, server, enrolment, want)
                .await?
        {
            return Ok(());
        }
        let told = enrolment.clone();
        match self.new_client(connector, server, enrolment).await {
            // What the server said of the client that stands is not lost, though it cannot be used.
            Err(_) if told.registration.client.as_ref() != registered(connector) => {
                *enrolment = told;
                Ok(())
            }
            done => done,
        }
    }

    /// Tells the server of the client that stands. Returns whether that is how it goes on; else nothing can be done for it
    /// any more, and its server takes it no more.
    async fn kept_client(
        &self,
        connector: &Connector,
        client: &RegisteredClient,
        server: &Server,
        enrolment: &mut Enrolment,
        want: Want,
    ) -> Result<bool, Unenrolled> {
        if client.means == Means::Document {
            let Some(document) = self.document_client(connector, server) else {
                return match want {
                    Want::Word => Err(Unenrolled::Registration(RegistrationError::Unmanaged {
                        sure: true,
                    })),
                    Want::First | Want::Another => Ok(false),
                };
            };
            let registered_at = client.registered_at;
            enrolment.registration.client = Some(RegisteredClient {
                registered_at,
                ..document
            });
            self.keep_keys(connector, server, enrolment).await?;
            self.asked_well(&mut enrolment.registration, client.lost);
            return Ok(true);
        }
        let Some(standing) = standing(client, &enrolment.secrets) else {
            return match want {
                Want::Word => Err(Unenrolled::Registration(RegistrationError::Unmanaged {
                    sure: true,
                })),
                Want::First | Want::Another => Ok(false),
            };
        };
        let described = Connector {
            registration: Some(enrolment.registration.clone()),
            ..connector.clone()
        };
        let mut description = Description::of(&described, server, self.client_places(connector));
        self.keys_for(connector, &description, server, enrolment)
            .await?;
        let (answered, now) = loop {
            let metadata = description.metadata();
            let request = metadata.update(&standing);
            let redaction = Redaction::of(&request);
            let result = self.ask(connector, &enrolment.registration, request).await;
            let now = self.now();
            match metadata.parse_update(&standing, server, result, &redaction, now) {
                Err(RegistrationError::Refused { .. }) if description.forgoes_logo() => {}
                answered => break (answered, now),
            }
        };
        let failed = enrolment.registration.failed;
        match answered {
            Ok(found) => {
                let ended = found.secret_expires_at.is_some_and(|end| end <= now);
                let new_secret = found.client.secret.as_ref().map(Secret::expose)
                    != standing.client.secret.as_ref().map(Secret::expose);
                let unchanged = found.secret_expires_at == client.secret_expires_at && !new_secret;
                put(connector, enrolment, found, client.registered_at, now);
                if let Some(stands) = &mut enrolment.registration.client
                    && unchanged
                {
                    // This server renews no secret ahead of its end.
                    stands.renew_at = client.renew_at.filter(|at| now < *at);
                }
                if !ended {
                    self.asked_well(&mut enrolment.registration, client.lost);
                }
                Ok(!ended)
            }
            Err(RegistrationError::Refused { .. }) if want == Want::Another => Ok(false),
            Err(RegistrationError::Unmanaged { sure }) if want == Want::Another => {
                match sure || failed > PATIENT {
                    true => Ok(false),
                    false => Err(Unenrolled::Registration(RegistrationError::Unavailable {
                        retry_after: None,
                    })),
                }
            }
            Err(error) => Err(Unenrolled::Registration(error)),
        }
    }

    /// A new client, in the place of the standing one if there is one.
    async fn new_client(
        &self,
        connector: &Connector,
        server: &Server,
        enrolment: &mut Enrolment,
    ) -> Result<(), Unenrolled> {
        let now = self.now();
        let before = registered(connector);
        let mut asked = 1;
        if let Some(client) = before {
            let from = another_from(&enrolment.registration, client, now);
            if now < from {
                return Err(Unenrolled::TooSoon(from.since(now)));
            }
            let losses = losses(&enrolment.registration, client, now);
            asked = losses + u32::from(!ended_as_planned(client, now));
        }
        enrolment.registration.client = None;
        enrolment.fresh = true;
        let described = Connector {
            registration: Some(enrolment.registration.clone()),
            ..connector.clone()
        };
        if let Some(client) = self.document_client(connector, server) {
            enrolment.secrets.remove(CLIENT_SECRET);
            enrolment.secrets.remove(ACCESS_TOKEN);
            enrolment.registration.client = Some(client);
            self.keep_keys(connector, server, enrolment).await?;
        } else {
            if server.url(Endpoint::Registration).is_err() {
                return Err(Unenrolled::NotOffered);
            }
            let mut description =
                Description::of(&described, server, self.client_places(connector));
            self.keys_for(connector, &description, server, enrolment)
                .await?;
            let found = loop {
                let metadata = description.metadata();
                let request = metadata.request(server, None);
                let request = request.map_err(|_| Unenrolled::NotOffered)?;
                let redaction = Redaction::of(&request);
                let result = self.ask(connector, &enrolment.registration, request).await;
                match metadata.parse(server, result, &redaction, self.now()) {
                    Err(RegistrationError::Refused { .. }) if description.forgoes_logo() => {}
                    found => break found.map_err(Unenrolled::Registration)?,
                }
            };
            let answered = self.now();
            put(connector, enrolment, found, answered, answered);
        }
        self.asked_well(&mut enrolment.registration, false);
        enrolment.registration.asked = asked;
        Ok(())
    }

    /// Asks the server of a client. Its public keys and its icon can be fetched meanwhile, though they are in no row yet.
    async fn ask(
        &self,
        connector: &Connector,
        registration: &Registration,
        request: Request,
    ) -> Result<Response, Failure> {
        if registration.keys.is_empty() && connector.icon.is_none() {
            return self.ports.http.send(request).await;
        }
        let becoming = Connector {
            registration: Some(registration.clone()),
            ..connector.clone()
        };
        let clients = &self.enrolling.clients;
        clients.insert(connector.id.clone(), Arc::new(becoming));
        let result = self.ports.http.send(request).await;
        clients.remove(&connector.id);
        result
    }

    /// The server answered. One that knows a client which it refused is believed no more than once an hour.
    fn asked_well(&self, registration: &mut Registration, rescued: bool) {
        registration.failed = 0;
        registration.not_before = match rescued {
            true => self.now().after(REGISTRATIONS_APART_TIME),
            false => self.now(),
        };
    }

    /// Ends the client of an enrolment that came to nothing, if it is a new one.
    pub(in crate::connectors) async fn withdraw(&self, enrolment: &Enrolment) {
        let client = enrolment.registration.client.as_ref();
        if let Some(client) = client.filter(|_| enrolment.fresh) {
            self.end_client(client, &enrolment.secrets).await;
        }
    }

    /// Ends the registered client that `before` had and `now` has no more.
    pub(crate) async fn end_replaced(&self, before: &Connector, now: &Connector) {
        if client_of(before).map(|client| &client.id) == client_of(now).map(|client| &client.id) {
            return;
        }
        if let Err(error) = self.end_client_of(before).await {
            tracing::warn!(connector = %now.id, %error, "a replaced client could not be ended at its server");
        }
    }

    /// Ends the registered client of a connector at its server (RFC 7592 §2.3). Returns whether that is settled: a
    /// server that does not answer may be asked again.
    pub(in crate::connectors) async fn end_client_of(&self, connector: &Connector) -> Result<bool> {
        let Some(client) = client_of(connector) else {
            return Ok(true);
        };
        let secrets = self.registration_secrets(connector).await?;
        Ok(self.end_client(client, &secrets).await)
    }

    pub(super) async fn end_client(
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

/// The client that is noted in a row, also when another one is typed by now.
fn client_of(connector: &Connector) -> Option<&RegisteredClient> {
    connector.registration.as_ref()?.client.as_ref()
}

/// Its secret ended on its day, after a life that kept registrations far enough apart by itself.
fn ended_as_planned(client: &RegisteredClient, now: Timestamp) -> bool {
    let lived = client.registered_at.after(REGISTRATIONS_APART_TIME);
    let end = client.secret_expires_at;
    !client.lost && end.is_some_and(|end| lived <= end && end <= now)
}

/// Puts what a server says of a client into an enrolment.
fn put(
    connector: &Connector,
    enrolment: &mut Enrolment,
    found: Registered,
    registered_at: Timestamp,
    now: Timestamp,
) {
    let Enrolment {
        registration,
        secrets,
        ..
    } = enrolment;
    secrets.remove(CLIENT_SECRET);
    secrets.remove(ACCESS_TOKEN);
    let secret = found.client.secret;
    secrets.extend(secret.map(|secret| (CLIENT_SECRET.to_owned(), secret)));
    let management = found.management.map(|Management { url, token }| {
        secrets.insert(ACCESS_TOKEN.to_owned(), token);
        url.to_string()
    });
    registration.client = Some(RegisteredClient {
        id: found.client.id,
        means: Means::Dynamic,
        auth: found.client.auth.as_str().to_owned(),
        renew_at: renewed_at(found.secret_expires_at, now).filter(|_| management.is_some()),
        management,
        secret_expires_at: found.secret_expires_at,
        registered_at,
        redirect_uri: Some(connector.redirect_uri.clone()),
        untold: false,
        lost: false,
    });
}

/// A client whose registration can be managed.
fn standing(client: &RegisteredClient, secrets: &HashMap<String, Secret>) -> Option<Standing> {
    Some(Standing {
        client: Client {
            id: client.id.clone(),
            secret: secrets.get(CLIENT_SECRET).cloned(),
            auth: AuthMethod::parse(&client.auth)?,
        },
        management: management(client, secrets)?,
        secret_expires_at: client.secret_expires_at,
    })
}

fn management(client: &RegisteredClient, secrets: &HashMap<String, Secret>) -> Option<Management> {
    Some(Management {
        url: Url::parse(client.management.as_deref()?).ok()?,
        token: secrets.get(ACCESS_TOKEN)?.clone(),
    })
}

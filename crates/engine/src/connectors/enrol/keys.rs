//! Keys of a client: it proves who it is with what it signs (`private_key_jwt`, RFC 7523 §2.2), or speaks for others so
//! (§2.1). The public halves stand at a URL of the connector's own, and so does the document of a client that is known
//! by its URL. Both are public, and hold nothing of a team's but what a provider is told anyway (requirement 27).

use std::sync::Arc;
use std::time::Duration;

use grantry_core::ids::ConnectorId;
use grantry_core::nouns::{ClientKey, Connector, EventKind, Icon, Means, RegisteredClient};
use grantry_core::{Entropy, Error, Result, Secret, StoreError, Timestamp};
use grantry_oauth::assertion::Assertion;
use grantry_oauth::client::AuthMethod;
use grantry_oauth::server::Server;
use grantry_vault::jws::{SigningAlgorithm, SigningKey};
use serde_json::{Map, Value, json};
use url::Url;

use super::describe::{Description, Places, jwt_bearer_enabled, registered};
use super::{Enrolment, server_url};
use crate::connectors::{ConnectorView, types};
use crate::permissions::Act;
use crate::workload::{base64_decode, base64_encode};
use crate::{Caller, Engine};

/// What the name of a private key begins with, among the secrets of a registration.
const PRIVATE: &str = "key.";

/// How long a key of a registered client signs before the next one takes over by itself. Keys that somebody may have
/// copied to a provider by hand are only replaced when somebody says so.
const KEY_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a key is published before it signs, and after it did: servers keep what they fetched.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// The life of an assertion that nobody said anything of.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);

/// What a connector signs with.
pub struct Signer {
    key: SigningKey,
}

/// What an assertion says beside who speaks.
pub struct Said<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub audience: &'a str,
    /// The wished life in seconds.
    pub ttl: Option<&'a Value>,
    pub claims: Option<&'a Map<String, Value>>,
}

impl Signer {
    /// An assertion for one use.
    pub fn sign(&self, said: &Said<'_>, entropy: &dyn Entropy, now: Timestamp) -> Result<Secret> {
        let none = Map::new();
        let ttl = said.ttl.and_then(Value::as_u64);
        let assertion = Assertion {
            issuer: said.issuer,
            subject: said.subject,
            audience: said.audience,
            lifetime: ttl.map_or(ASSERTION_LIFE, Duration::from_secs),
            extra: said.claims.unwrap_or(&none),
        };
        let signed = assertion.sign(&self.key, entropy, now);
        signed.map_err(|_| Error::Internal)
    }
}

/// How the connector's client authenticates, as far as its own row says it.
fn method(connector: &Connector) -> Option<AuthMethod> {
    let configured = connector.data.get("tokenEndpointAuthMethod");
    let configured = configured.and_then(Value::as_str);
    let named = registered(connector).map_or(configured, |client| Some(client.auth.as_str()));
    named.and_then(AuthMethod::parse)
}

fn needs_key(connector: &Connector) -> bool {
    types::speaks_oauth(connector)
        && (method(connector) == Some(AuthMethod::PrivateKeyJwt)
            || jwt_bearer_enabled(&connector.data))
}

/// The connector as `enrolment` makes it.
fn becoming(connector: &Connector, enrolment: &Enrolment) -> Connector {
    Connector {
        registration: Some(enrolment.registration.clone()),
        ..connector.clone()
    }
}

pub(super) fn keys_of(connector: &Connector) -> &[ClientKey] {
    let registration = connector.registration.as_ref();
    registration.map_or(&[], |registration| &registration.keys)
}

/// The keys that are still of use: the one that signs, those that will, and those that did until lately.
fn in_use(keys: &[ClientKey], now: Timestamp) -> Vec<ClientKey> {
    let replaced = |index: usize| {
        let next = keys.get(index + 1);
        next.is_some_and(|next| next.signs_from.after(OVERLAP) <= now)
    };
    let kept = keys.iter().enumerate();
    kept.filter(|(index, _)| !replaced(*index))
        .map(|(_, key)| key.clone())
        .collect()
}

/// The key that signs now: the newest whose time has come.
fn signing(keys: &[ClientKey], now: Timestamp) -> Option<&ClientKey> {
    let come = keys.iter().rev().find(|key| key.signs_from <= now);
    come.or_else(|| keys.first())
}

impl Engine {
    /// Whether the connector has to sign and cannot, or not for long any more.
    pub(super) fn lacks_key(&self, connector: &Connector) -> bool {
        if !needs_key(connector) {
            return false;
        }
        match keys_of(connector).last() {
            None => true,
            Some(newest) => {
                registered(connector).is_some() && newest.signs_from.after(KEY_LIFE) <= self.now()
            }
        }
    }

    /// Sees to it that what `enrolment` makes of the connector has the keys that it needs.
    pub(super) async fn keep_keys(
        &self,
        connector: &Connector,
        server: &Server,
        enrolment: &mut Enrolment,
    ) -> Result<()> {
        if !self.lacks_key(&becoming(connector, enrolment)) {
            return Ok(());
        }
        self.add_client_key(algorithm(server), enrolment).await
    }

    /// The same for a client that is about to be described so to its server.
    pub(super) async fn keys_for(
        &self,
        connector: &Connector,
        description: &Description,
        server: &Server,
        enrolment: &mut Enrolment,
    ) -> Result<()> {
        if description.jwks_uri.is_empty() || !enrolment.registration.keys.is_empty() {
            return self.keep_keys(connector, server, enrolment).await;
        }
        self.add_client_key(algorithm(server), enrolment).await
    }

    /// Drops the keys that what `enrolment` makes of the connector does not need.
    pub(super) fn drop_keys(&self, connector: &Connector, enrolment: &mut Enrolment) {
        let needed = needs_key(&becoming(connector, enrolment));
        let Enrolment {
            registration,
            secrets,
            ..
        } = enrolment;
        if !needed {
            registration.keys.clear();
        }
        registration.keys = in_use(&registration.keys, self.now());
        let known = |name: &str| {
            let kid = name.strip_prefix(PRIVATE);
            kid.is_none_or(|kid| registration.keys.iter().any(|key| key.kid == kid))
        };
        secrets.retain(|name, _| known(name));
    }

    /// Makes a key: one that signs at once where there is none, else after it has been published for long enough.
    async fn add_client_key(
        &self,
        algorithm: SigningAlgorithm,
        enrolment: &mut Enrolment,
    ) -> Result<()> {
        let Enrolment {
            registration,
            secrets,
            ..
        } = enrolment;
        // RSA key generation takes up to a second of CPU: not on the runtime's threads.
        let generated = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
        let der = generated
            .map_err(|_| Error::Internal)?
            .map_err(|_| Error::Internal)?;
        let key = SigningKey::from_pkcs8(&der).map_err(|_| Error::Internal)?;
        secrets.insert(
            format!("{PRIVATE}{}", key.kid()),
            Secret::new(base64_encode(&der)),
        );
        let now = self.now();
        registration.keys.push(ClientKey {
            kid: key.kid().to_owned(),
            jwk: key.jwk().clone(),
            signs_from: match registration.keys.is_empty() {
                true => now,
                false => now.after(OVERLAP),
            },
        });
        Ok(())
    }

    /// What the connector signs with; none when it needs no key.
    pub(in crate::connectors) async fn signer(
        &self,
        connector: &Connector,
    ) -> Result<Option<Signer>> {
        if !needs_key(connector) {
            return Ok(None);
        }
        let Some(key) = signing(keys_of(connector), self.now()) else {
            return Ok(None);
        };
        let mut secrets = self.registration_secrets(connector).await?;
        let private = secrets.remove(&format!("{PRIVATE}{}", key.kid));
        let der = base64_decode(private.ok_or(Error::Internal)?.expose())?;
        let key = SigningKey::from_pkcs8(&der).map_err(|_| Error::Internal)?;
        Ok(Some(Signer { key }))
    }

    /// Makes a further key of a connector that signs: it is published at once and signs a day later, when the one
    /// before has one more day to be believed.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] for a connector that signs nothing; [`Error::Conflict`] while a key waits already.
    pub async fn rotate_client_key(
        &self,
        caller: &Caller,
        id_or_uid: &str,
    ) -> Result<ConnectorView> {
        caller.require(Act::ManageConnectors)?;
        let entry = self.live_connector(caller, id_or_uid).await?;
        let mut row = self.stored_row(&entry.connector).await?;
        if !needs_key(&row) {
            let reason = "this connector signs nothing: it has no keys".to_owned();
            return Err(Error::Unresolvable { reason });
        }
        let now = self.now();
        let newest = keys_of(&row).last();
        if newest.is_some_and(|newest| now < newest.signs_from) {
            return Err(Error::conflict(
                "a new key of this connector is published already and will sign within a day",
            ));
        }
        let algorithm = match newest.and_then(|key| key.jwk.get("kty")) {
            Some(kty) if kty == "EC" => SigningAlgorithm::Es256,
            _ => SigningAlgorithm::Rs256,
        };
        let mut enrolment = Enrolment {
            registration: row.registration.clone().unwrap_or_default(),
            secrets: self.registration_secrets(&row).await?,
            fresh: false,
        };
        self.add_client_key(algorithm, &mut enrolment).await?;
        self.enrolled_with(&mut row, &enrolment).await?;
        let read = row.updated_at;
        row.updated_at = now.max(Timestamp(read.0 + 1));
        let event = self
            .draft(EventKind::ConnectorUpdated, caller)
            .connector(&row.id)
            .with("changed", vec!["registration.keys".to_owned()])
            .done();
        let store = &self.ports.store;
        let stored = store.set_registration(&row, read, Some(&event)).await;
        self.forget_connector(&row.id);
        match stored {
            Err(StoreError::Missing(_)) => Err(Error::conflict(
                "the connector is being changed by others: try again",
            )),
            stored => {
                stored?;
                let catalogue = self.catalogue().await?;
                Ok(ConnectorView::with(row, entry.links.clone(), &catalogue))
            }
        }
    }

    /// Where the document of a connector's client stands; its id, where the server takes that.
    fn client_uri(&self, id: &ConnectorId, part: &[&str]) -> String {
        let mut url = self.settings.public_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["oauth", "clients", id.as_str()])
                .extend(part);
        }
        url.into()
    }

    /// Where the public keys of a connector's client stand, and its icon.
    pub(super) fn client_places(&self, connector: &Connector) -> Places {
        Places {
            jwks: self.client_uri(&connector.id, &["jwks"]),
            logo: self.client_uri(&connector.id, &["logo"]),
        }
    }

    /// The client that a server knows by the URL of our document, where it takes such clients and can fetch ours:
    /// preferred, for nothing has to be kept at the server (`clientRegistration` decides otherwise).
    pub(super) fn document_client(
        &self,
        connector: &Connector,
        server: &Server,
    ) -> Option<RegisteredClient> {
        let wished = connector.data.get("clientRegistration");
        let wished = wished.and_then(Value::as_str).and_then(Means::from_word);
        if wished == Some(Means::Dynamic)
            || server.client_id_metadata_document_supported != Some(true)
        {
            return None;
        }
        let ours = &self.settings.public_url;
        let theirs = server_url(connector).and_then(|url| Url::parse(url).ok());
        let reachable = ours.scheme() == "https"
            && (!is_loopback(ours) || theirs.as_ref().is_some_and(is_loopback));
        if !reachable && wished != Some(Means::Document) {
            return None;
        }
        let configured = connector.data.get("tokenEndpointAuthMethod");
        let configured = configured
            .and_then(Value::as_str)
            .and_then(AuthMethod::parse);
        let methods = server
            .token_endpoint_auth_methods_supported
            .iter()
            .flatten();
        let keyed = methods
            .clone()
            .any(|name| name == AuthMethod::PrivateKeyJwt.as_str());
        let auth = configured.unwrap_or(match keyed {
            true => AuthMethod::PrivateKeyJwt,
            false => AuthMethod::None,
        });
        // A document can hold no secret; and who has neither secret nor key needs PKCE.
        let fits = match auth {
            AuthMethod::PrivateKeyJwt => true,
            AuthMethod::None => server.check_pkce(true).is_ok(),
            AuthMethod::Basic | AuthMethod::BasicRaw | AuthMethod::Post => false,
        };
        fits.then(|| RegisteredClient {
            id: self.client_uri(&connector.id, &[]),
            means: Means::Document,
            auth: auth.as_str().to_owned(),
            management: None,
            secret_expires_at: None,
            registered_at: self.now(),
            renew_at: None,
            redirect_uri: None,
            untold: false,
            lost: false,
        })
    }

    /// The document of the client that is known by its URL (requirement 27). [`Error::NotFound`] for every connector
    /// that has none.
    pub async fn client_document(&self, id: &ConnectorId) -> Result<Value> {
        let connector = self.public_client(id).await?;
        let client = registered(&connector).filter(|client| client.means == Means::Document);
        let client = client.ok_or(Error::NotFound("client"))?;
        let url = Url::parse(&client.id).map_err(|_| Error::Internal)?;
        let auth = AuthMethod::parse(&client.auth).ok_or(Error::Internal)?;
        let places = self.client_places(&connector);
        let description = Description::with(&connector, auth, places, &|_| true);
        Ok(description.metadata().document(&url))
    }

    /// The public keys of a connector's client. [`Error::NotFound`] for every connector that has none.
    pub async fn client_jwks(&self, id: &ConnectorId) -> Result<Value> {
        let connector = self.becoming_client(id).await?;
        let keys = in_use(keys_of(&connector), self.now());
        if keys.is_empty() {
            return Err(Error::NotFound("client"));
        }
        let keys: Vec<Value> = keys.into_iter().map(|key| key.jwk).collect();
        Ok(json!({ "keys": keys }))
    }

    /// The icon of a connector, which its server shows to users with the client. [`Error::NotFound`] for every connector
    /// that has none.
    pub async fn client_logo(&self, id: &ConnectorId) -> Result<Icon> {
        let connector = self.becoming_client(id).await?;
        let digest = connector.icon.as_ref().ok_or(Error::NotFound("client"))?;
        self.icon(&connector.team, digest).await
    }

    /// The connector as its server is just being told of it, else as it is.
    async fn becoming_client(&self, id: &ConnectorId) -> Result<Arc<Connector>> {
        match self.enrolling.clients.get(id) {
            Some(becoming) => Ok(becoming),
            None => self.public_client(id).await.map(Arc::new),
        }
    }

    async fn public_client(&self, id: &ConnectorId) -> Result<Connector> {
        let found = self.ports.store.public_client(id).await?;
        found.ok_or(Error::NotFound("client"))
    }
}

/// RS256, unless the server says that it takes ES256 and not that.
fn algorithm(server: &Server) -> SigningAlgorithm {
    let name = "token_endpoint_auth_signing_alg_values_supported";
    let taken = server.extra.get(name).and_then(Value::as_array);
    let takes = |name: &str| taken.is_some_and(|taken| taken.iter().any(|one| one == name));
    if takes("ES256") && !takes("RS256") {
        SigningAlgorithm::Es256
    } else {
        SigningAlgorithm::Rs256
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(from: &[i64]) -> Vec<ClientKey> {
        let day = i64::try_from(OVERLAP.as_micros()).unwrap();
        let key = |days: &i64| ClientKey {
            kid: days.to_string(),
            jwk: Value::Null,
            signs_from: Timestamp(days * day),
        };
        from.iter().map(key).collect()
    }

    fn kids(keys: &[ClientKey]) -> Vec<&str> {
        keys.iter().map(|key| key.kid.as_str()).collect()
    }

    #[test]
    fn a_key_is_published_a_day_before_it_signs_and_a_day_after() {
        let day = |days: i64| Timestamp(days * i64::try_from(OVERLAP.as_micros()).unwrap());
        for (all, now, signs, published) in [
            (&[1][..], 1, "1", vec!["1"]),
            (&[1], 0, "1", vec!["1"]),
            (&[1, 5], 4, "1", vec!["1", "5"]),
            (&[1, 5], 5, "5", vec!["1", "5"]),
            (&[1, 5], 6, "5", vec!["5"]),
            (&[1, 5, 9], 8, "5", vec!["5", "9"]),
        ] {
            let all = keys(all);
            assert_eq!(signing(&all, day(now)).unwrap().kid, signs, "{now}");
            assert_eq!(kids(&in_use(&all, day(now))), published, "{now}");
        }
        assert!(signing(&[], day(1)).is_none());
    }

    #[test]
    fn a_loopback_address_is_known_in_every_spelling() {
        for (url, loopback) in [
            ("https://localhost:1/", true),
            ("https://a.localhost/", true),
            ("http://127.0.0.2/", true),
            ("http://[::1]/", true),
            ("https://localhost.example/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }
}

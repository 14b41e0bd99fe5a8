//! Somebody wants a user to connect (reference/vercel-connect E1).

use std::sync::Arc;
use std::time::Duration;

use grantry_core::ids::{self, AuthorizationId, ConnectionId};
use grantry_core::nouns::{
    Actor, Authorization, AuthorizationState, ConnectionState, Digest, Embed, EventKind, Grant,
    Install, Subject,
};
use grantry_core::store::{ConnectorFilter, Page};
use grantry_core::{Error, Problem, Result, Secret, Timestamp, entropy};
use grantry_oauth::authorize::is_reserved;
use grantry_vault::hash::sha256;
use serde_json::{Map, Value};

use crate::connectors::types::{self, UserTokens};
use crate::connectors::{ConnectorView, Entry, install_page, installing};
use crate::permissions::Act;
use crate::tokens::{AskToken, check_mintable};
use crate::{Caller, Engine};

/// Characters of the verifier under which the result is polled: 256 bits.
pub(super) const VERIFIER_CHARS: usize = 43;

/// What consent is asked for.
#[derive(Clone, Default)]
pub struct AskConsent {
    /// The token that shall be available afterwards.
    pub token: AskToken,
    /// Where the browser goes at the end.
    pub return_url: Option<String>,
    /// `prompt` for the provider: `none`, or some of `login`, `consent` and `select_account`.
    pub prompt: Option<String>,
    /// Show a code that the requester and the page both display.
    pub device_code: bool,
    /// Life of the request; 1 h when absent, at most 24 h.
    pub expires_in: Option<Duration>,
    /// Further parameters for the provider's authorization endpoint.
    pub additional_params: Map<String, Value>,
    /// Serve nothing before the code that the return URL receives was posted back (design §7).
    pub confirm: bool,
    /// Where to tell that it ended: https, or http on loopback while this server is there too.
    pub webhook: Option<String>,
    /// Install the application in a tenant, in place of connecting a person.
    pub install: Option<Install>,
}

/// What a connection of the team's own is asked for.
#[derive(Clone, Debug, Default)]
pub struct AskConnection {
    /// The service that is connected to.
    pub service: String,
    /// The connector, by id; the team's first one of the service when absent.
    pub provider: Option<String>,
    /// A standing connection that is to be renewed, in place of a new one.
    pub connection: Option<ConnectionId>,
    /// The one origin in whose windows the page may stand and that it speaks to; the team's return origins when absent.
    pub origin: Option<String>,
}

/// A consent that was asked for.
pub struct Requested {
    /// Its id.
    pub id: AuthorizationId,
    /// The link for the user.
    pub url: String,
    /// The handle for the result.
    pub verifier: Secret,
    /// To compare with the page.
    pub device_code: Option<String>,
    /// When the link ends.
    pub expires_at: Timestamp,
    /// What it is for.
    pub connector: ConnectorView,
}

impl Engine {
    /// Makes the link under which a connection of the team's own comes into being, or a standing one is renewed: one of
    /// many of its connector, that belongs to no user.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field of [`AskConnection`]; [`Error::NotFound`] for a connection that is not there.
    pub async fn authorize_connection(
        self: &Arc<Self>,
        caller: &Caller,
        ask: AskConnection,
    ) -> Result<Requested> {
        caller.require(Act::ImportConnections)?;
        if let Some(origin) = &ask.origin
            && let Err(message) = super::return_url::well_formed_origin(origin)
        {
            return Err(Error::invalid("origin", message));
        }
        let (entry, grant) = match &ask.connection {
            Some(id) => {
                let connection = self.connection(caller, id).await?;
                if connection.state == ConnectionState::Revoked {
                    return Err(Error::NotFound("connection"));
                }
                let connector = &connection.grant.connector;
                if let Some(named) = &ask.provider
                    && named != connector.as_str()
                {
                    let message = format!("is not the connection's own, which is {connector}");
                    return Err(Error::invalid("connector", message));
                }
                (
                    self.live_connector(caller, connector.as_str()).await?,
                    connection.grant,
                )
            }
            None => {
                let provider = ask.provider.as_deref();
                let entry = self.provider_of(caller, &ask.service, provider).await?;
                let id = ConnectionId::mint(self.now(), self.entropy()).to_string();
                let token = AskToken {
                    subject: Some(Subject::Connection { id }),
                    ..AskToken::default()
                };
                // The connection is the team's: its id, which was just made, is nobody's wish for a token.
                let team = Caller {
                    actor: Actor::Server,
                    ..caller.clone()
                };
                let grant = self.grant_of(&team, &entry, token)?;
                (entry, grant)
            }
        };
        if types::user_tokens(&entry.connector) != Some(UserTokens::Consent) {
            let message = "is no connector that users connect their accounts through";
            return Err(Error::invalid("connector", message));
        }
        self.require_complete(&entry.connector).await?;
        let consent = AskConsent::default();
        let embed = Some(Embed { origin: ask.origin });
        self.request(caller, &entry, grant, consent, embed).await
    }

    /// Makes the link that a user opens to connect.
    #[tracing::instrument(target = "grantry_spans", name = "authorize", skip_all)]
    pub async fn authorize(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        mut ask: AskConsent,
    ) -> Result<Requested> {
        let (entry, grant) = self.asked_for(caller, connector, &mut ask).await?;
        self.request(caller, &entry, grant, ask, None).await
    }

    /// What `ask` names, whose every part is checked: the connector, and the grant that the consent shall bring.
    pub(super) async fn asked_for(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        ask: &mut AskConsent,
    ) -> Result<(Arc<Entry>, Grant)> {
        caller.require(Act::Authorize)?;
        let entry = self.usable_connector(caller, connector).await?;
        let mut problems: Vec<Problem> = Vec::new();
        for (name, value) in &ask.additional_params {
            let field = || format!("additionalParams.{name}");
            if is_reserved(name) {
                problems.push(Problem::new(
                    field(),
                    "is set by the protocol and cannot be chosen",
                ));
            } else if let Some(text) = value.as_str() {
                let complaint = (name == "prompt").then(|| prompt_complaint(text)).flatten();
                problems.extend(complaint.map(|complaint| Problem::new(field(), complaint)));
            } else {
                problems.push(Problem::new(field(), "must be a string"));
            }
        }
        if let Some(complaint) = ask.prompt.as_deref().and_then(prompt_complaint) {
            problems.push(Problem::new("prompt", complaint));
        }
        if let Some(url) = &ask.return_url
            && let Err(message) = self.check_return_url(&caller.team, url).await?
        {
            problems.push(Problem::new("returnUrl", message));
        }
        let limits = &self.settings.limits;
        if let Some(ttl) = ask.expires_in
            && (ttl.is_zero() || ttl > limits.authorization_time_max)
        {
            problems.push(Problem::new(
                "expiresInMs",
                format!("must be 1 to {}", limits.authorization_time_max.as_millis()),
            ));
        }
        if let Some(url) = &ask.webhook
            && let Some(message) = self.webhook_complaint(url)
        {
            problems.push(Problem::new("webhook", message));
        }
        if ask.confirm && ask.return_url.is_none() {
            let message = "is required with confirm: it is where the code goes";
            problems.push(Problem::new("returnUrl", message));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        self.require_complete(&entry.connector).await?;
        let token = std::mem::take(&mut ask.token);
        let grant = self.grant_of(caller, &entry, token)?;
        self.require_environment(caller, &grant.environment).await?;
        let reason = match (&ask.install, &grant.subject) {
            (None, Subject::User { .. }) => None,
            (Some(_), Subject::App) if installing(&entry.connector).is_some() => None,
            (Some(_), _) => Some("this connector's application is not installed in tenants"),
            (None, _) => Some("this subject needs no consent: ask for its token"),
        };
        if let Some(reason) = reason {
            let reason = reason.to_owned();
            return Err(Error::Unresolvable { reason });
        }
        if let Some(wanted) = &ask.install {
            self.require_tellable(&entry.connector).await?;
            self.require_installable(&entry.connector, wanted).await?;
            if install_page(&entry.connector).is_some() {
                check_mintable(&grant, &entry.connector)?;
            }
        }
        // Which one is known at the end.
        let installation = grant.installation.filter(|_| ask.install.is_none());
        let grant = Grant {
            installation,
            ..grant
        };
        Ok((entry, grant))
    }

    /// The connector of `service` that is named, else the first that was made of the team's: a later one does not take
    /// over unasked.
    async fn provider_of(
        &self,
        caller: &Caller,
        service: &str,
        named: Option<&str>,
    ) -> Result<Arc<Entry>> {
        if let Some(named) = named {
            let entry = match self.live_connector(caller, named).await {
                Err(Error::NotFound(_) | Error::Gone(_)) => {
                    let message = "is not a connector of this team";
                    return Err(Error::invalid("connector", message));
                }
                entry => entry?,
            };
            if entry.connector.service != service {
                let message = format!("is a connector of {}", entry.connector.service);
                return Err(Error::invalid("connector", message));
            }
            return Ok(entry);
        }
        let filter = ConnectorFilter {
            kinds: types::oauth_kinds(),
            services: vec![service.to_owned()],
            ..ConnectorFilter::default()
        };
        let oldest = Page {
            oldest_first: true,
            ..Page::first(1)
        };
        let store = &self.ports.store;
        let found = store.connectors(&caller.team, &filter, &oldest).await?;
        let Some(first) = found.first() else {
            let message = match self.catalogue().await?.service(service) {
                Some(_) => "has no connector in this team: make one first",
                None => "is not a service of the catalogue",
            };
            return Err(Error::invalid("service", message));
        };
        self.live_connector(caller, first.id.as_str()).await
    }

    /// Stores a request whose every part was checked.
    async fn request(
        &self,
        caller: &Caller,
        entry: &Entry,
        grant: Grant,
        ask: AskConsent,
        embed: Option<Embed>,
    ) -> Result<Requested> {
        let catalogue = self.catalogue().await?;
        let (verifier, handle) = self.verifier();
        let authorization = self
            .store_request(caller, entry, grant, ask, embed, handle)
            .await?;
        Ok(Requested {
            url: self.consent_url(&authorization),
            id: authorization.id,
            verifier,
            device_code: authorization.device_code,
            expires_at: authorization.expires_at,
            connector: ConnectorView::of(entry, &catalogue),
        })
    }

    /// The link of a request.
    pub(crate) fn consent_url(&self, authorization: &Authorization) -> String {
        let verb = match authorization.install {
            Some(_) => "install",
            None => "authorize",
        };
        self.settings.url(&format!("/{verb}/{}", authorization.id))
    }

    /// A new verifier, and the handle that it is the proof of.
    pub(crate) fn verifier(&self) -> (Secret, Digest) {
        let verifier = Secret::new(entropy::alphanumeric(self.entropy(), VERIFIER_CHARS));
        let handle = sha256(&[verifier.expose().as_bytes()]);
        (verifier, handle)
    }

    /// The row of such a request, whose result is polled with the verifier that `handle` is the hash of.
    pub(crate) async fn store_request(
        &self,
        caller: &Caller,
        entry: &Entry,
        grant: Grant,
        ask: AskConsent,
        embed: Option<Embed>,
        handle: Digest,
    ) -> Result<Authorization> {
        let now = self.now();
        let ttl = ask
            .expires_in
            .unwrap_or(self.settings.limits.authorization_time);
        let id = match &ask.install {
            Some(_) => format!("sci_{}", ids::unique(now, self.entropy())).into(),
            None => AuthorizationId::mint(now, self.entropy()),
        };
        let device_code = ask.device_code.then(|| device_code(self.entropy()));
        let authorization = Authorization {
            id,
            team: caller.team.clone(),
            grant,
            requested_by: caller.actor.clone(),
            requester: self.requester(caller).await?,
            verifier: handle,
            device_code,
            return_url: ask.return_url,
            prompt: ask.prompt.filter(|prompt| !prompt.is_empty()),
            additional_params: ask.additional_params,
            confirm: ask.confirm,
            embed,
            webhook: ask.webhook,
            install: ask.install,
            state: AuthorizationState::Pending,
            created_at: now,
            expires_at: now.after(ttl),
        };
        let event = self
            .draft(EventKind::AuthorizationRequested, caller)
            .connector(&entry.connector.id)
            .with("authorization", authorization.id.as_str())
            .done();
        let store = &self.ports.store;
        store.create_authorization(&authorization, &event).await?;
        Ok(authorization)
    }

    /// How the requester is called on the page.
    pub(crate) async fn requester(&self, caller: &Caller) -> Result<String> {
        let team = self
            .ports
            .store
            .team(caller.team.as_str())
            .await?
            .ok_or(Error::NotFound("team"))?;
        Ok(match &caller.actor {
            Actor::Project { id, .. } => {
                let project = self.ports.store.project(&caller.team, id).await?;
                project.map_or(team.name.clone(), |project| {
                    format!("{} · {}", project.name, team.name)
                })
            }
            _ => team.name,
        })
    }
}

/// What is wrong with a `prompt` (OpenID Connect Core §3.1.2.1): who asks for a consent chooses among what every provider
/// means the same by. An empty one is none. What a provider has of its own belongs to the connector (`authorizationUrlParams`).
pub(super) fn prompt_complaint(prompt: &str) -> Option<&'static str> {
    let words: Vec<&str> = prompt.split(' ').collect();
    let asks = words
        .iter()
        .all(|word| ["login", "consent", "select_account"].contains(word));
    (!prompt.is_empty() && prompt != "none" && !asks).then_some(
        "must be none, or some of login, consent and select_account with one space between (OpenID Connect Core §3.1.2.1)",
    )
}

/// Eight characters that are not mistaken for one another, in two groups.
fn device_code(source: &dyn grantry_core::Entropy) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let code: Vec<char> = entropy::bytes::<8>(source)
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect();
    let (left, right) = code.split_at(4);
    format!(
        "{}-{}",
        left.iter().collect::<String>(),
        right.iter().collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::prompt_complaint;

    #[test]
    fn a_prompt_is_of_openid_connects_words() {
        for good in [
            "",
            "none",
            "login",
            "consent",
            "select_account",
            "login consent",
            "select_account login consent",
        ] {
            assert_eq!(prompt_complaint(good), None, "{good}");
        }
        for bad in [
            " ",
            "Login",
            "create",
            "none login",
            "login none",
            "login,consent",
            "login  consent",
            " login",
            "login ",
            "login\tconsent",
            "logout",
            "consent&scope=admin",
            "consent\r\nx",
        ] {
            assert!(prompt_complaint(bad).is_some(), "{bad:?}");
        }
    }
}

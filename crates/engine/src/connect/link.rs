//! Sequin's link flow (docs/sequin.md): a start URL that works once, a code for the redirect URL, and
//! what that is exchanged for: a handle under which the consent goes on being held, until a credential
//! is made of it. No token leaves the house, unless the deployment says so (`[sequin] reveal_secrets`).

use std::sync::Arc;

use grantry_core::ids::{AuthorizationId, ConnectionId, ConnectorId};
use grantry_core::nouns::{
    Authorization, AuthorizationState, CodeSwap, EventKind, HeldConsent, LinkFlow, Subject,
    TokenSet,
};
use grantry_core::{Error, Problem, Result, Secret, StoreError, Timestamp, entropy};
use grantry_vault::hash::{constant_time_eq, sha256};
use serde_json::{Map, Value};

use super::ask::VERIFIER_CHARS;
use super::confirm::CODE_CHARS;
use super::identity::Account;
use super::page::is_open;
use super::press::Pressed;
use crate::connectors::ConnectorView;
use crate::connectors::types::{self, UserTokens};
use crate::credentials::{CredentialView, NewCredential};
use crate::permissions::Act;
use crate::tokens::{AskToken, Half};
use crate::{Caller, Engine};

/// What a link flow is asked for.
pub struct AskLink {
    /// The app, by id.
    pub connector: String,
    /// The kind of the credential that shall come out.
    pub kind: String,
    /// Where the browser goes at the end, with a code.
    pub redirect_url: String,
    /// What the requester gets back with the result.
    pub state: Value,
}

/// What a code is exchanged with: whoever knows the app's own secret is its owner.
pub struct LinkProof {
    /// What the redirect URL received.
    pub code: Secret,
    /// The app's id.
    pub connector: String,
    /// The app's client secret at the provider.
    pub client_secret: Secret,
}

/// What a code was exchanged for.
pub struct Linked {
    /// The app.
    pub connector: ConnectorId,
    /// The kind of the credential.
    pub kind: String,
    /// What the requester wanted back.
    pub state: Value,
    /// What was granted, as the provider said so.
    pub scope: Option<String>,
    /// The tokens, or what stands for them.
    pub tokens: LinkedTokens,
}

/// The tokens of a link flow, or what stands for them.
pub enum LinkedTokens {
    /// Makes one credential, in time.
    Handle(Secret),
    /// The tokens themselves. Nothing of them is kept here.
    Revealed {
        /// The access token.
        access: Secret,
        /// The refresh token.
        refresh: Option<Secret>,
        /// The end of the access token.
        expires_at: Option<Timestamp>,
    },
}

/// What begins a handle, so that it is told from a token.
const HANDLE: &str = "sqh_";

/// How a start URL's secret part is stored; never the hash of a verifier, so that whoever sees the URL, a user,
/// has nothing that a consent's requester could have.
fn of_start(token: &Secret) -> [u8; 32] {
    sha256(&[b"grantry/link-start/v1\0", token.expose().as_bytes()])
}

/// How a code is stored: as every other held consent's.
fn of_code(code: &Secret) -> [u8; 32] {
    sha256(&[code.expose().as_bytes()])
}

/// How a handle is stored; never the hash of a code, so that neither passes for the other.
fn of_handle(handle: &Secret) -> [u8; 32] {
    sha256(&[b"grantry/link-handle/v1\0", handle.expose().as_bytes()])
}

impl Engine {
    /// Makes the URL path's secret part, under which a user is sent to the provider, once.
    pub async fn start_link(&self, caller: &Caller, ask: AskLink) -> Result<Secret> {
        caller.require(Act::ImportConnections)?;
        let entry = self.live_connector(caller, &ask.connector).await?;
        let mut problems = Vec::new();
        if types::user_tokens(&entry.connector) != Some(UserTokens::Consent) {
            problems.push(Problem::new(
                "connector",
                "has no consent: its keys are pasted",
            ));
        }
        if let Err(message) = self
            .check_return_url(&caller.team, &ask.redirect_url)
            .await?
        {
            problems.push(Problem::new("returnUrl", message));
        }
        if let Some(name) = types::client_secret(&entry.connector) {
            let secrets = self.connector_secrets(&entry.connector).await?;
            if !secrets.contains_key(name) {
                let message =
                    "has no client secret here, which the exchange of the code is proved by";
                problems.push(Problem::new("connector", message));
            }
            problems.extend(self.missing_of(&entry.connector).await?);
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        // Whose account it is, and so which credential, is known at the end.
        let subject = Subject::Connection { id: self.uuid() };
        let ask_token = AskToken {
            subject: Some(subject),
            ..AskToken::default()
        };
        let grant = self.grant_of(&caller.as_server(), &entry, ask_token)?;
        let now = self.now();
        let token = Secret::new(entropy::alphanumeric(self.entropy(), VERIFIER_CHARS));
        let authorization = Authorization {
            id: AuthorizationId::mint(now, self.entropy()),
            team: caller.team.clone(),
            grant,
            requested_by: caller.actor.clone(),
            requester: self.requester(caller).await?,
            verifier: of_start(&token),
            device_code: None,
            return_url: Some(ask.redirect_url),
            prompt: None,
            additional_params: Map::new(),
            confirm: true,
            embed: None,
            webhook: None,
            install: None,
            state: AuthorizationState::Pending,
            created_at: now,
            expires_at: now.after(self.settings.limits.authorization_time),
        };
        let link = LinkFlow {
            authorization: authorization.id.clone(),
            team: caller.team.clone(),
            kind: ask.kind,
            state: ask.state,
            started_at: None,
            expires_at: now.after(self.settings.limits.link_time_max),
        };
        let event = self
            .draft(EventKind::AuthorizationRequested, caller)
            .connector(&entry.connector.id)
            .with("authorization", authorization.id.as_str())
            .done();
        let store = &self.ports.store;
        store
            .create_link_flow(&authorization, &link, &event)
            .await?;
        Ok(token)
    }

    /// The link flow of an authorization, if it is one's.
    pub(super) async fn link_flow_of(
        &self,
        authorization: &Authorization,
    ) -> Result<Option<LinkFlow>, StoreError> {
        let may_link = authorization.confirm
            && matches!(authorization.grant.subject, Subject::Connection { .. });
        match may_link {
            true => self.ports.store.link_flow(&authorization.id).await,
            false => Ok(None),
        }
    }

    /// Opens a start URL, which works once: state, PKCE and binding cookie as for a consent page's button.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Gone`] for one that is used or late.
    pub async fn open_link(
        self: &Arc<Self>,
        token: &Secret,
        cookie: Option<Secret>,
    ) -> Result<Pressed> {
        let store = &self.ports.store;
        let found = store.authorization_by_verifier(&of_start(token)).await?;
        let authorization = found.ok_or(Error::NotFound("link"))?;
        let link = self.link_flow_of(&authorization).await?;
        let link = link.ok_or(Error::NotFound("link"))?;
        let now = self.now();
        if link.started_at.is_some() || now >= link.expires_at || !is_open(&authorization, now) {
            return Err(Error::Gone("link"));
        }
        let (flow, pressed) = self.flow_of(&authorization, cookie, false).await?;
        match store.start_link_flow(&flow).await {
            Err(StoreError::Missing(_)) => Err(Error::Gone("link")),
            started => {
                started?;
                Ok(pressed)
            }
        }
    }

    /// Exchanges the code that a redirect URL received. A wrong secret does not spend it.
    ///
    /// # Errors
    /// [`Error::Invalid`], the same for whatever does not fit.
    pub async fn exchange_link(&self, proof: &LinkProof) -> Result<Linked> {
        let wrong = || {
            Error::invalid(
                "code",
                "is not, or no longer, a code of this app, or client_id and client_secret are not the app's",
            )
        };
        let store = &self.ports.store;
        let held = store.held_by_code(&of_code(&proof.code)).await?;
        let held = held.ok_or_else(wrong)?;
        let link = store.link_flow(&held.authorization).await?;
        let authorization = store.authorization(&held.authorization).await?;
        let (link, authorization) = link.zip(authorization).ok_or_else(wrong)?;
        let connector = self.connector_of(&authorization).await?.ok_or_else(wrong)?;
        let secrets = self.connector_secrets(&connector).await?;
        let secret = secrets.get(types::client_secret(&connector).unwrap_or_default());
        let secret = secret.map_or("", Secret::expose);
        let given = proof.client_secret.expose();
        let theirs = !secret.is_empty() && constant_time_eq(secret.as_bytes(), given.as_bytes());
        if !theirs || proof.connector != connector.id.as_str() || self.now() >= held.expires_at {
            return Err(wrong());
        }
        let scope = held.set.scope.clone();
        let tokens = if self.settings.reveal_secrets {
            self.hand_out(&authorization, &held).await
        } else {
            self.exchange_for_handle(&authorization, &held).await
        };
        let tokens = tokens.map_err(|error| match error {
            Error::NotFound(_) => wrong(),
            error => error,
        })?;
        Ok(Linked {
            connector: connector.id,
            kind: link.kind,
            state: link.state,
            scope,
            tokens,
        })
    }

    async fn exchange_for_handle(
        &self,
        authorization: &Authorization,
        held: &HeldConsent,
    ) -> Result<LinkedTokens> {
        let random = entropy::alphanumeric(self.entropy(), CODE_CHARS);
        let handle = Secret::new(format!("{HANDLE}{random}"));
        let swap = CodeSwap {
            authorization: held.authorization.clone(),
            connector: held.connector.clone(),
            old: held.code,
            new: of_handle(&handle),
            expires_at: self.now().after(self.settings.limits.link_time_max),
        };
        let event = self.of_link(EventKind::LinkExchanged, authorization).done();
        match self.ports.store.swap_code(&swap, &event).await {
            Err(StoreError::Missing(_)) => Err(Error::NotFound("code")),
            swapped => {
                swapped?;
                Ok(LinkedTokens::Handle(handle))
            }
        }
    }

    async fn hand_out(
        &self,
        authorization: &Authorization,
        held: &HeldConsent,
    ) -> Result<LinkedTokens> {
        let set = &held.set;
        let open = async |half, sealed| self.open_token(&set.team, &set.id, half, sealed).await;
        let access = open(Half::Access, &set.access).await?;
        let refresh = match &set.refresh {
            Some(refresh) => Some(open(Half::Refresh, refresh).await?),
            None => None,
        };
        let state = AuthorizationState::Error {
            code: "handed_out".to_owned(),
        };
        let event = self
            .of_link(EventKind::ConnectionRevealed, authorization)
            .done();
        let store = &self.ports.store;
        match store.hand_out_consent(held, &state, &event).await {
            Err(StoreError::Missing(_)) => Err(Error::NotFound("code")),
            handed => {
                handed?;
                Ok(LinkedTokens::Revealed {
                    access,
                    refresh,
                    expires_at: set.access_expires_at,
                })
            }
        }
    }

    /// An event of a link flow: done for whoever asked for it.
    fn of_link(&self, kind: EventKind, authorization: &Authorization) -> crate::events::Draft {
        crate::events::Draft::new(
            kind,
            Some(&authorization.team),
            authorization.requested_by.clone(),
            self.now(),
            self.entropy(),
        )
        .connector(&authorization.grant.connector)
        .with("authorization", authorization.id.as_str())
    }

    /// Makes a credential of what is held under a handle. Single use.
    pub(crate) async fn credential_of_handle(
        self: &Arc<Self>,
        caller: &Caller,
        handle: &Secret,
        new: NewCredential,
    ) -> Result<CredentialView> {
        let wrong = || {
            Error::invalid(
                "properties",
                "has a handle that is not, or no longer, one of a link flow of this app",
            )
        };
        let entry = self.live_connector(caller, &new.connector).await?;
        let store = &self.ports.store;
        let held = store.held_by_code(&of_handle(handle)).await?;
        let held = held
            .filter(|held| held.team == caller.team && held.connector == entry.connector.id)
            .ok_or_else(wrong)?;
        let link = store.link_flow(&held.authorization).await?;
        let authorization = store.authorization(&held.authorization).await?;
        let (link, authorization) = link.zip(authorization).ok_or_else(wrong)?;
        if link.kind != new.kind {
            let message = format!("must be {}, which the link flow was started for", link.kind);
            return Err(Error::invalid("properties.kind", message));
        }
        let account = new.account.clone().or(held.external_subject.clone());
        let id = match &account {
            Some(account) => Self::credential_id(&entry.connector.id, &new.kind, account),
            None => ConnectionId::from(self.uuid()),
        };
        // Once it is stored nothing may fail any more.
        let app = ConnectorView::of(&entry, &*self.catalogue().await?);
        let (id, standing) = self.standing_among(caller, vec![id]).await?;
        let (credential, mut stays) =
            self.credential_row(caller, &id, &new, standing.as_ref(), None);
        let standing = standing.map(|standing| standing.connection);
        let stood = standing.as_ref().and_then(|stood| stood.name.clone());
        // Who has no name gets the account's.
        stays.name &= stood.is_some();
        let name = new.name.or(stood);
        let asked = AskToken {
            subject: Some(Subject::Connection { id: id.to_string() }),
            ..AskToken::default()
        };
        let authorization = Authorization {
            grant: self.grant_of(&caller.as_server(), &entry, asked)?,
            ..authorization
        };
        let account = Account {
            name: name.or(held.name.clone()),
            subject: account,
            claims: Map::new(),
        };
        let connection = self.consented(&authorization, standing, account, id.clone());
        let set = TokenSet {
            connection: id.clone(),
            ..held.set.clone()
        };
        let event = self
            .draft(EventKind::AuthorizationCompleted, caller)
            .connector(&entry.connector.id)
            .connection(&id)
            .with("authorization", held.authorization.as_str())
            .done();
        let confirmed = store
            .confirm_credential(&held, &connection, &set, &credential, stays, &event)
            .await;
        self.caches.lives.invalidate(&id);
        match confirmed {
            Err(StoreError::Missing("held_consent" | "authorization")) => Err(wrong()),
            // The handle is not spent.
            Err(StoreError::Taken(_)) => Err(Error::busy(
                "the same credential is being taken in by another request: try again",
            )),
            confirmed => {
                confirmed?;
                Ok(CredentialView {
                    connection,
                    kept: Some(credential),
                    connector: app,
                })
            }
        }
    }
}

/// Whether a text that stands where a secret is expected is a link flow's handle.
pub fn is_handle(text: &str) -> bool {
    text.strip_prefix(HANDLE)
        .is_some_and(|rest| rest.len() == CODE_CHARS)
}

//! What a consent link shows. Looking changes nothing: link scanners do it too (design §7).

use grantry_core::ids::{AuthorizationId, ConnectionId};
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Connector, Embed, Scopes, Service, Subject,
};
use grantry_core::{Error, Result, Secret, Timestamp};
use grantry_oauth::server::Endpoint;
use serde_json::Value;
use url::Url;

use super::sign_in::signs_in;
use crate::Engine;
use crate::connectors::types::{self, UserTokens};
use crate::connectors::{installing, service_name, user_scopes};

/// State of a consent link.
pub enum Consent {
    /// The user can decide.
    Ask(Box<ConsentPage>),
    /// It ended: with a connection, a refusal or an error.
    Ended(Box<ConsentResult>),
    /// Nobody decided in time, or its connector is gone.
    Expired,
}

/// What the user is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentPage {
    /// The authorization.
    pub id: AuthorizationId,
    /// Who asks: project and team.
    pub requester: String,
    /// The connector's name.
    pub connector: String,
    /// The service's name.
    pub service: String,
    /// The application's own name for the user; empty where the connection is the team's.
    pub subject: String,
    /// Where the connection will be used.
    pub environment: String,
    /// What it may do; empty when the provider decides.
    pub scopes: Vec<String>,
    /// The application is to be installed in a tenant, in place of connecting a person.
    pub install: bool,
    /// To compare with what the requester shows.
    pub device_code: Option<String>,
    /// Origin of the provider's page, for the content security policy.
    pub provider_origin: Option<String>,
    /// Set when the user pastes a key here instead of going to the provider; instructions, may be empty.
    pub paste: Option<String>,
    /// The connector's image, at this server.
    pub icon: Option<String>,
    /// What is behind it.
    pub background_color: Option<String>,
    /// Of the button.
    pub accent_color: Option<String>,
    /// Where "no" leads.
    pub return_url: Option<String>,
    /// Origins in whose windows the page may stand, and which it speaks to; none for a page of its own.
    pub embedded_in: Option<Vec<String>>,
}

/// How a consent ended.
#[derive(Clone)]
pub struct ConsentResult {
    /// The authorization.
    pub id: AuthorizationId,
    /// The state, possibly still pending.
    pub state: AuthorizationState,
    /// The connector.
    pub connector: String,
    /// Who asked: project and team.
    pub requester: String,
    /// The service's name.
    pub service: String,
    /// Where the browser may go on, checked again.
    pub return_url: Option<String>,
    /// What the return URL receives and the requester posts back (design §7).
    pub code: Option<Secret>,
    /// It is a link flow's, whose return URL is told how it ended.
    pub link: bool,
    /// As [`ConsentPage::embedded_in`].
    pub embedded_in: Option<Vec<String>>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// The provider's id of what was installed.
    pub installation: Option<String>,
}

impl Engine {
    /// What the link of `id` shows. [`Error::NotFound`] for an id that never was.
    pub async fn consent(&self, id: &AuthorizationId) -> Result<Consent> {
        let authorization = self
            .ports
            .store
            .authorization(id)
            .await?
            .ok_or(Error::NotFound("authorization"))?;
        if authorization.state != AuthorizationState::Pending {
            return Ok(Consent::Ended(Box::new(self.result(authorization).await?)));
        }
        // A link flow and a sign-in have no page: their start URLs lead to the provider.
        if signs_in(&authorization) || self.link_flow_of(&authorization).await?.is_some() {
            return Err(Error::NotFound("authorization"));
        }
        let connector = self.connector_of(&authorization).await?;
        let Some(connector) = connector.filter(|_| is_open(&authorization, self.now())) else {
            // Whoever waits for it in a window of their own is told.
            if authorization.embed.is_some() {
                let state = expired();
                let over = Authorization {
                    state,
                    ..authorization
                };
                return Ok(Consent::Ended(Box::new(self.result(over).await?)));
            }
            return Ok(Consent::Expired);
        };
        let catalogue = self.catalogue().await?;
        let row = catalogue.of(&connector);
        let provider_origin = if types::speaks_oauth(&connector) {
            let client = self.oauth_client(&connector).await?;
            let way_in = installing(&connector).filter(|_| authorization.install.is_some());
            let url = match way_in.and_then(|way_in| way_in.page) {
                Some(page) => Url::parse(page).ok(),
                None => client.server.url(Endpoint::Authorization).ok(),
            };
            url.map(|url| url.origin().ascii_serialization())
        } else {
            None
        };
        let paste = (types::user_tokens(&connector) == Some(UserTokens::Pasted)).then(|| {
            connector
                .data
                .get("instructions")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        });
        Ok(Consent::Ask(Box::new(ConsentPage {
            requester: authorization.requester.clone(),
            service: service_name(&connector.service, row),
            subject: subject_label(&authorization.grant.subject),
            environment: authorization.grant.environment.to_string(),
            scopes: asked_scopes(&connector, row, &authorization),
            install: authorization.install.is_some(),
            device_code: authorization.device_code.clone(),
            provider_origin,
            paste,
            icon: connector
                .icon
                .as_ref()
                .map(|digest| self.icon_url(&connector.team, digest)),
            background_color: connector.background_color.clone(),
            accent_color: connector.accent_color.clone(),
            return_url: self.return_url(&authorization).await?.map(String::from),
            embedded_in: self.embedded_in(&authorization).await?,
            connector: connector.name,
            id: authorization.id,
        })))
    }

    /// The state of a consent by the handle that its requester got (reference/vercel-connect E3).
    pub async fn consent_result(
        &self,
        verifier: &str,
    ) -> Result<(Option<ConnectionId>, ConsentResult)> {
        let handle = grantry_vault::hash::sha256(&[verifier.as_bytes()]);
        let authorization = self.ports.store.authorization_by_verifier(&handle).await?;
        let authorization = authorization.ok_or(Error::NotFound("result"))?;
        let state = self.state_now(&authorization).await?;
        let mut result = self.result(authorization).await?;
        result.state = state;
        let connection = match &result.state {
            AuthorizationState::Success { connection } => Some(connection.clone()),
            _ => None,
        };
        Ok((connection, result))
    }

    /// The state, in which time that has run out is told before the row knows it.
    pub(super) async fn state_now(
        &self,
        authorization: &Authorization,
    ) -> Result<AuthorizationState> {
        let now = self.now();
        let in_time = match authorization.state {
            AuthorizationState::Pending => now < authorization.expires_at,
            AuthorizationState::Unconfirmed => {
                let held = self.ports.store.held_consent(&authorization.id).await?;
                held.is_some_and(|held| now < held.expires_at)
            }
            _ => true,
        };
        Ok(if in_time {
            authorization.state.clone()
        } else {
            expired()
        })
    }

    pub(super) async fn result(&self, authorization: Authorization) -> Result<ConsentResult> {
        let store = &self.ports.store;
        let return_url = self.return_url(&authorization).await?.map(String::from);
        let link = self.link_flow_of(&authorization).await?.is_some();
        let connector = &authorization.grant.connector;
        // A deleted connector's row stays, so a consent that ended keeps its name.
        let row = store
            .connector(&authorization.team, connector.as_str())
            .await?;
        let service = row.map_or_else(|| connector.to_string(), |row| row.service);
        let catalogue = self.catalogue().await?;
        let known = catalogue.service(&service);
        let embedded_in = self.embedded_in(&authorization).await?;
        let installation = match (&authorization.install, &authorization.state) {
            (Some(_), AuthorizationState::Success { connection }) => {
                let made = store.connection(&authorization.team, connection).await?;
                made.and_then(|live| live.connection.grant.installation)
            }
            _ => None,
        };
        Ok(ConsentResult {
            installation,
            embedded_in,
            asked_at: authorization.created_at,
            state: authorization.state,
            connector: connector.to_string(),
            requester: authorization.requester,
            service: service_name(&service, known),
            return_url,
            code: None,
            link,
            id: authorization.id,
        })
    }

    /// Whether the link's consent is over, for a page that waits for it.
    pub async fn consent_is_over(&self, id: &AuthorizationId) -> Result<bool> {
        let found = self.ports.store.authorization(id).await?;
        Ok(!is_open(
            &found.ok_or(Error::NotFound("authorization"))?,
            self.now(),
        ))
    }

    /// The connection that a consent ended with, for its own page, and the service it is of.
    pub async fn consented_connection(
        &self,
        id: &AuthorizationId,
    ) -> Result<Option<(Connection, String)>> {
        let store = &self.ports.store;
        let Some(authorization) = store.authorization(id).await? else {
            return Ok(None);
        };
        let AuthorizationState::Success { connection } = &authorization.state else {
            return Ok(None);
        };
        let Some(live) = store.connection(&authorization.team, connection).await? else {
            return Ok(None);
        };
        let connector = authorization.grant.connector.as_str();
        let row = store.connector(&authorization.team, connector).await?;
        let service = row.map_or_else(|| connector.to_owned(), |row| row.service);
        Ok(Some((live.connection, service)))
    }

    /// The origins of an authorization whose page may stand in other windows.
    async fn embedded_in(&self, authorization: &Authorization) -> Result<Option<Vec<String>>> {
        match &authorization.embed {
            None => Ok(None),
            Some(Embed {
                origin: Some(origin),
            }) => Ok(Some(vec![origin.clone()])),
            Some(Embed { origin: None }) => {
                self.return_origins(&authorization.team).await.map(Some)
            }
        }
    }

    /// The live connector of an authorization.
    pub(super) async fn connector_of(
        &self,
        authorization: &Authorization,
    ) -> Result<Option<Connector>> {
        let id = authorization.grant.connector.as_str();
        let connector = self.ports.store.connector(&authorization.team, id).await?;
        Ok(connector.filter(|connector| connector.deleted_at.is_none()))
    }

    /// The return URL, if it still passes the check it passed at the start.
    pub(super) async fn return_url(&self, authorization: &Authorization) -> Result<Option<Url>> {
        match &authorization.return_url {
            Some(url) => Ok(self.check_return_url(&authorization.team, url).await?.ok()),
            None => Ok(None),
        }
    }
}

/// Nobody decided, or confirmed, in time.
pub fn expired() -> AuthorizationState {
    AuthorizationState::Error {
        code: "expired".to_owned(),
    }
}

/// Pending and in time.
pub fn is_open(authorization: &Authorization, now: Timestamp) -> bool {
    authorization.state == AuthorizationState::Pending && now < authorization.expires_at
}

/// The scopes that a request asks for: for an installation, those that it has of its own.
pub fn asked_scopes(
    connector: &Connector,
    service: Option<&Service>,
    authorization: &Authorization,
) -> Vec<String> {
    let asked = &authorization.grant.scopes;
    let way_in = installing(connector).filter(|_| authorization.install.is_some());
    let own = way_in.and_then(|way_in| way_in.scopes);
    match own.filter(|_| *asked == Scopes::Default) {
        Some(scopes) => scopes,
        None => consent_scopes(connector, service, asked),
    }
}

/// The scopes that are asked for: the caller's, else the connector's, else the catalogue's usual ones.
pub fn consent_scopes(
    connector: &Connector,
    service: Option<&Service>,
    asked: &Scopes,
) -> Vec<String> {
    if let Scopes::Exactly(scopes) = asked {
        return scopes.clone();
    }
    let configured = user_scopes(connector);
    if !configured.is_empty() {
        return configured;
    }
    let usual = service
        .and_then(|service| service.data.get("common_scopes"))
        .and_then(Value::as_array);
    usual
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn subject_label(subject: &Subject) -> String {
    match subject {
        Subject::User { id, .. } => id.clone(),
        // Its id says nothing to a person.
        Subject::Connection { .. } => String::new(),
        Subject::JwtBearer { sub, .. } => sub.clone().unwrap_or_default(),
        Subject::Token | Subject::App => String::new(),
    }
}

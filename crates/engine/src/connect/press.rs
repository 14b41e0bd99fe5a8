//! The button of the consent page.

use std::collections::BTreeMap;
use std::sync::Arc;

use grantry_core::ids::{AuthorizationId, ConnectionId};
use grantry_core::limits::TOKEN_BYTES_MAX;
use grantry_core::nouns::{
    Actor, Authorization, AuthorizationState, Connection, ConnectionState, Connector, Event,
    EventKind, Flow, Installation, Subject, TokenSet,
};
use grantry_core::{Entropy, Error, Result, Secret, StoreError, entropy};
use grantry_oauth::authorize::{self, Authorize, PushError};
use grantry_oauth::pkce;
use grantry_oauth::text::Redaction;
use grantry_vault::hash::{Handle, HandleKind, s256};
use serde_json::{Map, Value};

use super::claimed::page_url;
use super::flow::{NewFlow, nonce_of};
use super::identity::Account;
use super::page::{ConsentResult, asked_scopes, is_open};
use super::sign_in::signs_in;
use crate::Engine;
use crate::catalogue::authorize_params;
use crate::connectors::types::{self, UserTokens};
use crate::connectors::{OauthClient, install_page, installing, redirect_uri};
use crate::events::Draft;
use crate::tokens::{NewPair, PAUSE, TRIES};

/// Characters of the binding cookie: 256 bits.
pub const COOKIE_CHARS: usize = 43;

/// Where the browser goes after the button, and what it has to bring back.
pub struct Pressed {
    /// The provider's authorization URL. Go there with 303.
    pub url: url::Url,
    /// Value of the binding cookie.
    pub cookie: Secret,
}

impl Engine {
    /// Mints state, PKCE and, unless the browser has one, the binding cookie (design §7).
    ///
    /// `replaces`: the user has seen that another account is connected and wants this one instead.
    #[tracing::instrument(target = "grantry_spans", name = "press", skip_all)]
    pub async fn press(
        self: &Arc<Self>,
        id: &AuthorizationId,
        cookie: Option<Secret>,
        replaces: bool,
    ) -> Result<Pressed> {
        let authorization = self.open_authorization(id).await?;
        let (flow, pressed) = self.flow_of(&authorization, cookie, replaces).await?;
        self.ports
            .store
            .start_flow(&flow)
            .await
            .map_err(|error| match error {
                StoreError::Missing(_) => Error::Gone("authorization"),
                other => other.into(),
            })?;
        Ok(pressed)
    }

    /// A flow that is not stored yet, and where it leads.
    pub(super) async fn flow_of(
        self: &Arc<Self>,
        authorization: &Authorization,
        cookie: Option<Secret>,
        replaces: bool,
    ) -> Result<(Flow, Pressed)> {
        let connector = self
            .connector_of(authorization)
            .await?
            .ok_or(Error::Gone("connector"))?;
        if types::user_tokens(&connector) == Some(UserTokens::Pasted) {
            return Err(Error::invalid(
                "key",
                "is required: this connector takes a pasted key",
            ));
        }
        let connector = self.enrolled(&connector).await?;
        let on = authorization.install.as_ref().zip(install_page(&connector));
        let oauth = match on {
            Some((wanted, page)) => self.client_on_page(wanted, &connector, page).await?,
            None => self.oauth_client(&connector).await?,
        };
        self.keys.ready(&authorization.team).await?;

        let (state, verifier) = (pkce::state(self.entropy()), pkce::verifier(self.entropy()));
        let cookie = browser_cookie(cookie, self.entropy());
        let browser = *Handle::of(HandleKind::Binding, cookie.expose()).as_bytes();
        let new = NewFlow {
            state: &state,
            verifier: &verifier,
            browser,
            server: &oauth.server,
            redirect_uri: redirect_uri(&connector),
            replaces,
            terms_at: connector.terms_at,
        };
        let flow = self.new_flow(authorization, &new)?;
        if let Some((_, page)) = on {
            let url = page_url(page, &connector, &oauth, &flow.redirect_uri, &state)?;
            return Ok((flow, Pressed { url, cookie }));
        }

        let catalogue = self.catalogue().await?;
        let row = catalogue.of(&connector);
        let scope = asked_scopes(&connector, row, authorization);
        let way_in = installing(&connector).filter(|_| authorization.install.is_some());
        let details = &authorization.grant.details;
        let details = (!details.is_empty()).then(|| Value::Array(details.clone()));
        // The service's own first; what stands later takes the place of what has the same name.
        let configured = connector.data.get("authorizationUrlParams");
        let extra = [
            authorize_params(row),
            configured.and_then(Value::as_object),
            way_in.as_ref().and_then(|way_in| way_in.params),
            Some(&authorization.additional_params),
        ];
        let mut extra: BTreeMap<String, String> = extra.into_iter().flat_map(strings).collect();
        let fixed = way_in.as_ref().map_or(&[][..], |way_in| way_in.fixed);
        let fixed = fixed
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        extra.extend(fixed);
        let mut extra: Vec<(String, String)> = extra.into_iter().collect();
        let apart = types::of(connector.kind).user_scope_param;
        let mut scope = scope;
        if let Some(param) = apart.filter(|_| authorization.grant.subject != Subject::App) {
            let separator = oauth.quirks.scope_separator.to_string();
            extra.retain(|(name, _)| name != param);
            extra.push((
                param.to_owned(),
                std::mem::take(&mut scope).join(&separator),
            ));
        }
        let default_audience = connector
            .data
            .get("defaultAudience")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let nonce = nonce_of(&verifier);
        let request = Authorize {
            client_id: &oauth.client.id,
            redirect_uri: &flow.redirect_uri,
            state: state.expose(),
            challenge: &s256(verifier.expose()),
            nonce: &nonce,
            scope: &scope,
            scope_separator: oauth.quirks.scope_separator,
            resources: &oauth.resources(&authorization.grant.resources)?,
            audience: authorization
                .grant
                .audience
                .first()
                .map_or(default_audience, String::as_str),
            authorization_details: details.as_ref(),
            prompt: prompt_of(authorization.prompt.as_deref(), &scope),
            extra: &extra,
        };
        let page = way_in.and_then(|way_in| way_in.page);
        let pushed = match page {
            Some(_) => None,
            None => self.pushed(&connector, &oauth, &request).await?,
        };
        let url = match (pushed, page) {
            (Some(request_uri), _) => request.pushed_url(&oauth.server, &request_uri),
            (None, None) => request.url(&oauth.server),
            (None, Some(page)) => {
                let mut asked = oauth.server.clone();
                asked.authorization_endpoint = Some(page.to_owned());
                request.url(&asked)
            }
        };
        let url = url.map_err(|error| Error::Unresolvable {
            reason: error.to_string(),
        })?;
        Ok((flow, Pressed { url, cookie }))
    }

    /// Pushes the request to a server that takes that (RFC 9126): nobody can change it in the browser. Where it is not
    /// demanded, a server that does not answer there is asked by the browser.
    async fn pushed(
        &self,
        connector: &Connector,
        oauth: &OauthClient,
        request: &Authorize<'_>,
    ) -> Result<Option<String>> {
        let demanded = oauth.server.require_pushed_authorization_requests == Some(true);
        if oauth.server.pushed_authorization_request_endpoint.is_none() {
            let reason =
                "the authorization server demands pushed requests and has no endpoint for them";
            return match demanded {
                true => Err(Error::Unresolvable {
                    reason: reason.to_owned(),
                }),
                false => Ok(None),
            };
        }
        let client = oauth.presented(self.entropy(), self.now())?;
        let push = request.push(&oauth.server, &client);
        let push = push.map_err(|error| Error::Unresolvable {
            reason: error.to_string(),
        })?;
        let redaction = Redaction::of(&push);
        match authorize::pushed(self.ports.http.send(push).await, &redaction) {
            Ok(request_uri) => {
                self.was_taken(connector).await;
                Ok(Some(request_uri))
            }
            Err(PushError::Unavailable) if !demanded => Ok(None),
            Err(PushError::Unavailable) => Err(Error::Provider {
                code: "unreachable",
                timeout: false,
                retry_after: None,
            }),
            Err(PushError::Client(code)) => {
                self.fault(connector, &code).await?;
                Err(Error::ConnectorFault)
            }
            Err(refused @ PushError::Refused { .. }) => Err(Error::Unresolvable {
                reason: refused.to_string(),
            }),
        }
    }

    /// The user says no on our own page.
    pub async fn decline(&self, id: &AuthorizationId) -> Result<ConsentResult> {
        let authorization = self.open_authorization(id).await?;
        self.end_authorization(&authorization, AuthorizationState::Canceled)
            .await
    }

    /// The user pastes a key (connectors whose users bring their own).
    pub async fn paste(
        self: &Arc<Self>,
        id: &AuthorizationId,
        key: Secret,
    ) -> Result<ConsentResult> {
        let authorization = self.open_authorization(id).await?;
        let connector = self
            .connector_of(&authorization)
            .await?
            .ok_or(Error::Gone("connector"))?;
        if types::user_tokens(&connector) != Some(UserTokens::Pasted) {
            return Err(Error::invalid(
                "key",
                "is not taken here: the provider asks the user itself",
            ));
        }
        let key = Secret::new(key.expose().trim());
        let legal = key
            .expose()
            .bytes()
            .all(|byte| (b'!'..=b'~').contains(&byte));
        if key.is_empty() || key.expose().len() > TOKEN_BYTES_MAX || !legal {
            return Err(Error::invalid(
                "key",
                format!("must be 1 to {TOKEN_BYTES_MAX} visible characters without spaces"),
            ));
        }
        let pair = NewPair {
            access: key,
            expires_in: None,
            refresh: None,
            refresh_ends: None,
            scope: None,
            metadata: Map::new(),
            servers: None,
        };
        let standing = self.connected(&authorization).await?;
        self.store_consent(&authorization, standing, pair, Account::default(), false)
            .await
    }

    pub(super) async fn open_authorization(&self, id: &AuthorizationId) -> Result<Authorization> {
        let authorization = self
            .ports
            .store
            .authorization(id)
            .await?
            .ok_or(Error::NotFound("authorization"))?;
        if signs_in(&authorization) || self.link_flow_of(&authorization).await?.is_some() {
            // It is begun by its start URL alone, once.
            Err(Error::NotFound("authorization"))
        } else if is_open(&authorization, self.now()) {
            Ok(authorization)
        } else {
            Err(Error::Gone("authorization"))
        }
    }

    /// Stores what a consent brought: the connection of the grant, new or `standing` made whole again.
    /// Where the requester has to confirm it first, it is held (design §7).
    pub(super) async fn store_consent(
        self: &Arc<Self>,
        authorization: &Authorization,
        standing: Option<Connection>,
        pair: NewPair,
        account: Account,
        replaces: bool,
    ) -> Result<ConsentResult> {
        let new = match &authorization.grant.subject {
            // It was named when it was asked for.
            Subject::Connection { id } => ConnectionId::from(id.as_str()),
            _ => ConnectionId::mint(self.now(), self.entropy()),
        };
        let connection = self.consented(authorization, standing, account, new);
        let set = self
            .token_set(&authorization.team, &connection.id, pair)
            .await?;
        if authorization.confirm {
            return self.hold(authorization, connection, set, replaces).await;
        }
        let event = self
            .end_user_draft(EventKind::AuthorizationCompleted, authorization)
            .connection(&connection.id);
        let event = self.with_scopes(event, authorization, &set).await.done();
        let completed = self
            .commit_consent(authorization, None, &connection, &set, &event)
            .await;
        self.caches.lives.invalidate(&connection.id);
        match completed {
            Ok(()) => {}
            // It may be stored after all, and then it is live.
            Err(outage) if outage.is_outage() => return Err(outage.into()),
            Err(refused) => {
                self.revoke_orphan(authorization, &connection.id, set).await;
                return Err(match refused {
                    StoreError::Missing(_) => Error::Gone("authorization"),
                    // Another consent for the same grant was stored a moment ago.
                    StoreError::Taken(_) => Error::conflict(
                        "another consent for this account was completed at the same time",
                    ),
                    other => other.into(),
                });
            }
        }
        let state = AuthorizationState::Success {
            connection: connection.id,
        };
        self.result(Authorization {
            state,
            ..authorization.clone()
        })
        .await
    }

    /// The connection that a consent makes: `standing` made whole again, or a new one.
    pub(super) fn consented(
        &self,
        authorization: &Authorization,
        standing: Option<Connection>,
        account: Account,
        new: ConnectionId,
    ) -> Connection {
        let (name, external_subject) = (account.name, account.subject);
        let now = self.now();
        match standing {
            Some(standing) => Connection {
                state: ConnectionState::Active,
                name,
                external_subject,
                imported: false,
                updated_at: now,
                ..standing
            },
            None => Connection {
                id: new,
                team: authorization.team.clone(),
                grant: authorization.grant.clone(),
                state: ConnectionState::Active,
                name,
                external_subject,
                imported: false,
                created_at: now,
                updated_at: now,
            },
        }
    }

    /// Stores a consent, as often as the store fails to say whether it did. A commit that seemed to
    /// fail is known by its set's id (design §6e). An installation comes with whether it may be the connector's default.
    pub(super) async fn commit_consent(
        &self,
        authorization: &Authorization,
        installation: Option<(&Installation, bool)>,
        connection: &Connection,
        set: &TokenSet,
        event: &Event,
    ) -> Result<(), StoreError> {
        let store = &self.ports.store;
        let mut tries = 0;
        loop {
            tries += 1;
            let sets = std::slice::from_ref(set);
            let id = &authorization.id;
            let completed = match installation {
                None => {
                    store
                        .complete_authorization(id, connection, sets, event)
                        .await
                }
                Some((installation, default)) => {
                    store
                        .complete_installation(id, installation, default, connection, sets, event)
                        .await
                }
            };
            let Err(error) = completed else {
                return Ok(());
            };
            let stored = store.connection(&connection.team, &connection.id).await;
            let error = match stored {
                Ok(Some(live)) if live.sets.iter().any(|stored| stored.id == set.id) => {
                    return Ok(());
                }
                Ok(_) => error,
                // Whether it is stored is not known, whatever the last try said.
                Err(_) => StoreError::Unavailable,
            };
            if !error.is_outage() || tries == TRIES {
                return Err(error);
            }
            self.ports.clock.sleep(PAUSE).await;
        }
    }

    /// Ends an authorization without a connection.
    pub(super) async fn end_authorization(
        &self,
        authorization: &Authorization,
        state: AuthorizationState,
    ) -> Result<ConsentResult> {
        let code = match &state {
            AuthorizationState::Error { code } => code.clone(),
            _ => "canceled".to_owned(),
        };
        self.end_authorization_for(authorization, state, &code)
            .await
    }

    /// The same for a reason that the log has and the state does not tell.
    pub(super) async fn end_authorization_for(
        &self,
        authorization: &Authorization,
        state: AuthorizationState,
        reason: &str,
    ) -> Result<ConsentResult> {
        let event = self
            .end_user_draft(EventKind::AuthorizationFailed, authorization)
            .with("code", reason)
            .done();
        match self
            .ports
            .store
            .fail_authorization(&authorization.id, &state, &event)
            .await
        {
            Ok(()) => {
                self.result(Authorization {
                    state,
                    ..authorization.clone()
                })
                .await
            }
            Err(StoreError::Missing(_)) => Err(Error::Gone("authorization")),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn end_user_draft(&self, kind: EventKind, authorization: &Authorization) -> Draft {
        Draft::new(
            kind,
            Some(&authorization.team),
            Actor::EndUser,
            self.now(),
            self.entropy(),
        )
        .connector(&authorization.grant.connector)
        .with("authorization", authorization.id.as_str())
    }
}

/// The cookie that a browser is bound by: the one that it has, or a new one.
pub(crate) fn browser_cookie(cookie: Option<Secret>, source: &dyn Entropy) -> Secret {
    let new = || Secret::new(entropy::alphanumeric(source, COOKIE_CHARS));
    cookie.filter(is_cookie).unwrap_or_else(new)
}

/// A value that we could have made. One browser keeps one cookie for all its tabs.
fn is_cookie(value: &Secret) -> bool {
    value.expose().len() == COOKIE_CHARS
        && value
            .expose()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric())
}

/// `offline_access` is only granted to a request that asks for consent (OpenID Connect Core §11).
fn prompt_of<'a>(asked: Option<&'a str>, scope: &[String]) -> &'a str {
    let offline = scope.iter().any(|scope| scope == "offline_access");
    asked.unwrap_or(if offline { "consent" } else { "" })
}

fn strings(object: Option<&Map<String, Value>>) -> Vec<(String, String)> {
    let pairs = object.into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

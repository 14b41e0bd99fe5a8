//! The code becomes a connection.

use std::sync::Arc;

use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Connector, EventKind, FailedExchange, Flow,
    Revocation, TokenSet,
};
use grantry_core::store::{ConnectionFilter, Page};
use grantry_core::{Error, Result, Secret, StoreError};
use grantry_oauth::server::{Endpoint, Server};
use grantry_oauth::text::Redaction;
use grantry_oauth::token::{self, AuthorizationCode, Exchange, Outcome};

use super::callback::CallbackEnd;
use super::flow::{flow_row, nonce_of, verifier_place};
use super::identity::Account;
use super::page::asked_scopes;
use super::sign_in::{Tenant, signs_in};
use crate::Engine;
use crate::connectors::types;
use crate::tokens::{Arrived, CLAIMS, NewPair, PAUSE, TRIES, forwarded_claims, forwards_claims};

/// What a link flow that may go well the next time is told to have ended with (RFC 6749 §4.1.2.1).
const LATER: &str = "temporarily_unavailable";

impl Engine {
    /// Redeems `code` at the server that was frozen when the button was pressed. With an installation that is `claimed` it
    /// is what proves that.
    pub(super) async fn exchange(
        self: Arc<Self>,
        authorization: Authorization,
        flow: Flow,
        server: Server,
        code: Secret,
        claimed: Option<String>,
    ) -> Result<CallbackEnd> {
        let connector = self
            .connector_of(&authorization)
            .await?
            .ok_or(Error::Gone("connector"))?;
        // The client is today's: it is shown only to the server that it is for, and its tokens to that server's API. One that
        // the connector has left since the button was pressed learns no secret of the next.
        let shown_to = |server: &Server| (server.url(Endpoint::Token).ok(), server.api());
        // What was consented to in a tenant is not what the application asks for there since.
        let outdated = authorization.install.is_some() && connector.terms_at != flow.terms_at;
        let stays = match self.oauth_client_at(&connector, claimed.as_deref()).await {
            Ok(now) => !outdated && shown_to(&now.server) == shown_to(&server),
            Err(_) => false,
        };
        if !stays {
            return self
                .exchange_failed(authorization, Outcome::Unknown, "connector_changed")
                .await;
        }
        let oauth = self.oauth_client_of(&connector, server).await?;
        let oauth = oauth.for_subject(&connector, &authorization.grant.subject);
        let row = flow_row(&flow.state);
        let verifier = self
            .keys
            .open_text(verifier_place(flow.team.as_str(), &row), &flow.verifier)
            .await?;
        // What has to be known is read before the code is spent.
        let sent_nonce = self.asks_openid(&authorization, &connector).await?;
        self.keys.ready(&authorization.team).await?;
        let client = oauth.presented(self.entropy(), self.now())?;
        let resources = oauth.resources(&authorization.grant.resources)?;
        let exchange = Exchange {
            server: &oauth.server,
            client: &client,
            quirks: &oauth.quirks,
            resources: &resources,
            details: &authorization.grant.details,
        };
        let grant = AuthorizationCode {
            code: &code,
            redirect_uri: &flow.redirect_uri,
            verifier: &verifier,
        };
        let request = exchange
            .authorization_code(&grant)
            .map_err(|error| Error::Unresolvable {
                reason: error.to_string(),
            })?;
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        let tokens = match token::parse(result, &oauth.quirks, &redaction, self.now()) {
            Ok(tokens) => tokens,
            Err(error) => {
                tracing::info!(authorization = %authorization.id, outcome = ?error.outcome, code = error.code(), detail = %error.detail, "a code exchange brought no token");
                // A bare 401 may be about the code.
                let of_client = error.outcome == Outcome::ClientFault
                    && !(signs_in(&authorization) && error.code() == "unauthorized");
                if of_client && !error.is_about_the_grant_type() {
                    self.fault(&connector, error.code()).await?;
                }
                // Anybody may begin a sign-in, and come back with a code of their own making: then only what the provider
                // says of our client counts, which no code decides.
                if of_client || !signs_in(&authorization) {
                    self.note_exchange(&connector, Some(error.fixed_code()))
                        .await;
                }
                return self
                    .exchange_failed(authorization, error.outcome, error.fixed_code())
                    .await;
            }
        };
        self.was_taken(&connector).await;
        if let Some(claimed) = claimed {
            let nonce = nonce_of(&verifier);
            return self
                .claimed(authorization, &connector, &oauth, claimed, &nonce, tokens)
                .await;
        }
        let told = types::of(connector.kind).account;
        let told = told.filter(|_| authorization.install.is_none());
        let account = match &tokens.id_token {
            // It has to be there (OpenID Connect Core §3.1.3.3): without it nobody knows whose these tokens are.
            None if sent_nonce => None,
            None => match &told {
                None => Some(Account::default()),
                Some(told) => self.account_told(&oauth, told, &tokens.access_token).await,
            },
            Some(id_token) => {
                let nonce = nonce_of(&verifier);
                match self.account(&oauth, id_token, &nonce, sent_nonce).await {
                    Ok(account) => account,
                    Err(error) => {
                        tracing::warn!(authorization = %authorization.id, %error, "an ID token does not hold");
                        // Where the provider knows no PKCE, a code of another flow buys one with another nonce.
                        if !signs_in(&authorization) {
                            self.note_exchange(&connector, Some("invalid_id_token"))
                                .await;
                        }
                        return self
                            .exchange_failed(authorization, Outcome::Config, "invalid_id_token")
                            .await;
                    }
                }
            }
        };
        self.note_exchange(&connector, None).await;
        let (nonce, now) = (nonce_of(&verifier), self.now());
        let tenant = Tenant::proved(&connector, &oauth, &tokens, account.as_ref(), &nonce, now);
        let mut pair = Arrived(tokens).pair(&connector, &oauth, None, now);
        if forwards_claims(&connector) {
            let claims = account.as_ref().map(|account| &account.claims);
            let claims = claims.map(|claims| forwarded_claims(&connector, claims));
            if let Some(claims) = claims.filter(|claims| !claims.is_empty()) {
                pair.metadata.insert(CLAIMS.to_owned(), claims.into());
            }
        }
        if signs_in(&authorization) {
            return self
                .signed_in(&authorization, &connector, &oauth, pair, account, tenant)
                .await;
        }
        if authorization.install.is_some() {
            return self
                .installed(authorization, &connector, &oauth, pair)
                .await;
        }
        let standing = match self.connected(&authorization).await {
            Ok(standing) => standing,
            Err(error) => {
                let never = ConnectionId::mint(self.now(), self.entropy());
                self.drop_pair(&authorization, &never, pair).await?;
                return Err(error.into());
            }
        };
        // Whoever is known to be connected is not replaced unasked, nor forgotten.
        let known = standing
            .as_ref()
            .filter(|known| !flow.replaces && known.external_subject.is_some());
        let account = match (known, account) {
            (None, account) => account.unwrap_or_default(),
            (Some(known), Some(account)) if account.subject.is_none() => Account {
                subject: known.external_subject.clone(),
                name: known.name.clone(),
                ..account
            },
            (Some(known), Some(account)) if account.subject != known.external_subject => {
                let of = ConnectionFilter {
                    external_subject: account.subject.clone(),
                    ..ConnectionFilter::default()
                };
                self.drop_unless_shared(&authorization, &known.id, pair, of)
                    .await?;
                return Ok(CallbackEnd::OtherAccount {
                    id: authorization.id,
                    connected: known.name.clone().or(known.external_subject.clone()),
                    signed_in: account.name.or(account.subject),
                });
            }
            (Some(_), Some(account)) => account,
            (Some(known), None) => {
                // Most likely it is the same account: what it has is not ended for want of an answer.
                let of = ConnectionFilter {
                    external_subject: known.external_subject.clone(),
                    ..ConnectionFilter::default()
                };
                self.drop_unless_shared(&authorization, &known.id, pair, of)
                    .await?;
                return self
                    .exchange_failed(authorization, Outcome::Unknown, "account_unreadable")
                    .await;
            }
        };
        let ended = self
            .store_consent(&authorization, standing, pair, account, flow.replaces)
            .await?;
        Ok(CallbackEnd::Ended(ended))
    }

    /// Keeps how the connector's last code exchange went. What is there to be told is told whatever becomes of that.
    pub(super) async fn note_exchange(&self, connector: &Connector, failed: Option<&str>) {
        if failed.is_none() && connector.failed_exchange.is_none() {
            return;
        }
        let failed = failed.map(|code| FailedExchange {
            code: code.to_owned(),
            at: self.now(),
        });
        let store = &self.ports.store;
        let noted = store.set_failed_exchange(&connector.team, &connector.id, failed.as_ref());
        let noted = noted.await;
        self.forget_connector(&connector.id);
        if let Err(error) = noted {
            tracing::warn!(connector = %connector.id, %error, "how a code exchange went is not kept");
        }
    }

    /// The live connection of the grant that is asked for. The code may be spent by now: a store that
    /// does not answer is asked again.
    pub(super) async fn connected(
        &self,
        authorization: &Authorization,
    ) -> Result<Option<Connection>, StoreError> {
        let Authorization { team, grant, .. } = authorization;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ports.store.connection_by_grant(team, grant).await {
                Err(error) if error.is_outage() && tries < TRIES => {
                    self.ports.clock.sleep(PAUSE).await;
                }
                found => return Ok(found?.map(|live| live.connection)),
            }
        }
    }

    /// Has a pair revoked that is not stored, unless a connection of the same account or installation, which `of` finds,
    /// lives: providers may give both the same token, or end all that an account has with one.
    pub(super) async fn drop_unless_shared(
        &self,
        authorization: &Authorization,
        connection: &ConnectionId,
        pair: NewPair,
        of: ConnectionFilter,
    ) -> Result<()> {
        let of = ConnectionFilter {
            connector: Some(authorization.grant.connector.clone()),
            ..of
        };
        let (store, page) = (&self.ports.store, Page::first(1));
        let sharing = store.connections(&authorization.team, &of, &page).await;
        match sharing {
            Ok(sharing) if !sharing.is_empty() => {
                tracing::info!(authorization = %authorization.id, "a pair that is not wanted is dropped and not revoked: a connection lives that may rest on it");
                Ok(())
            }
            _ => self.drop_pair(authorization, connection, pair).await,
        }
    }

    /// Has a pair revoked that is not stored.
    pub(super) async fn drop_pair(
        &self,
        authorization: &Authorization,
        connection: &ConnectionId,
        pair: NewPair,
    ) -> Result<()> {
        let set = self
            .token_set(&authorization.team, connection, pair)
            .await?;
        self.revoke_orphan(authorization, connection, set).await;
        Ok(())
    }

    /// Whether the authorization request carried a nonce.
    pub(super) async fn asks_openid(
        &self,
        authorization: &Authorization,
        connector: &Connector,
    ) -> Result<bool> {
        let catalogue = self.catalogue().await?;
        let row = catalogue.of(connector);
        Ok(asked_scopes(connector, row, authorization)
            .iter()
            .any(|scope| scope == "openid"))
    }

    /// Definite refusals end the authorization, so that its requester hears of them; anything else
    /// leaves the link open for another try. A link flow is tried once: its redirect URL hears of either. A sign-in, too, but
    /// what anybody may have brought is no line of the log.
    pub(super) async fn exchange_failed(
        &self,
        authorization: Authorization,
        outcome: Outcome,
        code: &'static str,
    ) -> Result<CallbackEnd> {
        match outcome {
            Outcome::ClientFault | Outcome::Config => {
                let state = AuthorizationState::Error {
                    code: code.to_owned(),
                };
                Ok(CallbackEnd::Ended(
                    self.end_as_told(&authorization, state).await?,
                ))
            }
            Outcome::NotProcessed { .. } | Outcome::Unknown | Outcome::Rejected
                if signs_in(&authorization) =>
            {
                Ok(CallbackEnd::TryAgain {
                    id: authorization.id,
                    code,
                })
            }
            Outcome::NotProcessed { .. } | Outcome::Unknown | Outcome::Rejected
                if self.link_flow_of(&authorization).await?.is_some() =>
            {
                let state = AuthorizationState::Error {
                    code: LATER.to_owned(),
                };
                let ended = self.end_authorization_for(&authorization, state, code);
                Ok(CallbackEnd::Ended(ended.await?))
            }
            Outcome::NotProcessed { .. } | Outcome::Unknown | Outcome::Rejected => {
                let event = self
                    .end_user_draft(EventKind::AuthorizationFailed, &authorization)
                    .with("code", code)
                    .done();
                self.ports.store.append_events(&[event]).await?;
                Ok(CallbackEnd::TryAgain {
                    id: authorization.id,
                    code,
                })
            }
        }
    }

    /// A pair that arrived and could not be stored is not left alive (requirement 92).
    pub(super) async fn revoke_orphan(
        &self,
        authorization: &Authorization,
        connection: &ConnectionId,
        set: TokenSet,
    ) {
        let now = self.now();
        let revocation = Revocation {
            set: set.id,
            team: authorization.team.clone(),
            connector: authorization.grant.connector.clone(),
            connection: connection.clone(),
            access: set.access,
            refresh: set.refresh,
            servers: set.servers,
            tries: 0,
            created_at: now,
            not_before: now,
        };
        if let Err(error) = self.ports.store.queue_revocation(&revocation).await {
            tracing::warn!(authorization = %authorization.id, %error, "an orphan token could not be queued for revocation");
        }
    }
}

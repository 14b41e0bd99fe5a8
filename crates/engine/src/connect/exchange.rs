//! The code becomes a connection.

use std::sync::Arc;

use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, Connector, EventKind, Flow, Revocation, TokenSet,
};
use grantry_core::{Error, Result, Secret};
use grantry_oauth::server::Server;
use grantry_oauth::text::Redaction;
use grantry_oauth::token::{self, AuthorizationCode, Exchange, Outcome};

use super::callback::CallbackEnd;
use super::identity::Account;
use super::page::consent_scopes;
use super::press::{flow_row, nonce_of, verifier_place};
use crate::Engine;
use crate::tokens::Arrived;

impl Engine {
    /// Redeems `code` at the server that was frozen when the button was pressed.
    pub(super) async fn exchange(
        self: Arc<Self>,
        authorization: Authorization,
        flow: Flow,
        server: Server,
        code: Secret,
    ) -> Result<CallbackEnd> {
        let connector = self
            .connector_of(&authorization)
            .await?
            .ok_or(Error::Gone("connector"))?;
        let oauth = self.oauth_client_of(&connector, server).await?;
        let row = flow_row(&flow.state);
        let verifier = self
            .keys
            .open_text(verifier_place(flow.team.as_str(), &row), &flow.verifier)
            .await?;
        let exchange = Exchange {
            server: &oauth.server,
            client: &oauth.client,
            quirks: &oauth.quirks,
            resources: &authorization.grant.resources,
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
                if error.outcome == Outcome::ClientFault {
                    self.fault(&connector, error.code()).await?;
                }
                return self
                    .exchange_failed(authorization, error.outcome, error.fixed_code())
                    .await;
            }
        };
        let account = match &tokens.id_token {
            None => Account::default(),
            Some(id_token) => {
                let nonce = nonce_of(&verifier);
                let sent = self
                    .asks_openid(&authorization, &connector)
                    .await?
                    .then_some(nonce.as_str());
                match self.account(&oauth, id_token, sent).await {
                    Ok(account) => account,
                    Err(error) => {
                        tracing::warn!(authorization = %authorization.id, %error, "an ID token does not hold");
                        return self
                            .exchange_failed(authorization, Outcome::Config, "invalid_id_token")
                            .await;
                    }
                }
            }
        };
        let pair = Arrived(tokens).pair(&connector, &oauth.quirks, None);
        if !flow.replaces
            && let Some(connected) = self.other_account(&authorization, &account).await?
        {
            let set = self
                .token_set(&authorization.team, &connected.id, pair)
                .await?;
            self.revoke_orphan(&authorization, &connected.id, set).await;
            return Ok(CallbackEnd::OtherAccount {
                id: authorization.id,
                connected: connected.name.or(connected.external_subject),
                signed_in: account.name.or(account.subject),
            });
        }
        let ended = self
            .store_consent(&authorization, pair, account.subject, account.name)
            .await?;
        Ok(CallbackEnd::Ended(ended))
    }

    /// The live connection of the same grant, if it is known to be another account's.
    async fn other_account(
        &self,
        authorization: &Authorization,
        account: &Account,
    ) -> Result<Option<Connection>> {
        let Authorization { team, grant, .. } = authorization;
        let standing = self.ports.store.connection_by_grant(team, grant).await?;
        let connected = standing.map(|live| live.connection);
        Ok(connected.filter(|connected| {
            let (known, found) = (&connected.external_subject, &account.subject);
            known.is_some() && found.is_some() && known != found
        }))
    }

    /// Whether the authorization request carried a nonce.
    async fn asks_openid(
        &self,
        authorization: &Authorization,
        connector: &Connector,
    ) -> Result<bool> {
        let catalogue = self.catalogue().await?;
        let row = catalogue.of(connector);
        Ok(consent_scopes(connector, row, &authorization.grant.scopes)
            .iter()
            .any(|scope| scope == "openid"))
    }

    /// Definite refusals end the authorization, so that its requester hears of them; anything else
    /// leaves the link open for another try.
    async fn exchange_failed(
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
                    self.end_authorization(&authorization, state).await?,
                ))
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
            tries: 0,
            created_at: now,
            not_before: now,
        };
        if let Err(error) = self.ports.store.queue_revocation(&revocation).await {
            tracing::warn!(authorization = %authorization.id, %error, "an orphan token could not be queued for revocation");
        }
    }
}

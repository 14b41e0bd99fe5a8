//! The browser comes back from the provider.

use std::sync::Arc;

use grantry_core::nouns::{Authorization, AuthorizationState, Flow};
use grantry_core::{Error, Result, Secret};
use grantry_oauth::callback::{Callback, Denied};
use grantry_oauth::server::Server;
use grantry_oauth::text::tame;
use grantry_vault::hash::{Handle, HandleKind, constant_time_eq};

use super::claimed::Brought;
use super::page::{ConsentResult, is_open};
use super::sign_in::signs_in;
use crate::Engine;
use crate::connectors::install_page;

/// How a callback ended.
pub enum CallbackEnd {
    /// The authorization ended: go on to its return URL, or show how it ended.
    Ended(ConsentResult),
    /// Nothing was stored; the same consent link can be opened again.
    TryAgain {
        /// The authorization.
        id: grantry_core::ids::AuthorizationId,
        /// One fixed word.
        code: &'static str,
    },
    /// The user signed in to another account than the one that is connected. Nothing was stored: ask
    /// first (requirement 21), then press with `replaces`.
    OtherAccount {
        /// The authorization.
        id: grantry_core::ids::AuthorizationId,
        /// The connected account, as far as it has a name.
        connected: Option<String>,
        /// The account that was signed in to.
        signed_in: Option<String>,
    },
    /// An owner of the account has to approve the installation first. Nothing was stored; the same link can be opened
    /// again when they have.
    Approval(grantry_core::ids::AuthorizationId),
    /// On to where an application waits for it, or to the provider once more.
    Onward(String),
    /// Not an answer that this browser is waiting for. Nothing was sent anywhere.
    Refused(CallbackRefusal),
}

/// Why a callback was refused. Unknown, expired and foreign states give one answer (requirement 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackRefusal {
    /// Duplicate or malformed parameters.
    Malformed,
    /// The state is unknown, over, or another browser's.
    NotWaiting,
    /// The state was used before; the winner's connection is kept (requirement 7).
    AlreadyUsed,
    /// The answer came from, or to, somewhere else than the flow says (requirements 1 to 3).
    WrongServer,
    /// The provider sent an error that belongs to no flow.
    ProviderError,
    /// An application was installed, or its installation changed, by who was not led there by a link of ours.
    Unasked,
}

impl Engine {
    /// Takes the answer of a provider: the raw query, the binding cookie, and the URL it arrived at.
    #[tracing::instrument(target = "grantry_spans", name = "callback", skip_all)]
    pub async fn callback(
        self: &Arc<Self>,
        query: &str,
        cookie: Option<&Secret>,
        arrived_at: &str,
    ) -> Result<CallbackEnd> {
        use CallbackRefusal::{
            AlreadyUsed, Malformed, NotWaiting, ProviderError, Unasked, WrongServer,
        };
        let refused = |refusal| Ok(CallbackEnd::Refused(refusal));
        let Ok(callback) = Callback::parse(query) else {
            return refused(Malformed);
        };
        let Some(state) = &callback.state else {
            return refused(match callback.answer {
                Ok(_) => Unasked,
                Err(_) => ProviderError,
            });
        };
        let Some(flow) = self.waiting_flow(state, cookie).await? else {
            return refused(NotWaiting);
        };
        if flow.redirect_uri != arrived_at {
            return refused(WrongServer);
        }
        if flow.used_at.is_some() {
            return refused(AlreadyUsed);
        }
        let Some(authorization) = self.ports.store.authorization(&flow.authorization).await? else {
            return refused(NotWaiting);
        };
        if !is_open(&authorization, self.now()) {
            return refused(NotWaiting);
        }
        // Nothing else than an installation is answered without a code.
        if matches!(callback.answer, Ok(None)) && authorization.install.is_none() {
            return refused(Malformed);
        }
        let server: Server =
            serde_json::from_value(flow.server.clone()).map_err(|_| Error::Internal)?;
        let issuer = callback.check_issuer(&server);
        if !self.ports.store.take_flow(&flow.state, self.now()).await? {
            return refused(AlreadyUsed);
        }
        if let Err(error) = issuer {
            tracing::warn!(authorization = %authorization.id, %error, said = callback.iss.as_deref().map(tame), known = server.issuer, "an authorization response is not believed; data.serverConfig.issuer says who may answer");
            return refused(WrongServer);
        }
        let connector = match authorization.install {
            Some(_) => self.connector_of(&authorization).await?,
            None => None,
        };
        let brought = match connector.as_ref().and_then(install_page) {
            None => Brought::NoPage,
            Some(page) => Brought::read(page, state, &callback),
        };
        let claimed = match &brought {
            Brought::Proof(installation) => Some(installation.clone()),
            _ => None,
        };
        let end = match (callback.answer, brought, connector) {
            (Err(denied), ..) => self.denied(&authorization, &denied).await,
            (Ok(_), Brought::Approval, _) => Ok(CallbackEnd::Approval(authorization.id.clone())),
            // A code that nothing of ours asked for stays unused: whose it is nobody could tell (requirement 10).
            (Ok(_), Brought::Claim(page, installation), Some(connector)) => {
                let proof = self.prove(&authorization, &flow, &connector, page, &installation);
                proof.await
            }
            (Ok(Some(code)), Brought::NoPage | Brought::Proof(_), _) => {
                // The code is spent once it is sent: no disconnect of the browser may lose what it buys (design §6b).
                let (engine, asked) = (Arc::clone(self), authorization.clone());
                let work = async move { engine.exchange(asked, flow, server, code, claimed).await };
                self.uncancellable(work).await
            }
            _ => return refused(Malformed),
        };
        self.end_of_sign_in(&authorization, end).await
    }

    /// The flow of `state`, if this browser started it and it is not over.
    async fn waiting_flow(&self, state: &Secret, cookie: Option<&Secret>) -> Result<Option<Flow>> {
        let handle = Handle::of(HandleKind::State, state.expose());
        let Some(flow) = self.ports.store.flow(handle.as_bytes()).await? else {
            return Ok(None);
        };
        let browser = cookie.map(|cookie| Handle::of(HandleKind::Binding, cookie.expose()));
        let ours =
            browser.is_some_and(|browser| constant_time_eq(browser.as_bytes(), &flow.browser));
        Ok(Some(flow).filter(|flow| ours && self.now() < flow.expires_at))
    }

    async fn denied(&self, authorization: &Authorization, denied: &Denied) -> Result<CallbackEnd> {
        let state = match denied.code.as_str() {
            "access_denied" => AuthorizationState::Canceled,
            code => AuthorizationState::Error {
                code: code.to_owned(),
            },
        };
        tracing::info!(authorization = %authorization.id, code = denied.code, description = denied.description, "the provider refused a consent");
        Ok(CallbackEnd::Ended(
            self.end_as_told(authorization, state).await?,
        ))
    }

    /// Ends an authorization on the word of who came back. Anybody may begin a sign-in and come back with a no, or a code, of their own
    /// making: its application hears of it and the log does not, and its rows go by themselves.
    pub(super) async fn end_as_told(
        &self,
        authorization: &Authorization,
        state: AuthorizationState,
    ) -> Result<ConsentResult> {
        if !signs_in(authorization) {
            return self.end_authorization(authorization, state).await;
        }
        let authorization = authorization.clone();
        self.result(Authorization {
            state,
            ..authorization
        })
        .await
    }
}

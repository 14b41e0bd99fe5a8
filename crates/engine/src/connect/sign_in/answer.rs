//! The browser comes back from the provider, and goes on to the application.

use std::sync::Arc;

use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connector, EventKind, HeldConsent, SignIn, SignInGrant,
    SignedIn,
};
use grantry_core::{Error, Result, Secret, entropy};
use grantry_vault::hash::{Handle, HandleKind};

use super::super::callback::CallbackEnd;
use super::super::identity::Account;
use super::person::place;
use super::start::{answer_url, may_return};
use super::{CODE_TIME, GRANT_CHARS, signs_in};
use crate::Engine;
use crate::connectors::OauthClient;
use crate::tokens::NewPair;

impl Engine {
    /// Keeps what a sign-in brought until its code is redeemed, and sends the browser on with that.
    pub(in super::super) async fn signed_in(
        self: &Arc<Self>,
        authorization: &Authorization,
        connector: &Connector,
        oauth: &OauthClient,
        pair: NewPair,
        account: Option<Account>,
    ) -> Result<CallbackEnd> {
        let id = ConnectionId::mint(self.now(), self.entropy());
        let person = self.person(oauth, account.as_ref(), &pair.access).await;
        let sign_in = self.ports.store.sign_in_of(&authorization.id).await?;
        let (Some(person), Some(sign_in)) = (person, sign_in) else {
            self.drop_pair(authorization, &id, pair).await?;
            let code = "account_unreadable".to_owned();
            let state = AuthorizationState::Error { code };
            return Ok(CallbackEnd::Ended(
                self.end_authorization(authorization, state).await?,
            ));
        };
        let set = self.token_set(&authorization.team, &id, pair).await?;
        let code = Secret::new(entropy::alphanumeric(self.entropy(), GRANT_CHARS));
        let hash = *Handle::of(HandleKind::SignInCode, code.expose()).as_bytes();
        let expires_at = self.now().after(CODE_TIME);
        let json = serde_json::to_vec(&person).map_err(|_| Error::Internal)?;
        let answer = SignedIn {
            identity: self
                .keys
                .seal(place(sign_in.team.as_str(), sign_in.id.as_str()), &json)?,
            code: SignInGrant {
                hash,
                sign_in: sign_in.id.clone(),
                team: sign_in.team.clone(),
                refresh: false,
                expires_at,
                used_at: None,
            },
            held: HeldConsent {
                authorization: authorization.id.clone(),
                team: authorization.team.clone(),
                connector: connector.id.clone(),
                code: hash,
                name: person.email.or(person.name),
                external_subject: Some(person.sub),
                replaces: true,
                set,
                expires_at,
            },
        };
        let event = self
            .end_user_draft(EventKind::AuthorizationHeld, authorization)
            .with("sign_in", sign_in.id.as_str())
            .done();
        let kept = self.ports.store.answer_sign_in(&answer, &event).await;
        if let Err(error) = kept {
            // It may be stored after all: then nobody has its code, and the sweep ends it.
            if !error.is_outage() {
                self.revoke_orphan(authorization, &id, answer.held.set)
                    .await;
            }
            return Err(error.into());
        }
        let answer = [("code", code.expose())];
        self.send_back(&sign_in, &answer).await
    }

    /// Where the browser of a sign-in goes when `end` is how it came back: to the application, which is told what of it is
    /// its business.
    pub(in super::super) async fn end_of_sign_in(
        &self,
        authorization: &Authorization,
        end: Result<CallbackEnd>,
    ) -> Result<CallbackEnd> {
        if !signs_in(authorization) {
            return end;
        }
        let code = match &end {
            Ok(CallbackEnd::Onward(_) | CallbackEnd::Refused(_)) => return end,
            Ok(CallbackEnd::Ended(result)) => match &result.state {
                AuthorizationState::Error { .. } => "server_error",
                _ => "access_denied",
            },
            Ok(CallbackEnd::TryAgain { .. }) => "temporarily_unavailable",
            Ok(CallbackEnd::OtherAccount { .. }) => "server_error",
            Err(error) => {
                tracing::warn!(authorization = %authorization.id, %error, "a sign-in failed");
                match error {
                    Error::Unavailable | Error::Full => "temporarily_unavailable",
                    _ => "server_error",
                }
            }
        };
        match self.ports.store.sign_in_of(&authorization.id).await? {
            Some(sign_in) => self.send_back(&sign_in, &[("error", code)]).await,
            None => end,
        }
    }

    /// To the redirect URI, if a project still has it.
    async fn send_back(&self, sign_in: &SignIn, answer: &[(&str, &str)]) -> Result<CallbackEnd> {
        let store = &self.ports.store;
        let links = store.links(&sign_in.team, &sign_in.connector).await?;
        let linked: Vec<_> = links.into_iter().map(|link| link.project).collect();
        let projects = store.projects_of(&sign_in.team, &linked).await?;
        let uri = &sign_in.asked.redirect_uri;
        if !projects.iter().any(|project| may_return(project, uri)) {
            return Err(Error::Gone("sign_in_uri"));
        }
        let state = sign_in.asked.state.as_deref();
        let url = answer_url(uri, answer, state, &self.settings.sign_in_issuer());
        Ok(CallbackEnd::Onward(url))
    }
}

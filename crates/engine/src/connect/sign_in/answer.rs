//! The browser comes back from the provider, and goes on to the application.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connector, EventKind, HeldConsent, SignIn, SignInGrant,
    SignedIn,
};
use grantry_core::store::ConnectionFilter;
use grantry_core::{Error, Result, Secret, Timestamp, entropy};
use grantry_oauth::token::Outcome;
use grantry_vault::hash::{Handle, HandleKind};

use super::super::callback::CallbackEnd;
use super::super::identity::Account;
use super::person::{Person, place};
use super::start::answer_url;
use super::tenant::Tenant;
use super::{CODE_TIME, GRANT_CHARS, signs_in};
use crate::Engine;
use crate::connectors::OauthClient;
use crate::tokens::NewPair;

/// The person was asked by the provider longer ago than the application wants.
const TOO_OLD: &str = "auth_time_too_old";
/// The provider does not say when that was.
const NOT_SAID: &str = "auth_time_missing";
/// How far the provider's clock may be from ours, as for all that its ID tokens say.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// Whether the provider has asked the person as lately as the application wants (OpenID Connect Core §3.1.2.1), counted
/// from the request on: what the person did since took its time.
fn recent_enough(sign_in: &SignIn, auth_time: Option<i64>) -> Result<(), &'static str> {
    let Some(max_age) = sign_in.asked.max_age else {
        return Ok(());
    };
    let Some(auth_time) = auth_time else {
        return Err(NOT_SAID);
    };
    let asked_at = Timestamp::from_millis(auth_time.saturating_mul(1000));
    let max_age = Duration::from_secs(max_age.into()) + CLOCKS_APART;
    match asked_at.after(max_age) < sign_in.created_at {
        true => Err(TOO_OLD),
        false => Ok(()),
    }
}

impl Engine {
    /// Keeps what a sign-in brought until its code is redeemed, and sends the browser on with that.
    pub(in super::super) async fn signed_in(
        self: &Arc<Self>,
        authorization: &Authorization,
        connector: &Connector,
        oauth: &OauthClient,
        pair: NewPair,
        account: Option<Account>,
        tenant: Option<Tenant>,
    ) -> Result<CallbackEnd> {
        let id = ConnectionId::mint(self.now(), self.entropy());
        let Some(account) = account else {
            // An ID token came that cannot be checked now, or none. Nothing that is not signed stands in for it. The pair is
            // forgotten and not revoked: nobody knows whose it is, and some providers end all of an account's by one.
            drop(pair);
            let asked = authorization.clone();
            return self
                .exchange_failed(asked, Outcome::Unknown, "keys_unreachable")
                .await;
        };
        let person = self.person(oauth, &account, &pair.access).await;
        let person = person.map(|person| Person { tenant, ..person });
        let sign_in = self.ports.store.sign_in_of(&authorization.id).await?;
        let (Some(person), Some(sign_in)) = (person, sign_in) else {
            self.drop_pair(authorization, &id, pair).await?;
            let code = "account_unreadable".to_owned();
            let state = AuthorizationState::Error { code };
            return Ok(CallbackEnd::Ended(
                self.end_authorization(authorization, state).await?,
            ));
        };
        if let Err(code) = recent_enough(&sign_in, person.auth_time) {
            let of = ConnectionFilter {
                external_subject: Some(person.sub),
                ..ConnectionFilter::default()
            };
            self.drop_unless_shared(authorization, &id, pair, of)
                .await?;
            let state = AuthorizationState::Error {
                code: code.to_owned(),
            };
            return Ok(CallbackEnd::Ended(
                self.end_authorization(authorization, state).await?,
            ));
        }
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
        let mut why = None;
        let code = match &end {
            Ok(CallbackEnd::Onward(_) | CallbackEnd::Refused(_)) => return end,
            Ok(CallbackEnd::Ended(result)) => match &result.state {
                AuthorizationState::Error { code } if code == TOO_OLD => {
                    why = Some("max_age: the provider did not ask the person again");
                    "login_required"
                }
                AuthorizationState::Error { code } if code == NOT_SAID => {
                    why = Some("max_age: the provider does not say when the person signed in");
                    "server_error"
                }
                AuthorizationState::Error { .. } => "server_error",
                _ => "access_denied",
            },
            Ok(CallbackEnd::TryAgain { .. }) => "temporarily_unavailable",
            Ok(CallbackEnd::OtherAccount { .. } | CallbackEnd::Approval(_)) => "server_error",
            Err(error) => {
                tracing::warn!(authorization = %authorization.id, %error, "a sign-in failed");
                match error {
                    Error::Unavailable | Error::Full => "temporarily_unavailable",
                    _ => "server_error",
                }
            }
        };
        match self.ports.store.sign_in_of(&authorization.id).await? {
            Some(sign_in) => {
                let why = why.map(|why| ("error_description", why));
                let answer: Vec<_> = [("error", code)].into_iter().chain(why).collect();
                self.send_back(&sign_in, &answer).await
            }
            None => end,
        }
    }

    /// To the redirect URI, if a project still has it.
    async fn send_back(&self, sign_in: &SignIn, answer: &[(&str, &str)]) -> Result<CallbackEnd> {
        let store = &self.ports.store;
        let uri = &sign_in.asked.redirect_uri;
        let connector = store.public_client(&sign_in.connector).await?;
        let answers = match &connector {
            Some(connector) => self.answers_to(connector, uri).await?,
            None => false,
        };
        if !answers {
            return Err(Error::Gone("sign_in_uri"));
        }
        let state = sign_in.asked.state.as_deref();
        let url = answer_url(uri, answer, state, &self.settings.sign_in_issuer());
        Ok(CallbackEnd::Onward(url))
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::AskedSignIn;

    use super::*;

    #[test]
    fn a_max_age_is_counted_back_from_the_request_and_has_to_be_proved() {
        let asked_at = Timestamp::from_millis(10_000_000);
        let of = |max_age, auth_time| {
            let sign_in = SignIn {
                id: "sgn_1".into(),
                team: "team_1".into(),
                connector: "scl_1".into(),
                authorization: "scs_1".into(),
                asked: AskedSignIn {
                    client_id: "scl_1".to_owned(),
                    redirect_uri: "https://app.example/cb".to_owned(),
                    state: None,
                    nonce: None,
                    scopes: vec![],
                    challenge: String::new(),
                    max_age,
                },
                identity: None,
                session: None,
                created_at: asked_at,
                expires_at: asked_at,
                ended_at: None,
            };
            recent_enough(&sign_in, auth_time)
        };
        for (max_age, auth_time, expected) in [
            (None, None, Ok(())),
            (None, Some(1), Ok(())),
            (Some(0), Some(10_000), Ok(())),
            (Some(0), Some(10_030), Ok(())),
            // A minute that clocks may be apart.
            (Some(0), Some(9_940), Ok(())),
            (Some(0), Some(9_939), Err(TOO_OLD)),
            (Some(300), Some(9_640), Ok(())),
            (Some(300), Some(9_639), Err(TOO_OLD)),
            (Some(u32::MAX), Some(0), Ok(())),
            (Some(300), Some(i64::MIN), Err(TOO_OLD)),
            (Some(300), None, Err(NOT_SAID)),
        ] {
            assert_eq!(
                of(max_age, auth_time),
                expected,
                "{max_age:?} {auth_time:?}"
            );
        }
    }
}

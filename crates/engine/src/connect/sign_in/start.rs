//! A browser comes with an authorization request (RFC 6749 §4.1.1).

use std::sync::Arc;

use grantry_core::ids::{AuthorizationId, SignInId, unique};
use grantry_core::limits::SIGN_IN_VALUE_BYTES_MAX;
use grantry_core::nouns::{
    Actor, AskedSignIn, Authorization, AuthorizationState, Connector, Environment, Grant, Scopes,
    SignIn, Subject,
};
use grantry_core::{Error, Result, Secret, StoreError, entropy};
use grantry_oauth::server::Endpoint;
use grantry_vault::hash::sha256;
use serde_json::Map;

use super::super::ask::prompt_complaint;
use super::super::page::consent_scopes;
use super::super::press::Pressed;
use super::client::Known;
use super::{CODE_TIME, CONSENT, Denied, GRANT_CHARS, OFFLINE, SCOPES, Told, denied};
use crate::Engine;
use crate::connectors::types::{self, UserTokens};

/// The parameters of an authorization request, as they came.
#[derive(Clone, Debug, Default)]
pub struct AskSignIn {
    /// The connector, by id or uid.
    pub client_id: Option<String>,
    /// Its team, by id or slug; needed where connectors of one uid, of several teams, answer to one redirect URI.
    pub team: Option<String>,
    /// Where the answer goes.
    pub redirect_uri: Option<String>,
    /// `code`
    pub response_type: Option<String>,
    /// `query`, which is what is meant without it, too.
    pub response_mode: Option<String>,
    /// Given back as it came.
    pub state: Option<String>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// `openid profile email` when absent.
    pub scope: Option<String>,
    /// PKCE's challenge.
    pub code_challenge: Option<String>,
    /// `S256`
    pub code_challenge_method: Option<String>,
    /// For the provider.
    pub prompt: Option<String>,
    /// For the provider, whose ID token is then held to it: seconds since it was shown who the person is.
    pub max_age: Option<String>,
    /// It came as an object, which is not taken (OpenID Connect Core §6).
    pub has_request_object: bool,
}

/// Where a browser that wants to sign in goes.
pub enum SignInStart {
    /// To the provider.
    Provider(Pressed),
    /// Back to the application with an error.
    Back(String),
}

impl Engine {
    /// Begins a sign-in. An error is for whoever made the request, and is shown where it was made: the answer to one
    /// whose client or redirect URI is not known goes nowhere else (RFC 9700 §4.11).
    pub async fn start_sign_in(
        self: &Arc<Self>,
        ask: AskSignIn,
        cookie: Option<Secret>,
    ) -> Told<SignInStart> {
        let known = self.known_request(&ask).await?;
        let back = |code: &str, why: &str| {
            let answer = [("error", code), ("error_description", why)];
            let state = known.state.as_deref();
            Ok(SignInStart::Back(answer_url(
                &known.redirect_uri,
                &answer,
                state,
                &self.settings.sign_in_issuer(),
            )))
        };
        match self.begin(&known, &ask, cookie).await {
            Ok(pressed) => Ok(SignInStart::Provider(pressed)),
            Err(Denied::Oauth(code, why)) => back(code, &why),
            Err(Denied::Other(Error::Unavailable | Error::Full | Error::Provider { .. })) => {
                back("temporarily_unavailable", "ask again later")
            }
            Err(Denied::Other(error)) => {
                tracing::warn!(connector = %known.connector.id, %error, "a sign-in could not be begun");
                back("server_error", "the connector cannot be used")
            }
        }
    }

    async fn begin(
        self: &Arc<Self>,
        known: &Known,
        ask: &AskSignIn,
        cookie: Option<Secret>,
    ) -> Told<Pressed> {
        let invalid = |why: &str| denied("invalid_request", why);
        if ask.has_request_object {
            return denied(
                "request_not_supported",
                "parameters are taken in the query only",
            );
        }
        match ask.response_type.as_deref() {
            Some("code") => {}
            None => return invalid("response_type is required"),
            Some(_) => return denied("unsupported_response_type", "response_type must be code"),
        }
        if ask
            .response_mode
            .as_deref()
            .is_some_and(|mode| mode != "query")
        {
            return invalid("response_mode must be query");
        }
        for (name, value) in [("state", &ask.state), ("nonce", &ask.nonce)] {
            if value
                .as_ref()
                .is_some_and(|value| value.len() > SIGN_IN_VALUE_BYTES_MAX)
            {
                return invalid(&format!(
                    "{name} must be {SIGN_IN_VALUE_BYTES_MAX} bytes at most"
                ));
            }
        }
        if ask.code_challenge_method.as_deref() != Some("S256") {
            return invalid("code_challenge_method must be S256");
        }
        let challenge = ask.code_challenge.clone().unwrap_or_default();
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if challenge.len() != 43 || !challenge.bytes().all(base64url) {
            return invalid("code_challenge must be the 43 characters of a SHA-256 in base64url");
        }
        if ask.prompt.as_deref() == Some("none") {
            return denied("login_required", "the provider has to be asked");
        }
        if let Some(complaint) = ask.prompt.as_deref().and_then(prompt_complaint) {
            return invalid(&format!("prompt {complaint}"));
        }
        let max_age = match ask.max_age.as_deref().map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return invalid("max_age must be a whole number of seconds"),
        };
        let connector = &known.connector;
        if types::user_tokens(connector) != Some(UserTokens::Consent) {
            return denied(
                "unauthorized_client",
                "nobody can sign in through this connector",
            );
        }
        self.require_complete(connector).await?;
        let connector = self.enrolled(connector).await?;
        let scopes = granted(ask.scope.as_deref());
        let asked = AskedSignIn {
            client_id: known.client_id.clone(),
            redirect_uri: known.redirect_uri.clone(),
            state: ask.state.clone(),
            nonce: ask.nonce.clone(),
            scopes,
            challenge,
            max_age,
        };
        self.send_to_provider(&connector, asked, ask.prompt.clone(), cookie)
            .await
    }

    async fn send_to_provider(
        self: &Arc<Self>,
        connector: &Connector,
        asked: AskedSignIn,
        prompt: Option<String>,
        cookie: Option<Secret>,
    ) -> Told<Pressed> {
        let now = self.now();
        let expires_at = now.after(self.settings.limits.flow_time_max);
        let max_age = asked.max_age;
        let id = SignInId::mint(now, self.entropy());
        let team = self.ports.store.team(connector.team.as_str()).await?;
        let team = team.ok_or(Error::NotFound("team"))?;
        // Nobody polls for it.
        let unpolled = Secret::new(entropy::alphanumeric(self.entropy(), GRANT_CHARS));
        let authorization = Authorization {
            id: AuthorizationId::from(format!("{CONSENT}{}", unique(now, self.entropy()))),
            team: connector.team.clone(),
            grant: Grant {
                connector: connector.id.clone(),
                subject: Subject::User {
                    id: id.to_string(),
                    issuer: Some(self.settings.sign_in_issuer()),
                },
                // Whose it will be is known when the code is redeemed.
                environment: Environment::production(),
                installation: None,
                scopes: self.scopes_at_provider(connector, &asked.scopes).await?,
                audience: vec![],
                resources: vec![],
                details: vec![],
            },
            requested_by: Actor::EndUser,
            requester: team.name,
            verifier: sha256(&[unpolled.expose().as_bytes()]),
            device_code: None,
            return_url: None,
            prompt: prompt.filter(|prompt| !prompt.is_empty()),
            additional_params: Map::from_iter(
                max_age.map(|seconds| ("max_age".to_owned(), seconds.to_string().into())),
            ),
            confirm: true,
            embed: None,
            webhook: None,
            install: None,
            state: AuthorizationState::Pending,
            created_at: now,
            expires_at,
        };
        let sign_in = SignIn {
            id,
            team: connector.team.clone(),
            connector: connector.id.clone(),
            authorization: authorization.id.clone(),
            asked,
            identity: None,
            session: None,
            created_at: now,
            // Who comes back at the last moment brings a code of full life.
            expires_at: expires_at.after(2 * CODE_TIME),
            ended_at: None,
        };
        if max_age.is_some() && !self.says_when(&authorization, connector).await? {
            return denied(
                "invalid_request",
                "max_age cannot be kept: the connector's provider issues no ID tokens, which would say when a person signed in",
            );
        }
        let (flow, pressed) = self.flow_of(&authorization, cookie, false).await?;
        let store = &self.ports.store;
        match store.start_sign_in(&sign_in, &authorization, &flow).await {
            Err(StoreError::Missing(_)) => Err(Error::Gone("connector").into()),
            started => {
                started?;
                Ok(pressed)
            }
        }
    }

    /// Whether ID tokens come of this, which can be checked.
    async fn says_when(
        &self,
        authorization: &Authorization,
        connector: &Connector,
    ) -> Result<bool> {
        let server = self.oauth_client(connector).await?.server;
        Ok(server.issuer.is_some()
            && (server.keys().is_some() || server.url(Endpoint::Jwks).is_ok())
            && self.asks_openid(authorization, connector).await?)
    }

    /// What the provider is asked for: what the connector asks for anyway, and those scopes of the request that say who
    /// somebody is, where the provider knows them.
    async fn scopes_at_provider(&self, connector: &Connector, asked: &[String]) -> Result<Scopes> {
        let catalogue = self.catalogue().await?;
        let usual = consent_scopes(connector, catalogue.of(connector), &Scopes::Default);
        let known = self.oauth_client(connector).await?.server.scopes_supported;
        let known = known.unwrap_or_default();
        let further = asked
            .iter()
            .filter(|scope| *scope != OFFLINE && known.contains(scope) && !usual.contains(scope));
        let further: Vec<String> = further.cloned().collect();
        Ok(match further.is_empty() {
            true => Scopes::Default,
            false => Scopes::Exactly([usual, further].concat()),
        })
    }
}

/// Of the scopes that are asked for those that there are.
fn granted(asked: Option<&str>) -> Vec<String> {
    let asked = asked.map(str::trim).filter(|asked| !asked.is_empty());
    let asked: Vec<&str> = asked.unwrap_or("openid profile email").split(' ').collect();
    let granted = SCOPES.into_iter().filter(|scope| asked.contains(scope));
    granted.map(str::to_owned).collect()
}

/// `redirect_uri` with an answer: `iss` says whose (RFC 9207), so that no other server's passes for it.
pub(super) fn answer_url(
    redirect_uri: &str,
    answer: &[(&str, &str)],
    state: Option<&str>,
    issuer: &str,
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(answer);
    query.extend_pairs(state.map(|state| ("state", state)));
    query.append_pair("iss", issuer);
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    // It has no fragment; its own text stays as it was declared.
    format!("{redirect_uri}{joint}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whose_it_is_and_keeps_the_declared_text() {
        let url = answer_url(
            "https://app.example/cb?a=%20b",
            &[("code", "c d")],
            Some("s&t"),
            "https://g.example",
        );
        assert_eq!(
            url,
            "https://app.example/cb?a=%20b&code=c+d&state=s%26t&iss=https%3A%2F%2Fg.example"
        );
        let url = answer_url(
            "https://app.example/cb",
            &[("error", "x")],
            None,
            "https://g.example",
        );
        assert_eq!(
            url,
            "https://app.example/cb?error=x&iss=https%3A%2F%2Fg.example"
        );
    }

    #[test]
    fn of_the_scopes_those_are_granted_that_there_are() {
        for (asked, expected) in [
            (None, vec!["openid", "profile", "email"]),
            (Some(""), vec!["openid", "profile", "email"]),
            (Some("email openid chat:write"), vec!["openid", "email"]),
            (
                Some("offline_access openid openid"),
                vec!["openid", "offline_access"],
            ),
            (Some("chat:write"), vec![]),
        ] {
            assert_eq!(granted(asked), expected, "{asked:?}");
        }
    }
}

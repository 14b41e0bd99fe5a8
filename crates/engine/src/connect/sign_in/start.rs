//! A browser comes with an authorization request (RFC 6749 §4.1.1).

use std::sync::Arc;

use grantry_core::ids::{AuthorizationId, SignInId, unique};
use grantry_core::limits::{RETURN_URL_BYTES_MAX, SIGN_IN_VALUE_BYTES_MAX};
use grantry_core::nouns::{
    Actor, AskedSignIn, Authorization, AuthorizationState, Connector, Environment, EventKind,
    Grant, Project, Scopes, SignIn, Subject,
};
use grantry_core::{Error, Result, Secret, StoreError, entropy};
use grantry_vault::hash::sha256;
use serde_json::Map;
use url::{Host, Url};

use super::super::page::consent_scopes;
use super::super::press::Pressed;
use super::{CONSENT, Denied, GRANT_CHARS, OFFLINE, SCOPES, Told, denied};
use crate::Engine;
use crate::connectors::types::{self, UserTokens};

/// The parameters of an authorization request, as they came.
#[derive(Clone, Debug, Default)]
pub struct AskSignIn {
    /// The connector, by id or uid.
    pub client_id: Option<String>,
    /// Its team, by id or slug; needed for a uid that several teams have.
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

/// A request whose answer may be sent to its redirect URI.
struct Known {
    connector: Connector,
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
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

    /// The connector and the redirect URI of a request, or what is wrong with them.
    async fn known_request(&self, ask: &AskSignIn) -> Told<Known> {
        let invalid = |why: &str| denied("invalid_request", why);
        let texts = [
            &ask.client_id,
            &ask.redirect_uri,
            &ask.state,
            &ask.nonce,
            &ask.scope,
        ];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > RETURN_URL_BYTES_MAX)
        {
            return invalid("a parameter is too long");
        }
        let Some(client_id) = ask.client_id.clone().filter(|id| !id.is_empty()) else {
            return invalid("client_id is required: a connector's id or uid");
        };
        let connector = self.client_of(&client_id, ask.team.as_deref()).await?;
        let Some(redirect_uri) = ask.redirect_uri.clone().filter(|uri| !uri.is_empty()) else {
            return invalid("redirect_uri is required");
        };
        let links = self
            .ports
            .store
            .links(&connector.team, &connector.id)
            .await?;
        let linked: Vec<_> = links.into_iter().map(|link| link.project).collect();
        let projects = self
            .ports
            .store
            .projects_of(&connector.team, &linked)
            .await?;
        if !projects
            .iter()
            .any(|project| may_return(project, &redirect_uri))
        {
            return invalid(
                "redirect_uri is not among the sign_in_uris of a project that the connector is linked to",
            );
        }
        Ok(Known {
            connector,
            client_id,
            redirect_uri,
            state: ask.state.clone(),
        })
    }

    /// The connector that an application calls so. One of another team, a deleted one and one that never was are the same.
    async fn client_of(&self, client_id: &str, team: Option<&str>) -> Told<Connector> {
        let store = &self.ports.store;
        let unknown = || denied("invalid_client", "client_id names no connector");
        let Some(team) = team.filter(|team| !team.is_empty()) else {
            if let Some(connector) = store.public_client(&client_id.into()).await? {
                return Ok(connector);
            }
            let called = store.connectors_called(client_id).await?;
            return match <[Connector; 1]>::try_from(called) {
                Ok([connector]) => Ok(connector),
                Err(none) if none.is_empty() => unknown(),
                Err(_) => denied(
                    "invalid_request",
                    "teamId is required: several teams have a connector of this uid",
                ),
            };
        };
        let Some(team) = store.team(team).await? else {
            return unknown();
        };
        let found = store.connector(&team.id, client_id).await?;
        match found.filter(|connector| connector.deleted_at.is_none()) {
            Some(connector) => Ok(connector),
            None => unknown(),
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
            additional_params: Map::new(),
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
            expires_at,
            ended_at: None,
        };
        let (flow, pressed) = self.flow_of(&authorization, cookie, false).await?;
        let event = self
            .end_user_draft(EventKind::AuthorizationRequested, &authorization)
            .with("sign_in", sign_in.id.as_str())
            .done();
        let started = self
            .ports
            .store
            .start_sign_in(&sign_in, &authorization, &flow, &event);
        match started.await {
            Err(StoreError::Missing(_)) => Err(Error::Gone("connector").into()),
            started => {
                started?;
                Ok(pressed)
            }
        }
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

/// Whether answers to a project's sign-ins may go to `uri`: to a declared one, character by character. One on a loopback
/// address that was declared without a port is the same on every port (RFC 8252 §7.3).
pub(super) fn may_return(project: &Project, uri: &str) -> bool {
    let on_any_port = |declared: &str| {
        let (Ok(declared), Ok(mut given)) = (Url::parse(declared), Url::parse(uri)) else {
            return false;
        };
        let loopback = match declared.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        let spelled = given.as_str() == uri;
        loopback
            && declared.port().is_none()
            && declared.scheme() == "http"
            && spelled
            && given.set_port(None).is_ok()
            && given == declared
    };
    project
        .sign_in_uris
        .iter()
        .any(|declared| declared == uri || on_any_port(declared))
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
    use grantry_core::Timestamp;

    fn project(uris: &[&str]) -> Project {
        Project {
            id: "prj_1".into(),
            team: "team_1".into(),
            name: "web".to_owned(),
            custom_environments: vec![],
            base_urls: Default::default(),
            provisions: false,
            sign_in_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn requirement_17_a_redirect_uri_is_a_declared_one_to_the_letter() {
        let web = project(&[
            "https://app.example/api/auth/callback/slack",
            "http://localhost:3000/cb",
        ]);
        for (uri, may) in [
            ("https://app.example/api/auth/callback/slack", true),
            ("http://localhost:3000/cb", true),
            ("https://app.example/api/auth/callback/slack/", false),
            ("https://app.example/api/auth/callback/slack?x=1", false),
            ("https://app.example/api/auth/callback/slack#x", false),
            ("https://APP.example/api/auth/callback/slack", false),
            ("https://app.example:443/api/auth/callback/slack", false),
            (
                "https://app.example@evil.example/api/auth/callback/slack",
                false,
            ),
            (
                "https://app.example.evil.example/api/auth/callback/slack",
                false,
            ),
            ("http://app.example/api/auth/callback/slack", false),
            ("https://app.example/api/auth/callback/slack/../x", false),
            ("http://localhost:3001/cb", false),
            ("http://localhost/cb", false),
            ("", false),
        ] {
            assert_eq!(may_return(&web, uri), may, "{uri}");
        }
        assert!(!may_return(&project(&[]), ""));
    }

    #[test]
    fn requirement_17_only_a_loopback_address_without_a_port_is_one_on_every_port() {
        let native = project(&[
            "http://127.0.0.1/cb",
            "http://[::1]/cb",
            "http://127.0.0.1:4000/fixed",
        ]);
        for (uri, may) in [
            ("http://127.0.0.1/cb", true),
            ("http://127.0.0.1:51004/cb", true),
            ("http://[::1]:51004/cb", true),
            ("http://127.0.0.1:4000/fixed", true),
            ("http://127.0.0.1:4001/fixed", false),
            ("http://127.0.0.1:51004/cb/x", false),
            ("http://127.0.0.1:51004/cb?x", false),
            ("http://127.0.0.1:51004/x/../cb", false),
            ("https://127.0.0.1:51004/cb", false),
            ("http://127.1:51004/cb", false),
            ("http://u@127.0.0.1:51004/cb", false),
            ("http://localhost:51004/cb", false),
            ("http://127.0.0.2:51004/cb", false),
        ] {
            assert_eq!(may_return(&native, uri), may, "{uri}");
        }
    }

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

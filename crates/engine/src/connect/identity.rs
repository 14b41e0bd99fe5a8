//! Whose account was connected, as far as a signed ID token says so, or the provider's API to who asks with the token.
//!
//! Only the ID token of a consent is read. That of a refresh could say nothing new, as a connection keeps whose it is
//! (OpenID Connect Core §12.2), and checking it would put the provider's keys between a rotated pair and its row.

use grantry_core::Secret;
use grantry_core::http::{Method, Purpose, Request};
use grantry_core::limits;
use grantry_oauth::graphql;
use grantry_oauth::id_token::{self, Expected, IdTokenError};
use grantry_oauth::server::Endpoint;
use grantry_vault::jws::KeySet;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::Engine;
use crate::connectors::OauthClient;
use crate::connectors::types::Told;

/// What the provider says of the account; nothing where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// `sub`
    pub subject: Option<String>,
    /// E-mail address or name, for people.
    pub name: Option<String>,
    /// All that a verified ID token says; none of it is kept but what the connector forwards.
    pub claims: Map<String, Value>,
}

impl Engine {
    /// The account that `id_token` names; `None` when the provider's keys, which would tell, cannot be
    /// had now. A token that does not hold is an error; one that nobody can check, because the provider
    /// publishes no issuer or no keys, is not believed. `nonce` is what a nonce in it has to be, and there has to be one
    /// where it was `sent`.
    pub(super) async fn account(
        &self,
        oauth: &OauthClient,
        id_token: &Secret,
        nonce: &str,
        sent: bool,
    ) -> Result<Option<Account>, IdTokenError> {
        let server = &oauth.server;
        let keys = match (server.keys(), server.url(Endpoint::Jwks)) {
            (Some(keys), _) => Some(KeySet::new(keys)),
            (None, Ok(url)) => self.provider_keys(url).await,
            (None, Err(_)) => return Ok(Some(Account::default())),
        };
        let Some(issuer) = server.issuer.as_deref() else {
            return Ok(Some(Account::default()));
        };
        let Some(keys) = keys else {
            return Ok(None);
        };
        let expected = Expected {
            issuer,
            client_id: &oauth.client.id,
            nonce,
            nonce_required: sent,
            now: self.now(),
        };
        let claims = id_token::verify(id_token, &keys, &expected)?;
        // A subject that cannot be kept could not be told from another (OpenID Connect Core §2: at most 255 characters).
        let subject = text(&claims, "sub").ok_or(IdTokenError::Subject)?;
        let name = ["email", "preferred_username", "name"]
            .iter()
            .find_map(|claim| text(&claims, claim));
        Ok(Some(Account {
            subject: Some(subject),
            name,
            claims,
        }))
    }

    /// The account that the provider's API tells of to who asks with `token`; `None` when it does not answer.
    pub(super) async fn account_told(
        &self,
        oauth: &OauthClient,
        told: &Told,
        token: &Secret,
    ) -> Option<Account> {
        let answer = self.ask_api(oauth, told.query?, token).await?;
        let (subject, name) = told.account(&answer);
        Some(Account {
            subject,
            name,
            ..Account::default()
        })
    }

    /// What the provider's API answers to a GraphQL query by a token that has just come. The token goes there and nowhere
    /// else: a redirect is not followed.
    pub(super) async fn ask_api(
        &self,
        oauth: &OauthClient,
        query: &str,
        token: &Secret,
    ) -> Option<Map<String, Value>> {
        let request = graphql::ask(oauth.server.api()?, query, token);
        graphql::data(self.ports.http.send(request).await)
    }

    async fn provider_keys(&self, url: url::Url) -> Option<KeySet> {
        let request = Request {
            method: Method::Get,
            url,
            headers: vec![("accept", Zeroizing::new("application/json".to_owned()))],
            body: Zeroizing::default(),
            purpose: Purpose::Discovery,
        };
        let response = self
            .ports
            .http
            .send(request)
            .await
            .ok()
            .filter(|response| response.status == 200)?;
        let document: Value = serde_json::from_slice(&response.body).ok()?;
        Some(KeySet::new(document.get("keys")?.as_array()?))
    }
}

fn text(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    let text = claims.get(claim)?.as_str()?;
    let fits = !text.is_empty()
        && text.len() <= limits::IDENTITY_BYTES_MAX
        && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

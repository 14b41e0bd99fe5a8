//! What an application gets of a sign-in, and what it may read with it.

use std::time::Duration;

use grantry_core::ids::{ConnectorId, SignInId, TeamId};
use grantry_core::nouns::{Connector, SignIn};
use grantry_core::store::SigningPurpose;
use grantry_core::{Error, Result, Secret, entropy};
use grantry_vault::hash::sha256;
use grantry_vault::jws::{self, Expected, KeySet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::person::{Person, place};
use super::{ACCESS_TIME, Told, denied};
use crate::Engine;

/// Header `typ` of access tokens (RFC 9068 §2.1).
const ACCESS_TYP: &str = "at+jwt";
/// Header `typ` of ID tokens.
const ID_TYP: &str = "JWT";

/// What a token request is answered with (RFC 6749 §5.1).
pub struct SignInTokens {
    /// The access token.
    pub access: Secret,
    /// Its life.
    pub expires_in: Duration,
    /// The refresh token, where one was asked for.
    pub refresh: Option<Secret>,
    /// The ID token, where one was asked for.
    pub id_token: Option<Secret>,
    /// What was granted, space-separated.
    pub scope: String,
}

impl SignInTokens {
    pub(super) fn with_refresh(self, refresh: Option<Secret>) -> Self {
        Self { refresh, ..self }
    }
}

/// Claims of an access token (reference/vercel-connect §9; RFC 9068 §2.2).
#[derive(Serialize, Deserialize)]
struct Access {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    typ: String,
    scope: String,
    #[serde(rename = "clientId")]
    connector: String,
    #[serde(rename = "clientUid")]
    uid: String,
    #[serde(rename = "tenantId", skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(rename = "installationId", skip_serializing_if = "Option::is_none")]
    installation: Option<String>,
}

/// Claims of an ID token (OpenID Connect Core §2). None but those of the person are for others to choose: `aud` is the
/// connector's id, which is one in all teams, and the session says for which of the connector's projects it is.
#[derive(Serialize)]
struct IdToken<'a> {
    iss: &'a str,
    aud: &'a str,
    azp: &'a str,
    team: &'a str,
    project: &'a str,
    environment: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(flatten)]
    person: Person,
}

/// The `sub` by which we know somebody whom a connector's provider calls `sub`: never two people's within our issuer, and
/// nothing that a provider can choose (OpenID Connect Core §8).
pub(super) fn subject_of(connector: &ConnectorId, sub: &str) -> String {
    let hash = sha256(&[connector.as_str().as_bytes(), b"\0", sub.as_bytes()]);
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash)
}

impl Person {
    /// What of them scopes reach (OpenID Connect Core §5.4).
    fn within(self, scopes: &[&str]) -> Self {
        let (email, profile) = (scopes.contains(&"email"), scopes.contains(&"profile"));
        Self {
            sub: self.sub,
            email: self.email.filter(|_| email),
            email_verified: self.email_verified.filter(|_| email),
            name: self.name.filter(|_| profile),
            picture: self.picture.filter(|_| profile),
            // Of the sign-in, not of them.
            auth_time: None,
            tenant: None,
        }
    }
}

impl Engine {
    /// The tokens of a session. The ID token is for the first time only: it says that somebody has just signed in. Its
    /// `aud` has to be what the application calls itself (OpenID Connect Core §3.1.3.7), so one that names the connector
    /// by its uid, which another team may use too, gets none and reads userinfo.
    pub(super) async fn tokens_of(
        &self,
        connector: &Connector,
        sign_in: &SignIn,
        scopes: &[String],
        first: bool,
    ) -> Result<SignInTokens> {
        let session = sign_in.session.as_ref().ok_or(Error::Internal)?;
        let (iss, now) = (self.settings.sign_in_issuer(), self.now());
        let exp = now.after(ACCESS_TIME).min(sign_in.expires_at);
        let scope = scopes.join(" ");
        let mut person = self.person_of_sign_in(sign_in).await?;
        let told = self.told_of(sign_in, person.tenant.take()).await?;
        let claims = Access {
            aud: format!(
                "{}:{}:{}",
                sign_in.team, session.project, session.environment
            ),
            sub: sign_in.id.to_string(),
            client_id: sign_in.asked.client_id.clone(),
            iat: now.as_secs(),
            nbf: now.as_secs(),
            exp: exp.as_secs(),
            jti: entropy::alphanumeric(self.entropy(), 22),
            typ: "at".to_owned(),
            scope: scope.clone(),
            connector: connector.id.to_string(),
            uid: connector.uid.clone(),
            tenant: told.tenant,
            installation: told.installation,
            iss: iss.clone(),
        };
        let key = self.signing_key(SigningPurpose::SignIn).await?;
        let access = key.sign(ACCESS_TYP, &claims).map_err(|_| Error::Internal)?;
        let by_id = sign_in.asked.client_id == connector.id.as_str();
        let id_token = match first && by_id && scopes.iter().any(|scope| scope == "openid") {
            false => None,
            true => {
                let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
                let claims = IdToken {
                    iss: &iss,
                    aud: connector.id.as_str(),
                    azp: connector.id.as_str(),
                    team: sign_in.team.as_str(),
                    project: session.project.as_str(),
                    environment: session.environment.as_str(),
                    iat: now.as_secs(),
                    exp: exp.as_secs(),
                    nonce: sign_in.asked.nonce.as_deref(),
                    auth_time: person.auth_time,
                    person: person.within(&scopes),
                };
                let token = key.sign(ID_TYP, &claims).map_err(|_| Error::Internal)?;
                Some(Secret::new(token))
            }
        };
        Ok(SignInTokens {
            access: Secret::new(access),
            expires_in: exp.since(now),
            refresh: None,
            id_token,
            scope,
        })
    }

    async fn person_of_sign_in(&self, sign_in: &SignIn) -> Result<Person> {
        let sealed = sign_in.identity.as_ref().ok_or(Error::Internal)?;
        let place = place(sign_in.team.as_str(), sign_in.id.as_str());
        let json = self.keys.open_text(place, sealed).await?;
        let person: Person = serde_json::from_str(json.expose()).map_err(|_| Error::Internal)?;
        Ok(Person {
            sub: subject_of(&sign_in.connector, &person.sub),
            ..person
        })
    }

    /// Who signed in, as far as the access token's scopes reach (OpenID Connect Core §5.3).
    pub async fn userinfo(&self, token: &Secret) -> Told<Value> {
        let (claims, sign_in) = self.verified(token).await?;
        let scopes: Vec<&str> = claims.scope.split(' ').collect();
        let person = self.person_of_sign_in(&sign_in).await?.within(&scopes);
        serde_json::to_value(person).map_err(|_| Error::Internal.into())
    }

    /// The sign-in of an access token that still works.
    pub(super) async fn sign_in_of_token(&self, token: &Secret) -> Told<SignIn> {
        self.verified(token).await.map(|(_, sign_in)| sign_in)
    }

    async fn verified(&self, token: &Secret) -> Told<(Access, SignIn)> {
        let invalid = || {
            denied(
                "invalid_token",
                "the access token is unknown, over, or ended",
            )
        };
        // It names the audience that is then required, and is believed no further than the signature that covers it.
        let Some(audience) = unverified_audience(token.expose()) else {
            return invalid();
        };
        let keys = self.public_keys(SigningPurpose::SignIn).await?;
        let keys = KeySet::new(&keys);
        let expected = Expected {
            typ: Some(ACCESS_TYP),
            issuer: &self.settings.sign_in_issuer(),
            audience: &audience,
            now: self.now(),
            leeway: Duration::ZERO,
        };
        let claims: Access = match jws::verify(token.expose(), &keys, &expected) {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, "an access token was refused");
                return invalid();
            }
        };
        let team = claims.aud.split(':').next().unwrap_or_default();
        let (team, id) = (TeamId::from(team), SignInId::from(claims.sub.as_str()));
        match self.ports.store.session(&team, &id, self.now()).await? {
            Some(sign_in) => Ok((claims, sign_in)),
            None => invalid(),
        }
    }
}

fn unverified_audience(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = base64::Engine::decode(engine, payload).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims.get("aud")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_of_one_connector_and_nothing_that_its_provider_chose() {
        let of = |connector: &str, sub: &str| subject_of(&connector.into(), sub);
        let workload = "owner:acme:project:web:environment:production";
        let ours = of("scl_a", workload);
        assert_eq!(ours, of("scl_a", workload));
        assert!(ours.len() == 43 && !ours.contains(':'), "{ours}");
        for (connector, sub) in [("scl_b", workload), ("scl_a", "u"), ("scl_", "aowner")] {
            assert_ne!(ours, of(connector, sub));
        }
    }
}

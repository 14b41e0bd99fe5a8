//! Workload tokens: short-lived tokens of our own issuer that prove which project runs where
//! (reference/vercel-connect §10).

mod jwks;
mod keys;
mod outside;
mod trust;

use std::time::Duration;

use grantry_core::ids::{ProjectId, TeamId};
use grantry_core::limits;
use grantry_core::nouns::{Digest, Environment, EventKind};
use grantry_core::store::SigningPurpose;
use grantry_core::{Error, Result, Secret, Timestamp, entropy};
use grantry_vault::jws::{self, Expected, KeySet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::permissions::Act;
use crate::principal::Principal;
use crate::{Caller, Engine};

pub use keys::{PublishedKey, SigningKeyState};
pub(crate) use keys::{base64_decode, base64_encode};
pub use outside::Outside;
pub use trust::{Condition, KeySource, Rule, Template, TrustedIssuer};

/// A verified token is taken from memory for at most this long, so that a retired key ends its
/// tokens everywhere within a minute (design §11).
const TRUSTED_FOR: Duration = Duration::from_secs(60);

/// Header `typ` of workload tokens; keeps them apart from our other tokens.
const TYP: &str = "workload+jwt";

/// A minted token.
pub struct WorkloadToken {
    /// The token.
    pub token: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    owner: String,
    owner_id: String,
    project: String,
    project_id: String,
    environment: String,
}

/// True for a text that has the form of a compact JWS. Our API keys never contain a dot.
pub fn looks_like_token(bearer: &str) -> bool {
    bearer.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Engine {
    /// Mints a token for `project` (id or name) in `environment`; 12 h unless a shorter `ttl` is asked for.
    pub async fn mint_workload_token(
        &self,
        caller: &Caller,
        project: &str,
        environment: Environment,
        ttl: Option<Duration>,
    ) -> Result<WorkloadToken> {
        caller.require(Act::MintWorkloadTokens)?;
        let project = self.project(caller, project).await?;
        if !project.has_environment(&environment) {
            return Err(Error::invalid(
                "environment",
                format!("{environment} is not an environment of {}", project.name),
            ));
        }
        let team = self
            .ports
            .store
            .team(caller.team.as_str())
            .await?
            .ok_or(Error::NotFound("team"))?;
        let now = self.now();
        let expires_at = now.after(
            ttl.unwrap_or(limits::WORKLOAD_TOKEN_TIME_MAX)
                .min(limits::WORKLOAD_TOKEN_TIME_MAX),
        );
        let claims = Claims {
            iss: self.settings.issuer(),
            aud: self.settings.audience(&team.slug),
            sub: format!(
                "owner:{}:project:{}:environment:{environment}",
                team.slug, project.name
            ),
            jti: entropy::alphanumeric(self.entropy(), 22),
            iat: now.as_secs(),
            nbf: now.as_secs(),
            exp: expires_at.as_secs(),
            owner: team.slug,
            owner_id: team.id.to_string(),
            project: project.name,
            project_id: project.id.to_string(),
            environment: environment.to_string(),
        };
        let key = self.signing_key(SigningPurpose::Workload).await?;
        let token = key.sign(TYP, &claims).map_err(|_| Error::Internal)?;
        let event = self
            .draft(EventKind::WorkloadTokenMinted, caller)
            .with("project", project.id.as_str())
            .with("environment", environment.as_str())
            .done();
        self.ports.store.append_events(&[event]).await?;
        Ok(WorkloadToken {
            token: Secret::new(token),
            expires_at: Timestamp::from_millis(claims.exp * 1000),
        })
    }

    /// The workload that `token`, ours or an outside issuer's, proves.
    pub(crate) async fn verify_workload_token(
        &self,
        token: &str,
        credential: Digest,
    ) -> Result<Principal> {
        if let Some(principal) = self.verify_outside_token(token, credential).await? {
            return Ok(principal);
        }
        let keys = self.public_keys(SigningPurpose::Workload).await?;
        let keys = KeySet::new(&keys);
        let now = self.now();
        let unverified = unverified_owner(token).ok_or(Error::Unauthenticated)?;
        let expected = Expected {
            typ: Some(TYP),
            issuer: &self.settings.issuer(),
            audience: &self.settings.audience(&unverified),
            now,
            leeway: Duration::from_secs(0),
        };
        let claims: Claims = jws::verify(token, &keys, &expected).map_err(|error| {
            tracing::debug!(%error, "a workload token was refused");
            Error::Unauthenticated
        })?;
        let team = TeamId::from(claims.owner_id);
        let kind = self
            .workload(
                team,
                ProjectId::from(claims.project_id),
                Environment::from(claims.environment.as_str()),
            )
            .await?;
        let until = Timestamp::from_millis(claims.exp * 1000).min(now.after(TRUSTED_FOR));
        Ok(Principal {
            credential,
            kind,
            until: Some(until),
        })
    }
}

/// The team's slug as the token claims it: it names the audience that is then required, and is
/// believed no further than the signature that covers it.
fn unverified_owner(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let payload =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims.get("owner")?.as_str().map(str::to_owned)
}

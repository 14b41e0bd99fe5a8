//! Workload tokens: short-lived tokens of our own issuer that prove which project runs where
//! (reference/vercel-connect §10).

mod jwks;
mod keys;
mod outside;
mod trust;

use std::time::Duration;

use grantry_core::ids::{ProjectId, TeamId};
use grantry_core::limits;
use grantry_core::nouns::{Digest, Environment, EventKind, Project};
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

/// Header `typ` of what proves a workload elsewhere. No other would do: what clouds verify with takes this or none, where
/// nobody told it otherwise (RFC 7519 §5.1). Here it is no credential.
const ELSEWHERE_TYP: &str = "JWT";

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
        let life = ttl.unwrap_or(limits::WORKLOAD_TOKEN_TIME_MAX);
        let life = life.min(limits::WORKLOAD_TOKEN_TIME_MAX);
        let minted = self
            .signed(caller, &project, &environment, None, life)
            .await?;
        let event = self
            .draft(EventKind::WorkloadTokenMinted, caller)
            .with("project", project.id.as_str())
            .with("environment", environment.as_str())
            .done();
        self.ports.store.append_events(&[event]).await?;
        Ok(minted)
    }

    /// What tells `audience`, a service that trusts our issuer, that `project` asks, from where it runs. Of the
    /// claims of a workload token, with ids for names in `sub`, and none here.
    pub(crate) async fn prove_elsewhere(
        &self,
        caller: &Caller,
        project: &str,
        environment: &Environment,
        audience: &str,
    ) -> Result<WorkloadToken> {
        let project = self.project(caller, project).await?;
        let life = limits::WORKLOAD_PROOF_TIME;
        self.signed(caller, &project, environment, Some(audience), life)
            .await
    }

    /// A token about `project`, for this server or for `elsewhere`.
    async fn signed(
        &self,
        caller: &Caller,
        project: &Project,
        environment: &Environment,
        elsewhere: Option<&str>,
        life: Duration,
    ) -> Result<WorkloadToken> {
        let team = self.ports.store.team(caller.team.as_str()).await?;
        let team = team.ok_or(Error::NotFound("team"))?;
        let now = self.now();
        let subject = |owner: &str, project: &str| {
            format!("owner:{owner}:project:{project}:environment:{environment}")
        };
        let (typ, aud, sub) = match elsewhere {
            None => {
                let audience = self.settings.audience(&team.slug);
                (TYP, audience, subject(&team.slug, &project.name))
            }
            // Who goes by `sub` alone must not trust whoever takes a name that another has given up: an id is one's for good.
            Some(audience) => {
                let parts = [team.id.as_str(), project.id.as_str(), environment.as_str()];
                let sub = subject(parts[0], parts[1]);
                require_plain_subject(&sub, parts)?;
                (ELSEWHERE_TYP, audience.to_owned(), sub)
            }
        };
        let claims = Claims {
            iss: self.settings.issuer(),
            aud,
            sub,
            jti: entropy::alphanumeric(self.entropy(), 22),
            iat: now.as_secs(),
            nbf: now.as_secs(),
            exp: now.after(life).as_secs(),
            owner: team.slug,
            owner_id: team.id.to_string(),
            project: project.name.clone(),
            project_id: project.id.to_string(),
            environment: environment.to_string(),
        };
        let key = self.signing_key(SigningPurpose::Workload).await?;
        let token = key.sign(typ, &claims).map_err(|_| Error::Internal)?;
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

/// Refuses what a service elsewhere would not take for a subject, or could take for another one: it goes by `sub` alone,
/// perhaps by how that begins.
fn require_plain_subject(sub: &str, parts: [&str; 3]) -> Result<()> {
    let reason = if sub.len() > limits::WORKLOAD_SUBJECT_BYTES_MAX {
        "is longer than the 255 bytes that it may have elsewhere"
    } else if parts.iter().any(|part| part.contains(':')) {
        "could be read as another's: the ids of team, project and environment must be without a colon"
    } else {
        return Ok(());
    };
    Err(Error::Unresolvable {
        reason: format!("the subject {sub:?} {reason}"),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_could_be_read_as_anothers_or_is_too_long_is_none() {
        for (sub, parts, said) in [
            ("s", ["team_1", "prj_1", "production"], None),
            ("s", ["team_1", "prj_1:x", "production"], Some("colon")),
            ("s", ["team_1", "prj_1", "a:b"], Some("colon")),
            (&"s".repeat(255), ["t", "p", "e"], None),
            (&"s".repeat(256), ["t", "p", "e"], Some("255 bytes")),
        ] {
            let said_now = match require_plain_subject(sub, parts) {
                Err(Error::Unresolvable { reason }) => Some(reason),
                other => other.map(|()| None).unwrap(),
            };
            match (said, said_now) {
                (None, None) => {}
                (Some(said), Some(reason)) if reason.contains(said) => {}
                (_, reason) => panic!("{parts:?}: {reason:?}"),
            }
        }
    }
}

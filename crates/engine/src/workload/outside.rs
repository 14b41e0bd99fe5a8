//! Tokens of outside issuers: from the text to a workload of ours.
//!
//! Of a token's header only `alg`, `kid`, `typ` and `crit` are looked at. Keys come from the declared
//! issuer and nowhere else: `jwk`, `jku`, `x5c` and `x5u` are not read (RFC 8725 §3.10).

use grantry_core::limits::{ISSUER_CLOCK_OFF_TIME_MAX, WORKLOAD_SUBJECT_BYTES_MAX};
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::nouns::{Digest, Environment, OutsideIdentity};
use grantry_core::{Error, Result, Timestamp};
use grantry_vault::jws::{self, Expected};
use serde::Deserialize;
use serde_json::Value;

use super::TRUSTED_FOR;
use super::jwks::Known;
use super::trust::{Meant, TrustedIssuer};
use crate::Engine;
use crate::principal::{Principal, PrincipalKind};

/// The declared issuers and what is known of their keys.
pub struct Outside(HashMap<String, (usize, Known)>);

impl Outside {
    /// Nothing is known yet.
    pub fn of(issuers: &[TrustedIssuer]) -> Self {
        let known = issuers.iter().enumerate();
        Self(
            known
                .map(|(at, trusted)| (trusted.issuer.clone(), (at, Known::default())))
                .collect(),
        )
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

/// What has to be known before a token is verified. Believed no further than the signature covers it.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
    aud: Value,
}

/// What is read of the verified claims, beside those that the rules name.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    iat: f64,
    exp: f64,
}

impl Engine {
    /// The workload that `token` proves; `None` when it is not of an outside issuer.
    pub(super) async fn verify_outside_token(
        &self,
        token: &str,
        credential: Digest,
    ) -> Result<Option<Principal>> {
        let Some((header, unverified)) = parts(token) else {
            return Ok(None);
        };
        let Some((at, known)) = self.outside.0.get(&unverified.iss) else {
            return Ok(None);
        };
        let trusted = &self.settings.workload.issuers[*at];
        let refused = |why: &'static str| {
            tracing::debug!(issuer = trusted.name, why, "an outside token was refused");
            Error::Unauthenticated
        };
        // Before anybody is asked for keys: what cannot be accepted costs nothing.
        if !trusted.algorithms.contains(&header.alg) {
            return Err(refused("the algorithm is not accepted"));
        }
        let typ = header.typ.as_deref();
        let expected_typ = trusted.typ.as_deref();
        if expected_typ.is_none() && typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(refused("the typ is neither JWT nor absent"));
        }
        let own = [self.settings.issuer()];
        let audiences = match trusted.audiences.as_slice() {
            [] => &own[..],
            declared => declared,
        };
        let named = |audience: &&String| match &unverified.aud {
            Value::Array(all) => all.iter().any(|one| one == audience.as_str()),
            one => one == audience.as_str(),
        };
        let audience = audiences.iter().find(named);
        let audience = audience.ok_or_else(|| refused("the audience is another one"))?;

        let (http, clock) = (&*self.ports.http, &*self.ports.clock);
        let kid = header.kid.as_deref();
        let keys = known.keys(http, clock, trusted, kid).await;
        let keys = keys.ok_or(Error::Unavailable)?;
        let now = self.now();
        let expected = Expected {
            typ: expected_typ,
            issuer: &trusted.issuer,
            audience,
            now,
            leeway: ISSUER_CLOCK_OFF_TIME_MAX,
        };
        let verified: Value = jws::verify(token, &keys, &expected).map_err(|error| {
            tracing::debug!(issuer = trusted.name, %error, "an outside token was refused");
            Error::Unauthenticated
        })?;
        let claims = Claims::deserialize(&verified)
            .map_err(|_| refused("sub, iat or exp is missing or has another form"))?;
        let seconds = |at: Timestamp| at.as_secs() as f64;
        if claims.iat > seconds(now.after(ISSUER_CLOCK_OFF_TIME_MAX)) {
            return Err(refused("it is issued in the future"));
        }
        if claims.exp - claims.iat > trusted.life_max.as_secs_f64() {
            return Err(refused("it lives longer than this issuer's tokens may"));
        }
        let plain = !claims.sub.is_empty()
            && claims.sub.len() <= WORKLOAD_SUBJECT_BYTES_MAX
            && !claims.sub.chars().any(char::is_control);
        if !plain {
            return Err(refused("the subject is empty, long or no plain text"));
        }
        let meant = trusted.whom(&verified);
        let meant = meant.ok_or_else(|| refused("no rule is for these claims"))?;
        let identity = OutsideIdentity {
            issuer: trusted.issuer.clone(),
            subject: claims.sub,
        };
        let kind = self.workload_meant(&meant, identity).await;
        let kind =
            kind?.ok_or_else(|| refused("the rule's team, project or environment is not there"))?;
        // `exp` is verified to be near: it is at most the issuer's longest life after `iat`.
        let ends =
            Timestamp::from_millis((claims.exp * 1000.0) as i64).after(ISSUER_CLOCK_OFF_TIME_MAX);
        Ok(Some(Principal {
            credential,
            kind,
            until: Some(ends.min(now.after(TRUSTED_FOR))),
        }))
    }

    /// Warns of rules that name their team by its slug: a slug moves when its team changes it, and whoever takes
    /// it then takes the rule's tokens along.
    pub(crate) async fn warn_of_slugs(&self) -> Result<()> {
        for trusted in self.settings.workload.issuers.iter() {
            for rule in &trusted.rules {
                let named = rule.team.as_str();
                let team = self.ports.store.team(named).await?;
                if let Some(team) = team.filter(|team| team.id.as_str() != named) {
                    tracing::warn!(
                        issuer = trusted.name, team = named, id = %team.id,
                        "a rule of an outside issuer names its team by its slug, which can become another team's: name it by its id"
                    );
                }
            }
        }
        Ok(())
    }

    /// The workload of a rule, as far as there is one.
    async fn workload_meant(
        &self,
        meant: &Meant,
        identity: OutsideIdentity,
    ) -> Result<Option<PrincipalKind>> {
        let store = &self.ports.store;
        let Some(team) = store.team(&meant.team).await? else {
            return Ok(None);
        };
        let environment = Environment::from(meant.environment.as_str());
        let project = store.project(&team.id, &meant.project).await?;
        let project = project.filter(|project| project.has_environment(&environment));
        Ok(project.map(|project| PrincipalKind::Workload {
            team: team.id,
            project: project.id,
            environment,
            identity: Some(identity),
        }))
    }
}

/// Header and claims, unverified.
fn parts(token: &str) -> Option<(Header, Unverified)> {
    let mut parts = token.split('.');
    let mut next = || URL_SAFE_NO_PAD.decode(parts.next()?).ok();
    let header = serde_json::from_slice(&next()?).ok()?;
    let claims = serde_json::from_slice(&next()?).ok()?;
    Some((header, claims))
}

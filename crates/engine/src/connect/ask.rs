//! Somebody wants a user to connect (reference/vercel-connect E1).

use std::sync::Arc;
use std::time::Duration;

use grantry_core::ids::AuthorizationId;
use grantry_core::nouns::{Actor, Authorization, AuthorizationState, EventKind, Subject};
use grantry_core::{Error, Problem, Result, Secret, Timestamp, entropy};
use grantry_oauth::authorize::is_reserved;
use grantry_vault::hash::sha256;
use serde_json::{Map, Value};

use crate::connectors::ConnectorView;
use crate::permissions::Act;
use crate::tokens::AskToken;
use crate::{Caller, Engine};

/// Characters of the verifier under which the result is polled: 256 bits.
pub(super) const VERIFIER_CHARS: usize = 43;

/// What consent is asked for.
#[derive(Clone, Debug, Default)]
pub struct AskConsent {
    /// The token that shall be available afterwards.
    pub token: AskToken,
    /// Where the browser goes at the end.
    pub return_url: Option<String>,
    /// `prompt` for the provider.
    pub prompt: Option<String>,
    /// Show a code that the requester and the page both display.
    pub device_code: bool,
    /// Life of the request; 1 h when absent, at most 24 h.
    pub expires_in: Option<Duration>,
    /// Further parameters for the provider's authorization endpoint.
    pub additional_params: Map<String, Value>,
    /// Serve nothing before the code that the return URL receives was posted back (design §7).
    pub confirm: bool,
}

/// A consent that was asked for.
pub struct Requested {
    /// Its id.
    pub id: AuthorizationId,
    /// The link for the user.
    pub url: String,
    /// The handle for the result.
    pub verifier: Secret,
    /// To compare with the page.
    pub device_code: Option<String>,
    /// When the link ends.
    pub expires_at: Timestamp,
    /// What it is for.
    pub connector: ConnectorView,
}

impl Engine {
    /// Makes the link that a user opens to connect.
    #[tracing::instrument(target = "grantry_spans", name = "authorize", skip_all)]
    pub async fn authorize(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        ask: AskConsent,
    ) -> Result<Requested> {
        caller.require(Act::Authorize)?;
        let entry = self.usable_connector(caller, connector).await?;
        let mut problems: Vec<Problem> = Vec::new();
        for (name, value) in &ask.additional_params {
            let field = || format!("additionalParams.{name}");
            if is_reserved(name) {
                problems.push(Problem::new(
                    field(),
                    "is set by the protocol and cannot be chosen",
                ));
            } else if !value.is_string() {
                problems.push(Problem::new(field(), "must be a string"));
            }
        }
        if let Some(url) = &ask.return_url
            && let Err(message) = self.check_return_url(&caller.team, url).await?
        {
            problems.push(Problem::new("returnUrl", message));
        }
        let limits = &self.settings.limits;
        let ttl = ask.expires_in.unwrap_or(limits.authorization_time);
        if ttl.is_zero() || ttl > limits.authorization_time_max {
            problems.push(Problem::new(
                "expiresInMs",
                format!("must be 1 to {}", limits.authorization_time_max.as_millis()),
            ));
        }
        if ask.confirm && ask.return_url.is_none() {
            let message = "is required with confirm: it is where the code goes";
            problems.push(Problem::new("returnUrl", message));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        self.require_complete(&entry.connector).await?;
        let grant = self.grant_of(caller, &entry, ask.token)?;
        self.require_environment(caller, &grant.environment).await?;
        if !matches!(grant.subject, Subject::User { .. }) {
            let reason = "this subject needs no consent: ask for its token".to_owned();
            return Err(Error::Unresolvable { reason });
        }
        let now = self.now();
        let verifier = Secret::new(entropy::alphanumeric(self.entropy(), VERIFIER_CHARS));
        let device_code = ask.device_code.then(|| device_code(self.entropy()));
        let authorization = Authorization {
            id: AuthorizationId::mint(now, self.entropy()),
            team: caller.team.clone(),
            grant,
            requested_by: caller.actor.clone(),
            requester: self.requester(caller).await?,
            verifier: sha256(&[verifier.expose().as_bytes()]),
            device_code,
            return_url: ask.return_url,
            prompt: ask.prompt.filter(|prompt| !prompt.is_empty()),
            additional_params: ask.additional_params,
            confirm: ask.confirm,
            state: AuthorizationState::Pending,
            created_at: now,
            expires_at: now.after(ttl),
        };
        let event = self
            .draft(EventKind::AuthorizationRequested, caller)
            .connector(&entry.connector.id)
            .with("authorization", authorization.id.as_str())
            .done();
        self.ports
            .store
            .create_authorization(&authorization, &event)
            .await?;
        Ok(Requested {
            url: self
                .settings
                .url(&format!("/authorize/{}", authorization.id)),
            id: authorization.id,
            verifier,
            device_code: authorization.device_code,
            expires_at: authorization.expires_at,
            connector: ConnectorView::of(&entry, &*self.catalogue().await?),
        })
    }

    /// How the requester is called on the page.
    pub(super) async fn requester(&self, caller: &Caller) -> Result<String> {
        let team = self
            .ports
            .store
            .team(caller.team.as_str())
            .await?
            .ok_or(Error::NotFound("team"))?;
        Ok(match &caller.actor {
            Actor::Project { id, .. } => {
                let project = self.ports.store.project(&caller.team, id).await?;
                project.map_or(team.name.clone(), |project| {
                    format!("{} · {}", project.name, team.name)
                })
            }
            _ => team.name,
        })
    }
}

/// Eight characters that are not mistaken for one another, in two groups.
fn device_code(source: &dyn grantry_core::Entropy) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let code: Vec<char> = entropy::bytes::<8>(source)
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect();
    let (left, right) = code.split_at(4);
    format!(
        "{}-{}",
        left.iter().collect::<String>(),
        right.iter().collect::<String>()
    )
}

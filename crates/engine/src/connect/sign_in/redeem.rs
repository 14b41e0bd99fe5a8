//! Codes and refresh tokens, each redeemed once. One that comes again was stolen, or is being tried: the sign-in ends, and
//! nothing of it works any more (RFC 6749 §10.5, RFC 9700 §4.14.2).

use std::sync::Arc;

use grantry_core::error::Forbidden;
use grantry_core::ids::ProjectId;
use grantry_core::nouns::{
    ConnectionState, EventKind, Grant, Project, Scopes, Session, SignIn, SignInGrant, Subject,
    TokenSet,
};
use grantry_core::{Error, Secret, StoreError, Timestamp, entropy};
use grantry_vault::hash::{Handle, HandleKind, constant_time_eq, s256};
use serde_json::Map;

use super::super::identity::Account;
use super::client::may_return;
use super::tokens::{SignInTokens, subject_of};
use super::{ACCESS_TIME, Denied, GRANT_CHARS, OFFLINE, REFRESH_TIME, Told, denied};
use crate::connectors::Entry;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// What a token request asks for.
pub enum AskTokens {
    /// `grant_type=authorization_code`
    Code {
        /// `code`
        code: Secret,
        /// `redirect_uri`
        redirect_uri: String,
        /// `code_verifier`
        verifier: Secret,
    },
    /// `grant_type=refresh_token`
    Refresh {
        /// `refresh_token`
        token: Secret,
        /// `scope`: fewer than were granted.
        scope: Option<String>,
    },
}

/// An application that has proved itself, and the connector it speaks of.
pub struct TokenProof {
    caller: Caller,
    project: ProjectId,
    entry: Arc<Entry>,
}

/// A sign-in that is the application's own, and what of it was presented.
struct Presented {
    grant: SignInGrant,
    sign_in: SignIn,
}

const NOT_GOOD: &str = "is unknown, used, over, or another application's";

impl Engine {
    /// The application that `secret`, a workload's token or key, proves, for the connector `client_id`.
    pub async fn prove_application(&self, client_id: &str, secret: &Secret) -> Told<TokenProof> {
        let caller = match self.caller(secret.expose(), None).await {
            Ok(caller) => caller,
            Err(Error::Unauthenticated | Error::Invalid(_)) => {
                return denied("invalid_client", "client_secret is no valid workload token");
            }
            Err(error) => return Err(error.into()),
        };
        let Some(project) = caller.project().map(ProjectId::from) else {
            return denied("invalid_client", "client_secret is not a workload's");
        };
        caller.require(Act::Authorize)?;
        match self.usable_connector(&caller, client_id).await {
            Ok(entry) => Ok(TokenProof {
                caller: (*caller).clone(),
                project,
                entry,
            }),
            Err(Error::NotFound(_) | Error::Gone(_)) => denied(
                "invalid_client",
                "client_id names no connector of the workload's team",
            ),
            Err(Error::Forbidden(
                why @ (Forbidden::NotLinked | Forbidden::EnvironmentNotEnabled),
            )) => denied("unauthorized_client", why.to_string()),
            Err(error) => Err(error.into()),
        }
    }

    /// What a code or refresh token is good for.
    pub async fn redeem(self: &Arc<Self>, proof: TokenProof, ask: AskTokens) -> Told<SignInTokens> {
        // What a code buys is stored and then told; no disconnect comes between.
        let engine = Arc::clone(self);
        self.uncancellable(async move { Ok(engine.redeem_now(&proof, ask).await) })
            .await?
    }

    async fn redeem_now(
        self: &Arc<Self>,
        proof: &TokenProof,
        ask: AskTokens,
    ) -> Told<SignInTokens> {
        match ask {
            AskTokens::Code {
                code,
                redirect_uri,
                verifier,
            } => {
                self.redeem_code(proof, &code, &redirect_uri, &verifier)
                    .await
            }
            AskTokens::Refresh { token, scope } => {
                self.redeem_refresh(proof, &token, scope.as_deref()).await
            }
        }
    }

    /// The sign-in that a code or refresh token is of, if that still works. One that was used ends the sign-in.
    async fn presented(
        &self,
        proof: &TokenProof,
        name: &str,
        kind: HandleKind,
        secret: &Secret,
    ) -> Told<Presented> {
        let not_good = || denied("invalid_grant", format!("{name} {NOT_GOOD}"));
        let hash = *Handle::of(kind, secret.expose()).as_bytes();
        let store = &self.ports.store;
        let Some(grant) = store.sign_in_grant(&hash).await? else {
            return not_good();
        };
        let Some(sign_in) = store.sign_in(&proof.caller.team, &grant.sign_in).await? else {
            return not_good();
        };
        let ours = sign_in.connector == proof.entry.connector.id
            && sign_in.session.as_ref().is_none_or(|session| {
                session.project == proof.project
                    && session.environment == proof.caller.environment()
            });
        if !ours {
            return not_good();
        }
        if grant.used_at.is_some() {
            self.end_reused(&proof.caller, &sign_in).await?;
            return not_good();
        }
        let now = self.now();
        if now >= grant.expires_at || sign_in.ended_at.is_some() || now >= sign_in.expires_at {
            return not_good();
        }
        // The deployment may have chosen a shorter one since.
        if now >= self.last_end(&sign_in) {
            let why = "the session has reached its longest life: the person has to sign in anew";
            return denied("invalid_grant", why);
        }
        Ok(Presented { grant, sign_in })
    }

    async fn redeem_code(
        self: &Arc<Self>,
        proof: &TokenProof,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Told<SignInTokens> {
        let found = self
            .presented(proof, "code", HandleKind::SignInCode, code)
            .await?;
        let Presented { grant, mut sign_in } = found;
        let store = &self.ports.store;
        let team = &proof.caller.team;
        let project = store.project(team, proof.project.as_str()).await?;
        if redirect_uri != sign_in.asked.redirect_uri
            || !project.is_some_and(|project: Project| may_return(&project, redirect_uri))
        {
            let why =
                "redirect_uri is not that of the authorization request, or not this project's";
            return denied("invalid_grant", why);
        }
        let fits = (43..=128).contains(&verifier.expose().len())
            && constant_time_eq(
                s256(verifier.expose()).as_bytes(),
                sign_in.asked.challenge.as_bytes(),
            );
        if !fits {
            return denied(
                "invalid_grant",
                "code_verifier is not that of the authorization request",
            );
        }
        let held = store.held_consent(&sign_in.authorization).await?;
        let authorization = store.authorization(&sign_in.authorization).await?;
        let Some((held, mut authorization)) = held.zip(authorization) else {
            return denied("invalid_grant", format!("code {NOT_GOOD}"));
        };
        // It is a connection of whoever signed in, where the application runs.
        authorization.grant = Grant {
            subject: Subject::User {
                id: subject_of(
                    &sign_in.connector,
                    held.external_subject.as_deref().unwrap_or_default(),
                ),
                issuer: Some(self.settings.sign_in_issuer()),
            },
            environment: proof.caller.environment(),
            scopes: Scopes::Default,
            ..authorization.grant
        };
        let standing = self.connected(&authorization).await?;
        let account = Account {
            name: held.name.clone(),
            subject: held.external_subject.clone(),
            claims: Map::new(),
        };
        let new = held.set.connection.clone();
        let connection = self.consented(&authorization, standing, account, new);
        let set = TokenSet {
            connection: connection.id.clone(),
            ..held.set
        };
        let now = self.now();
        let refresh = sign_in.asked.scopes.iter().any(|scope| scope == OFFLINE);
        let refresh = refresh.then(|| self.refresh_token(&sign_in));
        let usual = now.after(ACCESS_TIME).min(self.last_end(&sign_in));
        sign_in.expires_at = refresh.as_ref().map_or(usual, |(row, _)| row.expires_at);
        sign_in.session = Some(Session {
            project: proof.project.clone(),
            environment: proof.caller.environment(),
            connection: connection.id.clone(),
        });
        let scopes = sign_in.asked.scopes.clone();
        let tokens = self
            .tokens_of(&proof.entry.connector, &sign_in, &scopes, true)
            .await?;
        let event = self
            .draft(EventKind::SignedIn, &proof.caller)
            .connector(&sign_in.connector)
            .connection(&connection.id)
            .with("authorization", authorization.id.as_str())
            .with("sign_in", sign_in.id.as_str())
            .done();
        let stored = refresh.as_ref().map(|(row, _)| row);
        let redeemed = store
            .redeem_code(&grant.hash, &sign_in, stored, &connection, &set, &event)
            .await;
        self.caches.lives.invalidate(&connection.id);
        match redeemed {
            Ok(()) => Ok(tokens.with_refresh(refresh.map(|(_, token)| token))),
            Err(StoreError::Missing("grant")) => {
                // Somebody else was first with it.
                let again = store.sign_in_grant(&grant.hash).await?;
                if again.is_some_and(|again| again.used_at.is_some()) {
                    self.end_reused(&proof.caller, &sign_in).await?;
                }
                denied("invalid_grant", format!("code {NOT_GOOD}"))
            }
            Err(StoreError::Taken(_)) => Err(Error::busy(
                "the same person is being signed in by another request: try again",
            )
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn redeem_refresh(
        &self,
        proof: &TokenProof,
        token: &Secret,
        scope: Option<&str>,
    ) -> Told<SignInTokens> {
        let found = self
            .presented(proof, "refresh_token", HandleKind::SignInRefresh, token)
            .await?;
        let Presented { grant, mut sign_in } = found;
        let granted = sign_in.asked.scopes.clone();
        let scopes: Vec<String> = match scope.map(str::trim).filter(|scope| !scope.is_empty()) {
            Some(scope) => scope.split(' ').map(str::to_owned).collect(),
            None => granted.clone(),
        };
        if !scopes.iter().all(|scope| granted.contains(scope)) {
            return denied("invalid_scope", "scope goes beyond what was granted");
        }
        let store = &self.ports.store;
        let Some(session) = &sign_in.session else {
            return denied("invalid_grant", format!("refresh_token {NOT_GOOD}"));
        };
        // Who has disconnected is signed out.
        let live = store.connection(&sign_in.team, &session.connection).await?;
        match live.map(|live| live.connection.state) {
            Some(ConnectionState::Active) => {}
            // The provider no longer answers for them. A consent would make it whole again, so this ends nothing.
            Some(ConnectionState::NeedsReauth(_)) => {
                let why = "the provider refuses what the person granted: they have to sign in anew";
                return denied("invalid_grant", why);
            }
            Some(ConnectionState::Revoked) | None => {
                self.end_sign_in_now(&proof.caller, &sign_in, "disconnected")
                    .await?;
                return denied("invalid_grant", "the person has disconnected");
            }
        }
        let (next, refresh) = self.refresh_token(&sign_in);
        sign_in.expires_at = next.expires_at;
        let tokens = self
            .tokens_of(&proof.entry.connector, &sign_in, &scopes, false)
            .await?;
        let event = self
            .draft(EventKind::SignInRefreshed, &proof.caller)
            .connector(&sign_in.connector)
            .with("sign_in", sign_in.id.as_str())
            .done();
        match store.rotate_refresh(&grant.hash, &next, &event).await {
            Ok(()) => Ok(tokens.with_refresh(Some(refresh))),
            Err(StoreError::Missing("grant")) => {
                // It was used meanwhile, or what the sign-in rests on is not there.
                let again = store.sign_in_grant(&grant.hash).await?;
                if again.is_some_and(|again| again.used_at.is_some()) {
                    self.end_reused(&proof.caller, &sign_in).await?;
                }
                denied("invalid_grant", format!("refresh_token {NOT_GOOD}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends what `token` is of (RFC 7009). A token that is not known, or not the application's, is none of its business.
    pub async fn revoke_sign_in(&self, proof: &TokenProof, token: &Secret) -> Told<()> {
        let store = &self.ports.store;
        let hash = *Handle::of(HandleKind::SignInRefresh, token.expose()).as_bytes();
        let sign_in = match store.sign_in_grant(&hash).await? {
            Some(grant) => store.sign_in(&proof.caller.team, &grant.sign_in).await?,
            None => match self.sign_in_of_token(token).await {
                Ok(sign_in) => Some(sign_in),
                Err(Denied::Oauth(..)) => None,
                // Whether it was one is not known: the application has to ask again (RFC 7009 §2.2.1).
                Err(error @ Denied::Other(_)) => return Err(error),
            },
        };
        let ours = sign_in.filter(|sign_in| {
            let session = sign_in.session.as_ref();
            sign_in.team == proof.caller.team
                && sign_in.connector == proof.entry.connector.id
                && session.is_some_and(|session| {
                    session.project == proof.project
                        && session.environment == proof.caller.environment()
                })
        });
        match ours {
            Some(sign_in) => Ok(self
                .end_sign_in_now(&proof.caller, &sign_in, "revoked")
                .await?),
            None => Ok(()),
        }
    }

    async fn end_reused(&self, caller: &Caller, sign_in: &SignIn) -> Result<(), Error> {
        tracing::warn!(sign_in = %sign_in.id, "a code or refresh token came a second time: its sign-in ends");
        self.end_sign_in_now(caller, sign_in, "reused").await
    }

    async fn end_sign_in_now(
        &self,
        caller: &Caller,
        sign_in: &SignIn,
        why: &str,
    ) -> Result<(), Error> {
        let event = self
            .draft(EventKind::SignInEnded, caller)
            .connector(&sign_in.connector)
            .with("sign_in", sign_in.id.as_str())
            .with("reason", why)
            .done();
        let store = &self.ports.store;
        store
            .end_sign_in(&sign_in.team, &sign_in.id, self.now(), &event)
            .await?;
        Ok(())
    }

    /// When a sign-in is over at the latest, however often it is renewed.
    fn last_end(&self, sign_in: &SignIn) -> Timestamp {
        sign_in
            .created_at
            .after(self.settings.limits.sign_in_time_max)
    }

    fn refresh_token(&self, sign_in: &SignIn) -> (SignInGrant, Secret) {
        let token = Secret::new(entropy::alphanumeric(self.entropy(), GRANT_CHARS));
        let row = SignInGrant {
            hash: *Handle::of(HandleKind::SignInRefresh, token.expose()).as_bytes(),
            sign_in: sign_in.id.clone(),
            team: sign_in.team.clone(),
            refresh: true,
            expires_at: self.now().after(REFRESH_TIME).min(self.last_end(sign_in)),
            used_at: None,
        };
        (row, token)
    }
}

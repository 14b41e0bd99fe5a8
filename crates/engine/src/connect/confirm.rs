//! A consent that counts once its requester confirms it (design §7).
//!
//! Whoever opens a forwarded link connects *their* account for somebody else's request. So the return
//! URL of the request receives a code, in the browser that consented, and the requester posts it back
//! if that browser is in a session of the user it asked for. Until then nothing is served, and a
//! connection that stands is not touched. What nobody confirms is revoked at the provider.

use std::sync::Arc;

use grantry_core::nouns::{
    Authorization, AuthorizationState, Connection, EventKind, HeldConsent, TokenSet,
};
use grantry_core::{Error, Result, Secret, StoreError, entropy};
use grantry_vault::hash::{constant_time_eq, sha256};

use serde_json::Map;

use super::identity::Account;
use super::page::{ConsentResult, expired};
use crate::permissions::Act;
use crate::tokens::{PAUSE, TRIES};
use crate::{Caller, Engine};

/// Characters of the code: 256 bits.
pub(super) const CODE_CHARS: usize = 43;

/// Held consents that one round of the sweep takes.
const BATCH: u32 = 100;

impl Engine {
    /// Keeps what a consent brought until it is confirmed.
    pub(super) async fn hold(
        self: &Arc<Self>,
        authorization: &Authorization,
        connection: Connection,
        set: TokenSet,
        replaces: bool,
    ) -> Result<ConsentResult> {
        let code = Secret::new(entropy::alphanumeric(self.entropy(), CODE_CHARS));
        let limits = &self.settings.limits;
        // The code is spent: where the store cannot say, the longer time loses nothing.
        let life = match self.link_flow_of(authorization).await {
            Ok(Some(_)) => limits.link_time_max,
            _ => limits.confirm_time_max,
        };
        let held = HeldConsent {
            authorization: authorization.id.clone(),
            team: authorization.team.clone(),
            connector: authorization.grant.connector.clone(),
            code: sha256(&[code.expose().as_bytes()]),
            name: connection.name,
            external_subject: connection.external_subject,
            replaces,
            set,
            expires_at: self.now().after(life),
        };
        let event = self
            .end_user_draft(EventKind::AuthorizationHeld, authorization)
            .done();
        let mut tries = 0;
        loop {
            tries += 1;
            let refused = match self.ports.store.hold_consent(&held, &event).await {
                Ok(()) => break,
                Err(refused) => refused,
            };
            // A commit that seemed to fail is known by its set's id (design §6e).
            let stored = self.ports.store.held_consent(&authorization.id).await;
            let refused = match stored {
                Ok(Some(stored)) if stored.set.id == held.set.id => break,
                Ok(_) => refused,
                Err(_) => StoreError::Unavailable,
            };
            if !refused.is_outage() {
                let id = held.set.connection.clone();
                self.revoke_orphan(authorization, &id, held.set).await;
                return Err(Error::Gone("authorization"));
            }
            if tries == TRIES {
                return Err(refused.into());
            }
            self.ports.clock.sleep(PAUSE).await;
        }
        let state = AuthorizationState::Unconfirmed;
        let mut result = self
            .result(Authorization {
                state,
                ..authorization.clone()
            })
            .await?;
        result.code = Some(code);
        Ok(result)
    }

    /// Confirms the consent that `verifier` stands for with the code that its return URL received. A
    /// wrong code changes nothing: anybody can send a browser to the return URL with one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown verifier, or another team's; [`Error::Conflict`] when there is
    /// nothing (any more) to confirm; [`Error::Invalid`] for a wrong code.
    pub async fn confirm_consent(
        self: &Arc<Self>,
        caller: &Caller,
        verifier: &str,
        code: &Secret,
    ) -> Result<ConsentResult> {
        caller.require(Act::Authorize)?;
        let store = &self.ports.store;
        let handle = sha256(&[verifier.as_bytes()]);
        let authorization = store.authorization_by_verifier(&handle).await?;
        let authorization = authorization
            .filter(|authorization| authorization.team == caller.team)
            .ok_or(Error::NotFound("authorization"))?;
        // A link flow's consent counts once its app's owner exchanges the code.
        if self.link_flow_of(&authorization).await?.is_some() {
            return Err(Error::NotFound("authorization"));
        }
        let held = match &authorization.state {
            AuthorizationState::Unconfirmed => store.held_consent(&authorization.id).await?,
            AuthorizationState::Pending => {
                return Err(Error::conflict("the user has not consented yet"));
            }
            _ => None,
        };
        let over = || Error::conflict("this consent has ended: nothing is left to confirm");
        let held = held.ok_or_else(over)?;
        let presented = sha256(&[code.expose().as_bytes()]);
        if !constant_time_eq(&presented, &held.code) {
            let message = "is not the code that this request's return URL received";
            return Err(Error::invalid("code", message));
        }
        if self.now() >= held.expires_at {
            self.drop_held(&held, expired()).await?;
            return Err(over());
        }
        let standing = self.connected(&authorization).await?;
        // Another consent may have connected another account meanwhile (requirement 21).
        let other = standing.as_ref().is_some_and(|standing| {
            !held.replaces
                && standing.external_subject.is_some()
                && held.external_subject != standing.external_subject
        });
        if other {
            let code = "other_account".to_owned();
            self.drop_held(&held, AuthorizationState::Error { code })
                .await?;
            return Err(Error::conflict(
                "another account was connected meanwhile: ask for a new consent",
            ));
        }
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
        let event = self
            .draft(EventKind::AuthorizationCompleted, caller)
            .connector(&authorization.grant.connector)
            .connection(&connection.id)
            .with("authorization", authorization.id.as_str())
            .done();
        let confirmed = store
            .confirm_consent(&authorization.id, &held.code, &connection, &set, &event)
            .await;
        self.caches.lives.invalidate(&connection.id);
        match confirmed {
            Ok(()) => {}
            Err(StoreError::Missing("held_consent")) => return Err(over()),
            Err(StoreError::Taken(_)) => {
                return Err(Error::busy(
                    "another consent for this account was completed at the same time: confirm again",
                ));
            }
            Err(error) => return Err(error.into()),
        }
        let state = AuthorizationState::Success {
            connection: connection.id,
        };
        self.result(Authorization {
            state,
            ..authorization
        })
        .await
    }

    /// Ends a held consent without a connection. Its pair is queued for revocation at the provider.
    pub(super) async fn drop_held(
        &self,
        held: &HeldConsent,
        state: AuthorizationState,
    ) -> Result<()> {
        let code = match &state {
            AuthorizationState::Error { code } => code.as_str(),
            _ => "canceled",
        };
        let event = self
            .system_draft(EventKind::AuthorizationFailed, &held.team)
            .connector(&held.connector)
            .with("authorization", held.authorization.as_str())
            .with("code", code)
            .done();
        match self
            .ports
            .store
            .drop_consent(&held.authorization, &state, &event)
            .await
        {
            // Somebody else ended it.
            Ok(()) | Err(StoreError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends what nobody confirmed in time. For the background.
    pub(crate) async fn drop_expired_consents(&self) -> Result<()> {
        loop {
            let expired_now = self.ports.store.expired_consents(self.now(), BATCH).await?;
            for held in &expired_now {
                self.drop_held(held, expired()).await?;
            }
            if expired_now.len() < BATCH as usize || self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }
}

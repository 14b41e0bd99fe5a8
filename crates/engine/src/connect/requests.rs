//! The requests for consent of a team.

use grantry_core::ids::AuthorizationId;
use grantry_core::nouns::{Actor, Authorization, AuthorizationState, EventKind, Subject};
use grantry_core::store::{AuthorizationFilter, Page};
use grantry_core::{Error, Result, StoreError};

use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine};

impl Engine {
    /// The team's requests for consent, each with the state that it has now: everybody's for an admin,
    /// those for themselves for a member.
    pub async fn authorizations(
        &self,
        caller: &Caller,
        filter: &AuthorizationFilter,
        page: &Page,
    ) -> Result<CursorPage<Authorization>> {
        caller.require(Act::ReadLists)?;
        let mut filter = filter.clone();
        if let Some(own) = caller.sees_only()? {
            filter.subject = Some(own);
        }
        let store = &self.ports.store;
        let mut rows = store.authorizations(&caller.team, &filter, page).await?;
        for row in &mut rows {
            row.state = self.state_now(row).await?;
        }
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// One request by its id, as [`Engine::authorizations`] shows it.
    pub async fn authorization(
        &self,
        caller: &Caller,
        id: &AuthorizationId,
    ) -> Result<Authorization> {
        let filter = AuthorizationFilter {
            id: Some(id.clone()),
            ..AuthorizationFilter::default()
        };
        let found = self
            .authorizations(caller, &filter, &Page::first(1))
            .await?;
        let found = found.data.into_iter().next();
        found.ok_or(Error::NotFound("authorization"))
    }

    /// Takes a request back: its link ends, and what a consent to it brought is revoked. For an admin,
    /// whoever asked, and the person it is for.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the caller may not; [`Error::Conflict`] when it has ended.
    pub async fn cancel_authorization(&self, caller: &Caller, id: &AuthorizationId) -> Result<()> {
        caller.require(Act::Authorize)?;
        let store = &self.ports.store;
        let found = store.authorization(id).await?;
        let authorization = found
            .filter(|found| found.team == caller.team && may_cancel(caller, found))
            .ok_or(Error::NotFound("authorization"))?;
        let event = self
            .draft(EventKind::AuthorizationFailed, caller)
            .connector(&authorization.grant.connector)
            .with("authorization", id.as_str())
            .with("code", "canceled")
            .done();
        let canceled = AuthorizationState::Canceled;
        let ended = match authorization.state {
            AuthorizationState::Pending => store.fail_authorization(id, &canceled, &event).await,
            AuthorizationState::Unconfirmed => store.drop_consent(id, &canceled, &event).await,
            _ => Err(StoreError::Missing("authorization")),
        };
        match ended {
            Err(StoreError::Missing(_)) => Err(Error::conflict("this request has ended already")),
            ended => Ok(ended?),
        }
    }
}

fn may_cancel(caller: &Caller, authorization: &Authorization) -> bool {
    let own = match (&caller.actor, &authorization.grant.subject) {
        (Actor::User { id: own }, Subject::User { id, issuer: None }) => own == id,
        _ => false,
    };
    // A project's request is the project's, whoever it was at an outside issuer.
    let asked = match (&caller.actor, &authorization.requested_by) {
        (
            Actor::Project {
                id, environment, ..
            },
            Actor::Project {
                id: asked,
                environment: asked_in,
                ..
            },
        ) => (id, environment) == (asked, asked_in),
        (actor, asked) => actor == asked,
    };
    own || asked || caller.standing.may(Act::RevokeAny)
}

//! Invitations into a team.

use grantry_core::ids::InviteId;
use grantry_core::nouns::{EventKind, Invite, Membership, Role, Words};
use grantry_core::store::Page;
use grantry_core::{Error, Result, StoreError};

use super::checks::Checks;
use crate::apply::Shape;
use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine};

/// Who shall be invited.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// Their mail address.
    pub email: String,
    /// What they may do in the team.
    pub role: Role,
    /// How a dialect says that.
    pub words: Words,
}

impl Engine {
    /// The team's invitations, newest first.
    pub async fn invites(&self, caller: &Caller, page: &Page) -> Result<CursorPage<Invite>> {
        caller.require(Act::ReadLists)?;
        let rows = self.ports.store.invites(&caller.team, None, page).await?;
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// One invitation.
    pub async fn invite(&self, caller: &Caller, id: &InviteId) -> Result<Invite> {
        caller.require(Act::ReadLists)?;
        let found = self.ports.store.invite(&caller.team, id).await?;
        found.ok_or(Error::NotFound("invite"))
    }

    /// Invites somebody into the team. Who is a person of the team's account already is a member at once, with
    /// this role unless they have one.
    pub async fn create_invite(&self, caller: &Caller, new: NewInvite) -> Result<Invite> {
        caller.require(Act::ManageMembers)?;
        let mut checks = Checks::default();
        checks.text("email", &Shape::Email, Some(&new.email));
        checks.done()?;
        let account = self.stored_team(&caller.team).await?.account;
        let store = &self.ports.store;
        // An address is the same in any case, but people are found by how theirs is written.
        let email = &new.email;
        let person = match store.person(&account, email).await? {
            None => store.person(&account, &email.to_lowercase()).await?,
            person => person,
        };
        let person = person.filter(|person| person.email.eq_ignore_ascii_case(email));
        let now = self.now();
        let mut invite = Invite {
            id: InviteId::mint(now, self.entropy()),
            team: caller.team.clone(),
            email: new.email,
            role: new.role,
            words: new.words,
            created_by: caller.actor.clone(),
            created_at: now,
            expires_at: None,
            accepted_at: None,
        };
        let event = |invite: &Invite| {
            self.draft(EventKind::InvitePut, caller)
                .with("invite", invite.id.as_str())
                .with("role", invite.role.as_str())
        };
        let Some(person) = person else {
            store.put_invite(&invite, &event(&invite).done()).await?;
            return Ok(invite);
        };
        invite.accepted_at = Some(now);
        let places = store.memberships(&person.id).await?;
        if let Some(place) = places.into_iter().find(|place| place.team == caller.team) {
            // Whoever is a member stays what they are.
            (invite.role, invite.words) = (place.role, place.words);
        }
        let membership = Membership {
            team: caller.team.clone(),
            user: person.id.clone(),
            role: invite.role,
            words: invite.words.clone(),
        };
        let event = event(&invite).with("user", person.id.as_str()).done();
        let put = store.put_accepted_invite(&invite, &membership, &event);
        let put = put.await;
        self.caches.callers.clear();
        put?;
        Ok(invite)
    }

    /// Takes an invitation back. Whoever accepted it stays a member.
    pub async fn delete_invite(&self, caller: &Caller, id: &InviteId) -> Result<()> {
        caller.require(Act::ManageMembers)?;
        let event = self
            .draft(EventKind::InviteDeleted, caller)
            .with("invite", id.as_str())
            .done();
        match self
            .ports
            .store
            .delete_invite(&caller.team, id, &event)
            .await
        {
            Err(StoreError::Missing(_)) => Err(Error::NotFound("invite")),
            deleted => Ok(deleted?),
        }
    }
}

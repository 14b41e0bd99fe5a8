//! Who is in a team, and what they may do there.

use grantry_core::nouns::{EventKind, Membership, Role, User, Words};
use grantry_core::store::{Member, Page};
use grantry_core::{Error, Result, StoreError};

use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine};

impl Engine {
    /// The team's people, by id; with `search`, those with that text in id, mail address or name.
    pub async fn members(
        &self,
        caller: &Caller,
        search: Option<&str>,
        page: &Page,
    ) -> Result<CursorPage<Member>> {
        caller.require(Act::ReadLists)?;
        let rows = self.ports.store.members(&caller.team, search, page).await?;
        Ok(cut(rows, page, |row| {
            (row.user.id.to_string(), row.user.id.to_string())
        }))
    }

    /// One of the team's people, by id or mail address.
    pub async fn member(&self, caller: &Caller, id_or_email: &str) -> Result<Member> {
        caller.require(Act::ReadLists)?;
        let user = self
            .person_of_account(caller, id_or_email, "membership")
            .await?;
        let memberships = self.ports.store.memberships(&user.id).await?;
        let place = memberships.into_iter().find(|one| one.team == caller.team);
        let Membership { role, words, .. } = place.ok_or(Error::NotFound("membership"))?;
        Ok(Member { user, role, words })
    }

    /// Gives a person of the team's account a role in the team, said in a dialect's `words` where it has its own.
    /// [`Error::Conflict`] when the team would have no owner any more.
    pub async fn put_member(
        &self,
        caller: &Caller,
        id_or_email: &str,
        role: Role,
        words: Words,
    ) -> Result<Member> {
        caller.require(Act::ManageMembers)?;
        if role == Role::TokenOnly {
            return Err(Error::invalid(
                "role",
                "must be one of owner, admin, member",
            ));
        }
        let user = self.person_of_account(caller, id_or_email, "user").await?;
        let membership = Membership {
            team: caller.team.clone(),
            user: user.id.clone(),
            role,
            words: words.clone(),
        };
        let event = self
            .draft(EventKind::MembershipPut, caller)
            .with("user", user.id.as_str())
            .with("role", role.as_str())
            .done();
        let put = self
            .ports
            .store
            .change_membership(&membership, &event)
            .await;
        self.caches.callers.clear();
        or_last_owner(put)?;
        Ok(Member { user, role, words })
    }

    /// Takes a person out of the team: their keys open it no longer, everywhere within 2 s.
    /// [`Error::Conflict`] for the only owner.
    pub async fn remove_member(&self, caller: &Caller, id_or_email: &str) -> Result<()> {
        caller.require(Act::ManageMembers)?;
        let user = self
            .person_of_account(caller, id_or_email, "membership")
            .await?;
        let event = self
            .draft(EventKind::MembershipDeleted, caller)
            .with("user", user.id.as_str())
            .done();
        let removed = self
            .ports
            .store
            .delete_membership(&caller.team, &user.id, &event)
            .await;
        self.caches.callers.clear();
        or_last_owner(removed)
    }

    /// A person of the account of the caller's team; `missing` is what an unknown one lacks.
    pub(super) async fn person_of_account(
        &self,
        caller: &Caller,
        id_or_email: &str,
        missing: &'static str,
    ) -> Result<User> {
        let account = self.stored_team(&caller.team).await?.account;
        let found = self.ports.store.person(&account, id_or_email).await?;
        found.ok_or(Error::NotFound(missing))
    }
}

/// What became of a change that a team's only owner can stand in the way of.
pub(crate) fn or_last_owner<T>(done: Result<T, StoreError>) -> Result<T> {
    match done {
        Err(StoreError::InUse(_)) => Err(Error::conflict(
            "this person is the team's only owner: make somebody else an owner first",
        )),
        done => Ok(done?),
    }
}

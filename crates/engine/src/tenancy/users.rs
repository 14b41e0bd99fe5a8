//! People of an account.

use grantry_core::ids::UserId;
use grantry_core::nouns::{EventKind, Membership, Role, User};
use grantry_core::store::{Page, UserFilter};
use grantry_core::{Error, Result, StoreError};

use super::checks::Checks;
use crate::apply::Shape;
use crate::lists::cut;
use crate::permissions::Act;
use crate::{CursorPage, Engine, Steward};

/// What a new person shall be.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// Unique within the account.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
}

/// What shall be other about a person. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// Unique within the account.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
}

const NAME: Shape = Shape::Text(256);

fn check(patch: &UserPatch) -> Result<()> {
    let mut checks = Checks::default();
    checks.text("email", &Shape::Email, patch.email.as_deref());
    checks.text("first_name", &NAME, patch.first_name.as_deref());
    checks.text("last_name", &NAME, patch.last_name.as_deref());
    checks.done()
}

impl Engine {
    /// The people of the steward's account, by mail address unless the filter says otherwise.
    pub async fn users(
        &self,
        steward: &Steward,
        filter: &UserFilter,
        page: &Page,
    ) -> Result<CursorPage<User>> {
        steward.require(Act::ReadAccount)?;
        let account = steward.account()?;
        let rows = self.ports.store.users(account, filter, page).await?;
        Ok(cut(rows, page, |row| match filter.by_id {
            true => (row.id.to_string(), row.id.to_string()),
            false => (row.email.clone(), row.id.to_string()),
        }))
    }

    /// The same people with their places in teams.
    pub async fn users_with_places(
        &self,
        steward: &Steward,
        filter: &UserFilter,
        page: &Page,
    ) -> Result<CursorPage<(User, Vec<Membership>)>> {
        let found = self.users(steward, filter, page).await?;
        let ids: Vec<UserId> = found.data.iter().map(|user| user.id.clone()).collect();
        let all = self.ports.store.memberships_of(&ids).await?;
        Ok(found.map(|user| {
            let own = all.iter().filter(|one| one.user == user.id);
            let own = own.cloned().collect();
            (user, own)
        }))
    }

    /// Makes a person of the steward's account. [`Error::Conflict`] when another one has the address.
    pub async fn create_user(&self, steward: &Steward, new: NewUser) -> Result<User> {
        steward.require(Act::ManageAccount)?;
        check(&UserPatch {
            email: Some(new.email.clone()),
            first_name: Some(new.first_name.clone()),
            last_name: Some(new.last_name.clone()),
        })?;
        let now = self.now();
        let user = User {
            id: UserId::mint(now, self.entropy()),
            account: steward.account()?.clone(),
            email: new.email,
            first_name: new.first_name,
            last_name: new.last_name,
            created_at: now,
        };
        let event = self
            .steward_draft(EventKind::UserCreated, steward)
            .with("user", user.id.as_str())
            .done();
        // Where their address was invited they are a member now.
        let put = self.ports.store.put_user(&user, &event).await;
        self.caches.callers.clear();
        put?;
        Ok(user)
    }

    /// One person, by id or mail address, with their places in teams.
    pub async fn user(
        &self,
        steward: &Steward,
        id_or_email: &str,
    ) -> Result<(User, Vec<Membership>)> {
        steward.require(Act::ReadAccount)?;
        let user = self.stored_user(steward, id_or_email).await?;
        let memberships = self.ports.store.memberships(&user.id).await?;
        Ok((user, memberships))
    }

    async fn stored_user(&self, steward: &Steward, id_or_email: &str) -> Result<User> {
        let account = steward.account()?;
        let found = self.ports.store.person(account, id_or_email).await?;
        found.ok_or(Error::NotFound("user"))
    }

    /// Changes a person. [`Error::Conflict`] when another one has the address.
    pub async fn update_user(
        &self,
        steward: &Steward,
        id_or_email: &str,
        patch: UserPatch,
    ) -> Result<User> {
        steward.require(Act::ManageAccount)?;
        check(&patch)?;
        // Once: with its address changed meanwhile it would not be found by that again.
        let id = self.stored_user(steward, id_or_email).await?.id;
        let event = self
            .steward_draft(EventKind::UserUpdated, steward)
            .with("user", id.as_str())
            .done();
        Ok(changed!(
            old = self.stored_user(steward, id.as_str()).await?,
            new = {
                let patch = patch.clone();
                User {
                    email: patch.email.unwrap_or_else(|| old.email.clone()),
                    first_name: patch.first_name.unwrap_or_else(|| old.first_name.clone()),
                    last_name: patch.last_name.unwrap_or_else(|| old.last_name.clone()),
                    ..old.clone()
                }
            },
            self.ports.store.update_user(&old, &new, &event)
        ))
    }

    /// Gives a person this role in every team of the account that they are in. [`Error::Conflict`] for who owns a team,
    /// and for who is in none.
    pub async fn set_user_role(
        &self,
        steward: &Steward,
        id_or_email: &str,
        role: Role,
    ) -> Result<(User, Vec<Membership>)> {
        steward.require(Act::ManageAccount)?;
        let (user, mut memberships) = self.user(steward, id_or_email).await?;
        if memberships.iter().any(|one| one.role == Role::Owner) {
            let message = "role: this person owns a team; make somebody else its owner first";
            return Err(Error::conflict(message));
        }
        if memberships.is_empty() {
            let message = "role: this person is in no team; invite them into one first";
            return Err(Error::conflict(message));
        }
        let event = self
            .steward_draft(EventKind::MembershipPut, steward)
            .with("user", user.id.as_str())
            .with("role", role.as_str())
            .done();
        let account = steward.account()?;
        let set = self.ports.store.set_roles(account, &user.id, role, &event);
        let set = set.await;
        self.caches.callers.clear();
        set?;
        for one in &mut memberships {
            one.role = role;
            one.words.clear();
        }
        Ok((user, memberships))
    }

    /// Deletes a person: their memberships go, their keys are revoked. What they connected stays, under the
    /// id of the subject, until its connections are ended. [`Error::Conflict`] while they are a team's only owner.
    pub async fn delete_user(&self, steward: &Steward, id_or_email: &str) -> Result<()> {
        steward.require(Act::ManageAccount)?;
        let user = self.stored_user(steward, id_or_email).await?;
        let event = self
            .steward_draft(EventKind::UserDeleted, steward)
            .with("user", user.id.as_str())
            .done();
        let deleted = self
            .ports
            .store
            .delete_user(&user.account, &user.id, self.now(), &event)
            .await;
        self.caches.callers.clear();
        match deleted {
            Err(StoreError::InUse(_)) => Err(Error::conflict(
                "this person is the only owner of a team: make somebody else an owner first",
            )),
            deleted => Ok(deleted?),
        }
    }
}

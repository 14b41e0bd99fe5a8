//! Accounts.

use grantry_core::ids::AccountId;
use grantry_core::nouns::{Account, EventKind};
use grantry_core::store::{Page, TeamFilter};
use grantry_core::{Error, Result, StoreError};

use super::NAMED_MAX;
use super::checks::{Checks, NAME};
use crate::lists::cut;
use crate::permissions::Act;
use crate::{CursorPage, Engine, Steward};

impl Engine {
    /// All accounts, by id; with `search`, those with that text in id or name.
    pub async fn accounts(
        &self,
        steward: &Steward,
        search: Option<&str>,
        page: &Page,
    ) -> Result<CursorPage<Account>> {
        steward.require(Act::ManageServer)?;
        let rows = self.ports.store.accounts(search, page).await?;
        Ok(cut(rows, page, |row| {
            (row.id.to_string(), row.id.to_string())
        }))
    }

    /// Makes an account.
    pub async fn create_account(&self, steward: &Steward, name: String) -> Result<Account> {
        steward.require(Act::ManageServer)?;
        let mut checks = Checks::default();
        checks.text("name", &NAME, Some(&name));
        checks.done()?;
        let now = self.now();
        let account = Account {
            id: AccountId::mint(now, self.entropy()),
            name,
            created_at: now,
        };
        let event = self
            .steward_draft(EventKind::AccountCreated, steward)
            .with("account", account.id.as_str())
            .done();
        self.ports.store.put_account(&account, &event).await?;
        Ok(account)
    }

    /// The steward's account.
    pub async fn read_account(&self, steward: &Steward) -> Result<Account> {
        steward.require(Act::ReadAccount)?;
        self.stored_account(steward.account()?).await
    }

    async fn stored_account(&self, id: &AccountId) -> Result<Account> {
        let found = self.ports.store.account(id).await?;
        found.ok_or(Error::NotFound("account"))
    }

    /// Renames the steward's account.
    pub async fn update_account(&self, steward: &Steward, name: Option<String>) -> Result<Account> {
        steward.require(Act::ManageAccount)?;
        let mut checks = Checks::default();
        checks.text("name", &NAME, name.as_deref());
        checks.done()?;
        let event = self
            .steward_draft(EventKind::AccountUpdated, steward)
            .done();
        let id = steward.account()?;
        Ok(changed!(
            old = self.stored_account(id).await?,
            new = Account {
                name: name.clone().unwrap_or_else(|| old.name.clone()),
                ..old.clone()
            },
            self.ports.store.update_account(&old, &new, &event)
        ))
    }

    /// Deletes an account with its people and keys. [`Error::Conflict`] while it has teams, naming them.
    pub async fn delete_account(&self, steward: &Steward, id: &AccountId) -> Result<()> {
        steward.require(Act::ManageServer)?;
        let event = self
            .steward_draft(EventKind::AccountDeleted, steward)
            .with("account", id.as_str())
            .done();
        let deleted = self
            .ports
            .store
            .delete_account(id, self.now(), &event)
            .await;
        self.caches.callers.clear();
        if deleted == Err(StoreError::InUse("account.teams")) {
            let filter = TeamFilter {
                account: Some(id.clone()),
                ..TeamFilter::default()
            };
            let page = Page::first(NAMED_MAX);
            let teams = self.ports.store.teams(&filter, &page);
            let slugs: Vec<String> = teams.await?.into_iter().map(|team| team.slug).collect();
            let message = format!(
                "the account still has teams: delete {} first",
                slugs.join(", ")
            );
            return Err(Error::conflict(message));
        }
        Ok(deleted?)
    }
}

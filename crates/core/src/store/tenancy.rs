//! Accounts, teams, people, projects, keys, catalogue overlays.
//!
//! The `put_*` methods make the row exist as given, by its id: what `apply` needs. They return
//! whether anything changed, and write `event` only then.

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{AccountId, KeyId, ProjectId, TeamId, UserId};
use crate::nouns::{Account, Digest, Event, Key, Membership, Project, Service, Team, User};

/// Rows that say who may do what.
#[async_trait]
pub trait TenancyStore: Send + Sync + 'static {
    /// Makes the account exist as given.
    async fn put_account(&self, account: &Account, event: &Event) -> Stored<bool>;
    /// One account.
    async fn account(&self, id: &AccountId) -> Stored<Option<Account>>;
    /// All accounts, by id; with `search`, those with that text in id or name, ignoring ASCII case.
    async fn accounts(&self, search: Option<&str>, page: &Page) -> Stored<Vec<Account>>;

    /// Makes the team exist as given. `Taken("team.slug")`; a team never changes its account: `Missing("account")`.
    async fn put_team(&self, team: &Team, event: &Event) -> Stored<bool>;
    /// One team, by id or slug; an id beats a slug.
    async fn team(&self, id_or_slug: &str) -> Stored<Option<Team>>;
    /// All teams (of one account), by id.
    async fn teams(&self, account: Option<&AccountId>, page: &Page) -> Stored<Vec<Team>>;

    /// Makes the person exist as given. `Taken("user.email")` within the account.
    async fn put_user(&self, user: &User, event: &Event) -> Stored<bool>;
    /// One person.
    async fn user(&self, id: &UserId) -> Stored<Option<User>>;
    /// Makes the membership exist as given.
    async fn put_membership(&self, membership: &Membership, event: &Event) -> Stored<bool>;
    /// A person's places in all teams.
    async fn memberships(&self, user: &UserId) -> Stored<Vec<Membership>>;

    /// Makes the project exist as given. `Taken("project.name")` within the team.
    async fn put_project(&self, project: &Project, event: &Event) -> Stored<bool>;
    /// One project, by id or name; an id beats a name.
    async fn project(&self, team: &TeamId, id_or_name: &str) -> Stored<Option<Project>>;
    /// A team's projects, by name; the page's sort value is the name.
    async fn projects(&self, team: &TeamId, page: &Page) -> Stored<Vec<Project>>;
    /// One project by id alone, for workload tokens and project keys, which prove their team themselves.
    async fn project_by_id(&self, id: &ProjectId) -> Stored<Option<Project>>;

    /// Makes the key exist as given; a key is known by its hash, and a revoked one comes back.
    async fn put_key(&self, key: &Key, event: &Event) -> Stored<bool>;
    /// One key by the hash of its text: the look-up that authenticates.
    async fn key_by_hash(&self, hash: &Digest) -> Stored<Option<Key>>;
    /// Keys of one team, of one account, or (neither) of the server level; newest first; the page's
    /// sort value is `created_at` in microseconds.
    async fn keys(
        &self,
        account: Option<&AccountId>,
        team: Option<&TeamId>,
        page: &Page,
    ) -> Stored<Vec<Key>>;
    /// Revokes a live key. `Missing("key")` when there is none.
    async fn revoke_key(
        &self,
        id: &KeyId,
        team: Option<&TeamId>,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()>;

    /// Makes the catalogue overlay exist as given.
    async fn put_service(&self, service: &Service, event: &Event) -> Stored<bool>;
    /// All overlays.
    async fn services(&self) -> Stored<Vec<Service>>;
}

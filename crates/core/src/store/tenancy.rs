//! Accounts, teams, people, projects, catalogue overlays.
//!
//! The `put_*` methods make the row exist as given, by its id: what `apply` needs. They return
//! whether anything changed, and write `event` only then. The `update_*` methods replace the row that
//! is still as `old`, so that of two changes at the same time none is lost and nothing deleted comes back;
//! `Missing` with the noun's name when it is not.

use std::time::Duration;

use async_trait::async_trait;

use super::{Page, Stored};
use crate::Timestamp;
use crate::ids::{AccountId, ProjectId, TeamId, UserId};
use crate::nouns::{
    Account, Environment, Event, Membership, Project, Role, Service, Team, User, Words,
};

/// Which teams to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamFilter {
    /// Only this one.
    pub id: Option<TeamId>,
    /// Of this account.
    pub account: Option<AccountId>,
    /// With this person among its members.
    pub member: Option<UserId>,
    /// Text in id, slug or name, ignoring ASCII case.
    pub search: Option<String>,
}

/// Which people of an account to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserFilter {
    /// With exactly this mail address.
    pub email: Option<String>,
    /// Text in id, mail address or name, ignoring ASCII case.
    pub search: Option<String>,
    /// In the order of their ids rather than of their mail addresses.
    pub by_id: bool,
}

/// A person and what they may do in a team.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The person.
    pub user: User,
    /// What they may do.
    pub role: Role,
    /// How a dialect says that.
    pub words: Words,
}

/// Rows that say who may do what.
#[async_trait]
pub trait TenancyStore: Send + Sync + 'static {
    /// Makes the account exist as given.
    async fn put_account(&self, account: &Account, event: &Event) -> Stored<bool>;
    /// One account.
    async fn account(&self, id: &AccountId) -> Stored<Option<Account>>;
    /// All accounts, by id; with `search`, those with that text in id or name, ignoring ASCII case.
    async fn accounts(&self, search: Option<&str>, page: &Page) -> Stored<Vec<Account>>;
    /// Replaces the row. `Missing("account")`.
    async fn update_account(&self, old: &Account, new: &Account, event: &Event) -> Stored<()>;
    /// Deletes an account with its people, and revokes its keys. `InUse("account.teams")` while it has
    /// teams, `Missing("account")`.
    async fn delete_account(&self, id: &AccountId, at: Timestamp, event: &Event) -> Stored<()>;

    /// Makes the team exist as given. `Taken("team.slug")`; a team never changes its account: `Missing("account")`.
    async fn put_team(&self, team: &Team, event: &Event) -> Stored<bool>;
    /// One team, by id or slug; an id beats a slug.
    async fn team(&self, id_or_slug: &str) -> Stored<Option<Team>>;
    /// Teams, by id.
    async fn teams(&self, filter: &TeamFilter, page: &Page) -> Stored<Vec<Team>>;
    /// Replaces the row. `Missing("team")`, `Taken("team.slug")`.
    async fn update_team(&self, old: &Team, new: &Team, event: &Event) -> Stored<()>;
    /// Deletes a team and all that is in it: memberships, projects, links, named secrets, invitations and MCP
    /// servers go, keys are revoked, and each live connector is deleted as
    /// [`super::ConnectorStore::delete_connector`] does. `InUse("team.connectors")` while it has live connectors,
    /// unless `force`; `Missing("team")`.
    async fn delete_team(
        &self,
        id: &TeamId,
        force: bool,
        at: Timestamp,
        claim: Duration,
        event: &Event,
    ) -> Stored<()>;

    /// Makes the person exist as given. `Taken("user.email")` within the account.
    async fn put_user(&self, user: &User, event: &Event) -> Stored<bool>;
    /// One person.
    async fn user(&self, id: &UserId) -> Stored<Option<User>>;
    /// One person of an account, by id or mail address; an id beats an address.
    async fn person(&self, account: &AccountId, id_or_email: &str) -> Stored<Option<User>>;
    /// People of an account, by mail address; that is the page's sort value.
    async fn users(
        &self,
        account: &AccountId,
        filter: &UserFilter,
        page: &Page,
    ) -> Stored<Vec<User>>;
    /// Replaces the row. `Missing("user")`, `Taken("user.email")`.
    async fn update_user(&self, old: &User, new: &User, event: &Event) -> Stored<()>;
    /// Deletes a person with their memberships, and revokes their keys. `InUse("team.owner")` while they are
    /// the only owner of a team, `Missing("user")`.
    async fn delete_user(
        &self,
        account: &AccountId,
        id: &UserId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()>;

    /// Makes the membership exist as given.
    async fn put_membership(&self, membership: &Membership, event: &Event) -> Stored<bool>;
    /// The same, but never takes a team its only owner: `InUse("team.owner")`.
    async fn change_membership(&self, membership: &Membership, event: &Event) -> Stored<bool>;
    /// Gives a person this role wherever in the account they have another one but owner. Whether anything changed.
    async fn set_roles(
        &self,
        account: &AccountId,
        user: &UserId,
        role: Role,
        event: &Event,
    ) -> Stored<bool>;
    /// Removes a membership, and with it what the person's keys reach. `Missing("membership")`,
    /// `InUse("team.owner")`.
    async fn delete_membership(&self, team: &TeamId, user: &UserId, event: &Event) -> Stored<()>;
    /// A person's places in all teams.
    async fn memberships(&self, user: &UserId) -> Stored<Vec<Membership>>;
    /// The places of these people in teams, by person and team.
    async fn memberships_of(&self, users: &[UserId]) -> Stored<Vec<Membership>>;
    /// A team's people, by id; with `search`, those with that text in id, mail address or name, ignoring
    /// ASCII case.
    async fn members(
        &self,
        team: &TeamId,
        search: Option<&str>,
        page: &Page,
    ) -> Stored<Vec<Member>>;

    /// Makes the project exist as given. `Taken("project.name")` within the team.
    async fn put_project(&self, project: &Project, event: &Event) -> Stored<bool>;
    /// One project, by id or name; an id beats a name.
    async fn project(&self, team: &TeamId, id_or_name: &str) -> Stored<Option<Project>>;
    /// A team's projects, by name, which is the page's sort value; with `search`, those with that text in id
    /// or name, ignoring ASCII case.
    async fn projects(
        &self,
        team: &TeamId,
        search: Option<&str>,
        page: &Page,
    ) -> Stored<Vec<Project>>;
    /// The team's projects of these ids, by id.
    async fn projects_of(&self, team: &TeamId, ids: &[ProjectId]) -> Stored<Vec<Project>>;
    /// One project by id alone, for workload tokens and project keys, which prove their team themselves.
    async fn project_by_id(&self, id: &ProjectId) -> Stored<Option<Project>>;
    /// Replaces the row. `Missing("project")`, `Taken("project.name")`.
    async fn update_project(&self, old: &Project, new: &Project, event: &Event) -> Stored<()>;
    /// The same of a project that loses `environments`: links no longer name them, those that named no other go, the
    /// project's keys in them are revoked, and connectors send no events there.
    async fn remove_environments(
        &self,
        old: &Project,
        new: &Project,
        environments: &[Environment],
        at: Timestamp,
        event: &Event,
    ) -> Stored<()>;
    /// Deletes a project with its links and the places in it that connectors send events to, and revokes its keys.
    /// `Missing("project")`.
    async fn delete_project(
        &self,
        team: &TeamId,
        id: &ProjectId,
        at: Timestamp,
        event: &Event,
    ) -> Stored<()>;

    /// Makes the catalogue overlay exist as given.
    async fn put_service(&self, service: &Service, event: &Event) -> Stored<bool>;
    /// All overlays.
    async fn services(&self) -> Stored<Vec<Service>>;
    /// Removes an overlay. `Missing("service")`.
    async fn delete_service(&self, id: &str, event: &Event) -> Stored<()>;
}

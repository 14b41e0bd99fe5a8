//! What goes because it is not declared.
//!
//! The bounds keep a file from taking away what it never spoke of:
//!
//! - only in teams that have a row in the file's `[[teams]]`: who declares a team owns it;
//! - only in tables that the file has; `secrets = []` says that a team has none;
//! - connections only of connectors of which the file declares at least one connection, and only those that
//!   were taken in: users' consents are no rows of a file;
//! - what the file names stays, also where it does not declare it: a key's person, a link's project;
//! - people with their last membership only ([`departures`](super::departures)), and no team loses
//!   everybody who can run it;
//! - keys above teams, accounts, teams and services never: other files may need them. As whoever
//!   applies acts with a key of the server's level, or none, no key takes itself away.

use std::collections::{HashMap, HashSet};

use grantry_core::Result;
use grantry_core::ids::{
    AccountId, ConnectionId, ConnectorId, InviteId, KeyId, McpServerId, ProjectId, SecretId,
    TeamId, UserId,
};
use grantry_core::nouns::{Connector, Membership, Role, Team};
use grantry_core::store::{ConnectionFilter, ConnectorFilter, Page, Stored};

use super::{Planner, Step, Write};
use crate::apply::report::Change;
use crate::apply::rows::{
    ConnectionRow, ConnectorRow, InviteRow, KeyRow, McpServerRow, ProjectRow, Row, SecretRow,
};
use crate::apply::shown::Shown;

/// Rows of a list that are read at once.
const PAGE: u32 = 1000;

/// One row that goes.
pub enum Removal {
    Connection(TeamId, ConnectorId, ConnectionId),
    Connector(TeamId, ConnectorId),
    Key(TeamId, KeyId),
    Secret(TeamId, SecretId),
    McpServer(TeamId, McpServerId),
    Invite(TeamId, InviteId),
    Project(TeamId, ProjectId),
    Membership(TeamId, UserId),
    User(AccountId, UserId),
}

/// What may be removed. Empty unless the plan prunes.
pub struct Scope {
    tables: HashSet<String>,
    pub(super) teams: Vec<TeamId>,
    connectors: HashSet<ConnectorId>,
    members: HashMap<TeamId, HashMap<UserId, Role>>,
    people: HashSet<UserId>,
    teamless: HashSet<UserId>,
}

impl Scope {
    /// Rows of these tables.
    pub fn of(tables: HashSet<String>) -> Self {
        Self {
            tables,
            teams: Vec::new(),
            connectors: HashSet::new(),
            members: HashMap::new(),
            people: HashSet::new(),
            teamless: HashSet::new(),
        }
    }

    /// The file has a row of this team.
    pub fn add(&mut self, team: &Team) {
        self.teams.push(team.id.clone());
    }

    /// The file has a connection of this connector.
    pub fn declares_connections_of(&mut self, connector: &Connector) {
        self.connectors.insert(connector.id.clone());
    }

    /// The file has this person, in these teams; where it names none, it says nothing of teams.
    pub fn declares_person(&mut self, user: &UserId, memberships: &[Membership]) {
        self.people.insert(user.clone());
        if memberships.is_empty() {
            self.teamless.insert(user.clone());
        }
        for one in memberships {
            let of_team = self.members.entry(one.team.clone()).or_default();
            of_team.insert(one.user.clone(), one.role);
        }
    }

    /// Whether the file has a row of this person.
    pub fn declares(&self, user: &UserId) -> bool {
        self.people.contains(user)
    }

    /// Who is declared in a team, and as what.
    pub fn members(&self, team: &TeamId) -> HashMap<UserId, Role> {
        self.members.get(team).cloned().unwrap_or_default()
    }

    /// Whether the file has this person without a word on teams.
    pub fn says_no_team_of(&self, user: &UserId) -> bool {
        self.teamless.contains(user)
    }

    /// Whether what is not declared in `table` of `team` goes.
    pub fn has(&self, table: &str, team: &TeamId) -> bool {
        self.tables.contains(table) && self.teams.contains(team)
    }
}

/// What is there, as the steps that remove it.
pub type Found = Vec<Step>;

impl Planner<'_> {
    /// Steps that remove what the scope holds and `stages` do not declare, one list per table.
    pub(super) async fn removals(&self, stages: &[Vec<Step>]) -> Result<Vec<Vec<Step>>> {
        let steps = stages.iter().flatten();
        let declared: HashSet<(&str, &str)> = steps
            .map(|step| (step.row.table.as_str(), step.row.id.as_str()))
            .collect();
        let mut found = Vec::new();
        for team in &self.scope.teams {
            found.push(self.live_connections(team).await?);
            found.push(self.live_connectors(team).await?);
            found.push(self.live_keys(team).await?);
            found.push(self.stored_secrets(team).await?);
            found.push(self.stored_mcp_servers(team).await?);
            found.push(self.stored_invites(team).await?);
            found.push(self.stored_projects(team).await?);
        }
        found.extend(self.departures().await?);
        for steps in &mut found {
            steps.retain(|step| {
                !declared.contains(&(step.row.table.as_str(), step.row.id.as_str()))
            });
        }
        Ok(found)
    }

    fn removal<R: Row>(&self, id: &str, name: &str, removal: Removal) -> Step {
        self.removal_from(R::TABLE, id, name, removal)
    }

    pub(super) fn removal_from(&self, table: &str, id: &str, name: &str, removal: Removal) -> Step {
        let place = self.file.table(table);
        let mut step = Step::new(place, id, Change::Removed, Vec::new()).named(name.to_owned());
        step.writes.push(Write::Remove(removal));
        step
    }

    async fn live_connections(&self, team: &TeamId) -> Result<Found> {
        let mut found = Found::new();
        if !self.scope.has(ConnectionRow::TABLE, team) {
            return Ok(found);
        }
        for connector in &self.scope.connectors {
            let filter = ConnectionFilter {
                connector: Some(connector.clone()),
                imported: true,
                ..ConnectionFilter::default()
            };
            let filter = &filter;
            let store = &self.engine.ports.store;
            let rows = every(
                |page| async move { store.connections(team, filter, &page).await },
                |row| (row.created_at.0.to_string(), row.id.to_string()),
            );
            found.extend(rows.await?.iter().map(|row| {
                let removal = Removal::Connection(team.clone(), connector.clone(), row.id.clone());
                let name = row.name.as_deref().unwrap_or_default();
                self.removal::<ConnectionRow>(row.id.as_str(), name, removal)
            }));
        }
        Ok(found)
    }

    async fn live_connectors(&self, team: &TeamId) -> Result<Found> {
        if !self.scope.has(ConnectorRow::TABLE, team) {
            return Ok(Found::new());
        }
        let (store, filter) = (&self.engine.ports.store, &ConnectorFilter::default());
        let rows = every(
            |page| async move { store.connectors(team, filter, &page).await },
            |row| (row.created_at.0.to_string(), row.id.to_string()),
        );
        let step = |row: &Connector| {
            let removal = Removal::Connector(team.clone(), row.id.clone());
            self.removal::<ConnectorRow>(row.id.as_str(), row.called(), removal)
        };
        Ok(rows.await?.iter().map(step).collect())
    }

    async fn live_keys(&self, team: &TeamId) -> Result<Found> {
        if !self.scope.has(KeyRow::TABLE, team) {
            return Ok(Found::new());
        }
        let rows = self.owned(&(None, Some(team.clone()))).await?;
        let live = rows.iter().filter(|row| row.revoked_at.is_none());
        Ok(live
            .map(|row| {
                let removal = Removal::Key(team.clone(), row.id.clone());
                let name = super::keys::called(row);
                self.removal::<KeyRow>(row.id.as_str(), &name, removal)
            })
            .collect())
    }

    async fn stored_secrets(&self, team: &TeamId) -> Result<Found> {
        if !self.scope.has(SecretRow::TABLE, team) {
            return Ok(Found::new());
        }
        let store = &self.engine.ports.store;
        let rows = every(
            |page| async move { store.secrets(team, &page).await },
            |row| (row.created_at.0.to_string(), row.id.to_string()),
        );
        let rows = rows.await?;
        let steps = rows.iter().map(|row| {
            let removal = Removal::Secret(team.clone(), row.id.clone());
            self.removal::<SecretRow>(row.id.as_str(), row.called(), removal)
        });
        Ok(steps.collect())
    }

    async fn stored_mcp_servers(&self, team: &TeamId) -> Result<Found> {
        if !self.scope.has(McpServerRow::TABLE, team) {
            return Ok(Found::new());
        }
        let rows = self.mcp_servers_of(team).await?;
        let steps = rows.iter().map(|row| {
            let removal = Removal::McpServer(team.clone(), row.id.clone());
            self.removal::<McpServerRow>(row.id.as_str(), row.called(), removal)
        });
        Ok(steps.collect())
    }

    async fn stored_invites(&self, team: &TeamId) -> Result<Found> {
        if !self.scope.has(InviteRow::TABLE, team) {
            return Ok(Found::new());
        }
        let store = &self.engine.ports.store;
        let rows = every(
            |page| async move { store.invites(team, None, &page).await },
            |row| (row.created_at.0.to_string(), row.id.to_string()),
        );
        let rows = rows.await?;
        let steps = rows.iter().map(|row| {
            let removal = Removal::Invite(team.clone(), row.id.clone());
            self.removal::<InviteRow>(row.id.as_str(), row.called(), removal)
        });
        Ok(steps.collect())
    }

    /// Those that no row of the file names: a link or a key may name one that is not declared.
    async fn stored_projects(&self, team: &TeamId) -> Result<Found> {
        if !self.scope.has(ProjectRow::TABLE, team) {
            return Ok(Found::new());
        }
        let store = &self.engine.ports.store;
        let rows = every(
            |page| async move { store.projects(team, None, &page).await },
            |row| (row.name.clone(), row.id.to_string()),
        );
        let rows = rows.await?;
        let named = |id: &ProjectId| self.projects.get(team.as_str(), id.as_str()).is_some();
        let steps = rows.iter().filter(|row| !named(&row.id)).map(|row| {
            let removal = Removal::Project(team.clone(), row.id.clone());
            self.removal::<ProjectRow>(row.id.as_str(), row.called(), removal)
        });
        Ok(steps.collect())
    }
}

/// All rows of a list; `sort` is its sort value and id.
pub async fn every<T, F>(
    list: impl Fn(Page) -> F,
    sort: impl Fn(&T) -> (String, String),
) -> Result<Vec<T>>
where
    F: Future<Output = Stored<Vec<T>>>,
{
    let mut page = Page::first(PAGE);
    let mut all = Vec::new();
    loop {
        let rows = list(page.clone()).await?;
        let more = rows.len() > PAGE as usize;
        all.extend(rows.into_iter().take(PAGE as usize));
        match all.last().filter(|_| more) {
            Some(last) => page.after = Some(sort(last)),
            None => return Ok(all),
        }
    }
}

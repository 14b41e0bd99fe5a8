//! What has to be written so that the declared rows exist. Reads the store, writes nothing.
//!
//! Tables are planned in the order in which they are written, so that a row finds what it refers to
//! among the rows planned before, else in the store.

mod belongings;
mod connections;
mod connectors;
mod departures;
mod keys;
mod prune;
mod tenancy;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use grantry_core::ids::{AccountId, ConnectorId, ProjectId, TeamId};
use grantry_core::nouns::{
    Account, Actor, Connector, Invite, Key, Link, McpServer, Membership, NamedSecret, Project,
    Service, Team, User,
};
use grantry_core::store::{Page, Stored, TeamFilter};
use grantry_core::{Error, Result, Secret, Timestamp};
use serde_json::Value;

use super::parse::Declared;
use super::problem::{ApplyProblem, Place, suggestion};
use super::report::{AppliedRow, Change, FieldChange};
use super::shown::{Shown, differences};
use crate::lists::Import;
use crate::permissions::Standing;
use crate::{Caller, Engine};
pub use prune::Removal;
use prune::Scope;
pub use tenancy::gone as environments_gone;

/// Reads in flight.
const AT_ONCE: usize = 64;

/// One row: what will be reported, and the writes that make it so. Nothing to write when unchanged.
pub struct Step {
    /// Where it was declared.
    pub place: Place,
    /// The report's line.
    pub row: AppliedRow,
    /// One after the other.
    pub writes: Vec<Write>,
}

/// One write.
pub enum Write {
    Account(Account),
    Team(Team),
    User(User),
    Membership(Membership),
    Project(Project),
    /// A project that loses environments: as it was, and as it shall be.
    Narrowed(Box<Project>, Box<Project>),
    Service(Service),
    Key(Key),
    Connector {
        connector: Box<Connector>,
        /// To be sealed; `None` when the stored ones are these.
        secrets: Option<Vec<(String, Secret)>>,
        /// What of it is other than what the plan was made from.
        declared: grantry_core::store::Declared,
        /// As it was, where a client was registered for it that may be replaced by this.
        replaced: Option<Box<Connector>>,
    },
    Link(Link),
    Unlink(TeamId, ConnectorId, ProjectId),
    Connection(TeamId, Box<Import>),
    Secret {
        secret: NamedSecret,
        /// To be sealed; `None` when the stored one is this.
        value: Option<Secret>,
    },
    McpServer(McpServer),
    Invite(Invite),
    Remove(Removal),
}

/// The steps of a whole file, one list per table, in the order of writing; after them what is to go.
pub async fn plan(engine: &Arc<Engine>, declared: Declared, prune: bool) -> Result<Vec<Vec<Step>>> {
    let tables = if prune {
        declared.tables
    } else {
        HashSet::new()
    };
    let mut planner = Planner {
        engine,
        now: engine.now(),
        problems: Vec::new(),
        accounts: HashSet::new(),
        teams: Named::default(),
        people: HashMap::new(),
        projects: Named::default(),
        services: engine.ports.store.services().await?,
        connectors: Named::default(),
        scope: Scope::of(tables),
        file: declared.file,
    };
    if prune && declared.teams.is_empty() {
        let message = "needs the teams that it may remove from: the file has no row in [[teams]]";
        let file = planner.file.clone();
        planner.problem(&file, "prune", message);
    }
    let mut stages = vec![
        planner.accounts(declared.accounts).await?,
        planner.teams(declared.teams).await?,
        planner.users(declared.users).await?,
        planner.projects(declared.projects).await?,
        planner.services(declared.services),
        planner.keys(declared.keys).await?,
        planner.secrets(declared.secrets).await?,
        planner.connectors(declared.connectors).await?,
        planner.connections(declared.connections).await?,
        planner.mcp_servers(declared.mcp_servers).await?,
        planner.invites(declared.invites).await?,
    ];
    if prune && planner.problems.is_empty() {
        let removals = planner.removals(&stages).await?;
        stages.extend(removals);
    }
    if planner.problems.is_empty() {
        Ok(stages)
    } else {
        let problems = planner.problems.into_iter().map(Into::into);
        Err(Error::Invalid(problems.collect()))
    }
}

struct Planner<'a> {
    engine: &'a Arc<Engine>,
    now: Timestamp,
    problems: Vec<ApplyProblem>,
    accounts: HashSet<AccountId>,
    teams: Named<Team>,
    people: HashMap<String, Person>,
    projects: Named<Project>,
    services: Vec<Service>,
    connectors: Named<Connector>,
    scope: Scope,
    file: Place,
}

/// A person as they will be.
#[derive(Clone)]
struct Person {
    user: User,
    memberships: Vec<Membership>,
}

/// Rows by scope, then by each of their names; names are unique within a scope, the id's is everywhere.
struct Named<T> {
    scopes: HashMap<String, HashMap<String, Arc<T>>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            scopes: HashMap::new(),
        }
    }
}

impl<T> Named<T> {
    fn add(&mut self, scope: &str, names: [&str; 2], row: Arc<T>) {
        let rows = self.scopes.entry(scope.to_owned()).or_default();
        for name in names {
            rows.insert(name.to_owned(), Arc::clone(&row));
        }
    }

    fn get(&self, scope: &str, name: &str) -> Option<Arc<T>> {
        self.scopes.get(scope)?.get(name).cloned()
    }

    /// The rows of that name in all scopes.
    fn anywhere<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        self.scopes.values().filter_map(move |rows| rows.get(name))
    }

    fn names<'a>(&'a self, scope: &str) -> impl Iterator<Item = &'a str> {
        let rows = self.scopes.get(scope).into_iter().flatten();
        rows.map(|(name, _)| name.as_str())
    }

    fn all_names(&self) -> impl Iterator<Item = &str> {
        let rows = self.scopes.values().flatten();
        rows.map(|(name, _)| name.as_str())
    }
}

/// Problems of one file that get a hint.
const HINTED: usize = 100;

/// Stored rows whose names a hint may give.
const LOOKED_AT: Page = Page::first(200);

/// The one scope of names that are unique in the server.
const EVERYWHERE: &str = "";

impl Planner<'_> {
    fn problem(&mut self, place: &Place, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(place.problem(field, message));
    }

    fn hints(&self) -> bool {
        self.problems.len() < HINTED
    }

    /// [`suggestion`], for the first problems: nobody reads a thousand, and each looks at every name.
    fn hint<'n>(&self, name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
        if self.hints() {
            suggestion(name, known)
        } else {
            String::new()
        }
    }

    /// The team called `name` (id or slug), declared or stored; a problem at `field` when there is none.
    async fn team(&mut self, place: &Place, field: &str, name: &str) -> Result<Option<Arc<Team>>> {
        if let Some(team) = self.teams.get(EVERYWHERE, name) {
            return Ok(Some(team));
        }
        match self.engine.ports.store.team(name).await? {
            Some(team) => {
                let team = Arc::new(team);
                self.know_team(&team);
                Ok(Some(team))
            }
            None => {
                let stored = match self.hints() {
                    true => {
                        self.engine
                            .ports
                            .store
                            .teams(&TeamFilter::default(), &LOOKED_AT)
                            .await?
                    }
                    false => Vec::new(),
                };
                let stored = stored.iter().flat_map(|row| [row.id.as_str(), &row.slug]);
                let hint = self.hint(name, self.teams.names(EVERYWHERE).chain(stored));
                self.problem(place, field, missing(name, "team", &hint));
                Ok(None)
            }
        }
    }

    fn know_team(&mut self, team: &Arc<Team>) {
        self.teams
            .add(EVERYWHERE, [team.id.as_str(), &team.slug], Arc::clone(team));
    }

    /// The team's project called `name` (id or name); a problem at `field` when there is none.
    async fn project(
        &mut self,
        place: &Place,
        field: &str,
        team: &TeamId,
        name: &str,
    ) -> Result<Option<Arc<Project>>> {
        if let Some(project) = self.projects.get(team.as_str(), name) {
            return Ok(Some(project));
        }
        match self.engine.ports.store.project(team, name).await? {
            Some(project) => {
                let project = Arc::new(project);
                self.know_project(&project);
                Ok(Some(project))
            }
            None => {
                let stored = match self.hints() {
                    true => {
                        self.engine
                            .ports
                            .store
                            .projects(team, None, &LOOKED_AT)
                            .await?
                    }
                    false => Vec::new(),
                };
                let stored = stored.iter().flat_map(|row| [row.id.as_str(), &row.name]);
                let known = self.projects.names(team.as_str());
                let hint = self.hint(name, known.chain(stored));
                self.problem(
                    place,
                    field,
                    missing(name, &format!("project of {team}"), &hint),
                );
                Ok(None)
            }
        }
    }

    fn know_project(&mut self, project: &Arc<Project>) {
        let names = [project.id.as_str(), &project.name];
        self.projects
            .add(project.team.as_str(), names, Arc::clone(project));
    }

    /// The account's id if there is such an account; else a problem at `field`.
    async fn account(&mut self, place: &Place, field: &str, id: &AccountId) -> Result<bool> {
        if self.accounts.contains(id) {
            return Ok(true);
        }
        if self.engine.ports.store.account(id).await?.is_some() {
            self.accounts.insert(id.clone());
            return Ok(true);
        }
        let hint = self.hint(id.as_str(), self.accounts.iter().map(AccountId::as_str));
        self.problem(place, field, missing(id.as_str(), "account", &hint));
        Ok(false)
    }

    /// What [`Engine`]'s own checks found, as problems of this row; any other error ends the plan.
    fn accept<T>(&mut self, place: &Place, field: &str, checked: Result<T>) -> Result<Option<T>> {
        match checked {
            Ok(checked) => Ok(Some(checked)),
            Err(Error::Invalid(problems)) => {
                let here = problems.into_iter();
                self.problems
                    .extend(here.map(|problem| place.problem(problem.field, problem.message)));
                Ok(None)
            }
            Err(Error::Unresolvable { reason }) => {
                self.problem(place, field, reason);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

fn missing(name: &str, what: &str, hint: &str) -> String {
    format!("{name:?} is no {what}, in this file or on the server{hint}")
}

impl Step {
    fn new(place: Place, id: &str, change: Change, fields: Vec<FieldChange>) -> Self {
        let row = AppliedRow {
            table: place.table.clone().unwrap_or_default(),
            row: place.row,
            id: id.to_owned(),
            name: String::new(),
            change,
            fields,
            key: None,
        };
        Self {
            place,
            row,
            writes: Vec::new(),
        }
    }

    /// A row that is one write, which is left out when `old` is `new` already.
    fn put<T: PartialEq + Shown>(
        place: Place,
        id: &str,
        old: Option<&T>,
        new: T,
        write: impl FnOnce(T) -> Write,
    ) -> Self {
        let (change, fields) = match old {
            None => (Change::Created, Vec::new()),
            Some(old) if *old == new => (Change::Unchanged, Vec::new()),
            Some(old) => (Change::Updated, differences(old, &new)),
        };
        let mut step = Self::new(place, id, change, fields).called(&new);
        if change != Change::Unchanged {
            step.writes.push(write(new));
        }
        step
    }

    fn called(self, row: &impl Shown) -> Self {
        self.named(row.called().to_owned())
    }

    fn named(mut self, name: String) -> Self {
        self.row.name = name;
        self
    }

    /// Adds a write of a part of the row, which was `old` and shall be `new`.
    fn part(&mut self, field: String, old: Value, new: Value, write: Write) {
        self.writes.push(write);
        match self.row.change {
            Change::Unchanged => self.row.change = Change::Updated,
            // What is new is not compared with anything.
            Change::Created => return,
            Change::Updated | Change::Restored | Change::Removed => {}
        }
        self.row.fields.push(FieldChange::shown(field, old, new));
    }
}

/// What a row says of a field; else what the stored row has there; else what a new row gets.
fn or_old<R, T: Clone>(
    given: Option<T>,
    old: Option<&R>,
    field: impl FnOnce(&R) -> &T,
    new: impl FnOnce() -> T,
) -> T {
    given.unwrap_or_else(|| old.map_or_else(new, |old| field(old).clone()))
}

/// The server, acting in `team`.
pub fn server_in(team: &TeamId) -> Caller {
    Caller {
        team: team.clone(),
        standing: Standing::Server,
        actor: Actor::Server,
        credential: [0; 32],
        until: None,
    }
}

/// The answers to all `questions`, in their order, many at once.
async fn gather<T>(questions: Vec<impl Future<Output = Stored<T>>>) -> Result<Vec<T>> {
    Ok(stream::iter(questions)
        .buffered(AT_ONCE)
        .try_collect()
        .await?)
}

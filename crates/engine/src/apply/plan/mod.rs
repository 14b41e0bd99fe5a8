//! What has to be written so that the declared rows exist. Reads the store, writes nothing.
//!
//! Tables are planned in the order in which they are written, so that a row finds what it refers to
//! among the rows planned before, else in the store.

mod connections;
mod connectors;
mod keys;
mod tenancy;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use grantry_core::ids::{AccountId, TeamId};
use grantry_core::nouns::{
    Account, Actor, Connector, Key, Link, Membership, Project, Service, Team, User,
};
use grantry_core::store::Stored;
use grantry_core::{Error, Result, Secret, Timestamp};

use super::parse::Declared;
use super::problem::{ApplyProblem, Place, suggestion};
use super::{AppliedRow, Change};
use crate::permissions::Standing;
use crate::{Caller, Engine, NewConnection};

/// Reads or writes in flight. Writes that wait together share one commit.
pub const AT_ONCE: usize = 64;

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
    Service(Service),
    Key(Key),
    Connector {
        connector: Box<Connector>,
        /// To be sealed; `None` when the stored ones are these.
        secrets: Option<Vec<(String, Secret)>>,
    },
    Link(Link),
    Connection(TeamId, Box<NewConnection>),
}

/// The steps of a whole file, one list per table, in the order of writing.
pub async fn plan(engine: &Arc<Engine>, declared: Declared) -> Result<Vec<Vec<Step>>> {
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
    };
    let stages = vec![
        planner.accounts(declared.accounts).await?,
        planner.teams(declared.teams).await?,
        planner.users(declared.users).await?,
        planner.projects(declared.projects).await?,
        planner.services(declared.services),
        planner.keys(declared.keys).await?,
        planner.connectors(declared.connectors).await?,
        planner.connections(declared.connections).await?,
    ];
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
}

/// A person as they will be.
#[derive(Clone)]
struct Person {
    user: User,
    memberships: Vec<Membership>,
}

/// Rows by each of their names; names are unique within a scope, the id's is everywhere.
struct Named<T> {
    rows: HashMap<(String, String), Arc<T>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
        }
    }
}

impl<T> Named<T> {
    fn add(&mut self, scope: &str, names: [&str; 2], row: Arc<T>) {
        for name in names {
            let key = (scope.to_owned(), name.to_owned());
            self.rows.insert(key, Arc::clone(&row));
        }
    }

    fn get(&self, scope: &str, name: &str) -> Option<Arc<T>> {
        self.rows.get(&(scope.to_owned(), name.to_owned())).cloned()
    }

    fn names<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = &'a str> {
        let inside = self.rows.keys().filter(move |(other, _)| other == scope);
        inside.map(|(_, name)| name.as_str())
    }
}

/// The one scope of names that are unique in the server.
const EVERYWHERE: &str = "";

impl Planner<'_> {
    fn problem(&mut self, place: &Place, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(place.problem(field, message));
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
                let hint = suggestion(name, self.teams.names(EVERYWHERE));
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
                let hint = suggestion(name, self.projects.names(team.as_str()));
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
        let hint = suggestion(id.as_str(), self.accounts.iter().map(AccountId::as_str));
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
    fn new(place: Place, id: &str, change: Change, writes: Vec<Write>) -> Self {
        let row = AppliedRow {
            table: place.table.clone().unwrap_or_default(),
            row: place.row.unwrap_or_default(),
            id: id.to_owned(),
            change,
            key: None,
        };
        Self { place, row, writes }
    }

    /// A row that is one write, which is left out when `old` is `new` already.
    fn put<T: PartialEq>(
        place: Place,
        id: &str,
        old: Option<&T>,
        new: T,
        write: impl FnOnce(T) -> Write,
    ) -> Self {
        let change = Change::between(old, &new);
        let writes = match change {
            Change::Unchanged => Vec::new(),
            _ => vec![write(new)],
        };
        Self::new(place, id, change, writes)
    }
}

/// The server, acting in `team`.
pub fn server_in(team: &TeamId) -> Caller {
    Caller {
        team: team.clone(),
        standing: Standing::Server,
        actor: Actor::Server,
        credential: [0; 32],
    }
}

/// The answers to all `questions`, in their order, many at once.
async fn gather<T>(questions: Vec<impl Future<Output = Stored<T>>>) -> Result<Vec<T>> {
    Ok(stream::iter(questions)
        .buffered(AT_ONCE)
        .try_collect()
        .await?)
}

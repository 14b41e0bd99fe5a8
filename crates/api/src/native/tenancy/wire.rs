//! This part's JSON.

use std::collections::BTreeMap;

use grantry_core::nouns::{
    Account as AccountRow, CustomEnvironment, Key as KeyRow, Membership as MembershipRow,
    Project as ProjectRow, Team as TeamRow, User as UserRow,
};
use grantry_core::store::Member;
use grantry_engine::permissions::Standing;
use grantry_engine::{Me as MeRow, ServiceView};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::native::wire::{KeyLevel, Role, Time};

/// Owner of teams.
#[derive(Serialize, ToSchema)]
pub struct Account<'a> {
    id: &'a str,
    name: &'a str,
    created_at: Time,
}

impl<'a> From<&'a AccountRow> for Account<'a> {
    fn from(row: &'a AccountRow) -> Self {
        Self {
            id: row.id.as_str(),
            name: &row.name,
            created_at: Time(row.created_at),
        }
    }
}

/// The tenant: the isolation boundary of everything in it.
#[derive(Serialize, ToSchema)]
pub struct Team<'a> {
    id: &'a str,
    account: &'a str,
    /// Unique in the server.
    slug: &'a str,
    name: &'a str,
    /// Where browsers may be sent back to, beside the base URLs of its projects.
    return_origins: &'a [String],
    created_at: Time,
}

impl<'a> From<&'a TeamRow> for Team<'a> {
    fn from(row: &'a TeamRow) -> Self {
        Self {
            id: row.id.as_str(),
            account: row.account.as_str(),
            slug: &row.slug,
            name: &row.name,
            return_origins: &row.return_origins,
            created_at: Time(row.created_at),
        }
    }
}

/// A person of an account.
#[derive(Serialize, ToSchema)]
pub struct User<'a> {
    id: &'a str,
    account: &'a str,
    /// Unique within the account.
    email: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    created_at: Time,
}

impl<'a> From<&'a UserRow> for User<'a> {
    fn from(row: &'a UserRow) -> Self {
        Self {
            id: row.id.as_str(),
            account: row.account.as_str(),
            email: &row.email,
            first_name: &row.first_name,
            last_name: &row.last_name,
            created_at: Time(row.created_at),
        }
    }
}

/// A person with their places in teams.
#[derive(Serialize, ToSchema)]
pub struct Person<'a> {
    #[serde(flatten)]
    pub user: User<'a>,
    pub memberships: Vec<Place<'a>>,
}

/// A place in a team.
#[derive(Serialize, ToSchema)]
pub struct Place<'a> {
    team: &'a str,
    role: Role,
}

impl<'a> From<&'a MembershipRow> for Place<'a> {
    fn from(row: &'a MembershipRow) -> Self {
        Self {
            team: row.team.as_str(),
            role: row.role.into(),
        }
    }
}

/// A person of a team, and what they may do there.
#[derive(Serialize, ToSchema)]
pub struct Membership<'a> {
    user: User<'a>,
    role: Role,
}

impl<'a> From<&'a Member> for Membership<'a> {
    fn from(row: &'a Member) -> Self {
        Self {
            user: User::from(&row.user),
            role: row.role.into(),
        }
    }
}

/// A workload that consumes tokens.
#[derive(Serialize, ToSchema)]
pub struct Project<'a> {
    id: &'a str,
    name: &'a str,
    /// Beside production, preview and development.
    custom_environments: Vec<Environment<'a>>,
    /// Where it is served, by environment.
    base_urls: &'a BTreeMap<String, String>,
    /// Its workloads may make connectors by themselves.
    provisions: bool,
    /// Where the answers to its sign-ins may go.
    sign_in_uris: &'a [String],
    created_at: Time,
}

impl<'a> From<&'a ProjectRow> for Project<'a> {
    fn from(row: &'a ProjectRow) -> Self {
        let environments = row.custom_environments.iter();
        Self {
            id: row.id.as_str(),
            name: &row.name,
            custom_environments: environments.map(Environment::from).collect(),
            base_urls: &row.base_urls,
            provisions: row.provisions,
            sign_in_uris: &row.sign_in_uris,
            created_at: Time(row.created_at),
        }
    }
}

/// An environment beside the built-in ones.
#[derive(Serialize, ToSchema)]
struct Environment<'a> {
    /// What links and keys name.
    id: &'a str,
    slug: &'a str,
}

impl<'a> From<&'a CustomEnvironment> for Environment<'a> {
    fn from(row: &'a CustomEnvironment) -> Self {
        Self {
            id: &row.id,
            slug: &row.slug,
        }
    }
}

/// A key, without its text.
#[derive(Serialize, ToSchema)]
pub struct Key<'a> {
    id: &'a str,
    /// The first characters of its text.
    hint: &'a str,
    name: &'a str,
    level: KeyLevel,
    role: Role,
    /// Null for a key of the server.
    account: Option<&'a str>,
    /// Null for a key above teams.
    team: Option<&'a str>,
    user: Option<&'a str>,
    project: Option<&'a str>,
    environment: Option<&'a str>,
    created_at: Time,
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
}

impl<'a> From<&'a KeyRow> for Key<'a> {
    fn from(row: &'a KeyRow) -> Self {
        Self {
            id: row.id.as_str(),
            hint: &row.hint,
            name: &row.name,
            level: row.level.into(),
            role: row.role.into(),
            account: row.account.as_ref().map(|id| id.as_str()),
            team: row.team.as_ref().map(|id| id.as_str()),
            user: row.user.as_ref().map(|id| id.as_str()),
            project: row.project.as_ref().map(|id| id.as_str()),
            environment: row.environment.as_ref().map(|one| one.as_str()),
            created_at: Time(row.created_at),
            expires_at: row.expires_at.map(Time),
            revoked_at: row.revoked_at.map(Time),
        }
    }
}

/// A key that was just made: the only answer that shows its text.
#[derive(Serialize, ToSchema)]
pub struct NewKey<'a> {
    /// The text.
    pub key: &'a str,
    /// The row.
    #[serde(flatten)]
    pub row: Key<'a>,
}

/// A row of the catalogue.
#[derive(Serialize, ToSchema)]
pub struct Service<'a> {
    id: &'a str,
    /// What is known of it: the built-in row with this server's own fields laid over it.
    data: &'a Map<String, Value>,
    /// Whether it comes with the binary.
    built_in: bool,
    /// This server's own fields.
    own: Option<&'a Map<String, Value>>,
}

impl<'a> From<&'a ServiceView> for Service<'a> {
    fn from(row: &'a ServiceView) -> Self {
        Self {
            id: &row.id,
            data: &row.data,
            built_in: row.built_in,
            own: row.own.as_ref(),
        }
    }
}

/// What a credential is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Credential {
    /// The control socket.
    Operator,
    /// An API key.
    Key,
    /// A workload token.
    WorkloadToken,
}

/// Who one is.
#[derive(Serialize, ToSchema)]
pub struct Me<'a> {
    credential: Credential,
    level: KeyLevel,
    /// Null for the server, which may do everything, and for workloads. Of a person's account key the most
    /// that it may do in a team: there it is cut to the person's role.
    role: Option<Role>,
    key: Option<Key<'a>>,
    account: Option<Account<'a>>,
    team: Option<Team<'a>>,
    user: Option<User<'a>>,
    project: Option<Project<'a>>,
    environment: Option<&'a str>,
}

impl<'a> From<&'a MeRow> for Me<'a> {
    fn from(me: &'a MeRow) -> Self {
        let (level, role) = match me.standing {
            Standing::Server => (KeyLevel::Server, None),
            Standing::Account(role) => (KeyLevel::Account, Some(role)),
            Standing::Role(role) => (KeyLevel::Team, Some(role)),
            Standing::Workload => (KeyLevel::Team, None),
        };
        let credential = match (&me.key, me.standing) {
            (Some(_), _) => Credential::Key,
            (None, Standing::Workload) => Credential::WorkloadToken,
            (None, _) => Credential::Operator,
        };
        let workload = me.workload.as_ref();
        Self {
            credential,
            // A person's account key stands as that person, but reaches further than one team.
            level: me.key.as_ref().map_or(level, |key| key.level.into()),
            role: role.map(Role::from),
            key: me.key.as_ref().map(Key::from),
            account: me.account.as_ref().map(Account::from),
            team: me.team.as_ref().map(Team::from),
            user: me.user.as_ref().map(User::from),
            project: workload.map(|(project, _)| Project::from(project)),
            environment: workload.map(|(_, environment)| environment.as_str()),
        }
    }
}

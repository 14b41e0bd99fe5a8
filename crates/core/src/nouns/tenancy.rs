//! Accounts, teams, people, projects and keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Digest, Environment};
use crate::Timestamp;
use crate::ids::{AccountId, KeyId, ProjectId, TeamId, UserId};

/// What a dialect says of a row that this project has no word for, kept as it was said. It lives as long as
/// what it was said of: a change of that through another API ends it.
pub type Words = Map<String, Value>;

/// Owner of teams; the billing and root boundary.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Id.
    pub id: AccountId,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The tenant: the isolation boundary of every row.
#[derive(Clone, Debug, PartialEq)]
pub struct Team {
    /// Id.
    pub id: TeamId,
    /// Its account.
    pub account: AccountId,
    /// Unique in the server; usable in place of the id in the Vercel dialect.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Origins that users may be sent back to, beside those of the projects' base URLs (design §7).
    pub return_origins: Vec<String>,
    /// What a dialect says of it beside that.
    pub words: Words,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A person of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Their account.
    pub account: AccountId,
    /// Unique within the account.
    pub email: String,
    /// Given name, may be empty.
    pub first_name: String,
    /// Family name, may be empty.
    pub last_name: String,
    /// When the row was made.
    pub created_at: Timestamp,
}

/// What a person or a key may do in a team, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Admin, and may change memberships.
    Owner,
    /// Everything in the team.
    Admin,
    /// Own connections; reads lists.
    Member,
    /// Reads tokens, nothing else.
    TokenOnly,
}

impl Role {
    /// The lesser of two roles: a key's role never exceeds its user's (design §2).
    pub fn at_most(self, other: Self) -> Self {
        if self.rank() <= other.rank() {
            self
        } else {
            other
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::TokenOnly => "token-only",
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::TokenOnly => 0,
            Self::Member => 1,
            Self::Admin => 2,
            Self::Owner => 3,
        }
    }
}

/// A person's place in a team.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// The team.
    pub team: TeamId,
    /// The person.
    pub user: UserId,
    /// What they may do there.
    pub role: Role,
    /// How a dialect says that.
    pub words: Words,
}

/// A workload that consumes tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Id.
    pub id: ProjectId,
    /// Its team.
    pub team: TeamId,
    /// Unique within the team.
    pub name: String,
    /// Environments beside the three built-in ones.
    pub custom_environments: Vec<CustomEnvironment>,
    /// Where it is served, by environment: return URLs may point there, triggers are forwarded there.
    pub base_urls: BTreeMap<String, String>,
    /// Its workloads may make `oauth` connectors by themselves, and link themselves to those of the same server.
    pub provisions: bool,
    /// Where the answers to its sign-ins may go (docs/sign-in.md).
    pub sign_in_uris: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Project {
    /// Whether `environment` is built in or one of this project's own.
    pub fn has_environment(&self, environment: &Environment) -> bool {
        Environment::BUILT_IN.contains(&environment.as_str())
            || self
                .custom_environments
                .iter()
                .any(|custom| custom.id == environment.as_str())
    }
}

/// An environment of one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomEnvironment {
    /// `env_…`; what links and grants store.
    pub id: String,
    /// For people.
    pub slug: String,
}

/// How far a key reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyLevel {
    /// Every account.
    Server,
    /// Every team of one account.
    Account,
    /// One team.
    Team,
}

/// An API key. The key's text is shown once, when it is made; only its hash is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Id of the row.
    pub id: KeyId,
    /// SHA-256 of the text.
    pub hash: Digest,
    /// First characters of the text, so that people can tell keys apart.
    pub hint: String,
    /// For people; may be empty.
    pub name: String,
    /// How far it reaches.
    pub level: KeyLevel,
    /// Set unless `level` is [`KeyLevel::Server`].
    pub account: Option<AccountId>,
    /// Set when `level` is [`KeyLevel::Team`].
    pub team: Option<TeamId>,
    /// The person it acts for.
    pub user: Option<UserId>,
    /// The workload it acts for; excludes `user`.
    pub project: Option<ProjectId>,
    /// Where that workload runs; set exactly when `project` is.
    pub environment: Option<Environment>,
    /// What it may do; a person's key never more than that person. Ignored for a workload's key.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused; never when absent.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

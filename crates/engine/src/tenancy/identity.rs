//! Where a credential acts, and in which teams it could.

use grantry_core::Result;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Actor, Role, Words};
use grantry_core::store::Page;

use crate::authenticate::reachable;
use crate::permissions::{Act, Standing};
use crate::{Engine, Principal, PrincipalKind};

/// Teams of one credential that are told.
const SEATS: u32 = 1000;

/// Who a credential is, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The person, else the key or the project.
    pub user: String,
    /// The team that it acts in.
    pub team: TeamId,
    /// Every team that it could act in, by id.
    pub seats: Vec<Seat>,
}

/// A place in a team.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// The team.
    pub team: TeamId,
    /// What may be done there; none for a workload, which does what its links say.
    pub role: Option<Role>,
    /// How a dialect says that, where the role is the person's whole one.
    pub words: Words,
}

impl Engine {
    /// Who `principal` is, acting in the team `named`, else at home.
    pub async fn identity(&self, principal: &Principal, named: Option<&str>) -> Result<Identity> {
        principal.require(Act::ReadSelf)?;
        let caller = self.act_at_home(principal, named).await?;
        let store = &self.ports.store;
        let seats = match &principal.kind {
            PrincipalKind::Account {
                user: Some(user),
                role,
                ..
            }
            | PrincipalKind::Team {
                user: Some(user),
                role,
                ..
            } => {
                let bound = match &principal.kind {
                    PrincipalKind::Team { team, .. } => Some(team),
                    _ => None,
                };
                let all = store.memberships(user).await?;
                let all = all.into_iter();
                all.filter(|one| bound.is_none_or(|bound| *bound == one.team))
                    .map(|one| {
                        let cut = role.at_most(one.role);
                        let words = match cut == one.role {
                            true => one.words,
                            false => Words::new(),
                        };
                        Seat {
                            team: one.team,
                            role: Some(cut),
                            words,
                        }
                    })
                    .collect()
            }
            PrincipalKind::Team { team, .. } | PrincipalKind::Workload { team, .. } => {
                vec![Seat {
                    team: team.clone(),
                    role: role_of(principal.standing()),
                    words: Words::new(),
                }]
            }
            PrincipalKind::Account { .. } | PrincipalKind::Server => {
                let page = Page::first(SEATS);
                let teams = store.teams(&reachable(principal), &page).await?;
                let seat = |team: grantry_core::nouns::Team| Seat {
                    team: team.id,
                    role: role_of(principal.standing()),
                    words: Words::new(),
                };
                teams.into_iter().map(seat).collect()
            }
        };
        let user = match caller.actor {
            Actor::Key { id } | Actor::User { id } | Actor::Project { id, .. } => id,
            Actor::Server | Actor::System | Actor::EndUser => "server".to_owned(),
        };
        Ok(Identity {
            user,
            team: caller.team,
            seats,
        })
    }
}

const fn role_of(standing: Standing) -> Option<Role> {
    match standing {
        Standing::Server => Some(Role::Owner),
        Standing::Account(role) | Standing::Role(role) => Some(role),
        Standing::Workload => None,
    }
}

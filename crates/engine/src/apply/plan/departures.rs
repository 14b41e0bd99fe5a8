//! Who leaves because the file does not declare them (`--prune`): memberships, and the people whose last
//! membership that was.

use std::collections::{BTreeMap, HashMap, HashSet};

use grantry_core::Result;
use grantry_core::ids::{TeamId, UserId};
use grantry_core::nouns::{Role, User};
use grantry_core::store::Member;

use super::prune::{Found, Removal, every};
use super::{Planner, gather};
use crate::apply::rows::{Row as _, UserRow};

/// What reports call the memberships that go: the file writes them within `[[users]]`.
const MEMBERSHIPS: &str = "memberships";

impl Planner<'_> {
    /// The steps that take people out of the file's teams, then those that delete the people who are in no
    /// team any more.
    ///
    /// Whoever the file names stays: as a person of whom it says no team, or as a key's. So do those who alone
    /// can run a team ([`kept_in_charge`]). A person who is in another team as well stays a person; one who was in
    /// no team before is not this file's.
    pub(super) async fn departures(&self) -> Result<Vec<Found>> {
        let (mut left, mut leaving) = (Found::new(), BTreeMap::new());
        for team in &self.scope.teams {
            if !self.scope.has(UserRow::TABLE, team) {
                continue;
            }
            for member in self.leaving(team).await? {
                let user = &member.user;
                let id = format!("{team}/{}", user.id);
                let removal = Removal::Membership(team.clone(), user.id.clone());
                left.push(self.removal_from(MEMBERSHIPS, &id, &user.email, removal));
                let (_, teams) = leaving
                    .entry(user.id.clone())
                    .or_insert_with(|| (member.user.clone(), HashSet::new()));
                teams.insert(team.clone());
            }
        }
        Ok(vec![left, self.gone(leaving).await?])
    }

    /// The team's people who are to go.
    async fn leaving(&self, team: &TeamId) -> Result<Vec<Member>> {
        let store = &self.engine.ports.store;
        let mut rows = every(
            |page| async move { store.members(team, None, &page).await },
            |row: &Member| (row.user.id.to_string(), row.user.id.to_string()),
        )
        .await?;
        let declared = self.scope.members(team);
        rows.retain(|row| {
            let id = &row.user.id;
            let named = self.scope.says_no_team_of(id) || self.is_named_only(id);
            !declared.contains_key(id) && !named
        });
        let charge = kept_in_charge(&declared, &rows);
        rows.retain(|row| Some(row.role) != charge);
        Ok(rows)
    }

    /// Whether the file has no row of this person, but another one that names them.
    fn is_named_only(&self, user: &UserId) -> bool {
        self.people.contains_key(user.as_str()) && !self.scope.declares(user)
    }

    /// The steps that delete who of `leaving` is in none but the teams that they leave.
    async fn gone(&self, leaving: BTreeMap<UserId, (User, HashSet<TeamId>)>) -> Result<Found> {
        let store = &self.engine.ports.store;
        let people: Vec<_> = leaving
            .into_values()
            .filter(|(user, _)| !self.people.contains_key(user.id.as_str()))
            .collect();
        let places = people.iter().map(|(user, _)| store.memberships(&user.id));
        let places = gather(places.collect()).await?;
        let gone = people
            .iter()
            .zip(places)
            .filter(|((_, teams), places)| places.iter().all(|place| teams.contains(&place.team)));
        let steps = gone.map(|((user, _), _)| {
            let removal = Removal::User(user.account.clone(), user.id.clone());
            self.removal_from(UserRow::TABLE, user.id.as_str(), &user.email, removal)
        });
        Ok(steps.collect())
    }
}

/// The role whose holders stay, declared or not, because else nobody could run the team: its owners, unless the
/// file declares one; its admins, where there is neither an owner nor a declared admin.
fn kept_in_charge(declared: &HashMap<UserId, Role>, undeclared: &[Member]) -> Option<Role> {
    let has = |role| declared.values().any(|one| *one == role);
    let stands = |role| undeclared.iter().any(|row| row.role == role);
    if has(Role::Owner) {
        None
    } else if stands(Role::Owner) {
        Some(Role::Owner)
    } else if has(Role::Admin) {
        None
    } else {
        Some(Role::Admin)
    }
}

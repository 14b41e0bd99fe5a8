//! Keys.

use std::collections::HashMap;

use grantry_core::Result;
use grantry_core::Secret;
use grantry_core::ids::{AccountId, KeyId, TeamId};
use grantry_core::nouns::{Environment, Key, KeyLevel, Membership, Role};
use grantry_core::store::{KeyFilter, KeyOwner};
use grantry_vault::hash::{Handle, HandleKind};

use super::prune::every;
use super::{Change, Person, Place, Planner, Step, Write, gather};
use crate::apply::parse::Rows;
use crate::apply::rows::KeyRow;
use crate::tenancy::{KEY_BYTES_WANTED, hint_of};

/// Whom a key belongs to: what it may be found by.
pub type Owner = (Option<AccountId>, Option<TeamId>);

impl Planner<'_> {
    pub(super) async fn keys(&mut self, rows: Rows<KeyRow>) -> Result<Vec<Step>> {
        let store = &self.engine.ports.store;
        let hashes: Vec<_> = rows
            .iter()
            .map(|(_, row)| row.token.as_ref().map(hash_of))
            .collect();
        let by_token = hashes.iter().map(|hash| async move {
            match hash {
                Some(hash) => store.key_by_hash(hash).await,
                None => Ok(None),
            }
        });
        let by_token = gather(by_token.collect()).await?;
        let mut lists: HashMap<Owner, Vec<Key>> = HashMap::new();
        let mut steps = Vec::with_capacity(rows.len());
        for ((place, row), by_token) in rows.into_iter().zip(by_token) {
            let Some(wanted) = self.wanted(&place, &row).await? else {
                continue;
            };
            let owner = (
                wanted.account.clone().filter(|_| wanted.team.is_none()),
                wanted.team.clone(),
            );
            if by_token.is_none() && !lists.contains_key(&owner) {
                let list = self.owned(&owner).await?;
                lists.insert(owner.clone(), list);
            }
            let mut none = Vec::new();
            let list = lists.get_mut(&owner).unwrap_or(&mut none);
            steps.extend(self.key(place, row, wanted, by_token, list));
        }
        Ok(steps)
    }

    /// The key that `row` describes, with nothing yet of what tells keys apart.
    async fn wanted(&mut self, place: &Place, row: &KeyRow) -> Result<Option<Key>> {
        let (mut account, mut team) = (row.account.clone(), None);
        if let Some(account) = &row.account
            && !self.account(place, "account", account).await?
        {
            return Ok(None);
        }
        if let Some(name) = &row.team {
            let Some(found) = self.team(place, "team", name).await? else {
                return Ok(None);
            };
            (account, team) = (Some(found.account.clone()), Some(found.id.clone()));
        }
        if let Some(user) = &row.user
            && let Some(complaint) = self
                .not_theirs(user.as_str(), account.as_ref(), team.as_ref())
                .await?
        {
            self.problem(place, "user", complaint);
            return Ok(None);
        }
        let (mut project, mut environment) = (None, None);
        if let (Some(name), Some(team)) = (&row.project, &team) {
            let Some(found) = self.project(place, "project", team, name).await? else {
                return Ok(None);
            };
            let asked = row.environment.clone();
            let asked = asked.unwrap_or_else(Environment::production);
            if !found.has_environment(&asked) {
                let message = format!("{asked} is not an environment of {}", found.name);
                self.problem(place, "environment", message);
                return Ok(None);
            }
            (project, environment) = (Some(found.id.clone()), Some(asked));
        }
        // The role of a key that needs none says what it can do: a workload reads tokens, the server all.
        let role = match (row.level(), &project) {
            (KeyLevel::Server, _) => Role::Owner,
            (_, Some(_)) => Role::TokenOnly,
            (_, None) => row.role.unwrap_or(Role::TokenOnly),
        };
        Ok(Some(Key {
            id: KeyId::from(""),
            hash: [0; 32],
            hint: String::new(),
            name: row.name.clone().unwrap_or_default(),
            level: row.level(),
            account,
            team,
            user: row.user.clone(),
            project,
            environment,
            role,
            created_at: self.now,
            expires_at: row.expires_at,
            revoked_at: None,
        }))
    }

    /// Why a key of this owner cannot act for `user`.
    async fn not_theirs(
        &mut self,
        user: &str,
        account: Option<&AccountId>,
        team: Option<&TeamId>,
    ) -> Result<Option<String>> {
        if !self.people.contains_key(user) {
            let store = &self.engine.ports.store;
            let id = user.into();
            if let Some(row) = store.user(&id).await? {
                let memberships = store.memberships(&id).await?;
                let person = Person {
                    user: row,
                    memberships,
                };
                self.people.insert(user.to_owned(), person);
            }
        }
        let Some(person) = self.people.get(user) else {
            let known = self.people.keys().map(String::as_str);
            let hint = self.hint(user, known);
            return Ok(Some(super::missing(user, "person", &hint)));
        };
        let member_of = |team: &TeamId| {
            let mut teams = person.memberships.iter();
            teams.any(|Membership { team: theirs, .. }| theirs == team)
        };
        Ok(match (team, account) {
            (Some(team), _) if !member_of(team) => {
                Some(format!("{user:?} is not a member of {team}"))
            }
            (_, Some(account)) if person.user.account != *account => {
                Some(format!("{user:?} is not a person of {account}"))
            }
            _ => None,
        })
    }

    /// The step of one key. It is known by its token, else by its id, else by all that it is.
    fn key(
        &mut self,
        place: Place,
        row: KeyRow,
        wanted: Key,
        by_token: Option<Key>,
        list: &mut Vec<Key>,
    ) -> Option<Step> {
        let alike = |key: &&Key| match &row.id {
            Some(id) => key.id == *id,
            // Without a name of its own, one that was revoked is gone for good.
            None => row.token.is_none() && key.revoked_at.is_none() && same(key, &wanted),
        };
        // Taken out: an equal row means another one.
        let listed = || {
            list.iter()
                .position(|key| alike(&key))
                .map(|at| list.remove(at))
        };
        let old = by_token.or_else(listed);
        if let (Some(id), Some(old)) = (&row.id, &old) {
            if old.id != *id {
                let message = format!("must be {}: the key with this token has that id", old.id);
                self.problem(&place, "id", message);
                return None;
            }
            let other_token = row
                .token
                .as_ref()
                .is_some_and(|token| hash_of(token) != old.hash);
            if other_token {
                let message = "is not the one that the key with this id has: give the new key an id of its own";
                self.problem(&place, "token", message);
                return None;
            }
        }
        let mut generated = None;
        let key = match &old {
            Some(old) => Key {
                id: old.id.clone(),
                hash: old.hash,
                hint: old.hint.clone(),
                created_at: old.created_at,
                name: row.name.unwrap_or_else(|| old.name.clone()),
                expires_at: row.expires_at.or(old.expires_at),
                ..wanted
            },
            None => {
                let text = row.token.unwrap_or_else(|| {
                    let text = self.engine.key_text();
                    generated = Some(text.clone());
                    text
                });
                let id = row.id;
                let id = id.unwrap_or_else(|| KeyId::mint(self.now, self.engine.entropy()));
                if text.expose().len() < KEY_BYTES_WANTED {
                    tracing::warn!(key = %id, "a declared key of fewer than {KEY_BYTES_WANTED} bytes can be guessed");
                }
                Key {
                    id,
                    hash: hash_of(&text),
                    hint: hint_of(&text),
                    ..wanted
                }
            }
        };
        let (id, name) = (key.id.to_string(), called(&key));
        let mut step = Step::put(place, &id, old.as_ref(), key, Write::Key).named(name);
        if old.is_some_and(|old| old.revoked_at.is_some()) {
            step.row.change = Change::Restored;
        }
        step.row.key = generated;
        Some(step)
    }

    /// All keys of an owner.
    pub(super) async fn owned(&self, (account, team): &Owner) -> Result<Vec<Key>> {
        let store = &self.engine.ports.store;
        let owner = &match (team, account) {
            (Some(team), _) => KeyOwner::Team(team.clone()),
            (None, Some(account)) => KeyOwner::Account(account.clone()),
            (None, None) => KeyOwner::Server,
        };
        let revoked_too = &KeyFilter {
            include_revoked: true,
            ..KeyFilter::default()
        };
        every(
            |page| async move { store.keys(owner, revoked_too, &page).await },
            |key| (key.created_at.0.to_string(), key.id.to_string()),
        )
        .await
    }
}

/// What a report calls a key: its name, else its first characters.
pub fn called(key: &Key) -> String {
    match key.name.as_str() {
        "" => format!("{}…", key.hint),
        name => name.to_owned(),
    }
}

/// Whether two keys differ in nothing that is declared.
fn same(one: &Key, other: &Key) -> bool {
    let declared = |key: &Key| Key {
        id: KeyId::from(""),
        hash: [0; 32],
        hint: String::new(),
        created_at: grantry_core::Timestamp(0),
        expires_at: None,
        ..key.clone()
    };
    declared(one) == declared(other)
}

fn hash_of(text: &Secret) -> [u8; 32] {
    *Handle::of(HandleKind::ApiKey, text.expose()).as_bytes()
}

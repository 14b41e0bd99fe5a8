//! Keys of teams, of accounts and of the server.

use grantry_core::error::Forbidden;
use grantry_core::ids::{AccountId, KeyId, UserId};
use grantry_core::nouns::{Actor, Environment, EventKind, Key, KeyLevel, Role};
use grantry_core::store::{KeyFilter, KeyOwner, Page};
use grantry_core::{Error, Result, Secret, Timestamp, entropy};
use grantry_vault::hash::{Handle, HandleKind};

use super::checks::Checks;
use crate::apply::Shape;
use crate::events::Draft;
use crate::lists::cut;
use crate::permissions::Act;
use crate::{Caller, CursorPage, Engine, Steward};

/// What a new key shall be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// At most the maker's own, and the person's; `token-only` when absent. Keys of workloads and of the
    /// server have none.
    pub role: Option<Role>,
    /// The person it acts for, by id or mail address; `Some(None)` for nobody. When absent, the person who makes it.
    pub user: Option<Option<String>>,
    /// A workload's key: its project and environment.
    pub workload: Option<(String, Environment)>,
    /// When it ends; with the credential that makes it when absent.
    pub expires_at: Option<Timestamp>,
}

/// What shall be other about a key. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct KeyPatch {
    /// For people.
    pub name: Option<String>,
    /// When it ends; `Some(None)` for never.
    pub expires_at: Option<Option<Timestamp>>,
}

/// Who manages whose keys.
#[derive(Clone, Copy)]
pub enum KeyPlace<'a> {
    /// A team's.
    Team(&'a Caller),
    /// An account's own, or the server's.
    Above(&'a Steward),
}

impl<'a> From<&'a Caller> for KeyPlace<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self::Team(caller)
    }
}

impl<'a> From<&'a Steward> for KeyPlace<'a> {
    fn from(steward: &'a Steward) -> Self {
        Self::Above(steward)
    }
}

impl KeyPlace<'_> {
    fn require(self) -> Result<()> {
        match self {
            Self::Team(caller) => caller.require(Act::ManageKeys),
            Self::Above(steward) if steward.account.is_some() => {
                steward.require(Act::ManageAccount)
            }
            Self::Above(steward) => steward.require(Act::ManageServer),
        }
    }

    fn owner(self) -> KeyOwner {
        match self {
            Self::Team(caller) => KeyOwner::Team(caller.team.clone()),
            Self::Above(steward) => match &steward.account {
                Some(account) => KeyOwner::Account(account.clone()),
                None => KeyOwner::Server,
            },
        }
    }

    /// When the credential ends that makes or changes the key: no key outlives its maker's.
    const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Team(caller) => caller.until,
            Self::Above(steward) => steward.until,
        }
    }

    /// The most that a key made here may do.
    fn highest_role(self) -> Role {
        match self {
            Self::Team(caller) => caller.standing.highest_role(),
            // An account's key acts as admin in its teams, never as their owner (design §2).
            Self::Above(Steward {
                account: Some(_),
                standing,
                ..
            }) => standing.highest_role().at_most(Role::Admin),
            Self::Above(steward) => steward.standing.highest_role(),
        }
    }
}

/// Whom a key is for: what a [`NewKey`] comes to.
struct Holder {
    level: KeyLevel,
    account: Option<AccountId>,
    user: Option<UserId>,
    role: Role,
}

/// Characters of a key after its prefix: 256 bits.
const KEY_CHARS: usize = 43;
const KEY_PREFIX: &str = "grk_";
const HINT_CHARS: usize = 8;
const NAME: Shape = Shape::Text(256);

/// Declared keys below this many bytes are warned of: they can be guessed.
pub const KEY_BYTES_WANTED: usize = 24;

impl Engine {
    /// Keys, newest first. `filter.user` may be a mail address.
    pub async fn keys<'a>(
        &self,
        place: impl Into<KeyPlace<'a>>,
        filter: &KeyFilter,
        page: &Page,
    ) -> Result<CursorPage<Key>> {
        let place = place.into();
        place.require()?;
        let rows = self.ports.store.keys(&place.owner(), filter, page).await?;
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// One key, revoked or not.
    pub async fn key<'a>(&self, place: impl Into<KeyPlace<'a>>, id: &KeyId) -> Result<Key> {
        let place = place.into();
        place.require()?;
        let found = self.ports.store.key(&place.owner(), id).await?;
        found.ok_or(Error::NotFound("key"))
    }

    /// Makes a key. The text is returned once and never again.
    pub async fn create_key<'a>(
        &self,
        place: impl Into<KeyPlace<'a>>,
        new: NewKey,
    ) -> Result<(Key, Secret)> {
        let place = place.into();
        place.require()?;
        let mut checks = Checks::default();
        checks.text("name", &NAME, Some(&new.name));
        let expires_at = new.expires_at.or(place.until());
        self.check_expiry(expires_at, &mut checks);
        if outlives(expires_at, place.until()) {
            checks.add("expires_at", OUTLIVES);
        }
        checks.done()?;
        let (project, environment) = match (&new.workload, place) {
            (Some((project, environment)), KeyPlace::Team(caller)) => {
                let project = self.project(caller, project).await?;
                if !project.has_environment(environment) {
                    return Err(Error::invalid(
                        "environment",
                        format!("{environment} is not an environment of {}", project.name),
                    ));
                }
                (Some(project.id), Some(environment.clone()))
            }
            (Some(_), KeyPlace::Above(_)) => {
                return Err(Error::invalid(
                    "project",
                    "only a key of a team can be a project's",
                ));
            }
            (None, _) => (None, None),
        };
        let holder = self.holder(place, &new).await?;
        let text = self.key_text();
        let now = self.now();
        let key = Key {
            id: KeyId::mint(now, self.entropy()),
            hash: *Handle::of(HandleKind::ApiKey, text.expose()).as_bytes(),
            hint: hint_of(&text),
            name: new.name,
            level: holder.level,
            account: holder.account,
            team: match place {
                KeyPlace::Team(caller) => Some(caller.team.clone()),
                KeyPlace::Above(_) => None,
            },
            user: holder.user,
            project,
            environment,
            role: holder.role,
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        let mut draft = self
            .key_draft(EventKind::KeyCreated, place, &key.id)
            .with("role", key.role.as_str());
        if let Some(user) = &key.user {
            draft = draft.with("user", user.as_str());
        }
        if let Some(project) = &key.project {
            draft = draft.with("project", project.as_str());
        }
        self.ports.store.put_key(&key, &draft.done()).await?;
        Ok((key, text))
    }

    /// Whom the key is for and what it may do: never more than its maker, nor than its person.
    async fn holder(&self, place: KeyPlace<'_>, new: &NewKey) -> Result<Holder> {
        let role = new.role.unwrap_or(Role::TokenOnly);
        let exceeds = |most: Role| most.at_most(role) != role;
        if new.workload.is_some() {
            if new.role.is_some() {
                return Err(Error::invalid("role", "a workload's key has none"));
            }
            if new.user.as_ref().is_some_and(Option::is_some) {
                let message = "does not go with project: a key acts for a person or for a workload";
                return Err(Error::invalid("user", message));
            }
        }
        match place {
            KeyPlace::Above(Steward { account: None, .. }) => {
                let odd = [
                    ("role", new.role.is_some()),
                    ("user", new.user.as_ref().is_some_and(Option::is_some)),
                ];
                let mut checks = Checks::default();
                for (field, _) in odd.iter().filter(|(_, given)| *given) {
                    checks.add(
                        *field,
                        "does not go with a key of the server, which may do everything",
                    );
                }
                checks.done()?;
                Ok(Holder {
                    level: KeyLevel::Server,
                    account: None,
                    user: None,
                    role: Role::Owner,
                })
            }
            KeyPlace::Above(steward) => {
                let account = steward.account()?;
                if exceeds(place.highest_role()) {
                    return Err(Error::invalid(
                        "role",
                        "must be at most admin for a key of an account",
                    ));
                }
                let user = match new.user.as_ref().and_then(Option::as_deref) {
                    Some(named) => {
                        let found = self.ports.store.person(account, named).await?;
                        let found = found.ok_or_else(|| {
                            Error::invalid("user", "is not a person of the account")
                        })?;
                        Some(found.id)
                    }
                    None => None,
                };
                Ok(Holder {
                    level: KeyLevel::Account,
                    account: Some(account.clone()),
                    user,
                    role,
                })
            }
            KeyPlace::Team(caller) => {
                if exceeds(place.highest_role()) {
                    return Err(Error::invalid("role", "must not exceed your own"));
                }
                let account = self.stored_team(&caller.team).await?.account;
                let user = match (&new.user, &caller.actor, &new.workload) {
                    (_, _, Some(_)) | (Some(None), ..) => None,
                    (Some(Some(named)), ..) => {
                        let member = match self.member(caller, named).await {
                            Err(Error::NotFound(_)) => {
                                return Err(Error::invalid("user", "is not a member of the team"));
                            }
                            member => member?,
                        };
                        if exceeds(member.role) {
                            return Err(Error::invalid("role", "must not exceed the person's own"));
                        }
                        Some(member.user.id)
                    }
                    (None, Actor::User { id }, None) => Some(id.as_str().into()),
                    (None, ..) => None,
                };
                Ok(Holder {
                    level: KeyLevel::Team,
                    account: Some(account),
                    user,
                    role,
                })
            }
        }
    }

    fn check_expiry(&self, expires_at: Option<Timestamp>, checks: &mut Checks) {
        if expires_at.is_some_and(|at| at <= self.now()) {
            checks.add("expires_at", "must be in the future");
        }
    }

    fn key_draft(&self, kind: EventKind, place: KeyPlace<'_>, id: &KeyId) -> Draft {
        let draft = match place {
            KeyPlace::Team(caller) => self.draft(kind, caller),
            KeyPlace::Above(steward) => self.steward_draft(kind, steward),
        };
        draft.with("key", id.as_str())
    }

    /// Renames a key, or lets it end at another time. [`Error::Forbidden`] for a key that may do more than whoever
    /// changes it, [`Error::Conflict`] for a revoked one, [`Error::Invalid`] for an end after the one of the
    /// credential that sets it.
    pub async fn update_key<'a>(
        &self,
        place: impl Into<KeyPlace<'a>>,
        id: &KeyId,
        patch: KeyPatch,
    ) -> Result<Key> {
        let place = place.into();
        place.require()?;
        let mut checks = Checks::default();
        checks.text("name", &NAME, patch.name.as_deref());
        self.check_expiry(patch.expires_at.flatten(), &mut checks);
        checks.done()?;
        let event = self.key_draft(EventKind::KeyUpdated, place, id).done();
        let key = changed!(
            old = {
                let key = self.key(place, id).await?;
                if place.highest_role().at_most(key.role) != key.role {
                    return Err(Error::Forbidden(Forbidden::Role));
                }
                if key.revoked_at.is_some() {
                    return Err(Error::conflict("the key is revoked"));
                }
                let end = patch.expires_at.unwrap_or(key.expires_at);
                if outlives(end, key.expires_at) && outlives(end, place.until()) {
                    return Err(Error::invalid("expires_at", OUTLIVES));
                }
                key
            },
            new = Key {
                name: patch.name.clone().unwrap_or_else(|| old.name.clone()),
                expires_at: patch.expires_at.unwrap_or(old.expires_at),
                ..old.clone()
            },
            self.ports.store.update_key(&old, &new, &event)
        );
        self.caches.callers.clear();
        Ok(key)
    }

    /// Revokes a key. It is refused everywhere within 2 s.
    pub async fn revoke_key<'a>(&self, place: impl Into<KeyPlace<'a>>, id: &KeyId) -> Result<()> {
        let place = place.into();
        place.require()?;
        let event = self.key_draft(EventKind::KeyRevoked, place, id).done();
        let revoked = self
            .ports
            .store
            .revoke_key(&place.owner(), id, self.now(), &event)
            .await;
        self.caches.callers.clear();
        Ok(revoked?)
    }

    /// Makes a server-level key if there is none yet, revoked ones included: the first start's. Keys of
    /// accounts and teams do not count.
    pub async fn first_server_key(&self) -> Result<Option<Secret>> {
        let all = KeyFilter {
            include_revoked: true,
            ..KeyFilter::default()
        };
        let any = self
            .ports
            .store
            .keys(&KeyOwner::Server, &all, &Page::first(1))
            .await?;
        if any.is_empty() {
            self.server_key("first server key").await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Makes a server-level key called `name`. Only for whoever holds the data itself: it may do
    /// everything. The text is returned once and never again.
    pub async fn server_key(&self, name: &str) -> Result<Secret> {
        let holder_of_the_data = Steward {
            account: None,
            standing: crate::permissions::Standing::Server,
            actor: Actor::System,
            until: None,
        };
        let new = NewKey {
            name: name.to_owned(),
            ..NewKey::default()
        };
        let (_, text) = self.create_key(&holder_of_the_data, new).await?;
        Ok(text)
    }

    pub(crate) fn key_text(&self) -> Secret {
        Secret::new(format!(
            "{KEY_PREFIX}{}",
            entropy::alphanumeric(self.entropy(), KEY_CHARS)
        ))
    }
}

const OUTLIVES: &str = "must not be later than the end of the key that asks for it";

/// Whether what ends at `one` is there longer than what ends at `other`; nothing ends that has no end.
fn outlives(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    other.is_some_and(|other| one.is_none_or(|one| one > other))
}

/// The first characters of a key, for people to tell keys apart: never more than a quarter of it.
pub fn hint_of(text: &Secret) -> String {
    let text = text.expose();
    let shown = HINT_CHARS.min(text.chars().count() / 4);
    text.chars().take(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_never_gives_away_more_than_a_quarter_of_a_key() {
        for (text, hint) in [
            ("", ""),
            ("abc", ""),
            ("tok_abc123", "to"),
            ("0123456789abcdef0123456789abcdef", "01234567"),
            ("grk_0123456789abcdef0123456789abcdef0123456789", "grk_0123"),
        ] {
            assert_eq!(hint_of(&Secret::new(text)), hint, "{text}");
        }
    }
}

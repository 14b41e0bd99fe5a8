//! From a bearer credential to a [`Caller`].

use std::sync::Arc;

use grantry_core::ids::{AccountId, ProjectId, TeamId};
use grantry_core::nouns::{Actor, Digest, Environment, Key, KeyLevel, Membership, Role, Team};
use grantry_core::store::{Page, TeamFilter};
use grantry_core::{Error, Result, Timestamp};
use grantry_vault::hash::{Handle, HandleKind};

use crate::permissions::{Act, Scope, Standing};
use crate::principal::{Caller, Principal, PrincipalKind, Steward};
use crate::{Engine, workload};

/// A caller and until when it may be taken from memory.
pub struct Known {
    caller: Arc<Caller>,
    until: Option<Timestamp>,
}

impl Engine {
    /// Who holds `bearer`, acting in `team` (an id or a slug; `None` for the credential's own team).
    ///
    /// Errors: [`Error::Unauthenticated`] for any credential that does not hold; [`Error::NotFound`] for a
    /// team that is not the caller's; [`Error::Invalid`] when a key of the server or of an account names
    /// none and there is not just one.
    pub async fn caller(&self, bearer: &str, team: Option<&str>) -> Result<Arc<Caller>> {
        let credential = credential_of(bearer);
        let key = (credential, team.unwrap_or_default().to_owned());
        self.known_caller(bearer, key, async |principal| {
            self.act_in(principal, team).await
        })
        .await
    }

    /// The same for an API whose callers need not name a team: a credential of one team is in that one whatever is
    /// named, and one of several is at home where none is.
    pub async fn caller_at_home(&self, bearer: &str, named: Option<&str>) -> Result<Arc<Caller>> {
        let credential = credential_of(bearer);
        // No id and no slug begins like that.
        let key = (credential, format!("\0{}", named.unwrap_or_default()));
        self.known_caller(bearer, key, async |principal| {
            self.act_at_home(principal, named).await
        })
        .await
    }

    pub(crate) async fn act_at_home(
        &self,
        principal: &Principal,
        named: Option<&str>,
    ) -> Result<Caller> {
        match (&principal.kind, named) {
            (PrincipalKind::Team { .. } | PrincipalKind::Workload { .. }, _) => {
                self.act_in(principal, None).await
            }
            (PrincipalKind::Account { .. }, None) => {
                let home = self.home(principal).await?;
                self.act_in(principal, Some(home.as_str())).await
            }
            _ => self.act_in(principal, named).await,
        }
    }

    /// The oldest team of an account's key: one that is made later does not become its home.
    async fn home(&self, principal: &Principal) -> Result<TeamId> {
        let (filter, mut page) = (reachable(principal), Page::first(PAGE));
        let mut oldest: Option<Team> = None;
        loop {
            let rows = self.ports.store.teams(&filter, &page).await?;
            let more = rows.len() > PAGE as usize;
            let last = rows.last().map(|row| row.id.to_string());
            let all = oldest.into_iter().chain(rows);
            oldest = all.min_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
            match last.filter(|_| more) {
                Some(id) => page.after = Some((id.clone(), id)),
                None => break,
            }
        }
        oldest.map_or_else(|| Err(one_of("team", vec![])), |team| Ok(team.id))
    }

    /// From memory, else `find`, which is then remembered.
    async fn known_caller(
        &self,
        bearer: &str,
        key: (Digest, String),
        find: impl AsyncFnOnce(&Principal) -> Result<Caller>,
    ) -> Result<Arc<Caller>> {
        if self.caches_are_fresh()
            && let Some(known) = self.caches.callers.get(&key)
            && known.until.is_none_or(|until| self.now() < until)
        {
            return Ok(Arc::clone(&known.caller));
        }
        let ticket = self.caches.callers.ticket(&key);
        let principal = self.principal(bearer).await?;
        let caller = Arc::new(find(&principal).await?);
        let known = Known {
            caller: Arc::clone(&caller),
            until: principal.until,
        };
        self.caches.callers.fill(ticket, &key, Arc::new(known));
        Ok(caller)
    }

    /// The operator at the control socket, acting in `team`.
    pub async fn server_caller(&self, team: Option<&str>) -> Result<Arc<Caller>> {
        self.act_in(&Principal::OPERATOR, team).await.map(Arc::new)
    }

    /// The team of a project, for the operator, who is in no team and may name a project alone.
    pub async fn team_of_project(&self, id: &ProjectId) -> Result<Option<TeamId>> {
        let project = self.ports.store.project_by_id(id).await?;
        Ok(project.map(|project| project.team))
    }

    /// `principal` doing `act` on the server or, where that is the act's scope, on the account of this id.
    /// A key of an account is in its own; the server names one unless there is only one.
    ///
    /// Errors: [`Error::Forbidden`] before anything is looked up; [`Error::NotFound`] for an account that
    /// is not the principal's.
    pub async fn steward(
        &self,
        principal: &Principal,
        act: Act,
        account: Option<&str>,
    ) -> Result<Steward> {
        principal.require(act)?;
        let account = match (act.scope(), &principal.kind, account) {
            (Scope::Account, PrincipalKind::Account { account: own, .. }, named) => {
                if named.is_some_and(|named| named != own.as_str()) {
                    return Err(Error::NotFound("account"));
                }
                Some(own.clone())
            }
            (Scope::Account, _, Some(named)) => {
                let found = self.ports.store.account(&named.into()).await?;
                Some(found.ok_or(Error::NotFound("account"))?.id)
            }
            (Scope::Account, _, None) => Some(self.only_account().await?),
            _ => None,
        };
        Ok(Steward {
            account,
            standing: principal.standing(),
            actor: principal.actor(),
            until: principal.until,
        })
    }

    /// Verifies `bearer` against the store, without choosing a team.
    pub async fn principal(&self, bearer: &str) -> Result<Principal> {
        let credential = credential_of(bearer);
        if workload::looks_like_token(bearer) {
            return self.verify_workload_token(bearer, credential).await;
        }
        self.principal_of_key(credential).await
    }

    /// Whose key has this hash, while it is live.
    pub(crate) async fn principal_of_key(&self, credential: Digest) -> Result<Principal> {
        let key = self.ports.store.key_by_hash(&credential).await?;
        let key = key.ok_or(Error::Unauthenticated)?;
        let now = self.now();
        if key.revoked_at.is_some() || key.expires_at.is_some_and(|expires| expires <= now) {
            return Err(Error::Unauthenticated);
        }
        let until = key.expires_at;
        let kind = self.kind_of_key(key).await?;
        Ok(Principal {
            credential,
            kind,
            until,
        })
    }

    async fn kind_of_key(&self, key: Key) -> Result<PrincipalKind> {
        let Key {
            id,
            level,
            account,
            team,
            user,
            project,
            environment,
            role,
            ..
        } = key;
        match (level, account, team, project) {
            (KeyLevel::Server, ..) => Ok(PrincipalKind::Server),
            (KeyLevel::Account, Some(account), ..) => Ok(PrincipalKind::Account {
                account,
                user,
                key: id,
                role,
            }),
            (KeyLevel::Team, _, Some(team), Some(project)) => {
                let environment = environment.unwrap_or_else(Environment::production);
                self.workload(team, project, environment).await
            }
            (KeyLevel::Team, _, Some(team), None) => {
                let role = match &user {
                    Some(user) => {
                        let memberships = self.ports.store.memberships(user).await?;
                        role.at_most(
                            role_in(&memberships, team.as_str()).ok_or(Error::Unauthenticated)?,
                        )
                    }
                    None => role,
                };
                Ok(PrincipalKind::Team {
                    team,
                    user,
                    key: id,
                    role,
                })
            }
            (level, ..) => {
                tracing::error!(key = %id, ?level, "a stored key names no owner");
                Err(Error::Internal)
            }
        }
    }

    /// A workload whose project exists, in an environment that the project has.
    pub(crate) async fn workload(
        &self,
        team: TeamId,
        project: ProjectId,
        environment: Environment,
    ) -> Result<PrincipalKind> {
        let row = self.ports.store.project_by_id(&project).await?;
        match row.filter(|row| row.team == team && row.has_environment(&environment)) {
            Some(row) => Ok(PrincipalKind::Workload {
                team,
                project: row.id,
                environment,
                identity: None,
            }),
            None => Err(Error::Unauthenticated),
        }
    }

    pub(crate) async fn act_in(
        &self,
        principal: &Principal,
        selector: Option<&str>,
    ) -> Result<Caller> {
        let own = match &principal.kind {
            PrincipalKind::Team { team, .. } | PrincipalKind::Workload { team, .. } => Some(team),
            PrincipalKind::Server | PrincipalKind::Account { .. } => None,
        };
        let team = match (own, selector) {
            (Some(own), None) => own.clone(),
            (Some(own), Some(named)) if named == own.as_str() => own.clone(),
            (None, None) => self.only_team(principal).await?,
            (own, Some(named)) => {
                let team = self.ports.store.team(named).await?.filter(|team| {
                    own.is_none_or(|own| *own == team.id) && self.reaches(principal, team)
                });
                team.ok_or(Error::NotFound("team"))?.id
            }
        };
        let (standing, actor) = self.standing(principal, &team).await?;
        Ok(Caller {
            team,
            standing,
            actor,
            credential: principal.credential,
            until: principal.until,
        })
    }

    fn reaches(&self, principal: &Principal, team: &Team) -> bool {
        match &principal.kind {
            PrincipalKind::Account { account, .. } => *account == team.account,
            PrincipalKind::Server | PrincipalKind::Team { .. } | PrincipalKind::Workload { .. } => {
                true
            }
        }
    }

    /// The team of one who is in none and names none: the one there is.
    async fn only_team(&self, principal: &Principal) -> Result<TeamId> {
        let store = &self.ports.store;
        let page = Page::first(NAMED_MAX);
        let teams = store.teams(&reachable(principal), &page).await?;
        match teams.as_slice() {
            [only] => Ok(only.id.clone()),
            teams => {
                let slugs = teams.iter().map(|team| team.slug.as_str()).collect();
                Err(one_of("team", slugs))
            }
        }
    }

    /// The account of one who is in none and names none: the one there is.
    async fn only_account(&self) -> Result<AccountId> {
        let store = &self.ports.store;
        match store
            .accounts(None, &Page::first(NAMED_MAX))
            .await?
            .as_slice()
        {
            [only] => Ok(only.id.clone()),
            accounts => {
                let ids = accounts.iter().map(|account| account.id.as_str()).collect();
                Err(one_of("account", ids))
            }
        }
    }

    async fn standing(&self, principal: &Principal, team: &TeamId) -> Result<(Standing, Actor)> {
        let standing = match &principal.kind {
            // A person's key opens no team that the person is not, or no longer, a member of.
            PrincipalKind::Account {
                user: Some(user),
                role,
                ..
            } => {
                let memberships = self.ports.store.memberships(user).await?;
                let theirs = role_in(&memberships, team.as_str()).ok_or(Error::NotFound("team"))?;
                Standing::Role(role.at_most(theirs))
            }
            _ => principal.standing(),
        };
        Ok((standing, principal.actor()))
    }
}

/// The teams that a principal above teams may act in.
pub(crate) fn reachable(principal: &Principal) -> TeamFilter {
    let mut filter = TeamFilter::default();
    if let PrincipalKind::Account { account, user, .. } = &principal.kind {
        filter.account = Some(account.clone());
        filter.member.clone_from(user);
    }
    filter
}

/// Teams read at once.
const PAGE: u32 = 1000;

/// Rows that a refusal names at most.
const NAMED_MAX: u32 = 20;

/// The refusal of a request that has to say which of several it means.
fn one_of(what: &'static str, mut names: Vec<&str>) -> Error {
    names.sort_unstable();
    names.truncate(NAMED_MAX as usize);
    let message = match names.as_slice() {
        [] => format!("is required, and there is no {what} yet"),
        names => format!("is required: one of {}", names.join(", ")),
    };
    Error::invalid(what, message)
}

fn role_in(memberships: &[Membership], team: &str) -> Option<Role> {
    memberships
        .iter()
        .find(|membership| membership.team.as_str() == team)
        .map(|membership| membership.role)
}

fn credential_of(bearer: &str) -> Digest {
    let kind = if workload::looks_like_token(bearer) {
        HandleKind::SignedToken
    } else {
        HandleKind::ApiKey
    };
    *Handle::of(kind, bearer).as_bytes()
}

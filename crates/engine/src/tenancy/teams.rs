//! Teams.

use std::sync::Arc;

use grantry_core::ids::TeamId;
use grantry_core::nouns::{Actor, Connector, Event, EventKind, Team, Words};
use grantry_core::store::{ConnectorFilter, Ending, Page, TeamFilter};
use grantry_core::{Error, Result, StoreError, entropy};

use super::NAMED_MAX;
use super::checks::{Checks, NAME};
use crate::apply::Shape;
use crate::lists::cut;
use crate::permissions::Act;
use crate::tokens::CLAIM;
use crate::{Caller, CursorPage, Engine, Principal, PrincipalKind, Steward};

/// Characters of a name that go into a slug made of it.
const SLUG_CHARS: usize = 40;

/// Connectors read at once.
const PAGE: u32 = 1000;

/// What a new team shall be.
#[derive(Clone, Debug, Default)]
pub struct NewTeam {
    /// Unique in the server.
    pub slug: String,
    /// The slug when absent.
    pub name: Option<String>,
    /// Where browsers may be sent back to.
    pub return_origins: Vec<String>,
    /// What a dialect says of it beside that.
    pub words: Words,
}

/// What shall be other about a team. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct TeamPatch {
    /// Unique in the server.
    pub slug: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Where browsers may be sent back to: the whole list.
    pub return_origins: Option<Vec<String>>,
    /// What a dialect says of it beside that: these of its words.
    pub words: Words,
}

/// The letters and digits of a name with `-` between and behind its words; nothing for a name without any.
fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        if !word.is_empty() && slug.len() + word.len() < SLUG_CHARS {
            slug.push_str(&word.to_ascii_lowercase());
            slug.push('-');
        }
    }
    slug
}

fn check(slug: Option<&str>, name: Option<&str>, origins: Option<&[String]>) -> Result<()> {
    let mut checks = Checks::default();
    checks.text("slug", &Shape::Slug, slug);
    checks.text("name", &NAME, name);
    checks.texts("return_origins", &Shape::Origin, origins);
    checks.done()
}

impl Engine {
    /// The teams that the principal may act in, by id: all for the server (of `account`, where it names
    /// one), the account's for its key, those they are in for a person, its own for a team's key.
    pub async fn teams(
        &self,
        principal: &Principal,
        account: Option<&str>,
        search: Option<&str>,
        page: &Page,
    ) -> Result<CursorPage<Team>> {
        principal.require(Act::ListTeams)?;
        let mut filter = TeamFilter {
            account: account.map(Into::into),
            search: search.map(str::to_owned),
            ..TeamFilter::default()
        };
        match &principal.kind {
            PrincipalKind::Server => {}
            PrincipalKind::Account {
                account: own, user, ..
            } => {
                if filter.account.is_some_and(|named| named != *own) {
                    return Err(Error::NotFound("account"));
                }
                filter.account = Some(own.clone());
                filter.member.clone_from(user);
            }
            PrincipalKind::Team { team, .. } | PrincipalKind::Workload { team, .. } => {
                filter.id = Some(team.clone());
            }
        }
        let rows = self.ports.store.teams(&filter, page).await?;
        Ok(cut(rows, page, |row| {
            (row.id.to_string(), row.id.to_string())
        }))
    }

    /// Makes a team of the steward's account. [`Error::Conflict`] when another team has the slug.
    pub async fn create_team(&self, steward: &Steward, new: NewTeam) -> Result<Team> {
        steward.require(Act::ManageAccount)?;
        check(
            Some(&new.slug),
            new.name.as_deref(),
            Some(&new.return_origins),
        )?;
        let now = self.now();
        let team = Team {
            id: TeamId::mint(now, self.entropy()),
            account: steward.account()?.clone(),
            name: new.name.unwrap_or_else(|| new.slug.clone()),
            slug: new.slug,
            return_origins: new.return_origins,
            words: new.words,
            created_at: now,
        };
        let mut event = self.steward_draft(EventKind::TeamCreated, steward).done();
        event.team = Some(team.id.clone());
        let made = self.ports.store.put_team(&team, &event).await;
        self.caches.callers.clear();
        made?;
        Ok(team)
    }

    /// The same of a team that is known by its name: its slug is made from that.
    pub async fn create_named_team(
        &self,
        steward: &Steward,
        name: &str,
        words: Words,
    ) -> Result<Team> {
        let mut checks = Checks::default();
        checks.text("name", &NAME, Some(name));
        checks.done()?;
        let unique = entropy::alphanumeric(self.entropy(), 8).to_lowercase();
        let new = NewTeam {
            slug: format!("{}{unique}", slug_of(name)),
            name: Some(name.to_owned()),
            return_origins: Vec::new(),
            words,
        };
        self.create_team(steward, new).await
    }

    /// The caller's team.
    pub async fn team(&self, caller: &Caller) -> Result<Team> {
        caller.require(Act::ReadLists)?;
        self.stored_team(&caller.team).await
    }

    pub(super) async fn stored_team(&self, id: &TeamId) -> Result<Team> {
        let found = self.ports.store.team(id.as_str()).await?;
        found
            .filter(|team| team.id == *id)
            .ok_or(Error::NotFound("team"))
    }

    /// Changes the caller's team. [`Error::Conflict`] when another team has the slug.
    pub async fn update_team(&self, caller: &Caller, patch: TeamPatch) -> Result<Team> {
        caller.require(Act::ManageTeam)?;
        check(
            patch.slug.as_deref(),
            patch.name.as_deref(),
            patch.return_origins.as_deref(),
        )?;
        let event = self.draft(EventKind::TeamUpdated, caller).done();
        let team = changed!(
            old = self.stored_team(&caller.team).await?,
            new = {
                let patch = patch.clone();
                Team {
                    slug: patch.slug.unwrap_or_else(|| old.slug.clone()),
                    name: patch.name.unwrap_or_else(|| old.name.clone()),
                    return_origins: patch
                        .return_origins
                        .unwrap_or_else(|| old.return_origins.clone()),
                    words: old.words.clone().into_iter().chain(patch.words).collect(),
                    ..old.clone()
                }
            },
            self.ports.store.update_team(&old, &new, &event)
        );
        self.caches.callers.clear();
        Ok(team)
    }

    /// Deletes the caller's team and all that is in it: nothing of it is served from this commit on; its
    /// connections end after it, as those of a deleted connector do. [`Error::Conflict`] while it has connectors, unless
    /// `force`.
    pub async fn delete_team(self: &Arc<Self>, caller: &Caller, force: bool) -> Result<()> {
        caller.require(Act::DeleteTeam)?;
        let event = self.draft(EventKind::TeamDeleted, caller).done();
        let (engine, team) = (Arc::clone(self), caller.team.clone());
        self.uncancellable(async move { engine.end_team(&team, force, &event).await })
            .await
    }

    async fn end_team(self: &Arc<Self>, team: &TeamId, force: bool, event: &Event) -> Result<()> {
        let connectors = self.live_connectors(team).await?;
        let deleted = self
            .ports
            .store
            .delete_team(team, force, self.now(), CLAIM, event)
            .await;
        self.caches.clear();
        match deleted {
            Ok(()) => {
                let (engine, actor) = (Arc::clone(self), event.actor.clone());
                self.tasks
                    .spawn(async move { engine.end_each(connectors, &actor).await });
                Ok(())
            }
            Err(StoreError::InUse(_)) => {
                let uids: Vec<&str> = connectors
                    .iter()
                    .take(NAMED_MAX as usize)
                    .map(|connector| connector.uid.as_str())
                    .collect();
                let message = format!(
                    "the team still has connectors ({}): delete them first, or send force=true to end them \
                     and all their connections",
                    uids.join(", ")
                );
                Err(Error::conflict(message))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn live_connectors(&self, team: &TeamId) -> Result<Vec<Connector>> {
        let (mut page, mut all) = (Page::first(PAGE), Vec::new());
        loop {
            let everything = ConnectorFilter::default();
            let rows = self
                .ports
                .store
                .connectors(team, &everything, &page)
                .await?;
            let more = rows.len() > PAGE as usize;
            all.extend(rows.into_iter().take(PAGE as usize));
            match all.last().filter(|_| more) {
                Some(last) => {
                    page.after = Some((last.created_at.0.to_string(), last.id.to_string()));
                }
                None => return Ok(all),
            }
        }
    }

    /// Brings a deleted team's connectors to their end; what stops on the way is gone on with in the background.
    async fn end_each(self: &Arc<Self>, connectors: Vec<Connector>, actor: &Actor) {
        for connector in connectors {
            let ending = Ending {
                connector: connector.id,
                team: connector.team,
                actor: actor.clone(),
            };
            if let Err(error) = self.end(&ending).await {
                tracing::warn!(connector = %ending.connector, %error, "a deleted connector is not at its end; the background goes on with it");
            }
        }
    }
}

//! Lists, keys and imports: what the native API, the CLI and the pages read and do beside the flows.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::ids::{ConnectionId, ConnectorId, KeyId};
use grantry_core::nouns::{
    Connection, ConnectionState, Environment, Event, EventKind, Key, KeyLevel, Project, Role,
    Subject,
};
use grantry_core::store::{ConnectionFilter, ConnectorFilter, EventFilter, Page};
use grantry_core::{Error, Result, Secret, Timestamp, entropy};
use grantry_vault::hash::{Handle, HandleKind};

use crate::connectors::{ConnectorView, Entry};
use crate::permissions::Act;
use crate::tokens::NewPair;
use crate::{AskToken, Caller, Engine};

/// One page of a list.
pub struct CursorPage<T> {
    /// The rows.
    pub data: Vec<T>,
    /// The sort value and id of the last row, when there are more.
    pub next: Option<(String, String)>,
}

/// What a new key shall be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// At most the caller's own; `token-only` when absent. A workload's key has none.
    pub role: Option<Role>,
    /// A workload's key: its project and environment.
    pub workload: Option<(String, Environment)>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A grant that exists already and is taken in.
pub struct NewConnection {
    /// Minted when absent.
    pub id: Option<ConnectionId>,
    /// Its connector, by id or uid.
    pub connector: String,
    /// What it is for.
    pub token: AskToken,
    /// For people.
    pub name: Option<String>,
    /// The account at the provider.
    pub external_subject: Option<String>,
    /// The tokens.
    pub pair: NewPair,
}

/// Characters of a key after its prefix: 256 bits.
const KEY_CHARS: usize = 43;
const KEY_PREFIX: &str = "grk_";
const HINT_CHARS: usize = 8;

/// Declared keys below this many bytes are warned of: they can be guessed.
pub const KEY_BYTES_WANTED: usize = 24;

/// An event may be stored a little after it happened, behind later ones: who follows the log sees it
/// when all of its time are there. A write on PostgreSQL that is refused again and again takes longer.
const SETTLED: Duration = Duration::from_secs(2);

/// How often a log that has nothing new is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Engine {
    /// The caller's live connectors.
    pub async fn connectors(
        &self,
        caller: &Caller,
        filter: &ConnectorFilter,
        page: &Page,
    ) -> Result<CursorPage<ConnectorView>> {
        caller.require(Act::ReadLists)?;
        let rows = self
            .ports
            .store
            .connectors(&caller.team, filter, page)
            .await?;
        let catalogue = self.catalogue().await?;
        let page = cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        });
        let mut data = Vec::with_capacity(page.data.len());
        for connector in page.data {
            let links = self.ports.store.links(&caller.team, &connector.id).await?;
            data.push(ConnectorView::of(&Entry { connector, links }, &catalogue));
        }
        Ok(CursorPage {
            data,
            next: page.next,
        })
    }

    /// The caller's connections.
    pub async fn connections(
        &self,
        caller: &Caller,
        filter: &ConnectionFilter,
        page: &Page,
    ) -> Result<CursorPage<Connection>> {
        caller.require(Act::ReadLists)?;
        let mut filter = filter.clone();
        if !caller.standing.may(Act::RevokeAny) {
            // A member sees their own.
            filter.subject = match &caller.actor {
                grantry_core::nouns::Actor::User { id } => Some(Subject::User {
                    id: id.clone(),
                    issuer: None,
                }),
                _ => return Err(Error::Forbidden(grantry_core::error::Forbidden::Role)),
            };
        }
        let rows = self
            .ports
            .store
            .connections(&caller.team, &filter, page)
            .await?;
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// One connection. A caller who may not see everybody's sees their own.
    pub async fn connection(&self, caller: &Caller, id: &ConnectionId) -> Result<Connection> {
        caller.require(Act::ReadLists)?;
        let found = self.ports.store.connection(&caller.team, id).await?;
        let connection = found.ok_or(Error::NotFound("connection"))?.connection;
        if caller.reaches(&connection) || caller.standing.may(Act::RevokeAny) {
            Ok(connection)
        } else {
            Err(Error::NotFound("connection"))
        }
    }

    /// The team's projects.
    pub async fn projects(&self, caller: &Caller, page: &Page) -> Result<CursorPage<Project>> {
        caller.require(Act::ReadLists)?;
        let rows = self.ports.store.projects(&caller.team, page).await?;
        Ok(cut(rows, page, |row| {
            (row.name.clone(), row.id.to_string())
        }))
    }

    /// The team's event log.
    pub async fn events(
        &self,
        caller: &Caller,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<CursorPage<Event>> {
        caller.require(Act::ReadEvents)?;
        let rows = self.ports.store.events(&caller.team, filter, page).await?;
        Ok(cut(rows, page, position))
    }

    /// The team's event log as it grows: what follows `page` and `filter` oldest first, once there is
    /// something, at the latest after `wait`. The page always says where to go on. It begins now when
    /// neither says where. Events of the last [`SETTLED`] are left for the next page.
    pub async fn follow_events(
        &self,
        caller: &Caller,
        filter: &EventFilter,
        page: &Page,
        wait: Duration,
    ) -> Result<CursorPage<Event>> {
        caller.require(Act::ReadEvents)?;
        let until = self.ports.clock.boot() + wait;
        let page = Page {
            oldest_first: true,
            ..page.clone()
        };
        let start = filter.since.unwrap_or_else(|| self.now().before(SETTLED));
        let mut filter = EventFilter {
            since: page.after.is_none().then_some(start).or(filter.since),
            ..filter.clone()
        };
        let latest = filter.until;
        loop {
            let settled = self.now().before(SETTLED);
            filter.until = Some(latest.map_or(settled, |latest| latest.min(settled)));
            let mut found = self.events(caller, &filter, &page).await?;
            if found.data.is_empty() {
                let left = until.saturating_sub(self.ports.clock.boot());
                if !left.is_zero() && !self.stop.is_cancelled() {
                    self.ports.clock.sleep(left.min(LOOK_AGAIN)).await;
                    continue;
                }
            }
            // Of a time, no id sorts before the empty one.
            let nowhere = || (start.0.to_string(), String::new());
            let next = found.data.last().map(position);
            found.next = Some(next.or(page.after).unwrap_or_else(nowhere));
            return Ok(found);
        }
    }

    /// The team's keys.
    pub async fn keys(&self, caller: &Caller, page: &Page) -> Result<CursorPage<Key>> {
        caller.require(Act::ManageKeys)?;
        let rows = self
            .ports
            .store
            .keys(None, Some(&caller.team), page)
            .await?;
        Ok(cut(rows, page, |row| {
            (row.created_at.0.to_string(), row.id.to_string())
        }))
    }

    /// Makes a key of the caller's team. The text is returned once and never again.
    pub async fn create_key(&self, caller: &Caller, new: NewKey) -> Result<(Key, Secret)> {
        caller.require(Act::ManageKeys)?;
        if new.workload.is_some() && new.role.is_some() {
            return Err(Error::invalid("role", "a workload's key has none"));
        }
        let role = new.role.unwrap_or(Role::TokenOnly);
        if let crate::permissions::Standing::Role(own) = caller.standing
            && own.at_most(role) != role
        {
            return Err(Error::invalid("role", "must not exceed your own"));
        }
        let (project, environment) = match new.workload {
            Some((project, environment)) => {
                let project = self.project(caller, &project).await?;
                if !project.has_environment(&environment) {
                    return Err(Error::invalid(
                        "environment",
                        format!("{environment} is not an environment of {}", project.name),
                    ));
                }
                (Some(project.id), Some(environment))
            }
            None => (None, None),
        };
        let user = match (&caller.actor, &project) {
            (grantry_core::nouns::Actor::User { id }, None) => Some(id.as_str().into()),
            _ => None,
        };
        let team = self.ports.store.team(caller.team.as_str()).await?;
        let team = team.ok_or(Error::NotFound("team"))?;
        let text = self.key_text();
        let now = self.now();
        let key = Key {
            id: KeyId::mint(now, self.entropy()),
            hash: *Handle::of(HandleKind::ApiKey, text.expose()).as_bytes(),
            hint: hint_of(&text),
            name: new.name,
            level: KeyLevel::Team,
            account: Some(team.account),
            team: Some(caller.team.clone()),
            user,
            project,
            environment,
            role,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let event = self
            .draft(EventKind::KeyCreated, caller)
            .with("key", key.id.as_str())
            .done();
        self.ports.store.put_key(&key, &event).await?;
        Ok((key, text))
    }

    /// Makes a server-level key if there is none yet, revoked ones included: the first start's. Keys of
    /// accounts and teams do not count.
    pub async fn first_server_key(&self) -> Result<Option<Secret>> {
        let any = self.ports.store.keys(None, None, &Page::first(1)).await?;
        if any.is_empty() {
            self.server_key("first server key").await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Makes a server-level key called `name`. Only for whoever holds the data itself: it may do
    /// everything. The text is returned once and never again.
    pub async fn server_key(&self, name: &str) -> Result<Secret> {
        let (text, now) = (self.key_text(), self.now());
        let key = Key {
            id: KeyId::mint(now, self.entropy()),
            hash: *Handle::of(HandleKind::ApiKey, text.expose()).as_bytes(),
            hint: hint_of(&text),
            name: name.to_owned(),
            level: KeyLevel::Server,
            account: None,
            team: None,
            user: None,
            project: None,
            environment: None,
            role: Role::Owner,
            created_at: now,
            expires_at: None,
            revoked_at: None,
        };
        let actor = grantry_core::nouns::Actor::System;
        let event =
            crate::events::Draft::new(EventKind::KeyCreated, None, actor, now, self.entropy())
                .with("key", key.id.as_str())
                .done();
        self.ports.store.put_key(&key, &event).await?;
        Ok(text)
    }

    /// Revokes a key of the caller's team. It is refused everywhere within 2 s.
    pub async fn revoke_key(&self, caller: &Caller, id: &KeyId) -> Result<()> {
        caller.require(Act::ManageKeys)?;
        let event = self
            .draft(EventKind::KeyRevoked, caller)
            .with("key", id.as_str())
            .done();
        let revoked = self
            .ports
            .store
            .revoke_key(id, Some(&caller.team), self.now(), &event)
            .await;
        self.caches.callers.clear();
        Ok(revoked?)
    }

    /// Takes in a grant that exists already. Returns its connection and whether it was new: one
    /// that stands keeps its tokens.
    pub async fn import_connection(
        self: &Arc<Self>,
        caller: &Caller,
        new: NewConnection,
    ) -> Result<(Connection, bool)> {
        caller.require(Act::ImportConnections)?;
        let entry = self.live_connector(caller, &new.connector).await?;
        // An admin imports for anybody: the subject is data here, not the caller's wish for a token.
        let grant = self.grant_of(
            &Caller {
                actor: grantry_core::nouns::Actor::Server,
                ..caller.clone()
            },
            &entry,
            new.token,
        )?;
        let now = self.now();
        let connection = Connection {
            id: new
                .id
                .unwrap_or_else(|| ConnectionId::mint(now, self.entropy())),
            team: caller.team.clone(),
            grant,
            state: ConnectionState::Active,
            name: new.name,
            external_subject: new.external_subject,
            created_at: now,
            updated_at: now,
        };
        let set = self
            .token_set(&caller.team, &connection.id, new.pair)
            .await?;
        let event = self
            .draft(EventKind::ConnectionImported, caller)
            .connector(&connection.grant.connector)
            .connection(&connection.id)
            .done();
        if self
            .ports
            .store
            .import_connection(&connection, &[set], &event)
            .await?
        {
            return Ok((connection, true));
        }
        let standing = match self
            .ports
            .store
            .connection_by_grant(&caller.team, &connection.grant)
            .await?
        {
            Some(live) => Some(live),
            None => {
                self.ports
                    .store
                    .connection(&caller.team, &connection.id)
                    .await?
            }
        };
        let standing = standing
            .ok_or_else(|| Error::conflict(format!("connection id {} is taken", connection.id)))?;
        Ok((standing.connection, false))
    }

    /// Ends one connection by its id. [`Error::NotFound`] for one that the caller cannot reach; the
    /// app's, which the team shares, takes [`Act::RevokeAny`] or a workload of its environment.
    pub async fn revoke_connection(
        self: &Arc<Self>,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<crate::Revoked> {
        caller.require(Act::RevokeOwn)?;
        let live = self
            .ports
            .store
            .connection(&caller.team, id)
            .await?
            .ok_or(Error::NotFound("connection"))?;
        if !caller.standing.may(Act::RevokeAny) {
            if !caller.reaches(&live.connection) {
                return Err(Error::NotFound("connection"));
            }
            if !caller.owns(&live.connection.grant.subject) {
                caller.require(Act::RevokeAny)?;
            }
        }
        let connector: ConnectorId = live.connection.grant.connector.clone();
        let entry = self.usable_connector(caller, connector.as_str()).await?;
        self.end_connections(caller, &entry, |scope| scope.connection = Some(id.clone()))
            .await
    }

    pub(crate) fn key_text(&self) -> Secret {
        Secret::new(format!(
            "{KEY_PREFIX}{}",
            entropy::alphanumeric(self.entropy(), KEY_CHARS)
        ))
    }
}

/// The first characters of a key, for people to tell keys apart: never more than a quarter of it.
pub fn hint_of(text: &Secret) -> String {
    let text = text.expose();
    let shown = HINT_CHARS.min(text.chars().count() / 4);
    text.chars().take(shown).collect()
}

fn position(event: &Event) -> (String, String) {
    (event.at.0.to_string(), event.id.to_string())
}

/// The rows of one page out of a query that asked for one row more.
fn cut<T>(
    mut rows: Vec<T>,
    page: &Page,
    position: impl Fn(&T) -> (String, String),
) -> CursorPage<T> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more {
        rows.last().map(position)
    } else {
        None
    };
    CursorPage { data: rows, next }
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

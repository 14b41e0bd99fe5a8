//! Lists and imports: what the native API, the CLI and the pages read and do beside the flows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grantry_core::ids::{ConnectionId, ConnectorId};
use grantry_core::nouns::{
    Connection, ConnectionState, Connector, Event, EventKind, Grant, Link, TokenSet,
};
use grantry_core::store::{
    ConnectionFilter, ConnectorFilter, ConnectorSort, EventFilter, Listed, Page,
};
use grantry_core::{Error, Result};

use crate::connectors::{ConnectorView, servers_of};
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

impl<T> CursorPage<T> {
    /// The same page of what `form` makes of its rows.
    pub fn map<U>(self, form: impl FnMut(T) -> U) -> CursorPage<U> {
        CursorPage {
            data: self.data.into_iter().map(form).collect(),
            next: self.next,
        }
    }
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

/// A grant that exists already, its connector and subject made out.
pub struct Import {
    /// Minted when absent.
    pub id: Option<ConnectionId>,
    /// What it is.
    pub grant: Grant,
    /// For people.
    pub name: Option<String>,
    /// The account at the provider.
    pub external_subject: Option<String>,
    /// The tokens.
    pub pair: NewPair,
}

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
            let sort = match filter.sort {
                ConnectorSort::Created => row.created_at.0.to_string(),
                ConnectorSort::Updated => row.updated_at.0.to_string(),
                ConnectorSort::Name => row.name.clone(),
            };
            (sort, row.id.to_string())
        });
        let ids: Vec<ConnectorId> = page.data.iter().map(|row| row.id.clone()).collect();
        let mut links: HashMap<ConnectorId, Vec<Link>> = HashMap::new();
        for link in self.ports.store.links_of(&caller.team, &ids).await? {
            links.entry(link.connector.clone()).or_default().push(link);
        }
        let view = |connector: Connector| {
            let links = links.remove(&connector.id).unwrap_or_default();
            ConnectorView::with(connector, links, &catalogue)
        };
        Ok(CursorPage {
            data: page.data.into_iter().map(view).collect(),
            next: page.next,
        })
    }

    /// How many live connectors the caller's team has.
    pub async fn connector_count(&self, caller: &Caller) -> Result<u64> {
        caller.require(Act::ReadLists)?;
        Ok(self.ports.store.count_connectors(&caller.team).await?)
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
        if let Some(own) = caller.sees_only()? {
            filter.subject = Some(own);
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

    /// Where the row of this id stands, or stood, in a list of the caller's team, as a page's position.
    pub async fn list_place(
        &self,
        caller: &Caller,
        list: Listed,
        id: &str,
    ) -> Result<Option<(String, String)>> {
        let place = self.ports.store.list_place(&caller.team, list, id).await?;
        Ok(place.map(|place| (place.0.to_string(), id.to_owned())))
    }

    /// Of a connection, its connector's service.
    pub async fn service_of(&self, caller: &Caller, connection: &Connection) -> Result<String> {
        let connector = connection.grant.connector.as_str();
        let entry = self.entry(&caller.team, connector).await?;
        Ok(entry.connector.service.clone())
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
                if !left.is_zero() && !self.dismissed.load(Ordering::Relaxed) {
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

    /// The rows of a grant that is taken in, its tokens sealed.
    pub(crate) async fn prepare_import(
        &self,
        caller: &Caller,
        import: Import,
    ) -> Result<(Connection, TokenSet, Event)> {
        let now = self.now();
        let id = import.id;
        let connection = Connection {
            id: id.unwrap_or_else(|| ConnectionId::mint(now, self.entropy())),
            team: caller.team.clone(),
            grant: import.grant,
            state: ConnectionState::Active,
            name: import.name,
            external_subject: import.external_subject,
            imported: true,
            created_at: now,
            updated_at: now,
        };
        let set = self
            .token_set(&caller.team, &connection.id, import.pair)
            .await?;
        let event = self
            .draft(EventKind::ConnectionImported, caller)
            .connector(&connection.grant.connector)
            .connection(&connection.id)
            .done();
        Ok((connection, set, event))
    }

    /// Takes in a grant that exists already. Returns its connection and whether it was new: one
    /// that stands keeps its tokens.
    #[tracing::instrument(target = "grantry_spans", name = "import_connection", skip_all)]
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
        let import = Import {
            id: new.id,
            grant,
            name: new.name,
            external_subject: new.external_subject,
            pair: NewPair {
                servers: Some(servers_of(&entry.connector)),
                ..new.pair
            },
        };
        let (connection, set, event) = self.prepare_import(caller, import).await?;
        if self
            .ports
            .store
            .import_connection(&connection, &[set], &event)
            .await?
        {
            return Ok((connection, true));
        }
        let store = &self.ports.store;
        let standing = store.connection_by_grant(&caller.team, &connection.grant);
        // An id that another grant has is no connection of this one.
        let standing = standing
            .await?
            .ok_or_else(|| Error::conflict(format!("connection id {} is taken", connection.id)))?;
        Ok((standing.connection, false))
    }

    /// Gives a live connection another name, or none. [`Error::NotFound`] for one that the caller cannot
    /// reach; the app's, which the team shares, takes [`Act::RevokeAny`].
    pub async fn rename_connection(
        &self,
        caller: &Caller,
        id: &ConnectionId,
        name: Option<&str>,
    ) -> Result<Connection> {
        caller.require(Act::RevokeOwn)?;
        let found = self.ports.store.connection(&caller.team, id).await?;
        let connection = found.ok_or(Error::NotFound("connection"))?.connection;
        if !caller.standing.may(Act::RevokeAny) {
            if !caller.reaches(&connection) {
                return Err(Error::NotFound("connection"));
            }
            if !caller.owns(&connection.grant.subject) {
                caller.require(Act::RevokeAny)?;
            }
        }
        let event = self
            .draft(EventKind::ConnectionUpdated, caller)
            .connector(&connection.grant.connector)
            .connection(id)
            .done();
        let store = &self.ports.store;
        let renamed = store
            .rename_connection(&caller.team, id, name, &event)
            .await;
        self.caches.lives.invalidate(id);
        renamed?;
        Ok(Connection {
            name: name.map(str::to_owned),
            updated_at: event.at,
            ..connection
        })
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
        self.end_connection(caller, &entry, id).await
    }
}

fn position(event: &Event) -> (String, String) {
    (event.at.0.to_string(), event.id.to_string())
}

/// The rows of one page out of a query that asked for one row more.
pub(crate) fn cut<T>(
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

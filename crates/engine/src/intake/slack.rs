//! Tokens that Slack says it has ended, of a workspace in which an app is installed.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use grantry_core::ids::{ConnectionId, TokenSetId};
use grantry_core::nouns::{Connector, EventKind, Installation, InstallationStatus, Subject};
use grantry_core::store::{ConnectionFilter, Live, Page, RevocationScope};
use grantry_core::{Error, Result, StoreError};
use grantry_oauth::providers::slack;

use super::read::Ended;
use super::{BY, app_scope};
use crate::Engine;
use crate::tokens::{AT_ONCE, CLAIM, Half, lives, main_set};

/// Connections that are read at once.
const ROWS_AT_ONCE: u32 = 100;

impl Engine {
    /// Tries the tokens that are said to have ended, and ends the connections of those that have. An installation that has
    /// none left ends with them. What cannot be tried holds up nothing else.
    pub(super) async fn look_at_workspace(
        self: &Arc<Self>,
        connector: &Arc<Connector>,
        ended: &Ended,
    ) -> Result<()> {
        // An app that is installed in a whole organisation has one installation for all of its workspaces.
        let places = || [Some(&ended.team), ended.enterprise.as_ref()].into_iter();
        let mut looked = Ok(());
        // Bots first: they are few, and others work with them.
        for place in places().flatten().filter(|_| ended.bot) {
            looked = looked.and(self.try_bots(connector, place).await);
        }
        for place in places().flatten() {
            let users = ended.users.as_deref();
            looked = looked.and(self.try_users(connector, place, users).await);
        }
        looked
    }

    /// Tries the tokens of a place's users, of these alone if any are named.
    async fn try_users(
        self: &Arc<Self>,
        connector: &Arc<Connector>,
        place: &str,
        users: Option<&[String]>,
    ) -> Result<()> {
        let mut words = vec![format!("\"{place}\"")];
        match users {
            Some([]) => return Ok(()),
            // Of several, all of the place are read once.
            Some([user]) => words.push(format!("\"{user}\"")),
            _ => {}
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (team, id) = (&connector.team, &connector.id);
        let (mut after, mut tried) = (None, Ok(()));
        loop {
            let store = &self.ports.store;
            let found = store
                .connections_told_of(team, id, &words, after.as_ref(), ROWS_AT_ONCE)
                .await?;
            let more = found.len() >= ROWS_AT_ONCE as usize;
            after = found.last().map(|last| last.connection.id.clone());
            let of_users = found
                .into_iter()
                .filter(|live| is_told_of(live, place, users));
            tried = tried.and(self.end_those_over(connector, of_users.collect()).await);
            if !more {
                return tried;
            }
        }
    }

    async fn try_bots(self: &Arc<Self>, connector: &Arc<Connector>, place: &str) -> Result<()> {
        let store = &self.ports.store;
        // Before its connections: one that is made meanwhile changes it.
        let row = store
            .installation_by_external_id(&connector.team, &connector.id, place)
            .await?;
        let of = ConnectionFilter {
            connector: Some(connector.id.clone()),
            subject: Some(Subject::App),
            installation: Some(place.to_owned()),
            ..ConnectionFilter::default()
        };
        // One for each choice of scopes that was made when it was installed.
        let page = Page::first(ROWS_AT_ONCE);
        let mut bots = Vec::new();
        for found in store.connections(&connector.team, &of, &page).await? {
            bots.extend(store.connection(&connector.team, &found.id).await?);
        }
        let tried = self.end_those_over(connector, bots).await;
        // What an admin said here is not Slack's to take back.
        let row = row.filter(|row| row.status != InstallationStatus::Suspended);
        match row {
            Some(row) => tried.and(self.end_empty_installation(&row).await),
            None => tried,
        }
    }

    /// Removes an installation as it was read if it has no connection left. One that was installed again since stays: at
    /// Slack it has the same id.
    async fn end_empty_installation(&self, row: &Installation) -> Result<()> {
        let store = &self.ports.store;
        if store.count_connections(&row.team, &app_scope(row)).await? > 0 {
            return Ok(());
        }
        let event = self
            .system_draft(EventKind::InstallationDeleted, &row.team)
            .connector(&row.connector)
            .with("installation", row.id.as_str())
            .with(BY.0, BY.1)
            .done();
        let deleted = store.delete_installation(row, Some(row.updated_at), &event);
        let deleted = deleted.await;
        self.forget_connector(&row.connector);
        match deleted {
            Ok(()) | Err(StoreError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tries each, and ends those whose tokens are over. The first error is told after all.
    async fn end_those_over(
        self: &Arc<Self>,
        connector: &Arc<Connector>,
        found: Vec<Live>,
    ) -> Result<()> {
        let tries = stream::iter(found).map(|live| async move {
            let id = live.connection.id.clone();
            let Ok(set) = main_set(&live).map(|set| set.id.clone()) else {
                return Ok(());
            };
            match self.is_over(connector, live).await? {
                true => self.end_tried(connector, id, &set).await,
                false => Ok(()),
            }
        });
        let tried: Vec<Result<()>> = tries.buffer_unordered(AT_ONCE).collect().await;
        tried.into_iter().collect()
    }

    /// Ends a connection whose tokens were tried, unless it has got others meanwhile. The sweep tells Slack, in case that
    /// one of them lives.
    async fn end_tried(
        &self,
        connector: &Connector,
        id: ConnectionId,
        set: &TokenSetId,
    ) -> Result<()> {
        let scope = RevocationScope {
            connection: Some(id.clone()),
            ..RevocationScope::of(connector.id.clone())
        };
        let event = self
            .system_draft(EventKind::ConnectionRevoked, &connector.team)
            .connector(&connector.id)
            .with(BY.0, BY.1)
            .done();
        let store = &self.ports.store;
        store
            .revoke_with_set(&connector.team, &scope, set, self.now(), CLAIM, &event)
            .await?;
        self.caches.lives.invalidate(&id);
        Ok(())
    }

    /// Whether Slack takes a connection's token no more. One that has run out says nothing; what renews it does.
    async fn is_over(self: &Arc<Self>, connector: &Connector, live: Live) -> Result<bool> {
        let Ok(set) = main_set(&live) else {
            return Ok(false);
        };
        if !lives(set, self.now()) {
            if set.refresh.is_none() {
                return Ok(false);
            }
            return match self.refresh(Arc::new(live)).await {
                Ok(_) => Ok(false),
                Err(Error::AuthorizationRequired(_)) => Ok(true),
                Err(error) => Err(error),
            };
        }
        let oauth = self.oauth_client(connector).await?;
        // A token is shown to nobody but whom it came from.
        if !oauth.is_for(set.servers.as_deref()) {
            return Ok(false);
        }
        let token = self
            .open_token(&set.team, &set.id, Half::Access, &set.access)
            .await?;
        let asked = oauth.server.api().and_then(|api| slack::test(&api, &token));
        let asked = asked.ok_or_else(|| Error::Unresolvable {
            reason: "it is not known where Slack's API is".to_owned(),
        })?;
        let answer = self.ports.http.send(asked).await;
        slack::is_over(answer).ok_or(Error::Unavailable)
    }
}

/// Whether a token is of a user, of one of `users` if any are named, and came from the place: a workspace, or an
/// organisation as a whole.
fn is_told_of(live: &Live, place: &str, users: Option<&[String]>) -> bool {
    let Ok(set) = main_set(live) else {
        return false;
    };
    let id = |list: &str| set.metadata.get(list)?.get("id")?.as_str();
    let is_named = |users: &[String]| users.iter().any(|user| id("authed_user") == Some(user));
    matches!(live.connection.grant.subject, Subject::User { .. })
        && id("team").or_else(|| id("enterprise")) == Some(place)
        && users.is_none_or(is_named)
}

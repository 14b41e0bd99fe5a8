//! Tokens that Slack says it has ended, of a workspace in which an app is installed.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use grantry_core::nouns::{Connector, InstallationStatus, Subject};
use grantry_core::store::{ConnectionFilter, Live, Page, RevocationScope};
use grantry_core::{Error, Result};
use grantry_oauth::providers::slack;

use super::app_scope;
use super::read::Ended;
use crate::Engine;
use crate::tokens::{AT_ONCE, Half, lives, main_set};

/// Connections that are read at once.
const ROWS_AT_ONCE: u32 = 100;

impl Engine {
    /// Tries the tokens that are said to have ended, and ends the connections of those that have. An installation that has
    /// none left ends with them.
    pub(super) async fn look_at_workspace(
        self: &Arc<Self>,
        connector: &Arc<Connector>,
        ended: &Ended,
    ) -> Result<()> {
        // An app that is installed in a whole organisation has one installation for all of its workspaces.
        let places = [Some(&ended.team), ended.enterprise.as_ref()];
        for place in places.into_iter().flatten() {
            match &ended.users {
                None => self.try_users(connector, &[place]).await?,
                Some(users) => {
                    for user in users {
                        self.try_users(connector, &[place, user]).await?;
                    }
                }
            }
            if ended.bot {
                self.try_bots(connector, place).await?;
            }
        }
        Ok(())
    }

    /// Tries the tokens of users that were told of each of `ids`: a place, and an account.
    async fn try_users(
        self: &Arc<Self>,
        connector: &Arc<Connector>,
        ids: &[&String],
    ) -> Result<()> {
        let store = &self.ports.store;
        let words: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut after = None;
        loop {
            let (team, id) = (&connector.team, &connector.id);
            let found = store
                .connections_told_of(team, id, &words, after.as_ref(), ROWS_AT_ONCE)
                .await?;
            let more = found.len() >= ROWS_AT_ONCE as usize;
            after = found.last().map(|last| last.connection.id.clone());
            let of_users = found.into_iter().filter(|live| is_told_of(live, ids));
            self.end_those_over(connector, of_users.collect()).await?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn try_bots(self: &Arc<Self>, connector: &Arc<Connector>, place: &str) -> Result<()> {
        let store = &self.ports.store;
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
        self.end_those_over(connector, bots).await?;
        let row = store
            .installation_by_external_id(&connector.team, &connector.id, place)
            .await?;
        // What an admin said here is not Slack's to take back.
        let row = row.filter(|row| row.status != InstallationStatus::Suspended);
        let Some(row) = row else {
            return Ok(());
        };
        let left = store
            .count_connections(&connector.team, &app_scope(&row))
            .await?;
        match left {
            0 => self.end_installation(&row).await,
            _ => Ok(()),
        }
    }

    async fn end_those_over(
        self: &Arc<Self>,
        connector: &Arc<Connector>,
        found: Vec<Live>,
    ) -> Result<()> {
        let tries = stream::iter(found).map(|live| async move {
            let id = live.connection.id.clone();
            Ok::<_, Error>(self.is_over(connector, live).await?.then_some(id))
        });
        let tried: Vec<Result<_>> = tries.buffer_unordered(AT_ONCE).collect().await;
        let mut unanswered = None;
        for over in tried {
            match over {
                Ok(None) => {}
                Ok(Some(connection)) => {
                    let scope = RevocationScope {
                        connector: connector.id.clone(),
                        connection: Some(connection),
                        subject: None,
                        environment: None,
                        installation: None,
                    };
                    self.end_told(&connector.team, &scope).await?;
                }
                Err(error) => unanswered = Some(error),
            }
        }
        unanswered.map_or(Ok(()), Err)
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

/// Whether a user's token came from the place, and for the account, that `ids` name.
fn is_told_of(live: &Live, ids: &[&String]) -> bool {
    let Ok(set) = main_set(live) else {
        return false;
    };
    let at = |list: &str, id: &String| {
        let part = set.metadata.get(list).and_then(|part| part.get("id"));
        part.and_then(serde_json::Value::as_str) == Some(id)
    };
    let [place, account @ ..] = ids else {
        return false;
    };
    let told = |id: &&String| at("authed_user", id);
    matches!(live.connection.grant.subject, Subject::User { .. })
        && (at("team", place) || at("enterprise", place))
        && account.iter().all(told)
}

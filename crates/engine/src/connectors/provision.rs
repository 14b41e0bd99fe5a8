//! Workloads that make their connectors by themselves, from the URL of a server (reference/vercel-connect A3).
//!
//! A project may do so where somebody who manages it said so. What it gets is no more than what it could have asked an
//! admin for: an `oauth` connector of that server, registered there by Grantry, with a link for the environment that
//! asks. A connector that is there already is linked only if it is of the same server, so that guessing a uid leads to
//! no other one. One that is linked already is answered with as it is, to every project.

use std::sync::Arc;

use grantry_core::error::Forbidden;
use grantry_core::nouns::{Connector, ConnectorType, EventKind, Link, Project};
use grantry_core::store::LinkChange;
use grantry_core::{Error, Problem, Result, StoreError, Timestamp};
use serde_json::{Map, Value};
use url::Url;

use super::{ConnectorView, NewConnector, NewLink};
use crate::permissions::Act;
use crate::tokens::{PAUSE, TRIES};
use crate::{Caller, Engine};

impl Engine {
    /// The connector `uid` of the server at `url`, made where it is not there, and usable by the caller's project in the
    /// caller's environment. Asked any number of times, at once or later, it is one connector and one link.
    ///
    /// # Errors
    /// [`Forbidden::Provisioning`] unless the project may do so, or has nothing to make; [`Error::Conflict`] for a uid of another type or of
    /// another server; [`Error::Invalid`] for a URL that leads to no server which registers clients. Nothing is stored then.
    #[tracing::instrument(target = "grantry_spans", name = "provision", skip_all)]
    pub async fn provision_connector(
        self: &Arc<Self>,
        caller: &Caller,
        uid: &str,
        url: &str,
    ) -> Result<ConnectorView> {
        caller.require(Act::Provision)?;
        // The server stands above the table, and is no project.
        let project = caller.project().ok_or(Error::Forbidden(Forbidden::Role))?;
        let project = self.project(caller, project).await?;
        let (uid, url) = (uid.trim().to_owned(), url.trim().to_owned());
        if let Some(linked) = self.provisioned(caller, &uid, &url).await? {
            return Ok(linked);
        }
        if !project.provisions {
            return Err(Error::Forbidden(Forbidden::Provisioning));
        }
        if Url::parse(&url).is_err() {
            return Err(Error::invalid("serverUrl", "must be an absolute URL"));
        }
        let (engine, caller) = (Arc::clone(self), caller.clone());
        self.uncancellable(async move { engine.provision(&caller, &project, &uid, &url).await })
            .await
    }

    /// The `oauth` connector `uid`, where the caller may use it as it is: clients ask for it before each token
    /// (`@vercel/connect` 0.7.0), and whoever made it, there is nothing to make. One that was made for a server of another
    /// origin than they name is not what they mean.
    async fn provisioned(
        &self,
        caller: &Caller,
        uid: &str,
        url: &str,
    ) -> Result<Option<ConnectorView>> {
        let entry = match self.usable_connector(caller, uid).await {
            Ok(entry) => entry,
            Err(Error::NotFound(_) | Error::Gone(_) | Error::Forbidden(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let connector = &entry.connector;
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
        let server = connector.data.get("serverUrl").and_then(Value::as_str);
        let elsewhere = server.is_some_and(|server| origin(server) != origin(url));
        if connector.uid != uid || connector.kind != ConnectorType::Oauth || elsewhere {
            return Ok(None);
        }
        Ok(Some(ConnectorView::of(&entry, &*self.catalogue().await?)))
    }

    async fn provision(
        &self,
        caller: &Caller,
        project: &Project,
        uid: &str,
        server: &str,
    ) -> Result<ConnectorView> {
        // Whoever waits here finds what the one before made, and the server is asked to register one client. Beside
        // another node the uid decides, and the client that lost is ended.
        let turn = self.enrolling.of(&format!("{}\0{uid}", caller.team))?;
        let _turn = turn.lock().await;
        for last in (0..TRIES).map(|tried| tried + 1 == TRIES) {
            let found = self.ports.store.connector(&caller.team, uid).await?;
            let standing = found.filter(|row| row.deleted_at.is_none() && row.uid == uid);
            let done = match standing {
                Some(connector) => self.join(caller, project, &connector, server).await,
                None => self.found(caller, project, uid, server).await,
            };
            match done {
                // Somebody else made it, or changed its link, meanwhile.
                Ok(None) if !last => self.ports.clock.sleep(PAUSE).await,
                Ok(None) => break,
                Ok(Some(view)) => return Ok(view),
                Err(error) => return Err(error),
            }
        }
        Err(Error::busy(
            "the connector is being changed by others: ask again",
        ))
    }

    /// Makes the connector; `None` when its uid was taken meanwhile.
    async fn found(
        &self,
        caller: &Caller,
        project: &Project,
        uid: &str,
        server: &str,
    ) -> Result<Option<ConnectorView>> {
        let new = NewConnector {
            kind: ConnectorType::Oauth.as_str().to_owned(),
            uid: Some(uid.to_owned()),
            name: Some(uid.to_owned()),
            data: Map::from_iter([("serverUrl".to_owned(), server.into())]),
            link: Some(NewLink {
                project: project.id.to_string(),
                environments: Some(vec![caller.environment()]),
            }),
            ..NewConnector::default()
        };
        match self.create(caller, new).await {
            Ok(made) => Ok(Some(made)),
            Err(Error::Conflict { .. }) => Ok(None),
            Err(Error::Invalid(problems)) => Err(Error::Invalid(told(problems))),
            Err(error) => Err(error),
        }
    }

    /// Links the project to what stands; `None` when that changed meanwhile.
    async fn join(
        &self,
        caller: &Caller,
        project: &Project,
        connector: &Connector,
        server: &str,
    ) -> Result<Option<ConnectorView>> {
        let uid = &connector.uid;
        if connector.kind != ConnectorType::Oauth {
            // The words are on the wire: clients match on them.
            return Err(Error::conflict(format!(
                "Connector {uid} already exists and is not an OAuth connector."
            )));
        }
        let own = connector.data.get("serverUrl").and_then(Value::as_str);
        if own.is_none_or(|own| Url::parse(own) != Url::parse(server)) {
            return Err(Error::conflict(format!(
                "Connector {uid} already exists and is of another server."
            )));
        }
        let store = &self.ports.store;
        let links = store.links(&connector.team, &connector.id).await?;
        let standing = links.iter().find(|link| link.project == project.id);
        let environment = caller.environment();
        if !standing.is_some_and(|link| link.environments.contains(&environment)) {
            let read = standing.map(|link| link.updated_at);
            let now = self.now();
            let mut environments = standing.map_or_else(Vec::new, |link| link.environments.clone());
            environments.push(environment);
            let link = Link {
                team: connector.team.clone(),
                connector: connector.id.clone(),
                project: project.id.clone(),
                environments,
                created_at: now,
                updated_at: read.map_or(now, |read| now.max(Timestamp(read.0 + 1))),
            };
            let event = self.link_event(caller, &link);
            let changed = store.change_link(&LinkChange { link, read }, &event).await;
            self.forget_connector(&connector.id);
            match changed {
                Ok(()) => {}
                Err(StoreError::Missing("connector")) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        self.connector(caller, connector.id.as_str())
            .await
            .map(Some)
    }

    /// That a link was made, or is another one.
    pub(super) fn link_event(&self, caller: &Caller, link: &Link) -> grantry_core::nouns::Event {
        let environments = link.environments.iter();
        let environments: Vec<String> = environments.map(|one| one.as_str().to_owned()).collect();
        self.draft(EventKind::LinkPut, caller)
            .connector(&link.connector)
            .with("project", link.project.as_str())
            .with("environments", environments)
            .done()
    }
}

/// Problems as the caller knows the fields: all that was given of the connector is its server and its uid.
fn told(problems: Vec<Problem>) -> Vec<Problem> {
    let told = problems
        .into_iter()
        .map(|problem| match problem.field.as_str() {
            "data.clientId" => Problem::new(
                "serverUrl",
                format!(
                    "leads to no client: {}",
                    problem.message.trim_start_matches("is required: ")
                ),
            ),
            field if field.starts_with("data.") => Problem::new("serverUrl", problem.message),
            // It is the connector's name, too.
            "name" => Problem::new("uid", problem.message),
            _ => problem,
        });
    told.collect()
}

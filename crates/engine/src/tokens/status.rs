//! Whether the calling person has to connect before they can use a connector.

use std::time::Duration;

use grantry_core::Result;
use grantry_core::error::ReconnectReason;
use grantry_core::nouns::{Actor, Connector, Grant, Scopes, Subject};
use grantry_core::store::Live;

use super::decide::{Decision, Facts, decide};
use super::lives::main_set;
use super::pair::is_over;
use crate::connectors::types::{self, UserTokens};
use crate::{Caller, Engine};

/// How somebody's connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStatus {
    /// It gives tokens, or can be renewed without its owner.
    Valid,
    /// Only its owner can make it give tokens again.
    Expired,
}

impl Engine {
    /// How the calling person's own connection of `connector` does; see [`Engine::auth_statuses`].
    pub async fn auth_status(
        &self,
        caller: &Caller,
        connector: &Connector,
    ) -> Result<Option<AuthStatus>> {
        let statuses = self.auth_statuses(caller, &[connector]).await?;
        Ok(statuses.into_iter().next().flatten())
    }

    /// How the calling person's own connections of these connectors do, in their order, read from what is stored:
    /// nobody is asked. `None` where they never connected or ended it, where there is nothing to connect, and for
    /// callers that are no person.
    pub async fn auth_statuses(
        &self,
        caller: &Caller,
        connectors: &[&Connector],
    ) -> Result<Vec<Option<AuthStatus>>> {
        let Actor::User { id } = &caller.actor else {
            return Ok(vec![None; connectors.len()]);
        };
        let of = |connector: &Connector, installation: Option<String>| Grant {
            connector: connector.id.clone(),
            subject: Subject::User {
                id: id.clone(),
                issuer: None,
            },
            environment: caller.environment(),
            installation,
            scopes: Scopes::Default,
            audience: vec![],
            resources: vec![],
            details: vec![],
        };
        let mut grants = Vec::new();
        for connector in connectors {
            if types::user_tokens(connector) == Some(UserTokens::Consent) {
                grants.push(of(connector, None));
                let default = &connector.default_installation;
                grants.extend(default.clone().map(|default| of(connector, Some(default))));
            }
        }
        let store = &self.ports.store;
        let lives = store.connections_by_grants(&caller.team, &grants).await?;
        let statuses = connectors.iter().map(|connector| {
            let own = |live: &&Live| live.connection.grant.connector == connector.id;
            match lives.iter().find(own) {
                Some(live) => self.status_of(live),
                None => Ok(None),
            }
        });
        statuses.collect()
    }

    fn status_of(&self, live: &Live) -> Result<Option<AuthStatus>> {
        let set = main_set(live)?;
        let decision = decide(&Facts {
            now: self.now(),
            buffer: Duration::ZERO,
            state: live.connection.state,
            set,
            renewable: set.refresh.is_some() && !is_over(set, self.now()),
            spacing: self.settings.refresh.spacing,
        });
        Ok(match decision {
            Decision::Reconnect(ReconnectReason::Revoked) => None,
            Decision::Reconnect(_) => Some(AuthStatus::Expired),
            Decision::Serve | Decision::Renew { .. } | Decision::Later(_) => {
                Some(AuthStatus::Valid)
            }
        })
    }
}

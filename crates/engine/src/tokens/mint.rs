//! Tokens of the application itself, by client credentials (RFC 6749 §4.4) or however its type gets them.
//!
//! Nothing single-use is presented, so a lost answer costs nothing: the same is asked again, after the
//! pause that the provider asked for or that grows with each failure.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{Connection, ConnectionState, Connector, EventKind, Grant, Scopes};
use grantry_core::store::{Live, Retry};
use grantry_core::{Error, Result, Timestamp};
use grantry_oauth::text::Redaction;
use grantry_oauth::token::{self, Exchange, Outcome};
use serde_json::Value;

use super::decide::lives;
use super::flights::{Flight, Landed, Rest};
use super::pair::{Arrived, NewPair};
use super::read::{main_set, reconnect};
use super::refresh::unanswered;
use crate::Engine;
use crate::connectors::types::{self, AppTokens};
use crate::connectors::{Entry, app_scopes};

/// First pause after a request that brought no token.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Joins or starts the flight that gets the app's token of `grant`; `old` is the connection it renews.
    pub(crate) fn mint(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        grant: &Grant,
        old: Option<Arc<Live>>,
    ) -> Flight {
        let name = flight_name(grant);
        let (entry, grant) = (Arc::clone(entry), grant.clone());
        self.fly(name, |engine| async move {
            engine.mint_flight(&entry.connector, grant, old).await
        })
    }

    async fn mint_flight(
        self: Arc<Self>,
        connector: &Connector,
        grant: Grant,
        old: Option<Arc<Live>>,
    ) -> Landed {
        if self.breaker_is_open(connector) {
            return Err(Error::ConnectorFault);
        }
        // A flight that ended while `old` was on its way here may have brought what is asked for.
        let team = &connector.team;
        let standing = self.ports.store.connection_by_grant(team, &grant).await?;
        if old.is_some() && standing.is_none() {
            return Err(reconnect(ReconnectReason::Revoked));
        }
        if let Some(standing) = &standing {
            let set = main_set(standing)?;
            let is_old = old
                .as_ref()
                .is_some_and(|old| old.sets.iter().any(|old| old.id == set.id));
            if !is_old && lives(set, self.now()) {
                return Ok(Arc::new(standing.clone()));
            }
        }
        let name = flight_name(&grant);
        let rest = self.flights.rest(&name);
        let rests_until = match &standing {
            Some(standing) => main_set(standing)?.not_before,
            None => rest.map_or(Timestamp(0), |rest| rest.until),
        };
        if self.now() < rests_until {
            let wait = rests_until.since(self.now());
            return Err(unanswered("backing_off", false, wait));
        }
        let pair = match self.ask_for_app_token(connector, &grant).await {
            Ok(pair) => pair,
            Err(error) => return Err(self.back_off(name, standing.as_ref(), rest, error).await?),
        };
        self.flights.end_rest(&name);
        if let Some(standing) = standing {
            let presented = main_set(&standing)?;
            return self
                .land(
                    connector,
                    &standing.connection,
                    presented,
                    pair,
                    EventKind::TokenMinted,
                )
                .await;
        }
        let now = self.now();
        let connection = Connection {
            id: ConnectionId::mint(now, self.entropy()),
            team: connector.team.clone(),
            grant,
            state: ConnectionState::Active,
            name: None,
            external_subject: None,
            imported: false,
            created_at: now,
            updated_at: now,
        };
        let set = self
            .token_set(&connector.team, &connection.id, pair)
            .await?;
        let event = self
            .system_draft(EventKind::TokenMinted, &connector.team)
            .connector(&connector.id)
            .connection(&connection.id)
            .done();
        // Another node may have been first: its connection stands, and its token is as good.
        self.ports
            .store
            .import_connection(&connection, &[set], &event)
            .await?;
        let stored = self
            .ports
            .store
            .connection_by_grant(&connector.team, &connection.grant)
            .await?;
        stored.map(Arc::new).ok_or(Error::NotFound("connector"))
    }

    /// Sees to it that what ended in `error` is not asked for again at once: noted at the token set
    /// that stays, for all nodes, or in memory where there is none yet. Returns what the caller is told.
    async fn back_off(
        &self,
        name: String,
        old: Option<&Live>,
        rest: Option<Rest>,
        error: Error,
    ) -> Result<Error> {
        let Error::Provider {
            code,
            timeout,
            retry_after,
        } = error
        else {
            return Ok(error);
        };
        let wait = |failures| retry_after.unwrap_or_else(|| self.jittered(failures, FIRST_PAUSE));
        let now = self.now();
        let Some(old) = old else {
            let failures = rest.map_or(0, |rest| rest.failures);
            let wait = wait(failures);
            let rest = Rest {
                failures: failures + 1,
                until: now.after(wait),
            };
            self.flights.begin_rest(name, rest, now);
            return Ok(unanswered(code, timeout, wait));
        };
        let set = main_set(old)?;
        let wait = self.patience(set, wait(set.failures));
        // No attempt was committed, for nothing single-use was presented: there is none to keep or delete.
        let retry = Retry {
            not_processed: false,
            release: true,
            not_before: now.after(wait),
        };
        self.ports
            .store
            .end_attempt(&set.team, &set.id, &self.settings.node, 0, &retry)
            .await?;
        self.caches.lives.invalidate(&old.connection.id);
        Ok(unanswered(code, timeout, wait))
    }

    async fn ask_for_app_token(
        self: &Arc<Self>,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        match types::app_tokens(connector) {
            Some(AppTokens::Installation) => {
                self.ask_for_installation_token(connector, grant).await
            }
            _ => self.ask_with_client_credentials(connector, grant).await,
        }
    }

    async fn ask_with_client_credentials(
        &self,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        let oauth = self.oauth_client(connector).await?;
        let scopes = match &grant.scopes {
            Scopes::Default => app_scopes(connector),
            Scopes::Exactly(scopes) => scopes.clone(),
        };
        let default_audience = connector
            .data
            .get("defaultAudience")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let audience = grant
            .audience
            .first()
            .map_or(default_audience, String::as_str);
        let exchange = Exchange {
            server: &oauth.server,
            client: &oauth.client,
            quirks: &oauth.quirks,
            resources: &grant.resources,
        };
        let separator = oauth.quirks.scope_separator.to_string();
        let request = exchange
            .client_credentials(&scopes.join(&separator), audience)
            .map_err(|error| Error::Unresolvable {
                reason: format!("no token can be asked for: {error}"),
            })?;
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        match token::parse(result, &oauth.quirks, &redaction, self.now()) {
            Ok(tokens) => Ok(Arrived(tokens).pair(connector, &oauth.quirks, None)),
            Err(error) => {
                tracing::info!(connector = %connector.id, outcome = ?error.outcome, code = error.code(), detail = %error.detail, "no app token");
                match error.outcome {
                    Outcome::ClientFault => {
                        self.fault(connector, error.code()).await?;
                        Err(Error::ConnectorFault)
                    }
                    Outcome::NotProcessed {
                        retry_after: Some(wait),
                    } => Err(unanswered(error.fixed_code(), error.timeout, wait)),
                    _ if error.fixed_code() == "destination_refused" => {
                        Err(Error::DestinationRefused)
                    }
                    _ => Err(Error::Provider {
                        code: error.fixed_code(),
                        timeout: error.timeout,
                        retry_after: None,
                    }),
                }
            }
        }
    }
}

fn flight_name(grant: &Grant) -> String {
    format!("{}\0{}", grant.connector, grant.key())
}

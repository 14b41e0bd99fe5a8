//! Tokens of the application itself, by client credentials (RFC 6749 §4.4).
//!
//! Nothing single-use is presented, so a lost answer costs nothing: the next read asks again.

use std::sync::Arc;

use grantry_core::ids::ConnectionId;
use grantry_core::nouns::{Connection, ConnectionState, Connector, EventKind, Grant, Scopes};
use grantry_core::store::Live;
use grantry_core::{Error, Result};
use grantry_oauth::text::Redaction;
use grantry_oauth::token::{self, Exchange, Outcome};
use serde_json::Value;

use super::flights::{Flight, Landed};
use super::pair::{Arrived, NewPair};
use super::read::main_set;
use super::refresh::unanswered;
use crate::Engine;
use crate::connectors::{Entry, default_scopes};

impl Engine {
    /// Joins or starts the flight that gets the app's token of `grant`; `old` is the connection it renews.
    pub(crate) fn mint(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        grant: &Grant,
        old: Option<Arc<Live>>,
    ) -> Flight {
        let name = format!("{}\0{}", grant.connector, grant.key());
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
        let pair = self.ask_for_app_token(connector, &grant).await?;
        if let Some(old) = old {
            let presented = main_set(&old)?;
            return self
                .land(
                    connector,
                    &old.connection,
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

    async fn ask_for_app_token(&self, connector: &Connector, grant: &Grant) -> Result<NewPair> {
        let oauth = self.oauth_client(connector).await?;
        let scopes = match &grant.scopes {
            Scopes::Default => default_scopes(&connector.data, "clientCredentials"),
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

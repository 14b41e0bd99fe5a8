//! Tokens that are asked for with what the connector itself has: its client credentials (RFC 6749 §4.4), an assertion
//! that it signs (RFC 7523 §2.1), a token that the caller brings along (RFC 8693), or however its type gets them.
//!
//! Nothing single-use is presented, so a lost answer costs nothing: the same is asked again, after the
//! pause that the provider asked for or that grows with each failure.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::ids::{ConnectionId, TokenSetId};
use grantry_core::nouns::{
    Connection, ConnectionState, Connector, EventKind, Grant, Scopes, Subject,
};
use grantry_core::store::{Live, Retry};
use grantry_core::{Error, Result, Secret, Timestamp};
use grantry_oauth::client::{AuthMethod, Client};
use grantry_oauth::providers::microsoft;
use grantry_oauth::text::Redaction;
use grantry_oauth::token::{self, Exchange, Outcome, TokenError};
use serde_json::{Map, Value};

use super::bounds::check_bearer;
use super::decide::lives;
use super::flights::{Flight, Landed, Rest};
use super::installed::rest_of;
use super::kept::Given;
use super::lives::main_set;
use super::pair::{Arrived, NewPair};
use super::read::{ServedToken, reconnect};
use super::refresh::unanswered;
use crate::connectors::types::{self, AppTokens};
use crate::connectors::{
    Entry, OauthClient, Said, app_scopes, bearer_scopes, install_page, user_scopes,
};
use crate::{Caller, Engine};

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
        if !self.is_known_here(connector, &grant).await? {
            return Err(reconnect(ReconnectReason::NeverConnected));
        }
        let pair = match self.ask_for_app_token(connector, &grant).await {
            Ok(pair) => pair,
            Err(error) => return Err(self.back_off(name, standing.as_ref(), rest, error).await?),
        };
        self.flights.end_rest(&name);
        self.was_taken(connector).await;
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

    /// Whether the installation of `grant`, if it is one of a page, is the connector's: the app may be installed for others, who
    /// did not connect it here, and would have a token there all the same.
    async fn is_known_here(&self, connector: &Connector, grant: &Grant) -> Result<bool> {
        let Some(installation) = &grant.installation else {
            return Ok(true);
        };
        if grant.subject != Subject::App
            || install_page(connector).is_none()
            || connector.default_installation.as_ref() == Some(installation)
        {
            return Ok(true);
        }
        let store = &self.ports.store;
        let row = store
            .installation_by_external_id(&connector.team, &connector.id, installation)
            .await?;
        Ok(row.is_some())
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

    /// Asks the provider for the token of `grant` with what the connector itself has, whether it is to be stored or not.
    pub(crate) async fn ask_for_app_token(
        self: &Arc<Self>,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        match types::app_tokens(connector) {
            Some(AppTokens::Installation) if grant.subject == Subject::App => {
                self.ask_for_installation_token(connector, grant).await
            }
            _ if types::speaks_by_key(connector)
                && matches!(grant.subject, Subject::JwtBearer { .. }) =>
            {
                self.ask_for_bearer_token(connector, grant).await
            }
            Some(AppTokens::KeyPair) => self.sign_token(connector, grant).await,
            Some(AppTokens::Bearer) if grant.subject == Subject::App => {
                self.ask_for_bearer_token(connector, grant).await
            }
            _ => self.ask_token_endpoint(connector, grant).await,
        }
    }

    /// A token of the org's user that a `salesforce` connector's own key speaks for: the connector's, or whom the grant
    /// names.
    async fn ask_for_bearer_token(
        self: &Arc<Self>,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        check_bearer(grant)?;
        let assertion = self.bearer_assertion(connector, &grant.subject).await?;
        let oauth = self.oauth_client(connector).await?;
        // What is signed speaks for itself: Salesforce takes no secret beside it.
        let client = Client {
            secret: None,
            auth: AuthMethod::None,
            ..oauth.client.clone()
        };
        let exchange = Exchange {
            server: &oauth.server,
            client: &client,
            quirks: &oauth.quirks,
            resources: &[],
            details: &[],
        };
        let request = exchange.jwt_bearer(&assertion, "", "");
        let request = request.map_err(|error| Error::Unresolvable {
            reason: format!("no token can be asked for: {error}"),
        })?;
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        match token::parse(result, &oauth.quirks, &redaction, self.now()) {
            Ok(tokens) => Ok(Arrived(tokens).pair(connector, &oauth, None, self.now())),
            Err(error) => Err(self.unminted(connector, &error).await?),
        }
    }

    async fn ask_token_endpoint(
        self: &Arc<Self>,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        let connector = self.enrolled(connector).await?;
        let tenant = grant.installation.as_deref();
        let place = tenant.map(|tenant| rest_of(&connector, tenant));
        let rest = place.as_ref().and_then(|place| self.flights.rest(place));
        if rest.is_some_and(|rest| self.now() < rest.until) {
            return Err(reconnect(ReconnectReason::Revoked));
        }
        let oauth = self.oauth_client_at(&connector, tenant).await?;
        let resources = oauth.resources(&grant.resources)?;
        let bearer = connector.data.get("jwtBearer").and_then(Value::as_object);
        let by_assertion = matches!(grant.subject, Subject::JwtBearer { .. });
        let scopes = match (&grant.scopes, by_assertion) {
            (Scopes::Exactly(scopes), _) => scopes.clone(),
            (Scopes::Default, false) => app_scopes(&connector),
            (Scopes::Default, true) => bearer_scopes(&connector),
        };
        let scopes = scopes.join(&oauth.quirks.scope_separator.to_string());
        // An assertion speaks for itself: the client proves itself beside it where the connector says so.
        let proves = bearer.and_then(|bearer| bearer.get("useClientCredentials"))
            == Some(&Value::Bool(true));
        let client = match by_assertion && !proves {
            true => Cow::Owned(Client {
                secret: None,
                auth: AuthMethod::None,
                ..oauth.client.clone()
            }),
            false => oauth.presented(self.entropy(), self.now())?,
        };
        let exchange = Exchange {
            server: &oauth.server,
            client: &client,
            quirks: &oauth.quirks,
            resources: &resources,
            details: &grant.details,
        };
        let request = match &grant.subject {
            Subject::JwtBearer { .. } => {
                let assertion = self.assertion_about(&oauth, &grant.subject, bearer)?;
                exchange.jwt_bearer(&assertion, &scopes, audience_of(&connector, grant))
            }
            _ => exchange.client_credentials(&scopes, audience_of(&connector, grant)),
        };
        let request = request.map_err(|error| Error::Unresolvable {
            reason: format!("no token can be asked for: {error}"),
        })?;
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        match token::parse(result, &oauth.quirks, &redaction, self.now()) {
            Ok(tokens) => {
                if let Some(place) = &place {
                    self.flights.end_rest(place);
                }
                Ok(Arrived(tokens).pair(&connector, &oauth, None, self.now()))
            }
            // That one tenant has thrown the application out is nothing that the others wait for, nor pay for: Microsoft
            // slows down a client that goes on asking.
            Err(error) if tenant.is_some() && is_thrown_out(&connector, &error) => {
                if let Some(place) = place {
                    self.flights.begin_rest(place, self.recheck(), self.now());
                }
                tracing::info!(connector = %connector.id, tenant, detail = %error.detail, "a tenant does not know the application");
                Err(reconnect(ReconnectReason::Revoked))
            }
            Err(error) => Err(self.unminted(&connector, &error).await?),
        }
    }

    /// What the caller is told of a request that brought no token.
    async fn unminted(&self, connector: &Connector, error: &TokenError) -> Result<Error> {
        tracing::info!(connector = %connector.id, outcome = ?error.outcome, code = error.code(), detail = %error.detail, "no token was minted");
        Ok(match error.outcome {
            // Nothing is wrong with the client: what it may not do is no reason to refuse what it may.
            Outcome::ClientFault if !error.is_about_the_grant_type() => {
                self.fault(connector, error.code()).await?;
                Error::ConnectorFault
            }
            Outcome::NotProcessed {
                retry_after: Some(wait),
            } => unanswered(error.fixed_code(), error.timeout, wait),
            _ if error.fixed_code() == "destination_refused" => Error::DestinationRefused,
            // It said no, and would again: a 5xx would be asked for three times more.
            Outcome::ClientFault | Outcome::Config | Outcome::Rejected if error.is_said() => {
                Error::Unresolvable {
                    reason: format!("the provider refuses it ({})", error.fixed_code()),
                }
            }
            _ => Error::Provider {
                code: error.fixed_code(),
                timeout: error.timeout,
                retry_after: None,
            },
        })
    }

    /// The assertion about `subject`, as far as it says so; the rest is the connector's `jwtBearer` (RFC 7523 §3).
    fn assertion_about(
        &self,
        oauth: &OauthClient,
        subject: &Subject,
        bearer: Option<&Map<String, Value>>,
    ) -> Result<Secret> {
        let Subject::JwtBearer {
            sub,
            iss,
            aud,
            claims,
        } = subject
        else {
            return Err(Error::Internal);
        };
        let own = |name: &str| bearer.and_then(|bearer| bearer.get(name)?.as_str());
        let mut all =
            bearer.and_then(|bearer| bearer.get("additionalClaims")?.as_object().cloned());
        if let Some(claims) = claims {
            let claims: Map<String, Value> =
                serde_json::from_str(claims).map_err(|_| Error::Internal)?;
            all.get_or_insert_default().extend(claims);
        }
        let said = Said {
            issuer: iss.as_deref().or(own("iss")).unwrap_or(&oauth.client.id),
            subject: sub.as_deref().or(own("sub")).unwrap_or_default(),
            audience: aud.as_deref().or(own("aud")).unwrap_or(oauth.audience()),
            ttl: bearer.and_then(|bearer| bearer.get("ttl")),
            claims: all.as_ref(),
        };
        oauth.signed(&said, self.entropy(), self.now())
    }

    /// Exchanges a token that the caller brings for one of the provider (RFC 8693). Neither is kept.
    pub(super) async fn exchanged(
        self: &Arc<Self>,
        caller: &Caller,
        entry: Arc<Entry>,
        grant: &Grant,
        subject_token: &Secret,
    ) -> Result<ServedToken> {
        let connector = &entry.connector;
        if self.breaker_is_open(connector) {
            return Err(Error::ConnectorFault);
        }
        let connector = self.enrolled(connector).await?;
        let oauth = self.oauth_client(&connector).await?;
        let resources = oauth.resources(&grant.resources)?;
        let client = oauth.presented(self.entropy(), self.now())?;
        let exchange = Exchange {
            server: &oauth.server,
            client: &client,
            quirks: &oauth.quirks,
            resources: &resources,
            details: &grant.details,
        };
        let scopes = match &grant.scopes {
            Scopes::Exactly(scopes) => scopes.clone(),
            Scopes::Default => user_scopes(&connector),
        };
        let scopes = scopes.join(&oauth.quirks.scope_separator.to_string());
        let audience = audience_of(&connector, grant);
        let request = exchange
            .token_exchange(subject_token, JWT_TYPE, &scopes, audience)
            .map_err(|error| Error::Unresolvable {
                reason: format!("no token can be exchanged: {error}"),
            })?;
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        let tokens = match token::parse(result, &oauth.quirks, &redaction, self.now()) {
            Ok(tokens) => tokens,
            // The caller's token, not a connection of ours, is what the provider does not take.
            Err(error) if error.outcome == Outcome::Rejected => {
                return Err(Error::invalid(
                    "subject.token",
                    format!("is not taken by the provider: {}", error.fixed_code()),
                ));
            }
            Err(error) => return Err(self.unminted(&connector, &error).await?),
        };
        self.was_taken(&connector).await;
        let pair = Arrived(tokens).pair(&connector, &oauth, None, self.now());
        let now = self.now();
        let given = Given {
            token: pair.access,
            token_set: TokenSetId::mint(now, self.entropy()),
            expires_at: pair.expires_in.map(|life| now.after(life)),
            scope: pair.scope,
            metadata: pair.metadata,
        };
        self.give(caller, entry, given).await
    }
}

/// Whether a tenant, rather than anything about the client, is why there is no token of an installation.
fn is_thrown_out(connector: &Connector, error: &TokenError) -> bool {
    let said = matches!(
        error.outcome,
        Outcome::ClientFault | Outcome::Config | Outcome::Rejected
    );
    let about = error.is_about_the_grant_type() || microsoft::is_about_the_tenant(&error.detail);
    said && about && install_page(connector).is_some()
}

/// The type of the tokens that callers bring along (RFC 8693 §3).
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

fn audience_of<'a>(connector: &'a Connector, grant: &'a Grant) -> &'a str {
    let default = connector
        .data
        .get("defaultAudience")
        .and_then(Value::as_str);
    let asked = grant.audience.first().map(String::as_str);
    asked.or(default).unwrap_or_default()
}

fn flight_name(grant: &Grant) -> String {
    format!("{}\0{}", grant.connector, grant.key())
}

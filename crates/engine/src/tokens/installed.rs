//! Tokens of one installation of a GitHub App, bought by the app's own JWT (`oauth/providers/github.rs`).
//!
//! Each narrowing is a grant of its own: one stored token, one flight. Nothing single-use is presented.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::{Reconnect, ReconnectReason};
use grantry_core::nouns::{
    Actor, Connector, EventKind, Grant, Installation, InstallationStatus, Scopes,
};
use grantry_core::store::Page;
use grantry_core::{Error, Problem, Result, Secret, StoreError, Timestamp, limits};
use grantry_oauth::providers::github::{self, App, Narrowing, Refused, Seen};
use grantry_oauth::server::Endpoint;
use grantry_vault::jws::SigningKey;
use url::Url;

use super::flights::Rest;
use super::pair::NewPair;
use super::read::reconnect;
use crate::connectors::types::{self, AppTokens};
use crate::connectors::{OauthClient, servers_of};
use crate::events::Draft;
use crate::installations::InstallationView;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// While a token lives, its successor is fetched when it has this long to live.
pub const AHEAD: Duration = Duration::from_secs(300);

/// GitHub is not asked again for this long for tokens of an installation that it said is removed or suspended.
const RECHECK: Duration = Duration::from_secs(600);

/// Installations read at once.
const ROWS_AT_ONCE: u32 = 200;

/// `grant` with its narrowing in one spelling, so that what means the same is the same stored token.
///
/// # Errors
/// [`Error::Invalid`] names what cannot be narrowed by.
pub fn narrowed(grant: Grant) -> Result<Grant> {
    let scopes: &[String] = match &grant.scopes {
        Scopes::Default => &[],
        Scopes::Exactly(scopes) => scopes,
    };
    let mut problems = Vec::new();
    for (field, given) in [
        ("audience", !grant.audience.is_empty()),
        ("resources", !grant.resources.is_empty()),
    ] {
        if given {
            let message =
                "cannot be chosen for an installation's token: narrow it by authorizationDetails";
            problems.push(Problem::new(field, message));
        }
    }
    if let Some(wrong) = &grant.installation
        && !github::is_installation(wrong)
    {
        let message = "must be the number of one installation";
        problems.push(Problem::new("installationId", message));
    }
    match Narrowing::parse(&grant.details, scopes) {
        Ok(narrowing) if problems.is_empty() => Ok(Grant {
            scopes: Scopes::Default,
            details: narrowing.details(),
            ..grant
        }),
        Ok(_) => Err(Error::Invalid(problems)),
        Err(found) => {
            problems.extend(found);
            Err(Error::Invalid(problems))
        }
    }
}

/// A connector's GitHub App as it speaks for itself.
pub(super) struct AppKey {
    api: Url,
    id: String,
    key: SigningKey,
}

impl AppKey {
    pub(super) fn app(&self) -> App<'_> {
        App {
            api: &self.api,
            id: &self.id,
            key: &self.key,
        }
    }
}

/// Under which it is remembered that the provider gives no tokens of an installation.
pub(super) fn rest_of(connector: &Connector, installation: &str) -> String {
    format!("installation\0{}\0{installation}", connector.id)
}

impl Engine {
    /// How long an installation that gives no tokens is not asked for more.
    pub(super) fn recheck(&self) -> Rest {
        Rest {
            failures: 0,
            until: self.now().after(RECHECK),
        }
    }

    /// Asks GitHub for the token that `grant`, which [`narrowed`] has read, names.
    pub(super) async fn ask_for_installation_token(
        self: &Arc<Self>,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        let oauth = self.oauth_client(connector).await?;
        let missing = |reason| not_installed(connector, &oauth, reason);
        let Some(installation) = &grant.installation else {
            return Err(reconnect(ReconnectReason::NeverConnected));
        };
        let store = &self.ports.store;
        let row = store
            .installation_by_external_id(&connector.team, &connector.id, installation)
            .await?;
        let name = rest_of(connector, installation);
        let rests = self.flights.rest(&name);
        let rests = rests.is_some_and(|rest| self.now() < rest.until);
        match &row {
            None if rests => return Err(missing(ReconnectReason::Revoked)),
            Some(row) if rests || row.status == InstallationStatus::Suspended => {
                if let Some(over) = over(row, missing) {
                    return Err(over);
                }
            }
            _ => {}
        }
        let narrowing = Narrowing::parse(&grant.details, &[]).map_err(Error::Invalid)?;
        let speaker = self.app_key(connector, &oauth).await?;
        match self
            .buy(connector, &oauth, &speaker, installation, &narrowing)
            .await?
        {
            Ok(pair) => {
                self.flights.end_rest(&name);
                if let Some(row) = row.filter(|row| row.status.is_theirs()) {
                    self.mark(row, InstallationStatus::Active, Actor::System)
                        .await?;
                }
                Ok(pair)
            }
            Err(refused @ (Refused::Gone | Refused::Suspended)) => {
                self.flights.begin_rest(name, self.recheck(), self.now());
                let status = match refused {
                    Refused::Gone => InstallationStatus::Removed,
                    _ => InstallationStatus::SuspendedThere,
                };
                match row {
                    None => Err(missing(ReconnectReason::Revoked)),
                    Some(row) => {
                        let row = self.mark(row, status, Actor::System).await?;
                        Err(over(&row, missing).unwrap_or(missing(ReconnectReason::Revoked)))
                    }
                }
            }
            Err(refused) => Err(self.refused(connector, refused, missing).await),
        }
    }

    /// What the app signs with.
    pub(super) async fn app_key(
        &self,
        connector: &Connector,
        oauth: &OauthClient,
    ) -> Result<AppKey> {
        let incomplete = |what: &str| Error::Unresolvable {
            reason: format!(
                "the connector is not complete: {what} is required for tokens of its installations"
            ),
        };
        let pem = self.connector_secret(connector, "privateKeyPem").await?;
        let pem = pem.ok_or_else(|| incomplete("data.privateKeyPem"))?;
        let key =
            SigningKey::from_pem(&pem).map_err(|_| incomplete("another data.privateKeyPem"))?;
        let api = oauth.server.api();
        let api = api.ok_or_else(|| incomplete("data.serverConfig.api_base_url"))?;
        let id = connector.data.get("appId").map(ToString::to_string);
        Ok(AppKey {
            api,
            id: id.unwrap_or_default(),
            key,
        })
    }

    /// Asks for the token, after it is known to be of the account that is named, if one is.
    async fn buy(
        &self,
        connector: &Connector,
        oauth: &OauthClient,
        speaker: &AppKey,
        installation: &str,
        narrowing: &Narrowing,
    ) -> Result<Result<NewPair, Refused>> {
        let app = speaker.app();
        if let Some(org) = narrowing.org() {
            let asked = app.installation(installation, self.entropy(), self.now());
            let request = asked.ok().flatten().ok_or(Error::Internal)?;
            let answer = self.ports.http.send(request).await;
            match github::parse_account(answer, self.now()) {
                Ok(account) if account == org => {}
                Ok(_) => {
                    let message = format!("installation {installation} is not of {org}");
                    return Err(Error::invalid("authorizationDetails[0].org", message));
                }
                Err(refused) => return Ok(Err(refused)),
            }
        }
        let asked = app.token(installation, narrowing, self.entropy(), self.now());
        let request = asked.ok().flatten().ok_or(Error::Internal)?;
        let answer = self.ports.http.send(request).await;
        Ok(match github::parse_token(answer, narrowing, self.now()) {
            Ok(granted) => Ok(NewPair {
                access: granted.token,
                expires_in: Some(granted.expires_in),
                refresh: None,
                refresh_ends: None,
                scope: None,
                metadata: granted.metadata,
                servers: Some(servers_of(connector)),
            }),
            Err((refused, unwanted)) => {
                if let Some(token) = unwanted {
                    self.end_unwanted(&speaker.api, oauth, &token).await;
                }
                Err(refused)
            }
        })
    }

    /// What GitHub says of an installation of the connector's app; `None` where it knows it no more.
    ///
    /// # Errors
    /// As for a token of it.
    pub(crate) async fn ask_of_installation(
        &self,
        connector: &Connector,
        installation: &str,
    ) -> Result<Option<Seen>> {
        if self.breaker_is_open(connector) {
            return Err(Error::ConnectorFault);
        }
        let oauth = self.oauth_client(connector).await?;
        let speaker = self.app_key(connector, &oauth).await?;
        let app = speaker.app();
        let asked = app.installation(installation, self.entropy(), self.now());
        let request = asked.ok().flatten().ok_or(Error::Internal)?;
        let answer = self.ports.http.send(request).await;
        match github::parse_installation(answer, self.now()) {
            Ok(seen) if seen.id == installation => Ok(Some(seen)),
            Ok(_) => Err(unanswered("invalid_response", None)),
            Err(Refused::Gone) => Ok(None),
            Err(refused) => {
                let missing = |reason| not_installed(connector, &oauth, reason);
                Err(self.refused(connector, refused, missing).await)
            }
        }
    }

    /// GitHub has said something else of an installation than when it was asked for a token: it is asked again.
    pub(crate) fn ask_again(&self, connector: &Connector, installation: &str) {
        self.flights.end_rest(&rest_of(connector, installation));
    }

    /// Writes down what GitHub says of an installation, once; whoever changed the row meanwhile is not overruled.
    pub(crate) async fn mark(
        &self,
        row: Installation,
        status: InstallationStatus,
        actor: Actor,
    ) -> Result<Installation> {
        if row.status == status {
            return Ok(row);
        }
        let now = self.now();
        let marked = Installation {
            status,
            updated_at: now.max(Timestamp(row.updated_at.0 + 1)),
            ..row.clone()
        };
        let event = Draft::new(
            EventKind::InstallationPut,
            Some(&row.team),
            actor,
            now,
            self.entropy(),
        )
        .connector(&row.connector)
        .with("installation", row.id.as_str())
        .with("status", status.as_str())
        .done();
        let store = &self.ports.store;
        let written = store
            .update_installation(&marked, row.updated_at, &event)
            .await;
        self.forget_connector(&row.connector);
        match written {
            Err(StoreError::Missing(_)) => Ok(row),
            written => {
                written?;
                Ok(marked)
            }
        }
    }

    /// What a refusal means for who asked.
    async fn refused(
        &self,
        connector: &Connector,
        refused: Refused,
        missing: impl Fn(ReconnectReason) -> Error,
    ) -> Error {
        tracing::info!(connector = %connector.id, ?refused, "no installation token");
        match refused {
            Refused::Gone | Refused::Suspended => missing(ReconnectReason::Revoked),
            Refused::NotGranted => missing(ReconnectReason::Rejected),
            Refused::App => match self.fault(connector, "invalid_client").await {
                Ok(()) => Error::ConnectorFault,
                Err(error) => error,
            },
            Refused::Busy(wait) => unanswered("rate_limited", wait),
            Refused::Wider => unanswered("wider_than_asked", None),
            Refused::Unusable => unanswered("invalid_response", None),
        }
    }

    /// Asks GitHub which installations the connector's app has, and brings the status of those that are known here up to
    /// date. Of others, which may be of strangers, none becomes known by that. Returns those that changed.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] for a connector that is no GitHub App, or has no key; [`Error::Provider`] and
    /// [`Error::ConnectorFault`] as for a token. Nothing is changed then.
    pub async fn sync_installations(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
    ) -> Result<Vec<InstallationView>> {
        caller.require(Act::ManageConnectors)?;
        let entry = self.live_connector(caller, connector).await?;
        let connector = &entry.connector;
        if types::app_tokens(connector) != Some(AppTokens::Installation) {
            let reason = "only the installations of a GitHub App can be asked for".to_owned();
            return Err(Error::Unresolvable { reason });
        }
        let oauth = self.oauth_client(connector).await?;
        let speaker = self.app_key(connector, &oauth).await?;
        let mut seen: HashMap<String, Seen> = HashMap::new();
        for page in 1..=limits::GITHUB_PAGES_MAX as u32 {
            let asked = speaker
                .app()
                .installations(page, self.entropy(), self.now());
            let request = asked.ok().flatten().ok_or(Error::Internal)?;
            let answer = self.ports.http.send(request).await;
            let rows = match github::parse_list(answer, self.now()) {
                Ok(rows) => rows,
                Err(refused) => {
                    let missing = |reason| not_installed(connector, &oauth, reason);
                    return Err(self.refused(connector, refused, missing).await);
                }
            };
            let last = rows.len() < github::LISTED;
            seen.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
            if last {
                return self.bring_up_to_date(caller, connector, &seen).await;
            }
        }
        // What was not seen may be on a page that was not read.
        let reason = format!(
            "the app has more than {} installations, which is more than are compared",
            limits::GITHUB_PAGES_MAX * github::LISTED
        );
        Err(Error::Unresolvable { reason })
    }

    async fn bring_up_to_date(
        &self,
        caller: &Caller,
        connector: &Connector,
        seen: &HashMap<String, Seen>,
    ) -> Result<Vec<InstallationView>> {
        let store = &self.ports.store;
        let mut page = Page::first(ROWS_AT_ONCE);
        let mut changed = Vec::new();
        loop {
            let rows = store
                .installations(&connector.team, &connector.id, &page)
                .await?;
            let more = rows.len() > ROWS_AT_ONCE as usize;
            let rows: Vec<Installation> = rows.into_iter().take(ROWS_AT_ONCE as usize).collect();
            page.after = rows
                .last()
                .map(|last| (last.created_at.0.to_string(), last.id.to_string()));
            for row in rows {
                let status = match seen.get(&row.external_id) {
                    // What an admin said here is not GitHub's to take back.
                    _ if row.status == InstallationStatus::Suspended => continue,
                    None => InstallationStatus::Removed,
                    Some(seen) if seen.suspended => InstallationStatus::SuspendedThere,
                    Some(_) => InstallationStatus::Active,
                };
                if row.status == status {
                    continue;
                }
                let installation = self.mark(row, status, caller.actor.clone()).await?;
                changed.push(InstallationView::of(installation, connector));
            }
            if !more {
                return Ok(changed);
            }
        }
    }

    /// Ends a token that nobody shall have. It ends by itself within the hour if that fails.
    async fn end_unwanted(&self, api: &Url, oauth: &OauthClient, token: &Secret) {
        if let Some(request) = github::revoke(api, &oauth.client, token)
            && let Err(failure) = self.ports.http.send(request).await
        {
            tracing::warn!(%failure, "a token that was wider than asked could not be ended");
        }
    }
}

/// The app has to be installed, again or with more: here is where.
fn not_installed(connector: &Connector, oauth: &OauthClient, reason: ReconnectReason) -> Error {
    let slug = connector.data.get("appSlug").and_then(|slug| slug.as_str());
    let login = oauth.server.url(Endpoint::Authorization).ok();
    let page = slug.zip(login.as_ref());
    let page = page.and_then(|(slug, login)| github::install_page(login, slug));
    Error::InstallationRequired(Box::new(Reconnect {
        reason,
        url: page.map(String::from),
        expires_at: None,
    }))
}

const fn unanswered(code: &'static str, retry_after: Option<Duration>) -> Error {
    Error::Provider {
        code,
        timeout: false,
        retry_after,
    }
}

/// What an installation is refused with that GitHub has refused before.
fn over(row: &Installation, missing: impl Fn(ReconnectReason) -> Error) -> Option<Error> {
    match row.status {
        InstallationStatus::Active => None,
        InstallationStatus::Removed => Some(missing(ReconnectReason::Revoked)),
        InstallationStatus::Suspended => Some(Error::Unresolvable {
            reason: "this installation is suspended".to_owned(),
        }),
        InstallationStatus::SuspendedThere => Some(Error::Unresolvable {
            reason: format!(
                "installation {} is suspended at GitHub: an owner of its account has to unsuspend it there",
                row.external_id
            ),
        }),
    }
}

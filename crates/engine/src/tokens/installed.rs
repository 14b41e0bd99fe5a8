//! Tokens of one installation of a GitHub App, bought by the app's own JWT (`oauth/providers/github.rs`).
//!
//! Each narrowing is a grant of its own: one stored token, one flight. Nothing single-use is presented.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::{Reconnect, ReconnectReason};
use grantry_core::nouns::{Connector, Grant, InstallationStatus, Scopes};
use grantry_core::store::Page;
use grantry_core::{Error, Problem, Result, Secret};
use grantry_oauth::providers::github::{self, App, Narrowing, Refused};
use grantry_oauth::server::Endpoint;
use grantry_vault::jws::SigningKey;
use url::Url;

use super::pair::NewPair;
use crate::Engine;
use crate::connectors::{OauthClient, servers_of};

/// While a token lives, its successor is fetched when it has this long to live.
pub const AHEAD: Duration = Duration::from_secs(300);

/// Installations read at once in search of one.
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

impl Engine {
    /// Asks GitHub for the token that `grant`, which [`narrowed`] has read, names.
    pub(super) async fn ask_for_installation_token(
        self: &Arc<Self>,
        connector: &Connector,
        grant: &Grant,
    ) -> Result<NewPair> {
        let oauth = self.oauth_client(connector).await?;
        let missing = |reason| not_installed(connector, &oauth, reason);
        let Some(installation) = &grant.installation else {
            return Err(missing(ReconnectReason::NeverConnected));
        };
        if !self.is_installed(connector, installation).await? {
            return Err(missing(ReconnectReason::NeverConnected));
        }
        let narrowing = Narrowing::parse(&grant.details, &[]).map_err(Error::Invalid)?;
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
        let app_id = connector.data.get("appId").map(ToString::to_string);
        let app = App {
            api: &api,
            id: app_id.as_deref().unwrap_or_default(),
            key: &key,
        };
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
                Err(refused) => return Err(self.refused(connector, refused, missing).await),
            }
        }
        let asked = app.token(installation, &narrowing, self.entropy(), self.now());
        let request = asked.ok().flatten().ok_or(Error::Internal)?;
        let answer = self.ports.http.send(request).await;
        match github::parse_token(answer, &narrowing, self.now()) {
            Ok(granted) => Ok(NewPair {
                access: granted.token,
                expires_in: Some(granted.expires_in),
                refresh: None,
                scope: None,
                metadata: granted.metadata,
                servers: Some(servers_of(connector)),
            }),
            Err((refused, unwanted)) => {
                if let Some(token) = unwanted {
                    self.end_unwanted(&api, &oauth, &token).await;
                }
                Err(self.refused(connector, refused, missing).await)
            }
        }
    }

    /// Whether an installation is one of the connector's and gives out tokens: the app may be installed for
    /// others, who did not connect it here.
    async fn is_installed(&self, connector: &Connector, external_id: &str) -> Result<bool> {
        if connector.default_installation.as_deref() == Some(external_id) {
            return Ok(true);
        }
        let store = &self.ports.store;
        let mut page = Page::first(ROWS_AT_ONCE);
        loop {
            let rows = store
                .installations(&connector.team, &connector.id, &page)
                .await?;
            if let Some(row) = rows.iter().find(|row| row.external_id == external_id) {
                return Ok(row.status == InstallationStatus::Active);
            }
            match rows.last() {
                Some(last) if rows.len() > ROWS_AT_ONCE as usize => {
                    page.after = Some((last.created_at.0.to_string(), last.id.to_string()));
                }
                _ => return Ok(false),
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
        let unanswered = |code, retry_after| Error::Provider {
            code,
            timeout: false,
            retry_after,
        };
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

//! An installation that was made on a page of the provider's own (a GitHub App's, an administrator's consent for an Entra
//! tenant). The browser comes back with its name, which is anybody's to write: both providers say not to believe it. So
//! whoever brings it proves, by a consent of their own, that they have to do with it; the application asks for a token
//! there by itself; and only then is it stored.

use std::sync::Arc;

use grantry_core::error::ReconnectReason;
use grantry_core::ids::ConnectionId;
use grantry_core::limits::INSTALLATION_PAGES_MAX;
use grantry_core::nouns::{Authorization, Connector, Flow, Grant, Install, InstallationStatus};
use grantry_core::{Error, Result, Secret, StoreError};
use grantry_oauth::authorize::Authorize;
use grantry_oauth::callback::Callback;
use grantry_oauth::pkce;
use grantry_oauth::providers::{github, microsoft};
use grantry_oauth::token::{Outcome, TokenSet};
use grantry_vault::hash::s256;
use serde_json::Value;
use url::Url;

use super::callback::CallbackEnd;
use super::flow::{NewFlow, nonce_of};
use super::installed::elsewhere;
use crate::Engine;
use crate::connectors::types::Page;
use crate::connectors::{Installed, OauthClient, app_scopes, install_page};
use crate::tokens::Arrived;

/// Between a state and the installation that the person who answers it claims. The whole is a state: a browser that changes
/// a part of it has another one, which is nobody's.
const CLAIMS: char = '.';

/// What a person's own consent says of the installation that they claim.
enum Proof {
    /// They have to do with it; its account's name, where it has one.
    Theirs(Option<String>),
    /// They have not.
    Foreign,
    /// They have, but nothing to say there.
    Powerless,
    /// The provider tells who they are, and not whether they have anything to say there.
    RolesUnsaid,
    /// The provider does not say.
    Unsaid,
}

/// What a browser brings back.
pub(super) enum Brought {
    /// What any consent does: nothing is installed on a page.
    NoPage,
    /// From a page, the name of an installation that was made there.
    Claim(Page, String),
    /// From a consent that we asked for to prove the claim of this installation.
    Proof(String),
    /// From a page, that somebody else has to approve it first.
    Approval,
    /// Nothing that one of these could be.
    Nonsense,
}

impl Brought {
    /// Reads what came to `state`, of a connector that is installed on `page`.
    pub fn read(page: Page, state: &Secret, callback: &Callback) -> Self {
        let an_id = |text: &str| Some(text.to_ascii_lowercase()).filter(|id| page.is_id(id));
        if let Some((_, claimed)) = state.expose().split_once(CLAIMS) {
            return an_id(claimed).map_or(Self::Nonsense, Self::Proof);
        }
        let said = |name: &str, word: &str| {
            let said = callback.other(name);
            said.is_some_and(|said| said.eq_ignore_ascii_case(word))
        };
        let done = match page {
            Page::Github if said("setup_action", "request") => return Self::Approval,
            Page::Github => true,
            Page::Entra => said("admin_consent", "true"),
        };
        match callback
            .other(page.param())
            .filter(|_| done)
            .and_then(an_id)
        {
            Some(installation) => Self::Claim(page, installation),
            None => Self::Nonsense,
        }
    }
}

/// The address of `page`, with what it takes.
pub(super) fn page_url(
    page: Page,
    connector: &Connector,
    oauth: &OauthClient,
    redirect_uri: &str,
    state: &Secret,
) -> Result<Url> {
    let unresolvable = |reason: &str| Error::Unresolvable {
        reason: reason.to_owned(),
    };
    if oauth.client.secret.is_none() {
        return Err(unresolvable(
            "the connector has no client secret, by which whoever installs it is asked who they are",
        ));
    }
    let url = page.at(connector, &oauth.server);
    let mut url = url.ok_or_else(|| {
        unresolvable("it is not known on which page this application is installed")
    })?;
    let scope = app_scopes(connector).join(" ");
    let mut query = url.query_pairs_mut();
    if page == Page::Entra {
        query
            .append_pair("client_id", &oauth.client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &scope);
    }
    query.append_pair("state", state.expose());
    drop(query);
    Ok(url)
}

impl Engine {
    /// The client as it is at the page on which what is `wanted` is installed.
    pub(super) async fn client_on_page(
        &self,
        wanted: &Install,
        connector: &Connector,
        page: Page,
    ) -> Result<OauthClient> {
        let own = connector.data.get("tenantId").and_then(Value::as_str);
        let own = own.filter(|own| *own != microsoft::BOTS_TENANT);
        let named = wanted.external_id.as_deref().or(wanted.tenant.as_deref());
        let tenant = match page {
            Page::Github => None,
            Page::Entra => Some(named.or(own).unwrap_or(microsoft::ANY_TENANT)),
        };
        self.oauth_client_at(connector, tenant).await
    }

    /// Refuses an installation that the page could not make, or that could not be proved.
    pub(crate) async fn require_installable(
        &self,
        connector: &Connector,
        wanted: &Install,
    ) -> Result<()> {
        let Some(page) = install_page(connector) else {
            return Ok(());
        };
        if let Some(id) = &wanted.external_id
            && !page.is_id(id)
        {
            return Err(Error::invalid("installationId", page.id_rule()));
        }
        if let Some(tenant) = &wanted.tenant
            && page == Page::Entra
            && !page.is_id(tenant)
        {
            return Err(Error::invalid("tenantId", page.id_rule()));
        }
        let oauth = self.client_on_page(wanted, connector, page).await?;
        page_url(page, connector, &oauth, "", &Secret::new("")).map(|_| ())
    }

    /// GitHub's page of an app, for who cannot be led there by a link of ours.
    pub(crate) async fn bare_page(&self, connector: &Connector) -> Option<String> {
        let page = install_page(connector).filter(|page| *page == Page::Github)?;
        let oauth = self.oauth_client(connector).await.ok()?;
        page.at(connector, &oauth.server).map(String::from)
    }

    /// Sends who claims `installation` on to a consent of their own, in the same browser.
    pub(super) async fn prove(
        &self,
        authorization: &Authorization,
        flow: &Flow,
        connector: &Connector,
        page: Page,
        installation: &str,
    ) -> Result<CallbackEnd> {
        let oauth = self.oauth_client_at(connector, Some(installation)).await?;
        self.keys.ready(&authorization.team).await?;
        let state = pkce::state(self.entropy());
        let state = Secret::new(format!("{}{CLAIMS}{installation}", state.expose()));
        let verifier = pkce::verifier(self.entropy());
        let new = NewFlow {
            state: &state,
            verifier: &verifier,
            browser: flow.browser,
            server: &oauth.server,
            redirect_uri: &flow.redirect_uri,
            replaces: flow.replaces,
            terms_at: flow.terms_at,
        };
        let new = self.new_flow(authorization, &new)?;
        let request = Authorize {
            client_id: &oauth.client.id,
            redirect_uri: &new.redirect_uri,
            state: state.expose(),
            challenge: &s256(verifier.expose()),
            nonce: &nonce_of(&verifier),
            scope: &page.proof_scopes(),
            scope_separator: oauth.quirks.scope_separator,
            resources: &[],
            audience: "",
            authorization_details: None,
            prompt: "",
            extra: &[],
        };
        let url = request
            .url(&oauth.server)
            .map_err(|error| Error::Unresolvable {
                reason: error.to_string(),
            })?;
        match self.ports.store.start_flow(&new).await {
            Err(StoreError::Missing(_)) => return Err(Error::Gone("authorization")),
            started => started?,
        }
        Ok(CallbackEnd::Onward(url.into()))
    }

    /// Stores the installation that somebody claims, if their `tokens`, which are for nothing else, prove it and the
    /// application itself has a token there.
    pub(super) async fn claimed(
        self: &Arc<Self>,
        authorization: Authorization,
        connector: &Connector,
        oauth: &OauthClient,
        claimed: String,
        nonce: &str,
        tokens: TokenSet,
    ) -> Result<CallbackEnd> {
        let page = install_page(connector).ok_or(Error::Gone("connector"))?;
        let theirs = match page {
            Page::Github => self.theirs_at_github(oauth, &claimed, &tokens).await,
            Page::Entra => self.theirs_at_entra(oauth, &claimed, nonce, &tokens),
        };
        let never = ConnectionId::mint(self.now(), self.entropy());
        let person = Arrived(tokens).pair(connector, oauth, None, self.now());
        self.drop_pair(&authorization, &never, person).await?;
        let failed = |outcome, code| self.exchange_failed(authorization.clone(), outcome, code);
        let told = match theirs {
            Proof::Unsaid => return failed(Outcome::Unknown, "account_unreadable").await,
            Proof::Foreign => {
                tracing::warn!(authorization = %authorization.id, installation = claimed, "somebody brought an installation that they have nothing to do with");
                return failed(Outcome::Config, "foreign_installation").await;
            }
            Proof::Powerless => return failed(Outcome::Config, "not_an_administrator").await,
            Proof::RolesUnsaid => return failed(Outcome::Config, "roles_unsaid").await,
            Proof::Theirs(account) => Installed {
                tenant: match page {
                    Page::Github => account.clone(),
                    Page::Entra => Some(claimed.clone()),
                },
                external_id: claimed,
                name: account,
            },
        };
        if let Some(code) = elsewhere(&authorization, &told) {
            return failed(Outcome::Config, code).await;
        }
        let store = &self.ports.store;
        let known = store
            .installation_by_external_id(&connector.team, &connector.id, &told.external_id)
            .await?;
        if known.is_some_and(|known| known.status == InstallationStatus::Suspended) {
            return failed(Outcome::Config, "suspended").await;
        }
        let grant = Grant {
            installation: Some(told.external_id.clone()),
            ..authorization.grant.clone()
        };
        self.ask_again(connector, &told.external_id);
        let pair = match self.ask_for_app_token(connector, &grant).await {
            Ok(pair) => pair,
            Err(error) => {
                tracing::info!(authorization = %authorization.id, %error, "the application has no token where it was installed");
                return match error {
                    Error::Provider { code, .. } => failed(Outcome::Unknown, code).await,
                    Error::ConnectorFault => failed(Outcome::ClientFault, "invalid_client").await,
                    Error::InstallationRequired(why) | Error::AuthorizationRequired(why)
                        if why.reason != ReconnectReason::NeverConnected =>
                    {
                        failed(Outcome::Config, "not_granted").await
                    }
                    Error::Unresolvable { .. } | Error::DestinationRefused => {
                        failed(Outcome::Config, "not_granted").await
                    }
                    error => Err(error),
                };
            }
        };
        self.keep_installation(authorization, connector, told, pair)
            .await
    }

    /// Whether the person of `tokens` may consent for the whole of a tenant. Its other users, and its guests, may not have the
    /// application's tokens there by naming a tenant that an administrator once took the application into.
    fn theirs_at_entra(
        &self,
        oauth: &OauthClient,
        tenant: &str,
        nonce: &str,
        tokens: &TokenSet,
    ) -> Proof {
        let id_token = tokens.id_token.as_ref();
        let visitor = id_token
            .and_then(|token| microsoft::visitor(token, &oauth.client.id, nonce, self.now()));
        match visitor {
            None => Proof::Unsaid,
            Some(visitor) if visitor.tenant != tenant => Proof::Foreign,
            Some(visitor) => match visitor.administrator {
                Some(true) => Proof::Theirs(None),
                Some(false) => Proof::Powerless,
                None => Proof::RolesUnsaid,
            },
        }
    }

    /// Whether an installation is among those that the person of `tokens` has to do with.
    async fn theirs_at_github(
        &self,
        oauth: &OauthClient,
        installation: &str,
        tokens: &TokenSet,
    ) -> Proof {
        let Some(api) = oauth.server.api() else {
            return Proof::Unsaid;
        };
        for page in (1..).take(INSTALLATION_PAGES_MAX) {
            let asked = github::installations_of_user(&api, &tokens.access_token, page);
            let Some(asked) = asked else {
                return Proof::Unsaid;
            };
            let answer = self.ports.http.send(asked).await;
            let rows = match github::parse_list_of_user(answer, self.now()) {
                Ok(rows) => rows,
                Err(refused) => {
                    tracing::info!(?refused, "GitHub does not say whose an installation is");
                    return Proof::Unsaid;
                }
            };
            let last = rows.len() < github::LISTED;
            match rows.into_iter().find(|row| row.id == installation) {
                Some(row) => {
                    let account = row.account.map(|account| account.to_lowercase());
                    return account.map_or(Proof::Unsaid, |account| Proof::Theirs(Some(account)));
                }
                None if last => return Proof::Foreign,
                None => {}
            }
        }
        Proof::Foreign
    }
}

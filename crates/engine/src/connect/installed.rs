//! The code becomes an installation, and the app's tokens there.

use std::sync::Arc;

use grantry_core::ids::{ConnectionId, InstallationId};
use grantry_core::nouns::{
    Authorization, AuthorizationState, Connector, EventKind, Grant, Installation,
    InstallationStatus, Subject,
};
use grantry_core::store::ConnectionFilter;
use grantry_core::{Error, Result, StoreError};
use grantry_oauth::token::Outcome;

use super::callback::CallbackEnd;
use super::identity::Account;
use crate::Engine;
use crate::connectors::types::{Page, app_tokens};
use crate::connectors::{Installed, OauthClient, install_page, installing};
use crate::tokens::NewPair;

impl Engine {
    /// Stores what came of an installation: its row, its tokens, and the default where the connector has none.
    pub(super) async fn installed(
        self: &Arc<Self>,
        authorization: Authorization,
        connector: &Connector,
        oauth: &OauthClient,
        pair: NewPair,
    ) -> Result<CallbackEnd> {
        let new = ConnectionId::mint(self.now(), self.entropy());
        let wanted = authorization.install.clone().unwrap_or_default();
        let way_in = installing(connector);
        let told = match way_in.as_ref().and_then(|way_in| way_in.query) {
            None => way_in.and_then(|way_in| way_in.read(&pair.metadata)),
            Some(query) => match self.ask_api(oauth, query, &pair.access).await {
                Some(answer) => way_in.and_then(|way_in| way_in.read(&answer)),
                None => {
                    let code = "account_unreadable";
                    tracing::warn!(authorization = %authorization.id, "the provider's API does not say what was installed");
                    self.note_exchange(connector, Some(code)).await;
                    self.drop_unless_shared(
                        &authorization,
                        &new,
                        pair,
                        beside(wanted.external_id.clone()),
                    )
                    .await?;
                    return self
                        .exchange_failed(authorization, Outcome::Unknown, code)
                        .await;
                }
            },
        };
        let refused = match &told {
            None => Some("no_installation"),
            Some(told) => elsewhere(&authorization, told),
        };
        let of_told = told.as_ref().map(|told| told.external_id.clone());
        let Some(told) = told.filter(|_| refused.is_none()) else {
            self.drop_unless_shared(&authorization, &new, pair, beside(of_told))
                .await?;
            let code = refused.unwrap_or("no_installation");
            return self
                .exchange_failed(authorization, Outcome::Config, code)
                .await;
        };
        self.keep_installation(authorization, connector, told, pair)
            .await
    }

    /// Stores an installation that is the one that was asked for, with the app's tokens there.
    pub(super) async fn keep_installation(
        self: &Arc<Self>,
        authorization: Authorization,
        connector: &Connector,
        told: Installed,
        pair: NewPair,
    ) -> Result<CallbackEnd> {
        let new = ConnectionId::mint(self.now(), self.entropy());
        let authorization = Authorization {
            grant: Grant {
                installation: Some(told.external_id.clone()),
                ..authorization.grant
            },
            ..authorization
        };
        let of_told = beside(authorization.grant.installation.clone());
        let known = async {
            let installation = self
                .installation_of(&authorization, connector, told)
                .await?;
            let standing = match self.connected(&authorization).await? {
                None => {
                    let Authorization { team, grant, .. } = &authorization;
                    self.installed_elsewhere(team, connector, grant).await?
                }
                standing => standing,
            };
            Ok((installation, standing))
        };
        let (installation, standing) = match known.await {
            Ok(known) => known,
            // The code is spent: what cannot be stored is not left alive.
            Err(error) => {
                self.drop_unless_shared(&authorization, &new, pair, of_told)
                    .await?;
                return Err(error);
            }
        };
        let account = Account {
            name: installation.name.clone(),
            ..Account::default()
        };
        let connection = self.consented(&authorization, standing, account, new);
        let set = self
            .token_set(&authorization.team, &connection.id, pair)
            .await?;
        let event = self
            .end_user_draft(EventKind::AuthorizationCompleted, &authorization)
            .connection(&connection.id)
            .with("installation", installation.id.as_str())
            .done();
        // What asks for the application's own tenant goes on asking for that, whoever installs it elsewhere.
        let may_be_default =
            install_page(connector) != Some(Page::Entra) || app_tokens(connector).is_none();
        let completed = self
            .commit_consent(
                &authorization,
                Some((&installation, may_be_default)),
                &connection,
                &set,
                &event,
            )
            .await;
        self.caches.lives.invalidate(&connection.id);
        self.forget_connector(&connector.id);
        match completed {
            Ok(()) => {}
            Err(outage) if outage.is_outage() => return Err(outage.into()),
            Err(refused) => {
                self.revoke_orphan(&authorization, &connection.id, set)
                    .await;
                return Err(match refused {
                    StoreError::Missing(_) => Error::Gone("authorization"),
                    StoreError::Taken(_) => Error::conflict(
                        "the same was installed at the same time: open the link again",
                    ),
                    other => other.into(),
                });
            }
        }
        let state = AuthorizationState::Success {
            connection: connection.id,
        };
        let ended = Authorization {
            state,
            ..authorization
        };
        Ok(CallbackEnd::Ended(self.result(ended).await?))
    }

    /// The row of an installation: the one that stands for it, brought up to date, or a new one.
    async fn installation_of(
        &self,
        authorization: &Authorization,
        connector: &Connector,
        told: Installed,
    ) -> Result<Installation> {
        let Authorization { team, grant, .. } = authorization;
        let store = &self.ports.store;
        let found = store
            .installation_by_external_id(team, &grant.connector, &told.external_id)
            .await?;
        let now = self.now();
        Ok(match found {
            Some(found) => Installation {
                tenant: told.tenant.or(found.tenant),
                name: told.name.or(found.name),
                terms_at: connector.terms_at,
                updated_at: now.max(grantry_core::Timestamp(found.updated_at.0 + 1)),
                ..found
            },
            None => Installation {
                id: InstallationId::mint(now, self.entropy()),
                team: team.clone(),
                connector: grant.connector.clone(),
                external_id: told.external_id,
                tenant: told.tenant,
                name: told.name,
                status: InstallationStatus::Active,
                terms_at: connector.terms_at,
                created_by: authorization.requested_by.clone(),
                created_at: now,
                updated_at: now,
            },
        })
    }
}

/// Whose tokens a pair that is not kept may end with its own. Where nobody knows where it was installed, it may have been
/// wherever it was already.
fn beside(installation: Option<String>) -> ConnectionFilter {
    ConnectionFilter {
        subject: Some(Subject::App),
        installation,
        ..ConnectionFilter::default()
    }
}

/// Why what was installed is not what was asked for.
pub(super) fn elsewhere(authorization: &Authorization, told: &Installed) -> Option<&'static str> {
    let wanted = authorization.install.as_ref()?;
    let tenant = told.tenant.as_ref().unwrap_or(&told.external_id);
    // A tenant's name may be typed in another case than the provider answers with.
    let named = |wanted: &String| wanted == tenant || wanted.to_ascii_lowercase() == *tenant;
    let id = wanted.external_id.as_ref();
    match id.is_some_and(|wanted| *wanted != told.external_id) {
        true => Some("other_installation"),
        false if wanted.tenant.as_ref().is_none_or(named) => None,
        false => Some("other_tenant"),
    }
}

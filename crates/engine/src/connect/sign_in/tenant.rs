//! In which of the provider's tenants somebody is who signs in. It decides who is let in, so only what is proved is told:
//! by the answer that brought the person's tokens, or by their verified ID token; never by what a browser brings, and
//! never by where the connector's application is installed.

use grantry_core::nouns::{Connector, InstallationStatus, SignIn};
use grantry_core::{Result, Timestamp};
use grantry_oauth::providers::microsoft;
use grantry_oauth::token::TokenSet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::identity::Account;
use crate::Engine;
use crate::connectors::types::Page;
use crate::connectors::{OauthClient, install_page, installing, told_at};

/// A tenant, by what an installation there is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The provider's id of the installation that there is, or would be.
    pub installation: String,
    /// That of the tenant, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// What an access token says of where the person is.
#[derive(Default)]
pub(super) struct Told {
    /// `tenantId`
    pub tenant: Option<String>,
    /// `installationId`
    pub installation: Option<String>,
}

impl Tenant {
    /// Where the person of `tokens` is, if that is proved. `account` is what their verified ID token says.
    pub(in super::super) fn proved(
        connector: &Connector,
        oauth: &OauthClient,
        tokens: &TokenSet,
        account: Option<&Account>,
        nonce: &str,
        now: Timestamp,
    ) -> Option<Self> {
        // Microsoft's ID tokens for the users of any tenant have an issuer for each, which nobody can know beforehand.
        if install_page(connector) == Some(Page::Entra) {
            let id_token = tokens.id_token.as_ref()?;
            let visitor = microsoft::visitor(id_token, &oauth.client.id, nonce, now)?;
            return Some(Self {
                installation: Some(visitor.tenant).filter(|id| Page::Entra.is_id(id))?,
                tenant: None,
            });
        }
        let users = connector.data.get("userAuthorization");
        let claim = users.and_then(|users| users.get("tenantClaim"));
        if let Some(claim) = claim.and_then(Value::as_str) {
            return Some(Self {
                installation: told_at(&account?.claims, claim)?,
                tenant: None,
            });
        }
        // What is asked of an API elsewhere is not asked for a sign-in.
        let way_in = installing(connector).filter(|way_in| way_in.query.is_none())?;
        let told = way_in.read(&tokens.extra)?;
        Some(Self {
            installation: told.external_id,
            tenant: told.tenant,
        })
    }
}

impl Engine {
    /// What a token of `sign_in` says of where its person is: the tenant in any case, and the application's installation
    /// there only while there is one.
    pub(super) async fn told_of(&self, sign_in: &SignIn, at: Option<Tenant>) -> Result<Told> {
        let Some(Tenant {
            installation: id,
            tenant,
        }) = at
        else {
            return Ok(Told::default());
        };
        let store = &self.ports.store;
        let row = store
            .installation_by_external_id(&sign_in.team, &sign_in.connector, &id)
            .await?;
        let active = |status| status == InstallationStatus::Active;
        let installation = row.as_ref().filter(|row| active(row.status));
        Ok(Told {
            installation: installation.map(|row| row.external_id.clone()),
            tenant: tenant
                .or_else(|| installation.and_then(|row| row.tenant.clone()))
                .or(Some(id)),
        })
    }
}

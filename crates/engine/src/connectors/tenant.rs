//! A connector in the tenant of one of its installations, where its type's endpoints are the tenant's (Microsoft Entra).

use std::borrow::Cow;

use grantry_core::nouns::Connector;
use grantry_core::{Error, Result};
use grantry_oauth::providers::microsoft;
use grantry_oauth::server::Endpoint;
use url::Url;

use super::types::{self, Page};
use super::{OauthClient, install_page};
use crate::Engine;

impl Engine {
    /// The server, client and quirks of a connector as it is asked in the tenant of `installation`, where a type's endpoints are the tenant's.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] where the connector's own endpoints are of one tenant: a token from there says nothing of
    /// another.
    pub(crate) async fn oauth_client_at(
        &self,
        connector: &Connector,
        installation: Option<&str>,
    ) -> Result<OauthClient> {
        let there = in_tenant(connector, installation);
        let resolved = self.resolve_server(&there).await?;
        if let (Cow::Owned(_), Some(tenant)) = (&there, installation) {
            for endpoint in [Endpoint::Authorization, Endpoint::Token] {
                let url = resolved.server.url(endpoint).ok();
                let mut parts = url.as_ref().and_then(Url::path_segments);
                if !parts
                    .as_mut()
                    .is_some_and(|parts| parts.any(|part| part == tenant))
                {
                    let name = endpoint.as_str();
                    return Err(Error::Unresolvable {
                        reason: format!(
                            "data.serverConfig.{name} is of one tenant: to be installed in others, leave it to the catalogue's, or to a service of your own that has {{tenant}} in it"
                        ),
                    });
                }
            }
        }
        self.oauth_client_of(connector, resolved.server).await
    }
}

/// `connector` as it asks in the tenant of one installation, where the endpoints are the tenant's.
fn in_tenant<'a>(connector: &'a Connector, tenant: Option<&str>) -> Cow<'a, Connector> {
    let field = types::of(connector.kind).variables.first();
    let Some(((field, _), tenant)) = field
        .zip(tenant)
        .filter(|(_, tenant)| *tenant == microsoft::ANY_TENANT || Page::Entra.is_id(tenant))
        .filter(|_| install_page(connector) == Some(Page::Entra))
    else {
        return Cow::Borrowed(connector);
    };
    let mut at = connector.clone();
    at.data.insert((*field).to_owned(), tenant.into());
    Cow::Owned(at)
}

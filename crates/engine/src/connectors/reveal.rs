//! The one way back for a client secret, where a deployment has opened it (docs/sequin.md).

use grantry_core::nouns::EventKind;
use grantry_core::{Error, Result, Secret, error::Forbidden};

use super::types;
use crate::permissions::Act;
use crate::{Caller, Engine};

impl Engine {
    /// Whether stored secrets are shown to `caller`: the deployment says so, and they are an admin.
    pub fn reveals_secrets(&self, caller: &Caller) -> bool {
        self.settings.reveal_secrets && caller.standing.may(Act::ManageConnectors)
    }

    /// A connector's client secret, once the event that tells of it is committed; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Forbidden`] unless [`Engine::reveals_secrets`].
    pub async fn reveal_client_secret(
        &self,
        caller: &Caller,
        connector: &str,
    ) -> Result<Option<Secret>> {
        if !self.reveals_secrets(caller) {
            return Err(Error::Forbidden(Forbidden::Role));
        }
        let entry = self.live_connector(caller, connector).await?;
        let secret = self.connector_secrets(&entry.connector).await?;
        let named = types::client_secret(&entry.connector).unwrap_or_default();
        let Some(secret) = secret.get(named) else {
            return Ok(None);
        };
        let event = self
            .draft(EventKind::ConnectorRevealed, caller)
            .connector(&entry.connector.id)
            .done();
        self.ports.store.append_events(&[event]).await?;
        Ok(Some(Secret::new(secret.expose())))
    }
}

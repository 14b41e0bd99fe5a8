//! An installation of a GitHub App that GitHub says something of.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use grantry_core::Result;
use grantry_core::nouns::{Actor, Connector, EventKind, Installation, InstallationStatus};
use tracing::Instrument as _;

use super::{BY, app_scope};
use crate::Engine;

impl Engine {
    /// Asks GitHub how an installation does that is known here, and has that stored. Of others, which anybody can make, none
    /// becomes known by what GitHub delivers. One that GitHub does not know stays as removed, for a mistake of the
    /// connector's can look like that; what is bought next tells better. Tokens of an active one are fetched anew: they may
    /// lack a repository or a permission.
    pub(super) async fn look_at_installation(
        self: &Arc<Self>,
        connector: &Connector,
        installation: &str,
    ) -> Result<()> {
        let store = &self.ports.store;
        let row = store
            .installation_by_external_id(&connector.team, &connector.id, installation)
            .await?;
        let Some(row) = row else {
            return Ok(());
        };
        // What an admin said here is not GitHub's to take back, nor to end.
        if row.status != InstallationStatus::Suspended {
            let status = match self.ask_of_installation(connector, installation).await? {
                None => InstallationStatus::Removed,
                Some(seen) if seen.suspended => InstallationStatus::SuspendedThere,
                Some(_) => InstallationStatus::Active,
            };
            let active = status == InstallationStatus::Active;
            if active {
                self.ask_again(connector, installation);
            }
            self.mark(row.clone(), status, Actor::System).await?;
            if !active {
                return Ok(());
            }
            // What was bought before may have ended there; no delivery that is sent again does this.
            if row.status.is_theirs() {
                return self.renew_tokens(&row).await;
            }
        }
        let name = format!("{}\0{installation}", connector.id);
        match self.renewals.wait(name, self.ports.clock.boot()) {
            None => Ok(()),
            Some(Duration::ZERO) => self.renew_tokens(&row).await,
            Some(wait) => {
                let engine = Arc::clone(self);
                let later = async move {
                    // Whoever stops does not forget it.
                    let (wait, stop) = (engine.ports.clock.sleep(wait), engine.stop.cancelled());
                    select(pin!(wait), pin!(stop)).await;
                    if let Err(error) = engine.renew_tokens(&row).await {
                        tracing::warn!(connector = %row.connector, %error, "tokens of an installation that changed stay until they end");
                    }
                };
                self.tasks.spawn(later.in_current_span());
                Ok(())
            }
        }
    }

    /// Has the kept tokens of an installation served no more; whoever has one may use it on.
    async fn renew_tokens(&self, row: &Installation) -> Result<()> {
        let event = self
            .system_draft(EventKind::InstallationChanged, &row.team)
            .connector(&row.connector)
            .with("installation", row.id.as_str())
            .with(BY.0, BY.1)
            .done();
        let (store, scope) = (&self.ports.store, app_scope(row));
        for connection in store.expire_tokens(&row.team, &scope, &event).await? {
            self.caches.lives.invalidate(&connection);
        }
        Ok(())
    }
}

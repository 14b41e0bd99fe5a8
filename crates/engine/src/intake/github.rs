//! An installation of a GitHub App that GitHub says something of.

use std::sync::Arc;

use grantry_core::Result;
use grantry_core::nouns::{Actor, Connector, EventKind, InstallationStatus};

use super::{BY, app_scope};
use crate::Engine;

impl Engine {
    /// Asks GitHub how an installation does that is known here, and has that stored. Of others, which anybody can make, none
    /// becomes known by what GitHub delivers. Its tokens are fetched anew: they may lack a repository or a permission.
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
        let scope = app_scope(&row);
        // What an admin said here is not GitHub's to take back, nor to end.
        if row.status != InstallationStatus::Suspended {
            match self.ask_of_installation(connector, installation).await? {
                None => return self.end_installation(&row).await,
                Some(seen) if seen.suspended => {
                    let status = InstallationStatus::SuspendedThere;
                    return self.mark(row, status, Actor::System).await.map(drop);
                }
                Some(_) => {
                    self.ask_again(connector, installation);
                    let status = InstallationStatus::Active;
                    self.mark(row.clone(), status, Actor::System).await?;
                }
            }
        }
        let event = self
            .system_draft(EventKind::InstallationChanged, &row.team)
            .connector(&row.connector)
            .with("installation", row.id.as_str())
            .with(BY.0, BY.1)
            .done();
        for connection in store.expire_tokens(&row.team, &scope, &event).await? {
            self.caches.lives.invalidate(&connection);
        }
        Ok(())
    }
}

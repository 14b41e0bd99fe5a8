//! What follows the deletion of a connector: its connections end, many in a transaction and not all in one;
//! its provider revokes their tokens; then its secrets, which that takes, are destroyed. Each step is durable,
//! so that a process that stops on the way leaves the rest to the background of whoever is there.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use grantry_core::nouns::{Connector, EventKind};
use grantry_core::store::{Ended, Ending};
use grantry_core::{Result, StoreError};

use crate::Engine;
use crate::events::Draft;
use crate::tokens::{AT_ONCE, CLAIM, GIVE_UP_AFTER};

/// Connections ended in one transaction.
const BATCH: u32 = 500;

/// Ends that one round of the background takes on.
const ROUND: u32 = 8;

impl Engine {
    /// Goes on with what is due. For the background.
    pub(crate) async fn end_connectors(self: &Arc<Self>) -> Result<()> {
        let store = &self.ports.store;
        let due = store.due_endings(self.now(), CLAIM, ROUND).await?;
        let ends = due
            .into_iter()
            .map(|ending| async move { self.end(&ending).await });
        let ended: Vec<Result<()>> = stream::iter(ends).buffer_unordered(AT_ONCE).collect().await;
        ended.into_iter().collect()
    }

    /// Ends some of its connections: none is served any more. Returns whether any may be left.
    pub(crate) async fn end_some(&self, ending: &Ending) -> Result<(Ended, bool)> {
        let Ending {
            connector,
            team,
            actor,
        } = ending;
        let kind = EventKind::ConnectionRevoked;
        let draft = Draft::new(kind, Some(team), actor.clone(), self.now(), self.entropy());
        let event = draft.connector(connector).done();
        let store = &self.ports.store;
        let ended = store
            .end_connections(ending, self.now(), CLAIM, BATCH, &event)
            .await;
        let ended = match ended {
            // It came back, or somebody else has finished it.
            Err(StoreError::Missing("ending")) => Ended {
                connections: 0,
                queued: vec![],
            },
            ended => ended?,
        };
        for revocation in &ended.queued {
            self.caches.lives.invalidate(&revocation.connection);
        }
        let more = ended.connections == u64::from(BATCH);
        Ok((ended, more))
    }

    /// Goes on after the first connections have ended, or could not be ended.
    pub(crate) async fn end_after(
        self: &Arc<Self>,
        connector: &Connector,
        ending: Ending,
        some: Result<(Ended, bool)>,
    ) {
        let end = async {
            let (ended, more) = some?;
            if more {
                self.end(&ending).await?;
            }
            let client = self.revoking_client(connector).await;
            self.revoke_at_provider(&client, ended.queued).await;
            self.end(&ending).await
        };
        if let Err(error) = end.await {
            tracing::warn!(connector = %connector.id, %error, "a deleted connector is not at its end; the background goes on with it");
        }
    }

    /// Ends the client that was registered for the connector. A server that does not answer is asked again by the
    /// background, for as long as it would be asked to revoke tokens.
    async fn client_is_ended(&self, ending: &Ending) -> Result<bool> {
        let Ending {
            connector, team, ..
        } = ending;
        let store = &self.ports.store;
        let Some(row) = store.connector(team, connector.as_str()).await? else {
            return Ok(true);
        };
        let given_up = row
            .deleted_at
            .is_some_and(|at| self.now().since(at) >= GIVE_UP_AFTER);
        if given_up || self.end_client_of(&row).await? {
            return Ok(true);
        }
        let again = self.now().after(CLAIM);
        store.delay_ending(team, connector, again).await?;
        Ok(false)
    }

    /// Brings a connector's end as far as it gets now.
    pub(crate) async fn end(self: &Arc<Self>, ending: &Ending) -> Result<()> {
        let Ending {
            connector, team, ..
        } = ending;
        let store = &self.ports.store;
        loop {
            let (ended, more) = self.end_some(ending).await?;
            if let Some(row) = store.connector(team, connector.as_str()).await?
                && !more
            {
                // The last ones now; those of the batches before are the sweep's.
                let client = self.revoking_client(&row).await;
                self.revoke_at_provider(&client, ended.queued).await;
            }
            if !more {
                break;
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
            store
                .delay_ending(team, connector, self.now().after(CLAIM))
                .await?;
        }
        if !self.client_is_ended(ending).await? {
            return Ok(());
        }
        match store.finish_ending(team, connector).await {
            // One that came meanwhile, or tokens without an answer: it is due again when the claim is over.
            Ok(()) | Err(StoreError::InUse(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.forget_connector(connector);
        Ok(())
    }
}

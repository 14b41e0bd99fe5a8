//! What providers tell an application on their own (`POST /trigger/{connector}`, reference/vercel-connect §8).
//!
//! - `signed`: whether the provider says it. Nothing of a delivery is read before.
//! - `read`: what it says.
//! - `turns`: one look at a time, so that what is delivered over and over costs no more than that.
//! - `github`, `slack`: what follows for an installation.
//!
//! A delivery is a hint and no state: GitHub signs no time, so an old one can be sent again by whoever saw it. What it
//! hints at is asked of the provider, and only the answer is acted upon.

mod github;
mod read;
mod signed;
mod slack;
mod turns;

use std::sync::Arc;

use grantry_core::ids::ConnectorId;
use grantry_core::nouns::{Connector, Installation, Subject};
use grantry_core::store::RevocationScope;
use grantry_core::{Error, Result};

use crate::Engine;
use read::Hint;
use signed::Scheme;
pub use turns::{Renewals, Turns};

/// What arrived, as it arrived.
pub struct Delivery<'a> {
    /// The one line of a header, by its name in lower case.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was acted upon, or asks for nothing.
    Done,
    /// The provider wants to hear this, to see that the address is ours.
    Challenge(String),
    /// Somebody wants it forwarded, which this server does not do yet.
    Unforwarded,
}

/// Whose word it is that something ended, in the data of events.
const BY: (&str, &str) = ("by", "provider");

impl Engine {
    /// Takes in what a provider delivers for a connector's application. Whatever it leads to is done when this returns,
    /// also when nobody waits for that any more.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for all that is not signed by the connector's provider: also where there is no such
    /// connector, or none that takes anything in. [`Error::RateLimited`] as for the team's own requests.
    /// [`Error::Unavailable`] where the provider, or the store, cannot be
    /// asked now: nothing has changed, and the same may be delivered again.
    pub async fn take_delivery(
        self: &Arc<Self>,
        id: &ConnectorId,
        delivery: &Delivery<'_>,
    ) -> Result<Taken> {
        let connector = self.takes_in(id).await?.ok_or(Error::Unauthenticated)?;
        let scheme = Scheme::of(connector.kind).ok_or(Error::Unauthenticated)?;
        let secret = self.connector_secret(&connector, scheme.secret).await?;
        if !secret.is_some_and(|secret| scheme.holds(delivery, &secret, self.now())) {
            return Err(Error::Unauthenticated);
        }
        self.admit(&connector.team)?;
        let said = read::read(connector.kind, delivery);
        let connector = Arc::new(connector);
        let acted = said.hint.is_some();
        match said.hint {
            Some(Hint::Challenge(challenge)) => return Ok(Taken::Challenge(challenge)),
            Some(Hint::Greeting) => return Ok(Taken::Done),
            Some(hint) => self.follow(&connector, hint).await?,
            None => {}
        }
        // What installations come to is told always; the rest, and that where somebody names it, only who wants it
        // forwarded has asked for.
        let wanted = !acted || connector.events.contains(&said.name);
        let goes_on = connector.triggers_enabled && !connector.trigger_destinations.is_empty();
        Ok(match wanted && goes_on {
            true => Taken::Unforwarded,
            false => Taken::Done,
        })
    }

    async fn takes_in(&self, id: &ConnectorId) -> Result<Option<Connector>> {
        if self.caches_are_fresh()
            && let Some(entry) = self.caches.connectors.get(id)
        {
            let live = entry.connector.deleted_at.is_none();
            return Ok(live.then(|| entry.connector.clone()));
        }
        Ok(self.ports.store.public_client(id).await?)
    }

    /// Asks the provider what a hint is about, in its turn.
    async fn follow(self: &Arc<Self>, connector: &Arc<Connector>, hint: Hint) -> Result<()> {
        // All that is looked at: a look at something else does not answer for it.
        let name = format!("{}\0{hint:?}", connector.id);
        let (engine, connector) = (Arc::clone(self), Arc::clone(connector));
        self.uncancellable(async move {
            let clock = engine.ports.clock.as_ref();
            let look = async || match &hint {
                Hint::Installation(id) => engine.look_at_installation(&connector, id).await,
                Hint::Workspace(ended) => engine.look_at_workspace(&connector, ended).await,
                Hint::Challenge(_) | Hint::Greeting => Ok(()),
            };
            let looked = engine.turns.take(name, clock, look).await;
            looked.map_err(|error| {
                tracing::warn!(connector = %connector.id, %error, "what a provider told could not be looked at");
                match error {
                    Error::Full => Error::Full,
                    _ => Error::Unavailable,
                }
            })
        })
        .await
    }
}

/// The application's own connections in an installation.
fn app_scope(installation: &Installation) -> RevocationScope {
    RevocationScope {
        subject: Some(Subject::App),
        installation: Some(installation.external_id.clone()),
        ..RevocationScope::of(installation.connector.clone())
    }
}

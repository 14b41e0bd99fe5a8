//! The link that comes with a refusal: whoever asks for a token of a user who has not connected is told where the user
//! connects, in the same answer (reference/vercel-connect §1, the 422s that can be acted on).

use std::time::Duration;

use grantry_core::error::Reconnect;
use grantry_core::ids::AuthorizationId;
use grantry_core::nouns::{Authorization, Grant, Install, Subject};
use grantry_core::{Error, Result};
use quick_cache::sync::Cache;

use crate::connect::is_open;
use crate::connectors::{Entry, installing};
use crate::permissions::Act;
use crate::{AskConsent, Caller, Engine};

/// A link that is offered lives this much longer at least.
const LEFT: Duration = Duration::from_secs(600);

/// The requests that refusals have made, by who asked for what: who asks again is given the same link.
pub struct Offers(Cache<String, AuthorizationId>);

impl Offers {
    /// Remembers at most `capacity` of them.
    pub fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }
}

impl Engine {
    /// `why` there is no token of `grant`, with a link where the caller may have one: for a person, or for the installation
    /// of an application, and by who may ask for it. That no link could be made changes nothing about the refusal.
    pub(super) async fn offered(
        &self,
        caller: &Caller,
        entry: &Entry,
        grant: Grant,
        why: Box<Reconnect>,
    ) -> Error {
        let installs = grant.subject == Subject::App && installing(&entry.connector).is_some();
        let may = caller.standing.may(Act::Authorize) && why.url.is_none();
        let person = matches!(grant.subject, Subject::User { .. });
        let offer = match may && (person || installs) {
            true => self.offer(caller, entry, grant, installs).await.map(Some),
            false => Ok(None),
        };
        let why = match offer {
            Ok(Some(request)) => Box::new(Reconnect {
                url: Some(self.consent_url(&request)),
                expires_at: Some(request.expires_at),
                ..*why
            }),
            Ok(None) => why,
            Err(error) => {
                tracing::debug!(connector = %entry.connector.id, %error, "no link could be offered");
                let url = match installs {
                    true => self.bare_page(&entry.connector).await,
                    false => None,
                };
                Box::new(Reconnect { url, ..*why })
            }
        };
        match installs {
            true => Error::InstallationRequired(why),
            false => Error::AuthorizationRequired(why),
        }
    }

    /// An open request for `grant` that this caller was offered before, or a new one.
    async fn offer(
        &self,
        caller: &Caller,
        entry: &Entry,
        grant: Grant,
        installs: bool,
    ) -> Result<Authorization> {
        let actor = serde_json::to_string(&caller.actor).map_err(|_| Error::Internal)?;
        let name = format!(
            "{}\0{actor}\0{}\0{}",
            caller.team,
            grant.connector,
            grant.key()
        );
        if let Some(id) = self.offers.0.get(&name)
            && let Some(request) = self.ports.store.authorization(&id).await?
            && request.team == caller.team
            && is_open(&request, self.now().after(LEFT))
        {
            return Ok(request);
        }
        self.require_complete(&entry.connector).await?;
        // A named installation is the one that is to come of it.
        let install = installs.then(|| Install {
            external_id: grant.installation.clone(),
            tenant: None,
        });
        if let Some(wanted) = &install {
            self.require_installable(&entry.connector, wanted).await?;
        }
        let ask = AskConsent {
            install,
            ..AskConsent::default()
        };
        let grant = Grant {
            installation: grant.installation.filter(|_| !installs),
            ..grant
        };
        // Nobody polls its result: who was refused asks for the token again.
        let (_, handle) = self.verifier();
        let request = self
            .store_request(caller, entry, grant, ask, None, handle)
            .await?;
        self.offers.0.insert(name, request.id.clone());
        Ok(request)
    }
}

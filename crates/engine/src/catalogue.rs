//! The services that connectors stand for.

use std::collections::HashMap;
use std::sync::Arc;

use grantry_core::Result;
use grantry_core::nouns::{Connector, Service};

use crate::Engine;

/// What is known of services, by id.
pub struct Catalogue(HashMap<String, Service>);

impl Catalogue {
    /// The row of a connector's service.
    pub fn of(&self, connector: &Connector) -> Option<&Service> {
        self.service(&connector.service)
    }

    /// One row.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.0.get(id)
    }
}

impl Engine {
    /// The catalogue, from memory where that can be trusted.
    pub(crate) async fn catalogue(&self) -> Result<Arc<Catalogue>> {
        if self.caches_are_fresh()
            && let Some(catalogue) = self.caches.catalogue.get(&())
        {
            return Ok(catalogue);
        }
        let ticket = self.caches.catalogue.ticket(&());
        let services = self.ports.store.services().await?;
        let by_id = services
            .into_iter()
            .map(|service| (service.id.clone(), service));
        let catalogue = Arc::new(Catalogue(by_id.collect()));
        self.caches
            .catalogue
            .fill(ticket, &(), Arc::clone(&catalogue));
        Ok(catalogue)
    }
}

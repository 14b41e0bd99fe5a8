//! The services that connectors stand for: the built-in rows, and a deployment's own laid over them.

mod builtin;
mod facts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use grantry_core::Result;
use grantry_core::nouns::{Connector, Service};
use grantry_oauth::server::keep_tokens_at_home;
use serde_json::{Map, Value};

use crate::Engine;
use crate::connectors::types;

pub(crate) use facts::matches_whole;
pub use facts::{authorize_params, scope_separator, server};

/// What is known of services, by id.
pub struct Catalogue(HashMap<String, Service>);

impl Catalogue {
    /// The built-in rows under `overlays`: a field of an overlay takes the place of the built-in one.
    pub(crate) fn of_overlays(overlays: Vec<Service>) -> Self {
        let mut rows: HashMap<String, Service> = builtin::services()
            .iter()
            .map(|service| (service.id.clone(), service.clone()))
            .collect();
        for overlay in overlays {
            match rows.get_mut(&overlay.id) {
                Some(row) => lay_over(row, overlay.data),
                None => {
                    rows.insert(overlay.id.clone(), overlay);
                }
            }
        }
        Self(rows)
    }

    /// The row of a connector's service, or of its type's.
    pub fn of(&self, connector: &Connector) -> Option<&Service> {
        let of_type = || self.service(types::of(connector.kind).service?);
        self.service(&connector.service).or_else(of_type)
    }

    /// One row.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.0.get(id)
    }
}

/// Lays a deployment's fields over a built-in row: who moves the token endpoint has to say where else its tokens are shown.
fn lay_over(row: &mut Service, fields: Map<String, Value>) {
    keep_tokens_at_home(&mut row.data, &fields);
    row.data.extend(fields);
}

/// [`Catalogue::of`] in a catalogue with these overlays.
pub fn row_for(overlays: &[Service], connector: &Connector) -> Option<Service> {
    let of_type = || row_of(overlays, types::of(connector.kind).service?);
    row_of(overlays, &connector.service).or_else(of_type)
}

/// The row of `id` that a catalogue with these overlays has.
pub fn row_of(overlays: &[Service], id: &str) -> Option<Service> {
    let mut row = builtin::service(id).cloned();
    if let Some(overlay) = overlays.iter().find(|overlay| overlay.id == id) {
        match &mut row {
            Some(row) => lay_over(row, overlay.data.clone()),
            None => row = Some(overlay.clone()),
        }
    }
    row
}

/// The ids of the rows that a catalogue with these overlays has, in order.
pub fn ids(overlays: &[Service]) -> BTreeSet<&str> {
    let rows = builtin::services().iter().chain(overlays);
    rows.map(|service| service.id.as_str()).collect()
}

/// Whether a row of this id comes with the binary.
pub fn is_built_in(id: &str) -> bool {
    builtin::service(id).is_some()
}

impl Engine {
    /// The catalogue's row of `id`.
    pub async fn service(&self, id: &str) -> Result<Option<Service>> {
        Ok(self.catalogue().await?.service(id).cloned())
    }

    /// The catalogue, from memory where that can be trusted.
    pub(crate) async fn catalogue(&self) -> Result<Arc<Catalogue>> {
        if self.caches_are_fresh()
            && let Some(catalogue) = self.caches.catalogue.get(&())
        {
            return Ok(catalogue);
        }
        let ticket = self.caches.catalogue.ticket(&());
        let overlays = self.ports.store.services().await?;
        let catalogue = Arc::new(Catalogue::of_overlays(overlays));
        self.caches
            .catalogue
            .fill(ticket, &(), Arc::clone(&catalogue));
        Ok(catalogue)
    }
}

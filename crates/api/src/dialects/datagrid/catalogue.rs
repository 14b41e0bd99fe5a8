//! The catalogue of services under the ids of this dialect's documentation.

use grantry_core::{Error, Result};

use super::map;
use crate::kit::call::Call;

/// The service that `id` means: one of the catalogue, or, as the vendor's documentation writes `google_drive`, one whose
/// id has hyphens there. A service that the catalogue does not know stays what it is.
pub async fn service_of(call: &Call, id: &str) -> Result<String> {
    let hyphens = id.replace('_', "-");
    let known = call.engine.service(id).await?.is_some();
    if !known && hyphens != id && call.engine.service(&hyphens).await?.is_some() {
        return Ok(hyphens);
    }
    Ok(id.to_owned())
}

/// The service that a provider is made for, which has to be one that lets others register clients.
pub async fn service_with_apps(call: &Call, id: &str) -> Result<String> {
    let service = service_of(call, id).await?;
    let problem = match call.engine.service(&service).await? {
        None => "is not a connector: GET /connectors lists them".to_owned(),
        Some(row) if !map::has_apps(&row.data) => {
            format!("{id} has no OAuth apps of others, so it takes no connection providers")
        }
        Some(_) => return Ok(service),
    };
    Err(Error::invalid("connector_id", problem))
}

//! The native API: snake case, RFC 3339 times, `?limit=&cursor=` → `{data, next_cursor}`, problem+json.

mod apply;
mod authorizations;
mod connections;
mod connectors;
pub mod error;
mod events;
pub mod examples;
mod fields;
mod installations;
mod links;
mod search;
mod secrets;
mod server;
mod setups;
mod signing_keys;
mod team;
mod tenancy;
mod webhook_secret;
mod wire;

use grantry_core::ids::ConnectorId;
use grantry_core::nouns::Subject;
use grantry_core::{Error, Result};

use crate::kit::call::Call;
use crate::kit::route::Route;

/// The native rows of the route table.
pub fn tables() -> impl Iterator<Item = &'static [Route]> {
    tenancy::TABLES.into_iter().chain([
        connectors::ROUTES,
        search::ROUTES,
        links::ROUTES,
        installations::ROUTES,
        setups::ROUTES,
        connections::ROUTES,
        authorizations::ROUTES,
        secrets::ROUTES,
        events::ROUTES,
        team::ROUTES,
        signing_keys::ROUTES,
        webhook_secret::ROUTES,
        server::ROUTES,
    ])
}

/// The connector that the query's `connector` names by id or uid. What a deleted one left behind is
/// still found by its id.
async fn connector_named(call: &Call) -> Result<Option<ConnectorId>> {
    let Some(named) = call
        .query
        .text("connector")
        .filter(|named| !named.is_empty())
    else {
        return Ok(None);
    };
    match call.engine.connector(call.caller()?, named).await {
        Ok(view) => Ok(Some(view.connector.id)),
        Err(Error::Gone(_)) => Ok(Some(named.into())),
        Err(error) => Err(error),
    }
}

/// The subject that the query's `user` and `issuer` name.
fn subject_named(call: &Call) -> Option<Subject> {
    let id = call.query.text("user")?.to_owned();
    let issuer = call.query.text("issuer").map(str::to_owned);
    Some(Subject::User { id, issuer })
}

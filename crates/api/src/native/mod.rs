//! The native API: snake case, RFC 3339 times, `?limit=&cursor=` → `{data, next_cursor}`, problem+json.

mod connections;
mod connectors;
pub mod error;
mod fields;
mod server;
mod team;
mod wire;

use crate::kit::route::Route;

/// The native rows of the route table.
pub const TABLES: [&[Route]; 4] = [
    connectors::ROUTES,
    connections::ROUTES,
    team::ROUTES,
    server::ROUTES,
];

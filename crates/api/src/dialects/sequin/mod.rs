//! Sequin's OAuth apps and credentials, at `/sequin/v1`, and its link flow (docs/sequin.md).
//!
//! - `apps`, `credentials`, `link`: the handlers; `routes` is their table.
//! - `kinds`: which properties a credential of each kind has, and which of them are secrets.

mod apps;
mod credentials;
pub mod error;
mod fields;
mod kinds;
mod link;
mod map;
mod routes;
mod wire;

pub use routes::ROUTES;

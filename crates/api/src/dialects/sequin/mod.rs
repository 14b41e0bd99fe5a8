//! Sequin's OAuth apps, at `/sequin/v1` (docs/sequin.md).

pub mod error;
mod fields;
mod map;
mod routes;
mod wire;

pub use routes::ROUTES;

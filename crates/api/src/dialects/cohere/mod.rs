//! Cohere's connectors, at `/cohere` (docs/cohere.md).

pub mod error;
mod fields;
mod map;
mod routes;
mod wire;

pub use routes::ROUTES;

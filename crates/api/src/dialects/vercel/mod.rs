//! Vercel Connect, at the root (reference/vercel-connect).

pub mod error;
pub mod fields;
pub mod flows;
pub mod map;
pub mod routes;
pub mod wire;

pub use routes::ROUTES;

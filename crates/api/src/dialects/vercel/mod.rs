//! Vercel Connect, at the root (reference/vercel-connect).

pub mod changes;
pub mod code;
pub mod error;
pub mod fields;
pub mod files;
pub mod flows;
pub mod gateway;
pub mod intake;
pub mod lists;
pub mod managed;
pub mod map;
pub mod provision;
pub mod routes;
pub mod services;
pub mod support;
pub mod wire;

pub use routes::ROUTES;

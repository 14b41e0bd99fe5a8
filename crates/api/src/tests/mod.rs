//! The APIs over a whole server: router, engine, database. Only the provider is played.

mod bodies;
mod native;
mod refusals;
mod server;
mod vercel_connectors;
mod vercel_tokens;

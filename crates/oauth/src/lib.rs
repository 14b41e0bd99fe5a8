//! The OAuth 2.0 client engine, without I/O: builders that return a [`grantry_core::http::Request`], and tolerant
//! parsers that take a [`grantry_core::http::Response`] and never let a stranger's bytes past their limits.
//!
//! No socket, no clock, no randomness of its own: time and entropy are arguments. Whoever sends a request decides by
//! [`token::Outcome`] what became of the grant in it.

pub mod assertion;
pub mod authorize;
pub mod callback;
pub mod client;
pub mod discovery;
pub mod graphql;
pub mod id_token;
mod json;
pub mod pkce;
pub mod providers;
pub mod register;
pub mod resource;
pub mod retry_after;
pub mod revoke;
pub mod scope;
pub mod server;
pub mod text;
pub mod token;

#[cfg(test)]
mod tests;

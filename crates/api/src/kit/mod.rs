//! What every dialect shares: the route table, and the way of a request through it.
//!
//! - `route`: one row per endpoint.
//! - `call`: a request, from its bearer to its checked body, on its way to a handler.
//! - `fields`: what a body or a query may hold: rows that check, read and document.
//! - `dialect`: whose error shape and team selector a path has.
//! - `repeat`: idempotency keys.
//! - `made`: answers that are made once.
//! - `edge`: what every answer has, whoever made it.
//! - `answer`, `cursor`, `openapi`, `subject`: as named.

pub mod answer;
pub mod call;
pub mod counted;
pub mod cursor;
pub mod dialect;
pub mod edge;
pub mod fields;
pub mod made;
pub mod openapi;
pub mod repeat;
pub mod route;
pub mod subject;

//! The opponent: an independent OAuth 2.0 / OpenID Connect provider, honest by default, that plays
//! every provider fault of the requirements on demand.
//!
//! It is `grantry sandbox`, the provider of `grantry dev`, and the misbehaving server of the tests.
//! To be a fair judge it shares nothing with the code it judges: of ours it knows only `core`, for
//! the clock and the randomness. All state is in memory; what it hands out is play money.
//!
//! * [`Sandbox`] is the provider and, at the same time, the handle that tests steer it with.
//! * [`FAULTS`] is the one table of what can go wrong: name, endpoints, requirement, effect.
//! * [`race::check`] reads the log after a race test (requirements A.3).

mod answer;
mod config;
mod crypto;
mod faults;
mod http;
mod log;
mod model;
mod pages;
pub mod race;
mod sandbox;
mod serve;
#[cfg(test)]
mod tests;

pub use config::{Client, Config, User};
pub use faults::{Endpoint, FAULTS, Fault, Order, UnknownFault};
pub use log::{Entry, Outcome, Stats};
pub use model::Place;
pub use sandbox::Sandbox;

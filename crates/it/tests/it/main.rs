//! The one integration-test binary: a second file beside this one would be a second link of
//! everything (style: one binary, many modules).
//!
//! `world` is what the others stand on: an engine on a real database file, the sandbox as its
//! provider, and a clock that the test holds.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, also what stands outside of `#[test]` functions"
)]

mod answers;
mod app_tokens;
mod apply;
mod attacks;
mod bad_fields;
mod callback;
mod canary;
mod catalogue;
mod chaos;
mod claimed;
mod client_life;
mod confirm;
mod consents;
mod cut;
mod departures;
mod enrol;
mod faults;
mod gateway;
mod github;
mod github_users;
mod identity;
mod installs;
mod intake;
mod laws;
mod linear;
mod links;
mod logo;
mod manifest;
mod meanwhile;
mod moved;
mod outside;
mod own_keys;
mod proofs;
mod provision;
mod reach;
mod refresh;
mod refusal;
mod reinstalls;
mod requirements;
mod revocation;
mod salesforce;
mod server_config;
mod sign_in;
mod sign_in_tenant;
mod signing_keys;
mod slack;
mod types;
mod world;

//! Accounts, teams, people, projects, keys and the catalogue.

mod accounts;
mod fields;
mod keys;
mod me;
mod projects;
mod services;
mod teams;
mod users;
mod wire;

use grantry_core::nouns::Role;

use crate::kit::call::Call;
use crate::kit::fields::Fields;
use crate::kit::route::Route;

/// Their rows of the route table.
pub const TABLES: [&[Route]; 7] = [
    me::ROUTES,
    accounts::ROUTES,
    teams::ROUTES,
    users::ROUTES,
    projects::ROUTES,
    keys::ROUTES,
    services::ROUTES,
];

/// The text that a list is searched for; an empty one is none.
fn search(call: &Call) -> Option<&str> {
    call.query.text("search").filter(|text| !text.is_empty())
}

/// The role in a body whose row has checked the word.
fn role(body: &Fields) -> Option<Role> {
    body.text("role")
        .and_then(|word| serde_json::from_value(word.into()).ok())
}

//! The APIs over a whole server: router, engine, database. Only the provider is played.

mod bodies;
mod cohere;
mod datagrid;
mod datagrid_limits;
mod datagrid_organization;
mod examples;
mod existence;
mod installations;
mod lists;
mod native;
mod permissions;
mod refusals;
mod repeats;
mod resources;
mod search;
mod sequin;
mod sequin_credentials;
mod server;
mod signing_keys;
mod tenancy;
mod tenancy_keys;
mod tenancy_people;
mod tenancy_projects;
mod vercel_connectors;
mod vercel_tokens;
mod words;

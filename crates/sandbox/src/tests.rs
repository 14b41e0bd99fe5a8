//! The provider from outside: honest flows, then each fault. Requests go through the router; where
//! the connection itself matters, through a socket.

mod browser;
mod connection;
mod control;
mod flows;
mod manage;
mod metadata;
mod support;
mod token_faults;
mod workload;

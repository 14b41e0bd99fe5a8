//! `grantry`: the server, the sandbox provider, and the command line that talks to them.
//!
//! One file per command in `commands/`. Around them: `config` (what an operator chooses), `house`
//! (store, keys, way out and engine put together), `listen` (sockets), `client` (the native API as
//! the commands use it), `failure` (exit codes), `out` (what is printed).

mod client;
mod clock;
mod commands;
mod config;
mod control;
mod data_dir;
mod failure;
mod front;
mod harden;
mod house;
mod listen;
mod master_key;
mod measured;
mod metrics;
mod out;
mod port;
mod seats;
mod telemetry;
mod tls;
mod visitor;

use std::process::ExitCode;

use clap::Parser as _;

/// A request is some dozens of small allocations; the C library's allocator showed in the profile of a read.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::Grantry::parse().run() {
        Ok(code) => code,
        Err(failure) => {
            out::failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

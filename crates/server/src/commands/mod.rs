//! The commands, one file each.

mod apply;
mod authorizations;
mod completions;
mod config;
mod connections;
mod connectors;
mod consent;
mod dev;
mod doctor;
mod events;
mod healthcheck;
mod keys;
mod list;
mod lost;
mod man;
mod me;
mod openapi;
mod people;
mod projects;
mod register;
mod run;
mod sandbox;
mod secrets;
mod serve;
mod services;
mod signing_keys;
mod target;
mod teams;
mod token;
mod workload_token;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime;

use crate::failure::{EXIT_CODES, Exit, Failure};
use crate::out::{self, Look};

/// Connects accounts of your users to your apps, and hands your workloads fresh tokens.
#[derive(Parser)]
#[command(name = "grantry", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Grantry {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    look: Look,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Try it: a server, a sandbox provider and a demo team on this machine
    Dev(dev::Args),
    /// Run the server
    Serve(serve::Args),
    /// Make the rows that a file declares exist
    Apply(apply::Args),
    /// Run the sandbox OAuth provider alone
    Sandbox(sandbox::Args),
    /// Print a fresh token, or the URL to connect
    Token(token::Args),
    /// Run a command with a fresh token in its environment
    Run(run::Args),
    /// Connectors: a team's registered clients of services
    Connectors(connectors::Args),
    /// Connections: what a consent left behind
    Connections(connections::Args),
    /// Authorizations: links that users open to connect
    Authorizations(authorizations::Args),
    /// Events: who did what
    Events(events::Args),
    /// Keys of a team, of an account, of the server
    Keys(keys::Args),
    /// Secrets: named values that are sealed and never given back
    Secrets(secrets::Args),
    /// Projects: workloads that consume tokens, and where they run
    Projects(projects::Args),
    /// Services: the catalogue of third parties
    Services(services::Args),
    /// Teams: the boundary of everything in them
    Teams(teams::Args),
    /// Users: people of an account
    Users(people::Users),
    /// Accounts: owners of teams; for the server's operator
    Accounts(people::Accounts),
    /// Show who you are to the server
    #[command(visible_alias = "whoami")]
    Me(me::Args),
    /// Keys that sign the server's own tokens
    SigningKeys(signing_keys::Args),
    /// Mint a token that proves which project runs where
    WorkloadToken(workload_token::Args),
    /// The configuration: what is in effect and why, whether a file is right, what there is to set
    Config(config::Args),
    /// Look for what is wrong with a deployment, and say how to mend it
    Doctor(doctor::Args),
    /// Whether the server on this machine can serve (for container engines)
    Healthcheck(healthcheck::Args),
    /// Print the OpenAPI document
    Openapi(openapi::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(man::Args),
}

impl Grantry {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        out::set_look(self.look);
        match self.command {
            Command::Dev(args) => server(dev::run(args)),
            Command::Serve(args) => server(serve::run(args)),
            Command::Sandbox(args) => server(sandbox::run(args)),
            Command::Apply(args) => client(apply::run(args)),
            Command::Token(args) => client(token::run(args)),
            Command::Run(args) => client(run::run(args)),
            Command::Connectors(args) => client(connectors::run(args)),
            Command::Connections(args) => client(connections::run(args)),
            Command::Authorizations(args) => client(authorizations::run(args)),
            Command::Events(args) => client(events::run(args)),
            Command::Keys(args) => client(keys::run(args)),
            Command::Secrets(args) => client(secrets::run(args)),
            Command::Projects(args) => client(projects::run(args)),
            Command::Services(args) => client(services::run(args)),
            Command::Teams(args) => client(teams::run(args)),
            Command::Users(args) => client(people::users(args)),
            Command::Accounts(args) => client(people::accounts(args)),
            Command::Me(args) => client(me::run(args)),
            Command::SigningKeys(args) => client(signing_keys::run(args)),
            Command::WorkloadToken(args) => client(workload_token::run(args)),
            Command::Config(args) => config::run(args),
            Command::Doctor(args) => client(doctor::run(args)),
            Command::Healthcheck(args) => client(healthcheck::run(args)),
            Command::Openapi(args) => openapi::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs a command that many clients talk to.
fn server(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    on(runtime::Builder::new_multi_thread(), command)
}

/// Runs a command that is one client.
fn client(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    on(runtime::Builder::new_current_thread(), async {
        tokio::select! {
            done = command => done,
            // What is on its way is dropped, and with it a spinner; then the process ends.
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        }
    })
}

fn on(
    mut builder: runtime::Builder,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, error))?;
    let done = runtime.block_on(command);
    if done
        .as_ref()
        .is_err_and(|failure| failure.exit == Exit::Interrupted)
    {
        // A thread may still wait for a person's answer.
        runtime.shutdown_background();
    }
    done
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::Grantry;

    /// Every command that does something, with its whole name.
    fn leaves(command: &Command, name: &str) -> Vec<String> {
        if !command.has_subcommands() {
            return vec![name.to_owned()];
        }
        let below = command.get_subcommands();
        let below = below.flat_map(|one| leaves(one, &format!("{name} {}", one.get_name())));
        below.collect()
    }

    #[test]
    fn every_command_is_sound_and_documented() {
        Grantry::command().debug_assert();
        let document = include_str!("../../../../docs/cli.md");
        for name in leaves(&Grantry::command(), "grantry") {
            assert!(document.contains(&name), "{name} is not in docs/cli.md");
        }
    }
}

//! `grantry completions`.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Grantry;
use crate::failure::Failure;
use crate::out;

/// Print a completion script for a shell.
#[derive(clap::Args)]
pub struct Args {
    /// Which shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Grantry::command(), "grantry", &mut script);
    out::line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

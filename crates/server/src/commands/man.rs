//! `grantry man`.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::Grantry;
use crate::failure::{Exit, Failure};
use crate::out;

/// Print the manual page, or write one for each command.
#[derive(clap::Args)]
pub struct Args {
    /// Write grantry.1, grantry-connectors.1 … to this folder, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the page, or writes them all.
pub fn run(args: &Args) -> Result<(), Failure> {
    let command = Grantry::command();
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        let rendered = Man::new(command).render(&mut page);
        rendered.map_err(|error| Failure::new(Exit::Failed, error))?;
        out::line(String::from_utf8_lossy(&page).trim_end());
        return Ok(());
    };
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("cannot write to {}: {error}", folder.display()),
        )
    })?;
    out::note(&format!("The pages are in {}.", folder.display()));
    Ok(())
}

//! `grantry me`.

use grantry_core::http::Method;

use super::list;
use super::target::Target;
use crate::client::Content;
use crate::failure::Failure;

/// Show who you are to the server: key, role, team, person or project.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

/// Prints it.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    let me = client
        .demand(Method::Get, "/me", &[], Content::None)
        .await?;
    list::print_row(&me, form);
    Ok(())
}

//! The flows beside a user's consent: taking tokens in, installing an application (reference/vercel-connect D2, E2).

mod import;
mod install;

use crate::kit::route::Route;

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[import::IMPORT, install::INSTALL];

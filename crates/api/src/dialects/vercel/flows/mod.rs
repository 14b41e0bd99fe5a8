//! The flows beside a user's consent: taking tokens in, installing an application, registering one
//! (reference/vercel-connect A2, A3, D2, E2).

mod import;

use crate::kit::route::Route;

/// Their rows of the route table.
pub const ROUTES: &[Route] = &[import::IMPORT];

//! Vercel Connect, at the root (reference/vercel-connect).

pub mod error;

use crate::kit::route::Route;

/// Vercel's rows of the route table.
pub const ROUTES: &[Route] = &[];

//! Pages for people.

use crate::kit::route::Route;

/// The pages' rows of the route table.
pub const ROUTES: &[Route] = &[];

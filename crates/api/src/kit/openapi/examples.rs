//! The examples of a route as the document shows them: under one name in its parameters, its body and its answer.

use serde_json::Value;
use utoipa::openapi::example::{Example as Shown, ExampleBuilder};

use crate::kit::route::Route;
use crate::native::examples::{self, Example};

/// An example under its name.
pub type Named = (String, &'static Example);

/// The examples of `route`.
pub fn of(route: &Route) -> Vec<Named> {
    let numbered = (1..).zip(examples::of(route.operation));
    numbered
        .map(|(number, example)| (format!("example-{number}"), example))
        .collect()
}

/// What `part` takes out of each of them, where there is something.
pub fn values(
    examples: &[Named],
    part: impl Fn(&'static Example) -> Option<&'static Value>,
) -> Vec<(String, Shown)> {
    let shown = |(name, example): &Named| {
        let shown = ExampleBuilder::new()
            .summary(example.about.as_str())
            .description(example.by.about())
            .value(Some(part(example)?.clone()));
        Some((name.clone(), shown.build()))
    };
    examples.iter().filter_map(shown).collect()
}

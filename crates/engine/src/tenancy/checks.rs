//! What texts of this part may hold: the shapes of the apply file's fields.

use grantry_core::limits::NAME_BYTES_MAX;
use grantry_core::{Error, Problem, Result};

use crate::apply::{Shape, fits};

pub const NAME: Shape = Shape::Name(NAME_BYTES_MAX);

/// Collects what is wrong with the fields of one request.
#[derive(Default)]
pub struct Checks(Vec<Problem>);

impl Checks {
    /// `text` has to be of `shape`, if it is there.
    pub fn text(&mut self, field: &str, shape: &Shape, text: Option<&str>) {
        if let Some(text) = text
            && !fits(shape, text)
        {
            self.add(field, format!("must be {}", shape.expected()));
        }
    }

    /// The same of each text of a list.
    pub fn texts(&mut self, field: &str, shape: &Shape, texts: Option<&[String]>) {
        for (index, text) in texts.unwrap_or_default().iter().enumerate() {
            self.text(&format!("{field}[{index}]"), shape, Some(text));
        }
    }

    /// Something else that is wrong.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(field, message));
    }

    /// All that was found.
    pub fn done(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(self.0))
        }
    }
}

//! Declared rows made to exist (design §10): what `grantry apply` does.
//!
//! A file is read ([`Declared::parse`]), then planned against the store, and only when nothing is
//! wrong with any row is the first one written. A second run finds every row as declared and writes
//! nothing. Rows that were deleted come back; rows that are not declared are left alone.
//!
//! - `schema`: the tables and their fields, as data. `rows`: the same as types.
//! - `read`, `parse`, `env`: from text to rows.
//! - `plan/`: which rows differ from the store, and how.
//! - `write`: the writes, many at once, so that they share commits.

mod env;
mod parse;
mod plan;
mod problem;
mod read;
mod rows;
mod schema;
mod write;

use std::sync::Arc;

use grantry_core::{Result, Secret};

pub use env::resolve_env;
pub use parse::Declared;
pub use problem::{ApplyProblem, Place};

use crate::Engine;

/// What became of a declared row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there, and differed.
    Updated,
    /// It was there as declared.
    Unchanged,
    /// It had been deleted or revoked.
    Restored,
}

impl Change {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Restored => "restored",
        }
    }

    fn between<T: PartialEq>(old: Option<&T>, new: &T) -> Self {
        match old {
            None => Self::Created,
            Some(old) if old == new => Self::Unchanged,
            Some(_) => Self::Updated,
        }
    }
}

/// One row of a report.
pub struct AppliedRow {
    /// Its table.
    pub table: String,
    /// Which row of the table, from 1.
    pub row: usize,
    /// Its id in the store.
    pub id: String,
    /// What became of it.
    pub change: Change,
    /// The text of a key that was generated. It is never shown again.
    pub key: Option<Secret>,
}

/// What an apply did, or (dry) would do: one line per declared row, in the order of writing.
pub struct ApplyReport {
    /// The rows.
    pub rows: Vec<AppliedRow>,
    /// True when nothing was written.
    pub dry_run: bool,
}

impl Engine {
    /// Makes the declared rows exist, as the server. With `dry_run` it only says what would change;
    /// a generated key is then no key.
    ///
    /// Errors: [`grantry_core::Error::Invalid`] with every row that cannot be made, before anything
    /// is written. Writes are per row: if the store fails on the way, a second run goes on from there.
    pub async fn apply(self: &Arc<Self>, declared: Declared, dry_run: bool) -> Result<ApplyReport> {
        let stages = plan::plan(self, declared).await?;
        let mut rows = Vec::new();
        for stage in stages {
            if dry_run {
                let planned = stage.into_iter().map(|step| AppliedRow {
                    key: None,
                    ..step.row
                });
                rows.extend(planned);
            } else {
                rows.extend(self.write_stage(stage).await?);
            }
        }
        Ok(ApplyReport { rows, dry_run })
    }
}

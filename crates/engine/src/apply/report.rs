//! What an apply did, or would do.

use grantry_core::Secret;
use serde_json::Value;

/// What became of a row.
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
    /// It was there and is not declared (`--prune`).
    Removed,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Created,
        Self::Updated,
        Self::Restored,
        Self::Removed,
        Self::Unchanged,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Restored => "restored",
            Self::Removed => "removed",
        }
    }
}

/// One field of a row that is updated or restored.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Its path: `data.clientId`, `links.prj_1`.
    pub field: String,
    /// How it differs.
    pub difference: Difference,
}

/// How a field differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// It was the first and is the second; null where there is none.
    Shown(Value, Value),
    /// It holds a secret, and neither is shown.
    Secret,
}

impl FieldChange {
    /// A field that changes from `old` to `new`.
    pub fn shown(field: impl Into<String>, old: Value, new: Value) -> Self {
        Self {
            field: field.into(),
            difference: Difference::Shown(old, new),
        }
    }

    /// A secret field that changes.
    pub fn secret(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            difference: Difference::Secret,
        }
    }
}

/// One row of a report.
pub struct AppliedRow {
    /// Its table.
    pub table: String,
    /// Which row of the table in the file, from 1; a removed one is in none.
    pub row: Option<usize>,
    /// Its id in the store. In a dry run, that of a row which is to be made without one is minted
    /// and given up again.
    pub id: String,
    /// What it calls itself: a name, slug, uid or mail address. Empty when it has none.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// What differs, when it is updated or restored.
    pub fields: Vec<FieldChange>,
    /// The text of a key that was generated. It is never shown again.
    pub key: Option<Secret>,
}

/// What an apply did, or (dry) would do: one line per row, in the order of writing; first those of
/// the file, then those that are removed.
pub struct ApplyReport {
    /// The rows.
    pub rows: Vec<AppliedRow>,
    /// True when nothing was written.
    pub dry_run: bool,
}

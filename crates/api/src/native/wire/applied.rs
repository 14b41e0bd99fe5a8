//! What an apply did.

use std::collections::BTreeMap;

use grantry_engine::{ApplyReport, Change, Difference, FieldChange};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What an apply did, or would do.
#[derive(Serialize, ToSchema)]
pub struct Applied<'a> {
    dry_run: bool,
    /// How many rows of each change.
    summary: BTreeMap<&'static str, usize>,
    rows: Vec<AppliedRow<'a>>,
}

/// What an apply did, without the rows: they went before, in lines of their own.
#[derive(Serialize)]
pub struct AppliedInLines {
    dry_run: bool,
    summary: BTreeMap<&'static str, usize>,
}

/// One row of it.
#[derive(Serialize, ToSchema)]
pub struct AppliedRow<'a> {
    table: &'a str,
    /// From 1; a row that is removed is in no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    row: Option<usize>,
    id: &'a str,
    /// What the row calls itself.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    name: &'a str,
    change: &'static str,
    /// What differs, when the row is updated or restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    fields: Vec<Changed<'a>>,
    /// The text of a key that was generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<&'a str>,
}

/// One field: old and new, or only that a secret changes.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Changed<'a> {
    Shown {
        field: &'a str,
        old: &'a Value,
        new: &'a Value,
    },
    Secret {
        field: &'a str,
        secret: bool,
    },
}

impl<'a> From<&'a ApplyReport> for Applied<'a> {
    fn from(report: &'a ApplyReport) -> Self {
        Self {
            dry_run: report.dry_run,
            summary: summary(report),
            rows: report.rows.iter().map(AppliedRow::from).collect(),
        }
    }
}

impl From<&ApplyReport> for AppliedInLines {
    fn from(report: &ApplyReport) -> Self {
        Self {
            dry_run: report.dry_run,
            summary: summary(report),
        }
    }
}

impl<'a> From<&'a grantry_engine::AppliedRow> for AppliedRow<'a> {
    fn from(row: &'a grantry_engine::AppliedRow) -> Self {
        Self {
            table: &row.table,
            row: row.row,
            id: &row.id,
            name: &row.name,
            change: Change::as_str(row.change),
            fields: row.fields.iter().map(Changed::from).collect(),
            key: row.key.as_ref().map(|key| key.expose()),
        }
    }
}

fn summary(report: &ApplyReport) -> BTreeMap<&'static str, usize> {
    let mut summary: BTreeMap<_, _> = Change::ALL.map(|change| (change.as_str(), 0)).into();
    for row in &report.rows {
        *summary.entry(row.change.as_str()).or_default() += 1;
    }
    summary
}

impl<'a> From<&'a FieldChange> for Changed<'a> {
    fn from(change: &'a FieldChange) -> Self {
        let field = &change.field;
        match &change.difference {
            Difference::Shown(old, new) => Self::Shown { field, old, new },
            Difference::Secret => Self::Secret {
                field,
                secret: true,
            },
        }
    }
}

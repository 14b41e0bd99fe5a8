//! Declared rows made to exist (design §10): what `grantry apply` does.
//!
//! A file is read ([`Declared::parse`]), then planned against the store, and only when nothing is
//! wrong with any row is the first one written. A second run finds every row as declared and writes
//! nothing. Rows that were deleted come back; rows that are not declared are left alone, unless the
//! plan is told to prune, and then within the bounds that `plan/prune.rs` states.
//!
//! - `schema`: the tables and their fields, as data. `rows`: the same as types.
//! - `read`, `parse`, `env`: from text to rows.
//! - `plan/`: which rows differ from the store, and how.
//! - `write`: the writes, many at once, so that they share commits.
//! - `report`, `shown`: what became of each row, and what differs.

mod env;
mod parse;
mod plan;
mod problem;
mod read;
mod report;
mod rows;
mod schema;
mod service;
mod shown;
mod write;

use std::sync::Arc;

use grantry_core::Result;

pub use env::resolve_env;
pub use parse::Declared;
pub use problem::{ApplyProblem, Place};
pub(crate) use read::fits;
pub use report::{AppliedRow, ApplyReport, Change, Difference, FieldChange};
pub(crate) use schema::Shape;
pub(crate) use service::checked_service;

use crate::Engine;

/// What an apply has to do, found out and not yet done.
pub struct Plan {
    stages: Vec<Vec<plan::Step>>,
}

impl Plan {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.stages.iter().map(Vec::len).sum()
    }

    /// The stages as they are to be written, each row with its place in the report. Generated keys come last:
    /// only the report has their text, and whatever fails before would take it along.
    fn in_order(self) -> Vec<(Vec<usize>, Vec<plan::Step>)> {
        let mut last = (Vec::new(), Vec::new());
        let mut place = 0;
        let mut stages: Vec<_> = self
            .stages
            .into_iter()
            .map(|stage| {
                let mut of_stage = (Vec::new(), Vec::new());
                for step in stage {
                    let goes_to = match step.row.key {
                        Some(_) => &mut last,
                        None => &mut of_stage,
                    };
                    goes_to.0.push(place);
                    goes_to.1.push(step);
                    place += 1;
                }
                of_stage
            })
            .collect();
        stages.push(last);
        stages
    }

    /// What would become of each row. A key that would be generated has no text yet.
    pub fn report(self) -> ApplyReport {
        let steps = self.stages.into_iter().flatten();
        let rows = steps.map(|step| AppliedRow {
            key: None,
            ..step.row
        });
        ApplyReport {
            rows: rows.collect(),
            dry_run: true,
        }
    }
}

impl Engine {
    /// What has to be written so that the declared rows exist; with `prune`, also what has to go
    /// because it is not declared. Writes nothing.
    ///
    /// Errors: [`grantry_core::Error::Invalid`] with every row that cannot be made.
    pub async fn plan_apply(self: &Arc<Self>, declared: Declared, prune: bool) -> Result<Plan> {
        let stages = plan::plan(self, declared, prune).await?;
        Ok(Plan { stages })
    }

    /// Carries a plan out, as the server, whatever happens to the caller on the way. `done` is told
    /// how many rows are settled, again and again. Writes are per row: if the store fails on the way,
    /// a second run goes on from there.
    #[tracing::instrument(target = "grantry_spans", name = "apply", skip_all)]
    pub async fn carry_out(
        self: &Arc<Self>,
        plan: Plan,
        done: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<ApplyReport> {
        let engine = Arc::clone(self);
        self.uncancellable(async move {
            let mut rows = Vec::with_capacity(plan.rows());
            for (places, stage) in plan.in_order() {
                let before = rows.len();
                let done = |count| done(before + count);
                let written = engine.write_stage(stage, &done).await?;
                rows.extend(places.into_iter().zip(written));
            }
            rows.sort_by_key(|(place, _)| *place);
            Ok(ApplyReport {
                rows: rows.into_iter().map(|(_, row)| row).collect(),
                dry_run: false,
            })
        })
        .await
    }
}

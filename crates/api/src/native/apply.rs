//! `apply`: one answer, or lines that tell how far it is.

use std::convert::Infallible;
use std::iter;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::{Stream, StreamExt as _, stream};
use grantry_core::{Error, Problem, Result};
use grantry_engine::{AppliedRow, ApplyReport, Declared, Engine, Plan};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{error, wire};
use crate::kit::call::Call;
use crate::kit::{answer, repeat};

/// Lines of JSON. What asks for them is told how far the work is.
const LINES: &str = "application/x-ndjson";

/// Parts of the whole that are told one by one.
const PARTS: usize = 100;

/// Rows of a report in one line.
const ROWS: usize = 1000;

pub async fn apply(call: Call) -> Result<Response> {
    let file = call.query.text("file").unwrap_or("apply.toml");
    let declared = Declared::parse(file, &call.text)
        .map_err(|problems| Error::Invalid(problems.into_iter().map(Problem::from).collect()))?;
    let flag = |name| call.query.flag(name).unwrap_or_default();
    let plan = call.engine.plan_apply(declared, flag("prune")).await?;
    // What an Idempotency-Key stands for is the whole answer: a failure in the last line of one that began
    // as a success would be kept and repeated.
    let wants_lines = !call.headers.contains_key(repeat::KEY)
        && call
            .headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept == LINES);
    match (flag("dry_run"), wants_lines) {
        (true, false) => answer::ok(&wire::Applied::from(&plan.report())),
        (true, true) => Ok(as_lines(stream::iter(told(plan.report())))),
        (false, true) => Ok(in_lines(&call.engine, plan)),
        (false, false) => {
            let report = call.engine.carry_out(plan, |_| ()).await?;
            answer::ok(&wire::Applied::from(&report))
        }
    }
}

/// What is wrong with the file has been answered as any refusal is; what fails from here on comes in
/// the last line.
fn in_lines(engine: &Arc<Engine>, plan: Plan) -> Response {
    let total = plan.rows();
    let (lines, progress) = mpsc::unbounded_channel::<Value>();
    let done = move |done: usize| {
        if done * PARTS / total != (done - 1) * PARTS / total {
            // Whoever asked may be gone; the work goes on.
            let _unheard = lines.send(json!({"done": done, "total": total}));
        }
    };
    let (end, ended) = oneshot::channel();
    let engine = Arc::clone(engine);
    let work = async move {
        let outcome = engine.carry_out(plan, done).await;
        let _unheard = end.send(outcome);
    };
    // The body's stream drives the work along, and has no line of its own from it.
    let work = stream::once(work).filter_map(async |()| None);
    let progress = stream::unfold(progress, async |mut progress| {
        let line = progress.recv().await?;
        Some((line, progress))
    });
    let last = stream::once(ended).flat_map(|outcome| {
        let lines: Box<dyn Iterator<Item = Value> + Send> = match outcome {
            Ok(Ok(report)) => Box::new(told(report)),
            Ok(Err(failed)) => Box::new(iter::once(problem(&failed))),
            // The work is a part of this very stream.
            Err(_) => Box::new(iter::once(problem(&Error::Internal))),
        };
        stream::iter(lines)
    });
    as_lines(stream::select(progress.chain(last), work))
}

fn problem(failed: &Error) -> Value {
    json!({"problem": error::details(failed).1})
}

/// A report: its rows, so many in a line, and what they come to in the last one. There may be a million.
fn told(report: ApplyReport) -> impl Iterator<Item = Value> + Send {
    let last = json!({"report": wire::AppliedInLines::from(&report)});
    let mut rows = report.rows.into_iter();
    let rows = iter::from_fn(move || {
        let some: Vec<AppliedRow> = rows.by_ref().take(ROWS).collect();
        let shown: Vec<_> = some.iter().map(wire::AppliedRow::from).collect();
        (!shown.is_empty()).then(|| json!({"rows": shown}))
    });
    rows.chain(iter::once(last))
}

fn as_lines(lines: impl Stream<Item = Value> + Send + 'static) -> Response {
    let lines = lines.map(|line| Ok::<_, Infallible>(format!("{line}\n")));
    let mut answer = Response::new(Body::from_stream(lines));
    let media_type = HeaderValue::from_static(LINES);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}

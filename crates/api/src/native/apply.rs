//! `apply`: one answer, or lines that tell how far it is.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use grantry_core::{Error, Problem, Result};
use grantry_engine::{Declared, Engine, Plan};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{error, wire};
use crate::kit::call::Call;
use crate::kit::{answer, repeat};

/// Lines of JSON. What asks for them is told how far the work is.
const LINES: &str = "application/x-ndjson";

/// Parts of the whole that are told one by one.
const PARTS: usize = 100;

pub async fn apply(call: Call) -> Result<Response> {
    let file = call.query.text("file").unwrap_or("apply.toml");
    let declared = Declared::parse(file, &call.text)
        .map_err(|problems| Error::Invalid(problems.into_iter().map(Problem::from).collect()))?;
    let flag = |name| call.query.flag(name).unwrap_or_default();
    let plan = call.engine.plan_apply(declared, flag("prune")).await?;
    if flag("dry_run") {
        return answer::ok(&wire::Applied::from(&plan.report()));
    }
    // What an Idempotency-Key stands for is the whole answer: a failure in the last line of one that began
    // as a success would be kept and repeated.
    let wants_lines = !call.headers.contains_key(repeat::KEY)
        && call
            .headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept == LINES);
    if wants_lines {
        return Ok(in_lines(&call.engine, plan));
    }
    let report = call.engine.carry_out(plan, |_| ()).await?;
    answer::ok(&wire::Applied::from(&report))
}

/// What is wrong with the file has been answered as any refusal is; what fails from here on comes in
/// the last line.
fn in_lines(engine: &Arc<Engine>, plan: Plan) -> Response {
    let total = plan.rows();
    let (lines, told) = mpsc::unbounded_channel::<Value>();
    let progress = lines.clone();
    let done = move |done: usize| {
        if done * PARTS / total != (done - 1) * PARTS / total {
            // Whoever asked may be gone; the work goes on.
            let _unheard = progress.send(json!({"done": done, "total": total}));
        }
    };
    let engine = Arc::clone(engine);
    let work = async move {
        let last = match engine.carry_out(plan, done).await {
            Ok(report) => json!({"report": wire::Applied::from(&report)}),
            Err(failed) => json!({"problem": error::details(&failed).1}),
        };
        let _unheard = lines.send(last);
    };
    // The body's stream drives the work along, and has no line of its own from it.
    let told = stream::unfold(told, async |mut told| {
        let line = told.recv().await?;
        Some((Ok::<_, Infallible>(format!("{line}\n")), told))
    });
    let work = stream::once(work).filter_map(async |()| None);
    let mut answer = Response::new(Body::from_stream(stream::select(told, work)));
    let media_type = HeaderValue::from_static(LINES);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}

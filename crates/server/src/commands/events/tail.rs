//! `grantry events tail`.

use grantry_core::http::Method;
use serde_json::Value;

use crate::client::{Client, Content};
use crate::commands::lost::{Heard, Lost};
use crate::failure::Failure;
use crate::out::{self, Form, when};

/// How long the server holds a question for which there is no answer yet.
const WAIT_MS: &str = "10000";

/// Follows the log for ever. The cursor survives the server's restarts, so nothing is missed.
///
/// # Errors
/// When the first question fails, or a later one is refused for good.
pub async fn run(client: Client, filter: &[(&str, &str)], form: Form) -> Result<(), Failure> {
    let client = client.waiting("Waiting for events");
    let mut cursor: Option<String> = None;
    let mut lost = Lost::default();
    loop {
        let mut query = filter.to_vec();
        query.push(("wait_ms", if cursor.is_some() { WAIT_MS } else { "0" }));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = client.call(Method::Get, "/events", &query, Content::None);
        match lost.hear(answer.await)? {
            Heard::Answer(Ok(page)) => {
                for event in page["data"].as_array().into_iter().flatten() {
                    show(event, form);
                }
                cursor = page["next_cursor"].as_str().map(str::to_owned).or(cursor);
            }
            Heard::Answer(Err(refusal)) => return Err(refusal.failure()),
            Heard::Nothing(failure) if cursor.is_none() => return Err(failure),
            Heard::Nothing(failure) => lost.pause(&failure).await,
        }
    }
}

fn show(event: &Value, form: Form) {
    if form == Form::Json {
        // One a line: a stream has no end that could close an array.
        return out::line(&event.to_string());
    }
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let actor = text("/actor/id")
        .or(text("/actor/type"))
        .unwrap_or_default();
    let about = [text("/connector"), text("/connection")];
    let about: Vec<&str> = about.into_iter().flatten().collect();
    let line = format!(
        "{}  {:<24}  {actor:<16}  {}",
        when::to_the_second(text("/at").unwrap_or_default()),
        text("/kind").unwrap_or_default(),
        about.join(" ")
    );
    out::line(out::table::plain(&line).trim_end());
}

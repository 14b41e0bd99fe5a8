//! What a search brought.

use grantry_engine::Searched as Found;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What a search brought.
#[derive(Serialize, ToSchema)]
pub struct Searched<'a> {
    /// The connector's id.
    connector: &'a str,
    /// The documents, as the endpoint gave them.
    results: &'a [Map<String, Value>],
    /// The same without the fields that the connector keeps from language models (`excludes`).
    prompt_results: Vec<Map<String, Value>>,
    /// The endpoint's status; `null` when it gave no answer.
    status: Option<u16>,
    took_ms: u64,
    /// Why there are none, where the connector or the request goes on after a failure.
    error: Option<&'a str>,
}

impl<'a> From<&'a Found> for Searched<'a> {
    fn from(found: &'a Found) -> Self {
        Self {
            connector: found.connector.as_str(),
            results: found.results.as_deref().unwrap_or_default(),
            prompt_results: found.for_prompt(),
            status: found.status,
            took_ms: u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
            error: found.results.as_ref().err().map(|why| why.message.as_str()),
        }
    }
}

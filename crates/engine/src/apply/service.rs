//! One service on its own, checked as a row of `[[services]]` is.

use grantry_core::Problem;
use serde_json::{Map, Value};

use super::problem::Place;
use super::read::Reader;
use super::schema;

/// The fields of a service, or all that is wrong with them.
pub fn checked_service(mut data: Map<String, Value>) -> Result<Map<String, Value>, Vec<Problem>> {
    // The row is named by whoever asks, not by a field.
    let id_given = data.insert("id".to_owned(), "service".into()).is_some();
    let whole = |message: String| vec![Problem::new("", message)];
    if id_given {
        return Err(vec![Problem::new("id", "is given by the path")]);
    }
    let table = toml::Table::try_from(&data)
        .map_err(|_| whole("must not hold null, nor numbers beyond 64 bits".to_owned()))?;
    let mut problems = Vec::new();
    let mut reader = Reader {
        place: &Place::file("body"),
        problems: &mut problems,
    };
    let mut checked = reader.table("", schema::SERVICES, &table);
    checked.remove("id");
    if problems.is_empty() {
        return Ok(checked);
    }
    let problems = problems.into_iter();
    Err(problems
        .map(|problem| Problem::new(problem.field, problem.message))
        .collect())
}

//! What the commands that list, show and remove rows have in common.

use grantry_core::http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Content, segment};
use crate::failure::Failure;
use crate::out::{self, Form};

/// Flags of a command that lists.
#[derive(clap::Args)]
pub struct Page {
    /// How many rows at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// A heading, and the JSON pointers of what stands below it: the first that is there.
pub type Column = (&'static str, &'static [&'static str]);

/// Rows that one request asks for; the server gives fewer if it likes.
const ROWS_MAX: u32 = 100;

/// Prints the newest rows at `path`, as a table of `columns` or as one JSON array.
pub async fn list<const N: usize>(
    client: &Client,
    path: &str,
    filter: &[(&str, &str)],
    page: &Page,
    columns: [Column; N],
    form: Form,
) -> Result<(), Failure> {
    let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let missing = u32::try_from(wanted - rows.len()).unwrap_or(ROWS_MAX);
        let limit = missing.min(ROWS_MAX).to_string();
        let mut query = filter.to_vec();
        query.push(("limit", &limit));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let mut answer = client
            .demand(Method::Get, path, &query, Content::None)
            .await?;
        if let Value::Array(more) = answer["data"].take() {
            rows.extend(more);
        }
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || rows.len() >= wanted {
            break;
        }
    }
    rows.truncate(wanted);
    match form {
        Form::Json => out::json(&Value::Array(rows)),
        Form::People if rows.is_empty() => out::note("There are none."),
        Form::People => {
            let cells: Vec<[String; N]> = rows.iter().map(|row| cells(row, &columns)).collect();
            out::table(columns.map(|(heading, _)| heading), &cells);
            if cursor.is_some() {
                out::note("There are more: --limit shows them.");
            }
        }
    }
    Ok(())
}

/// Prints the row `id` at `path`.
pub async fn show(client: &Client, path: &str, id: &str, form: Form) -> Result<(), Failure> {
    let path = format!("{path}/{}", segment(id));
    let row = client
        .demand(Method::Get, &path, &[], Content::None)
        .await?;
    print_row(&row, form);
    Ok(())
}

/// Deletes the row `id` at `path`, and says so in `done`'s words.
pub async fn remove(
    client: &Client,
    path: &str,
    id: &str,
    done: &str,
    form: Form,
) -> Result<(), Failure> {
    let path = format!("{path}/{}", segment(id));
    let answer = client
        .demand(Method::Delete, &path, &[], Content::None)
        .await?;
    match form {
        Form::Json if answer.is_null() => out::json(&json!({ "id": id })),
        Form::Json => out::json(&answer),
        Form::People => out::note(&format!("{id} is {done}.")),
    }
    Ok(())
}

/// Prints one row: a line for each field, or JSON.
pub fn print_row(row: &Value, form: Form) {
    let fields = row.as_object().filter(|_| form == Form::People);
    let Some(fields) = fields else {
        return out::json(row);
    };
    let shown = fields.iter().filter(|(_, value)| !value.is_null());
    let rows: Vec<[String; 2]> = shown
        .map(|(name, value)| [name.clone(), text(value)])
        .collect();
    out::table(["FIELD", "VALUE"], &rows);
}

fn cells<const N: usize>(row: &Value, columns: &[Column; N]) -> [String; N] {
    std::array::from_fn(|column| {
        let mut found = columns[column]
            .1
            .iter()
            .filter_map(|pointer| row.pointer(pointer));
        found
            .find(|value| !value.is_null())
            .map(|value| to_the_second(text(value)))
            .unwrap_or_default()
    })
}

/// A time without its fraction, which a list does not need; any other text as it is.
fn to_the_second(text: String) -> String {
    match (text.parse::<jiff::Timestamp>(), text.split_once('.')) {
        (Ok(_), Some((whole, _))) => format!("{whole}Z"),
        _ => text,
    }
}

/// A value on one line.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            words.join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_times_to_the_second() {
        for (text, shown) in [
            ("2026-11-23T15:34:45.698717Z", "2026-11-23T15:34:45Z"),
            ("2026-11-23T15:34:45Z", "2026-11-23T15:34:45Z"),
            ("v1.2", "v1.2"),
        ] {
            assert_eq!(to_the_second(text.to_owned()), shown);
        }
    }

    #[test]
    fn a_cell_is_the_first_value_that_is_there() {
        let columns: [Column; 3] = [
            ("ID", &["/id"]),
            ("WHO", &["/subject/id", "/subject/type"]),
            ("SCOPES", &["/scopes"]),
        ];
        let app = json!({ "id": "conn_1", "subject": { "type": "app", "id": null }, "scopes": ["a", "b"] });
        assert_eq!(cells(&app, &columns), ["conn_1", "app", "a b"]);
        let user = json!({ "subject": { "type": "user", "id": "u1" }, "scopes": [1] });
        assert_eq!(cells(&user, &columns), ["", "u1", "[1]"]);
    }
}

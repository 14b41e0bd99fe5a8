//! What the commands that list, show and remove rows have in common.

use grantry_core::http::Method;
use grantry_core::{Clock as _, Timestamp};
use serde_json::{Map, Value, json};

use crate::client::{Client, Content, segment};
use crate::clock::SystemClock;
use crate::failure::Failure;
use crate::out::confirm::Sure;
use crate::out::table::{self, Kind};
use crate::out::{self, Form, when};

/// Flags of a command that lists.
#[derive(clap::Args)]
pub struct Page {
    /// How many rows at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Every row
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// A column of a list: its heading, and the JSON pointers of what stands below it, the first that is
/// there.
pub struct Column {
    heading: &'static str,
    shows: Shows,
    from: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    As(Kind),
    Time,
}

/// A column of what other commands take.
pub const fn id(heading: &'static str, from: &'static [&'static str]) -> Column {
    column(heading, Shows::As(Kind::Id), from)
}

/// A column of words.
pub const fn text(heading: &'static str, from: &'static [&'static str]) -> Column {
    column(heading, Shows::As(Kind::Text), from)
}

/// A column of how things are.
pub const fn state(heading: &'static str, from: &'static [&'static str]) -> Column {
    column(heading, Shows::As(Kind::State), from)
}

/// A column of times: how long ago on a terminal, RFC 3339 elsewhere.
pub const fn time(heading: &'static str, from: &'static [&'static str]) -> Column {
    column(heading, Shows::Time, from)
}

const fn column(heading: &'static str, shows: Shows, from: &'static [&'static str]) -> Column {
    Column {
        heading,
        shows,
        from,
    }
}

/// Rows of one kind: where they are, how they look, and what to do when there are none.
pub struct Rows<const N: usize> {
    /// Path of the list.
    pub path: &'static str,
    /// Its columns.
    pub columns: [Column; N],
    /// What to do next when there are none.
    pub none: &'static str,
}

/// The filters that were given. An empty one is mostly a script's variable that is not set, and to a
/// server it is none at all: what was meant for some rows would be done to all of them.
///
/// # Errors
/// [`crate::failure::Exit::Usage`] for an empty one.
pub fn given<'a, const N: usize>(
    filters: [(&'static str, &'a Option<String>); N],
) -> Result<Vec<(&'static str, &'a str)>, Failure> {
    let given = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let given: Vec<_> = given.collect();
    match given.iter().find(|(_, value)| value.is_empty()) {
        Some((name, _)) => {
            let flag = format!("--{} is empty", name.replace('_', "-"));
            Err(Failure::usage(flag).hint("Leave it out where all are meant."))
        }
        None => Ok(given),
    }
}

impl<const N: usize> Rows<N> {
    /// Prints the first rows that `filter` lets through, as a table or as one JSON array.
    pub async fn list(
        &self,
        client: &Client,
        filter: &[(&str, &str)],
        page: &Page,
        form: Form,
    ) -> Result<(), Failure> {
        self.list_at(client, self.path, filter, page, form).await
    }

    /// [`Rows::list`] of the list at `path`, where that is another one for each parent.
    pub async fn list_at(
        &self,
        client: &Client,
        path: &str,
        filter: &[(&str, &str)],
        page: &Page,
        form: Form,
    ) -> Result<(), Failure> {
        let wanted = match page.all {
            true => usize::MAX,
            false => usize::try_from(page.limit).unwrap_or(usize::MAX),
        };
        let (rows, more) = fetch(client, path, filter, wanted).await?;
        match form {
            Form::Json => out::json(&Value::Array(rows)),
            Form::People if rows.is_empty() && filter.is_empty() => out::note(self.none),
            Form::People if rows.is_empty() => out::note("There are none with these filters."),
            Form::People => {
                self.print(&rows);
                if more {
                    out::note("There are more: --limit N or --all shows them.");
                }
            }
        }
        Ok(())
    }

    /// Prints the row `id`.
    pub async fn show(&self, client: &Client, id: &str, form: Form) -> Result<(), Failure> {
        show(client, self.path, id, form).await
    }

    /// Makes a row of `body`.
    pub async fn create(&self, client: &Client, body: Value, form: Form) -> Result<(), Failure> {
        send(client, Method::Post, self.path, body, form).await
    }

    /// Changes the row `id` as `body` says.
    ///
    /// # Errors
    /// [`crate::failure::Exit::Usage`] when it says nothing.
    pub async fn change(
        &self,
        client: &Client,
        id: &str,
        body: Value,
        form: Form,
    ) -> Result<(), Failure> {
        change(client, self.path, id, body, form).await
    }

    /// Deletes the row `id` once `question` is answered with yes, and says so in `done`'s words.
    pub async fn delete(
        &self,
        client: &Client,
        id: &str,
        (sure, question): (Sure, String),
        done: &str,
        form: Form,
    ) -> Result<(), Failure> {
        sure.or_ask(question).await?;
        remove(client, self.path, id, done, form).await
    }

    /// Prints `rows` as a table.
    pub fn print(&self, rows: &[Value]) {
        let columns = self.columns.each_ref().map(|column| match column.shows {
            Shows::As(kind) => (column.heading, kind),
            Shows::Time => (column.heading, Kind::Id),
        });
        let now = out::is_terminal().then(|| SystemClock.now());
        let cells: Vec<[String; N]> = rows.iter().map(|row| self.cells(row, now)).collect();
        table::print(&columns, &cells);
    }

    fn cells(&self, row: &Value, now: Option<Timestamp>) -> [String; N] {
        self.columns.each_ref().map(|column| {
            let mut found = column
                .from
                .iter()
                .filter_map(|pointer| row.pointer(pointer));
            let found = found.find(|value| !value.is_null());
            let cell = found.map(word).unwrap_or_default();
            match (column.shows, now, when::parse(&cell)) {
                (Shows::Time, Some(now), Some(at)) => when::relative(at, now),
                (Shows::Time, _, _) => when::to_the_second(&cell),
                _ => cell,
            }
        })
    }
}

/// Rows that one request asks for; the server gives fewer if it likes.
const ROWS_MAX: usize = 100;

/// At most `wanted` rows of the list at `path`, and whether there are more.
pub async fn fetch(
    client: &Client,
    path: &str,
    filter: &[(&str, &str)],
    wanted: usize,
) -> Result<(Vec<Value>, bool), Failure> {
    let mut rows: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let limit = (wanted - rows.len()).min(ROWS_MAX).to_string();
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
            rows.truncate(wanted);
            return Ok((rows, cursor.is_some()));
        }
    }
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

/// The fields of a request that were given.
pub fn body<const N: usize>(fields: [(&str, Option<String>); N]) -> Value {
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    Value::Object(given.collect())
}

/// Sends `body` and prints the row that comes back.
pub async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Value,
    form: Form,
) -> Result<(), Failure> {
    let row = client
        .demand(method, path, &[], Content::Json(body))
        .await?;
    print_row(&row, form);
    Ok(())
}

/// Changes the row `id` at `path` as `body` says.
///
/// # Errors
/// [`crate::failure::Exit::Usage`] when it says nothing.
pub async fn change(
    client: &Client,
    path: &str,
    id: &str,
    body: Value,
    form: Form,
) -> Result<(), Failure> {
    if body.as_object().is_some_and(Map::is_empty) {
        return Err(
            Failure::usage("nothing to change is given").hint("--help shows what there is.")
        );
    }
    let path = format!("{path}/{}", segment(id));
    send(client, Method::Patch, &path, body, form).await
}

/// Deletes the row `id` at `path`, and says so in `done`'s words.
pub async fn remove(
    client: &Client,
    path: &str,
    id: &str,
    done: &str,
    form: Form,
) -> Result<(), Failure> {
    remove_with(client, (path, id), &[], done, form).await
}

/// [`remove`] with a query.
pub async fn remove_with(
    client: &Client,
    (path, id): (&str, &str),
    query: &[(&str, &str)],
    done: &str,
    form: Form,
) -> Result<(), Failure> {
    let path = format!("{path}/{}", segment(id));
    let answer = client
        .demand(Method::Delete, &path, query, Content::None)
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
    if form == Form::Json || !row.is_object() {
        return out::json(row);
    }
    let mut fields = Vec::new();
    lines_of("", row, &mut fields);
    out::fields(&fields);
}

/// A line for each field of `value`, those of an object within it with a dot in their names. What is
/// empty has none.
fn lines_of(name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = match name {
                    "" => field.clone(),
                    name => format!("{name}.{field}"),
                };
                lines_of(&name, value, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                lines.push((name.to_owned(), in_short(item)));
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::String(text) => lines.push((name.to_owned(), when::to_the_second(text))),
        value => lines.push((name.to_owned(), word(value))),
    }
}

/// An object on one line, without its times.
fn in_short(item: &Value) -> String {
    let Some(fields) = item.as_object() else {
        return word(item);
    };
    let told = fields
        .iter()
        .filter(|(name, value)| !value.is_null() && !name.ends_with("_at"));
    let words: Vec<String> = told
        .map(|(name, value)| format!("{name}={}", word(value).replace(' ', ",")))
        .collect();
    words.join(" ")
}

/// A value on one line.
fn word(value: &Value) -> String {
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
    fn a_cell_is_the_first_value_that_is_there() {
        let rows = Rows {
            path: "/x",
            columns: [
                id("ID", &["/id"]),
                text("WHO", &["/subject/id", "/subject/type"]),
                text("SCOPES", &["/scopes"]),
                time("AT", &["/at"]),
            ],
            none: "",
        };
        let app = json!({
            "id": "conn_1", "subject": { "type": "app", "id": null }, "scopes": ["a", "b"],
            "at": "2026-11-23T15:34:45.698717Z",
        });
        let cells = rows.cells(&app, None);
        assert_eq!(cells, ["conn_1", "app", "a b", "2026-11-23T15:34:45Z"]);
        let user = json!({ "subject": { "type": "user", "id": "u1" }, "scopes": [1], "at": "2026-11-23T15:34:45Z" });
        let now = when::parse("2026-11-23T15:44:45Z");
        assert_eq!(rows.cells(&user, now), ["", "u1", "[1]", "10 min ago"]);
    }

    #[test]
    fn a_row_is_shown_field_by_field() {
        let row = json!({
            "id": "scl_1", "icon": null, "data": { "clientId": "me", "scopes": ["a", "b"] }, "metadata": {},
            "links": [{ "project": "p1", "environments": ["production", "preview"], "created_at": "2026-01-01T00:00:00Z" }],
            "audience": [], "has_secrets": true, "created_at": "2026-11-23T15:34:45.698717Z",
        });
        let mut lines = Vec::new();
        lines_of("", &row, &mut lines);
        let lines: Vec<String> = lines
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            lines,
            [
                "id: scl_1",
                "data.clientId: me",
                "data.scopes: a b",
                "links: project=p1 environments=production,preview",
                "has_secrets: true",
                "created_at: 2026-11-23T15:34:45Z",
            ]
        );
    }
}

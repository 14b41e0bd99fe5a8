//! What became of the rows, for people.

use std::io::{self, IsTerminal as _};

use serde_json::Value;

use crate::out::colour::{self, Paint};
use crate::out::table::plain;
use crate::out::{self, Form};

/// Rows of one kind in a row that a terminal is shown; the rest is counted.
const SHOWN: usize = 20;

/// Prints a report: each row that changes, with what differs, and how many did.
pub fn print(report: &Value, form: Form) {
    if form == Form::Json {
        return out::json(report);
    }
    let rows = list(&report["rows"]);
    let all = !io::stdout().is_terminal();
    for line in lines(rows, all, colour::on(&io::stdout())) {
        out::line(&line);
    }
    conclude(report);
}

/// What is asked before rows that are not declared are removed; nothing where there are none. Whoever says
/// no keeps everything as it is, so the question names all that would be done.
pub fn question(report: &Value) -> Option<String> {
    let count = |change: &str| report["summary"][change].as_u64().unwrap_or(0);
    let rows = |rows| match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    match (changes(report), count("removed")) {
        (_, 0) => None,
        (0, removed) => Some(format!("Remove {}?", rows(removed))),
        (changed, removed) => Some(format!("Change {} and remove {removed}?", rows(changed))),
    }
}

/// Prints how many rows changed, and the keys that were made.
pub fn conclude(report: &Value) {
    let rows = list(&report["rows"]);
    out::note(&conclusion(report, rows.len()));
    for row in rows.iter().filter(|row| row["key"].is_string()) {
        out::note(&format!("Key {}, shown only now:", text(row, "id")));
        out::line(text(row, "key"));
    }
}

/// Declared rows that a report changes.
fn changes(report: &Value) -> u64 {
    let counts = ["created", "updated", "restored"].map(|change| &report["summary"][change]);
    counts.iter().filter_map(|count| count.as_u64()).sum()
}

/// Shows a report on the terminal, before it is asked whether to go on. Standard output is the result's.
pub fn preview(report: &Value) {
    let rows = list(&report["rows"]);
    for line in lines(rows, false, colour::on(&io::stderr())) {
        out::aside(&line);
    }
    out::aside(&conclusion(report, rows.len()));
}

fn conclusion(report: &Value, rows: usize) -> String {
    let changed = changes(report);
    let removed = report["summary"]["removed"].as_u64().unwrap_or(0);
    let declared = u64::try_from(rows).unwrap_or(u64::MAX) - removed;
    let would = if report["dry_run"] == true {
        "would change"
    } else {
        "changed"
    };
    let mut words = format!("{changed} of {declared} declared rows {would}");
    if removed > 0 {
        let be = if report["dry_run"] == true {
            "would be"
        } else {
            "were"
        };
        words.push_str(&format!("; {removed} that are not declared {be} removed"));
    }
    words + "."
}

fn lines(rows: &[Value], all: bool, coloured: bool) -> Vec<String> {
    let changed: Vec<&Value> = rows
        .iter()
        .filter(|row| row["change"] != "unchanged")
        .collect();
    let width = |name: &str| {
        let widths = changed.iter().map(|row| text(row, name).chars().count());
        widths.max().unwrap_or(0)
    };
    let (table_width, id_width) = (width("table"), width("id").min(40));
    let mut lines = Vec::new();
    let alike = |one: &&Value, other: &&Value| {
        one["table"] == other["table"] && one["change"] == other["change"]
    };
    for run in changed.chunk_by(alike) {
        let shown = if all { run.len() } else { SHOWN };
        for row in run.iter().take(shown) {
            let change = format!("{:8}", text(row, "change"));
            let line = format!(
                "{}  {:table_width$}  {:id_width$}  {}",
                paint(text(row, "change")).on(&change, coloured),
                text(row, "table"),
                plain(text(row, "id")),
                plain(text(row, "name"))
            );
            lines.push(line.trim_end().to_owned());
            lines.extend(list(&row["fields"]).iter().map(field));
        }
        if run.len() > shown {
            let (change, table) = (text(run[0], "change"), text(run[0], "table"));
            let rest = format!(
                "{change:8}  {table}: {} more (--json has them all)",
                run.len() - shown
            );
            lines.push(Paint::Dim.on(&rest, coloured));
        }
    }
    lines
}

/// `    data.clientId: "old" -> "new"`
fn field(field: &Value) -> String {
    let name = plain(text(field, "field"));
    if field["secret"] == true {
        return format!("    {name}: changed (secret)");
    }
    let show = |value: &Value| match value {
        Value::Null => "(none)".to_owned(),
        value => plain(&value.to_string()),
    };
    format!(
        "    {name}: {} -> {}",
        show(&field["old"]),
        show(&field["new"])
    )
}

fn paint(change: &str) -> Paint {
    match change {
        "created" | "restored" => Paint::Green,
        "updated" => Paint::Yellow,
        "removed" => Paint::Red,
        _ => Paint::Plain,
    }
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_shows_each_change_and_what_differs() {
        let rows = json!([
            {"table": "teams", "row": 1, "id": "team_1", "name": "acme", "change": "unchanged"},
            {"table": "connectors", "row": 1, "id": "scl_1", "name": "Acme", "change": "updated", "fields": [
                {"field": "name", "old": "A", "new": "Acme\u{1b}[2J"},
                {"field": "icon", "old": null, "new": "x"},
                {"field": "data.clientSecret", "secret": true},
            ]},
            {"table": "keys", "id": "key_1", "name": "old", "change": "removed"},
        ]);
        let rows = rows.as_array().unwrap();
        assert_eq!(
            lines(rows, true, false),
            [
                "updated   connectors  scl_1  Acme",
                "    name: \"A\" -> \"Acme\\u001b[2J\"",
                "    icon: (none) -> \"x\"",
                "    data.clientSecret: changed (secret)",
                "removed   keys        key_1  old",
            ]
        );
        let report = json!({"dry_run": true, "summary": {"updated": 1, "removed": 1}});
        assert_eq!(
            conclusion(&report, 3),
            "1 of 2 declared rows would change; 1 that are not declared would be removed."
        );
        let asked = |created: u64, removed: u64| {
            question(&json!({"summary": {"created": created, "removed": removed}}))
        };
        assert_eq!(asked(3, 0), None);
        assert_eq!(asked(0, 1).as_deref(), Some("Remove 1 row?"));
        assert_eq!(asked(3, 2).as_deref(), Some("Change 3 rows and remove 2?"));
        assert!(lines(rows, true, true)[0].contains("\u{1b}[33mupdated"));
    }

    #[test]
    fn a_terminal_is_shown_the_first_of_many_alike() {
        let rows: Vec<Value> = (0..30)
            .map(|number| json!({"table": "keys", "id": format!("key_{number}"), "change": "created"}))
            .collect();
        assert_eq!(lines(&rows, true, false).len(), 30);
        let cut = lines(&rows, false, false);
        assert_eq!(cut.len(), 21);
        assert_eq!(cut[20], "created   keys: 10 more (--json has them all)");
    }
}

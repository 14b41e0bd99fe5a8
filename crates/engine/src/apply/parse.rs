//! From the text of a file to its rows: everything that can be said without the store.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::problem::{ApplyProblem, Place, suggestion};
use super::read::Reader;
use super::rows::{
    AccountRow, ConnectionRow, ConnectorRow, InviteRow, KeyRow, McpServerRow, ProjectRow, Row,
    SecretRow, ServiceRow, TeamRow, UserRow,
};

/// Rows of one table with their places in the file.
pub type Rows<T> = Vec<(Place, T)>;

/// The rows of an apply file, well-formed each for itself.
pub struct Declared {
    pub(super) accounts: Rows<AccountRow>,
    pub(super) teams: Rows<TeamRow>,
    pub(super) users: Rows<UserRow>,
    pub(super) projects: Rows<ProjectRow>,
    pub(super) services: Rows<ServiceRow>,
    pub(super) keys: Rows<KeyRow>,
    pub(super) secrets: Rows<SecretRow>,
    pub(super) connectors: Rows<ConnectorRow>,
    pub(super) connections: Rows<ConnectionRow>,
    pub(super) mcp_servers: Rows<McpServerRow>,
    pub(super) invites: Rows<InviteRow>,
    /// The tables that the file has, also where they have no rows (`secrets = []`).
    pub(super) tables: HashSet<String>,
    /// The file as a whole.
    pub(super) file: Place,
}

const TABLES: [&str; 11] = [
    AccountRow::TABLE,
    TeamRow::TABLE,
    UserRow::TABLE,
    ProjectRow::TABLE,
    ServiceRow::TABLE,
    KeyRow::TABLE,
    SecretRow::TABLE,
    ConnectorRow::TABLE,
    ConnectionRow::TABLE,
    McpServerRow::TABLE,
    InviteRow::TABLE,
];

impl Declared {
    /// Reads the TOML `text` of the file called `file_name`, whose `*_env` fields have been resolved
    /// ([`super::resolve_env`]). On failure returns everything that is wrong with it.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<ApplyProblem>> {
        let mut source = Source {
            file: Place::file(file_name),
            tables: table_of(file_name, text)?,
            problems: Vec::new(),
        };
        let declared = Self {
            tables: source.tables.keys().cloned().collect(),
            file: source.file.clone(),
            accounts: source.rows(),
            teams: source.rows(),
            users: source.rows(),
            projects: source.rows(),
            services: source.rows(),
            keys: source.rows(),
            secrets: source.rows(),
            connectors: source.rows(),
            connections: source.rows(),
            mcp_servers: source.rows(),
            invites: source.rows(),
        };
        source.refuse_other_tables();
        if source.problems.is_empty() {
            Ok(declared)
        } else {
            Err(source.problems)
        }
    }
}

/// The TOML table that `text` holds; a syntax error names line and column.
pub fn table_of(file_name: &str, text: &str) -> Result<toml::Table, Vec<ApplyProblem>> {
    text.parse::<toml::Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let field = before.map_or_else(String::new, |before| {
            let line = before.matches('\n').count() + 1;
            let column = before
                .chars()
                .rev()
                .take_while(|sign| *sign != '\n')
                .count()
                + 1;
            format!("line {line}, column {column}")
        });
        vec![Place::file(file_name).problem(field, error.message().replace('\n', ", "))]
    })
}

struct Source {
    file: Place,
    tables: toml::Table,
    problems: Vec<ApplyProblem>,
}

impl Source {
    /// Takes the rows of `T`'s table out.
    fn rows<T: Row>(&mut self) -> Rows<T> {
        let place = self.file.table(T::TABLE);
        let items = match self.tables.remove(T::TABLE) {
            Some(toml::Value::Array(items)) => items,
            None => return Vec::new(),
            Some(_) => {
                let message = format!("must be a list of tables: write [[{}]]", T::TABLE);
                self.problems.push(place.problem("", message));
                return Vec::new();
            }
        };
        let mut rows = Vec::with_capacity(items.len());
        let mut seen = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let place = place.row(index, label(item));
            let Some(row) = self.row::<T>(&place, item) else {
                continue;
            };
            for (field, value) in row.unique() {
                if let Some(first) = seen.insert((field, value), index) {
                    let message = format!("is the same as in row {}", first + 1);
                    self.problems.push(place.problem(field, message));
                }
            }
            let contradictions = row.contradictions().into_iter();
            self.problems
                .extend(contradictions.map(|(field, message)| place.problem(field, message)));
            rows.push((place, row));
        }
        rows
    }

    /// One row; `None` when something is wrong with it.
    fn row<T: Row>(&mut self, place: &Place, item: &toml::Value) -> Option<T> {
        let Some(table) = item.as_table() else {
            let message = format!("must be a table, not {}", item.type_str());
            self.problems.push(place.problem("", message));
            return None;
        };
        let before = self.problems.len();
        let mut reader = Reader {
            place,
            problems: &mut self.problems,
        };
        let read = reader.table("", T::FIELDS, table);
        if self.problems.len() > before {
            return None;
        }
        serde_json::from_value(Value::Object(read))
            .map_err(|error| self.problems.push(place.problem("", error.to_string())))
            .ok()
    }

    fn refuse_other_tables(&mut self) {
        for name in self.tables.keys() {
            let message = format!(
                "is not a known table; known are {}{}",
                TABLES.join(", "),
                suggestion(name, TABLES)
            );
            self.problems
                .push(self.file.table(name).problem("", message));
        }
    }
}

/// What a row calls itself. A key's token is no name.
fn label(item: &toml::Value) -> Option<String> {
    const NAMES: [&str; 5] = ["id", "uid", "slug", "name", "email"];
    let names = NAMES.iter().filter_map(|name| item.get(name)?.as_str());
    let name = names.into_iter().find(|name| !name.is_empty())?;
    // Wherever this is shown, it is one short line.
    Some(
        name.chars()
            .filter(|sign| !sign.is_control())
            .take(64)
            .collect(),
    )
}

#[cfg(test)]
mod tests;

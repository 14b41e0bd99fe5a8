//! What is wrong with a file, and where.

use std::fmt;
use std::sync::Arc;

use grantry_core::Problem;

/// One thing that is wrong with an apply file. Shows no value of a field that may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ApplyProblem {
    /// The row, or the part of the file above it.
    #[serde(flatten)]
    pub place: Place,
    /// Path inside the row: `role`, `links[0].project`. Empty when the row as a whole is meant.
    pub field: String,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

/// A row of an apply file. Without a table it is the file as a whole; without a row, the table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Name of the file.
    pub file: Arc<str>,
    /// Name of the table.
    pub table: Option<String>,
    /// Which row of the table, from 1.
    pub row: Option<usize>,
    /// What the row calls itself: its id, else another name of it.
    pub id: Option<String>,
}

impl Place {
    /// The file as a whole.
    pub fn file(name: &str) -> Self {
        Self {
            file: name.into(),
            table: None,
            row: None,
            id: None,
        }
    }

    /// A table of this file.
    #[must_use]
    pub fn table(&self, table: &str) -> Self {
        Self {
            table: Some(table.to_owned()),
            ..self.clone()
        }
    }

    /// Row `index` (from 0) of this table.
    #[must_use]
    pub fn row(&self, index: usize, id: Option<String>) -> Self {
        Self {
            row: Some(index + 1),
            id,
            ..self.clone()
        }
    }

    /// A problem here.
    pub fn problem(&self, field: impl Into<String>, message: impl Into<String>) -> ApplyProblem {
        ApplyProblem {
            place: self.clone(),
            field: field.into(),
            message: message.into(),
        }
    }
}

/// `grantry.toml: [[keys]] row 2 (key_1)`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(table) = &self.table {
            write!(f, ": [[{table}]]")?;
        }
        if let Some(row) = self.row {
            write!(f, " row {row}")?;
        }
        match &self.id {
            Some(id) => write!(f, " ({id})"),
            None => Ok(()),
        }
    }
}

/// `grantry.toml: [[keys]] row 2 (key_1), role: must be …`.
impl fmt::Display for ApplyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The field is the whole place: `grantry.toml: [[keys]] row 2 (key_1), role`.
impl From<ApplyProblem> for Problem {
    fn from(problem: ApplyProblem) -> Self {
        let mut field = problem.place.to_string();
        if !problem.field.is_empty() {
            field.push_str(", ");
            field.push_str(&problem.field);
        }
        Self::new(field, problem.message)
    }
}

/// `; did you mean …?` when one of `known` is close to `word`, else nothing.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let close = |name: &&str| strsim::damerau_levenshtein(word, name);
    let nearest = known.into_iter().min_by_key(close);
    match nearest {
        Some(name) if close(&name) <= (name.len() / 3).max(1) => {
            format!("; did you mean {name}?")
        }
        _ => String::new(),
    }
}

//! How nouns lie in their tables.
//!
//! A noun names its columns once; `to_row` gives the values in that order, `from_row` reads them by
//! name. Statements that concern a whole noun are made from that list, so a new column is added in
//! the migrations and in one file here.

mod authorizations;
mod belongings;
mod connections;
mod connectors;
mod credentials;
mod events;
mod grants;
mod installations;
mod repeats;
mod setups;
mod sign_in;
mod system;
mod tenancy;
mod values;

use grantry_core::StoreError;
use grantry_core::store::Stored;

use crate::backend::{Bad, Query, Row, Statement, Value};

pub(crate) use authorizations::state_columns as authorization_state;
pub(crate) use connections::{live, one_live};
pub(crate) use connectors::{exchange_columns, fault_columns};
pub(crate) use grants::subject_columns;
pub(crate) use system::change;
pub(crate) use values::{json, micros, params};

/// A noun that is one row of one table.
pub(crate) trait Noun: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Its columns; the first one names the row in error messages.
    const COLUMNS: &'static [&'static str];

    /// The values, in the order of [`Noun::COLUMNS`].
    fn to_row(&self) -> Vec<Value>;

    /// The noun of a row; a row that makes no sense is an error, never a default.
    fn from_row(row: &Row) -> Result<Self, Bad>;
}

/// The noun of a row, or what is wrong with the row.
pub(crate) fn decode<N: Noun>(row: &Row) -> Stored<N> {
    N::from_row(row).map_err(|Bad(column)| StoreError::Inconsistent {
        table: N::TABLE,
        column,
        row: match row.value(N::COLUMNS[0]) {
            Some(Value::Text(id)) => id.clone(),
            other => format!("{other:?}"),
        },
    })
}

/// `SELECT` of all columns; `tail` begins with `WHERE`.
pub(crate) fn select<N: Noun>(tail: &str, params: Vec<Value>) -> Query {
    let sql = format!("SELECT {} FROM {} {tail}", N::COLUMNS.join(", "), N::TABLE);
    Query::new(sql, params)
}

/// `INSERT` of the whole noun.
pub(crate) fn insert<N: Noun>(noun: &N) -> Statement {
    let values = noun.to_row();
    let numbers = (1..=values.len()).map(|n| format!("?{n}"));
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        N::TABLE,
        N::COLUMNS.join(", "),
        numbers.collect::<Vec<_>>().join(", ")
    );
    Statement::new(sql, values)
}

/// `INSERT` of the whole noun if `condition` holds, whose `{}` stand for `params`.
pub(crate) fn insert_if<N: Noun>(noun: &N, condition: &str, params: Vec<Value>) -> Statement {
    let values = noun.to_row();
    let numbers = (1..=values.len()).map(|n| format!("?{n}"));
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} WHERE ",
        N::TABLE,
        N::COLUMNS.join(", "),
        numbers.collect::<Vec<_>>().join(", ")
    );
    let mut query = Query::new(sql, values);
    query.push(condition, params);
    query.into()
}

/// How an existing row is made as given.
pub(crate) struct Upsert<'a> {
    /// The column whose unique index finds the existing row.
    pub key: &'a str,
    /// Columns of an existing row that stay as they are.
    pub kept: &'a [&'a str],
    /// Columns that are written, but are no difference by themselves.
    pub quiet: &'a [&'a str],
}

impl Upsert<'_> {
    /// `INSERT`, or `UPDATE` of the existing row if that differs; returns whether either happened as the row count.
    pub(crate) fn of<N: Noun>(&self, noun: &N) -> Statement {
        let differs = self
            .written::<N>()
            .filter(|column| !self.quiet.contains(column))
            .map(|column| format!("{}.{column} IS DISTINCT FROM excluded.{column}", N::TABLE))
            .collect::<Vec<_>>();
        self.when(noun, &differs.join(" OR "))
    }

    /// `INSERT`, or `UPDATE` of the existing row if `condition` (without parameters) holds for it.
    pub(crate) fn when<N: Noun>(&self, noun: &N, condition: &str) -> Statement {
        let Statement { mut query, .. } = insert(noun);
        let set = self
            .written::<N>()
            .map(|column| format!("{column} = excluded.{column}"))
            .collect::<Vec<_>>();
        let clause = format!(
            " ON CONFLICT ({}) DO UPDATE SET {} WHERE {condition}",
            self.key,
            set.join(", ")
        );
        query.push(&clause, vec![]);
        query.into()
    }

    fn written<N: Noun>(&self) -> impl Iterator<Item = &'static &'static str> {
        N::COLUMNS
            .iter()
            .filter(|column| **column != self.key && !self.kept.contains(column))
    }
}

/// `UPDATE` of all columns of the noun but `kept`; `tail` begins with `WHERE`, its `{}` stand for `params`.
pub(crate) fn update<N: Noun>(
    noun: &N,
    kept: &[&str],
    tail: &str,
    params: Vec<Value>,
) -> Statement {
    let (set, values): (Vec<_>, Vec<_>) = N::COLUMNS
        .iter()
        .zip(noun.to_row())
        .filter(|(column, _)| !kept.contains(column))
        .enumerate()
        .map(|(at, (column, value))| (format!("{column} = ?{}", at + 1), value))
        .unzip();
    let sql = format!("UPDATE {} SET {} ", N::TABLE, set.join(", "));
    let mut query = Query::new(sql, values);
    query.push(tail, params);
    query.into()
}

/// `UPDATE` to `new` of the row that is still as `old` in every column.
pub(crate) fn replace<N: Noun>(old: &N, new: &N) -> Statement {
    let columns = N::COLUMNS;
    let set: Vec<String> = columns
        .iter()
        .zip(1..)
        .map(|(column, at)| format!("{column} = ?{at}"))
        .collect();
    // By `=` the index of the id is found.
    let same: Vec<String> = columns
        .iter()
        .zip(columns.len() + 1..)
        .map(|(column, at)| match *column {
            "id" => format!("id = ?{at}"),
            column => format!("{column} IS NOT DISTINCT FROM ?{at}"),
        })
        .collect();
    let sql = format!(
        "UPDATE {} SET {} WHERE {}",
        N::TABLE,
        set.join(", "),
        same.join(" AND ")
    );
    Statement::new(sql, [new.to_row(), old.to_row()].concat())
}

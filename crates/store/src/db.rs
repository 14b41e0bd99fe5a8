//! The store over any backend, and what its methods have in common.

use grantry_core::store::{Page, Stored};
use grantry_core::{StoreError, Timestamp};

use crate::backend::{Backend, Done, Query, Statement, Value, Write};
use crate::rows::{Noun, decode, params};

/// The store: implements every trait of `grantry_core::store` on a [`Backend`].
pub struct Db<B> {
    pub(crate) backend: B,
}

/// What a `put_*` write fails with when the row is as given already; the caller gets `false`.
pub(crate) const UNCHANGED: StoreError = StoreError::Missing("difference");

impl<B: Backend> Db<B> {
    /// A store on a database whose schema is this binary's ([`crate::migrate::run`]).
    pub const fn new(backend: B) -> Self {
        Self { backend }
    }

    /// The same store with its backend inside another one: one that watches it, or breaks it for a test.
    pub fn map<C>(self, wrap: impl FnOnce(B) -> C) -> Db<C> {
        Db {
            backend: wrap(self.backend),
        }
    }

    /// Runs a write whose details nobody asks for.
    pub(crate) async fn run(&self, write: Write) -> Stored<()> {
        self.backend.write(write).await.map(drop)
    }

    /// Runs a write that a single error stands for "not now": `Ok(false)`.
    pub(crate) async fn run_unless(&self, refusal: StoreError, write: Write) -> Stored<bool> {
        match self.backend.write(write).await {
            Ok(_) => Ok(true),
            Err(error) if error == refusal => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All nouns that `query` finds.
    pub(crate) async fn all<N: Noun>(&self, query: Query) -> Stored<Vec<N>> {
        let rows = self.backend.read(query).await?;
        rows.iter().map(decode).collect()
    }

    /// The first noun that `query` finds.
    pub(crate) async fn first<N: Noun>(&self, query: Query) -> Stored<Option<N>> {
        let rows = self.backend.read(query).await?;
        rows.first().map(decode).transpose()
    }

    /// The noun in the only row that one statement of a write returned.
    pub(crate) fn returned<N: Noun>(done: Option<&Done>) -> Stored<N> {
        let row = done.and_then(|done| done.rows.first());
        row.map_or(Err(StoreError::Missing(N::TABLE)), decode)
    }
}

/// A guard: the write fails with `error` unless `sql` finds exactly one row.
pub(crate) fn guard(sql: &'static str, params: Vec<Value>, error: StoreError) -> Statement {
    Statement {
        is_guard: true,
        ..Statement::new(sql, params).one_or(error)
    }
}

/// Cuts a list that is ordered by `time_column` and the id, as the page says.
pub(crate) fn by_time(query: &mut Query, time_column: &str, page: &Page) {
    by_time_and(query, time_column, "id", page);
}

/// The same where another column than the id tells rows of one moment apart.
pub(crate) fn by_time_and(query: &mut Query, time_column: &str, id_column: &str, page: &Page) {
    let (follows, direction, end) = match page.oldest_first {
        false => ("<", "DESC", i64::MIN),
        true => (">", "ASC", i64::MAX),
    };
    if let Some((sort, id)) = &page.after {
        // A cursor that is no number comes from nobody's list: nothing follows it.
        let sort = sort.parse().unwrap_or(end);
        query.push(
            &format!(" AND ({time_column}, {id_column}) {follows} ({{}}, {{}})"),
            params![sort, id],
        );
    }
    let order = format!(" ORDER BY {time_column} {direction}, {id_column} {direction} LIMIT {{}}");
    query.push(&order, params![rows_wanted(page)]);
}

/// Cuts a list that is ordered by a unique or nearly unique text and the id: the first name first,
/// unless the page turns it round.
pub(crate) fn by_name(query: &mut Query, column: &str, page: &Page) {
    let (follows, direction) = match page.oldest_first {
        false => (">", "ASC"),
        true => ("<", "DESC"),
    };
    if let Some((name, id)) = &page.after {
        query.push(
            &format!(" AND ({column}, id) {follows} ({{}}, {{}})"),
            params![name, id],
        );
    }
    let order = format!(" ORDER BY {column} {direction}, id {direction} LIMIT {{}}");
    query.push(&order, params![rows_wanted(page)]);
}

/// Cuts a list that is ordered by an id: from the first one on, unless the page turns it round.
pub(crate) fn by_id(query: &mut Query, column: &str, page: &Page) {
    let (follows, direction) = match page.oldest_first {
        false => (">", "ASC"),
        true => ("<", "DESC"),
    };
    if let Some((_, id)) = &page.after {
        query.push(&format!(" AND {column} {follows} {{}}"), params![id]);
    }
    let order = format!(" ORDER BY {column} {direction} LIMIT {{}}");
    query.push(&order, params![rows_wanted(page)]);
}

/// Keeps only rows that were made from `since` on and before `until`.
pub(crate) fn made_within(query: &mut Query, since: Option<Timestamp>, until: Option<Timestamp>) {
    if let Some(since) = since {
        query.push(" AND created_at >= {}", params![since]);
    }
    if let Some(until) = until {
        query.push(" AND created_at < {}", params![until]);
    }
}

/// One row more than the page holds, which tells that another page exists.
pub(crate) fn rows_wanted(page: &Page) -> i64 {
    i64::from(page.limit) + 1
}

/// Keeps only rows whose `column` is one of `values`; no values, no condition. The last one is said again until
/// their number is a power of two: each text of a statement is kept, so there should be few.
pub(crate) fn and_in(query: &mut Query, column: &str, values: Vec<Value>) {
    and_list(query, column, "IN", values);
}

/// Keeps only rows whose `column` is none of `values`.
pub(crate) fn and_not_in(query: &mut Query, column: &str, values: Vec<Value>) {
    and_list(query, column, "NOT IN", values);
}

fn and_list(query: &mut Query, column: &str, is: &str, mut values: Vec<Value>) {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
        let marks = vec!["{}"; values.len()].join(", ");
        query.push(&format!(" AND {column} {is} ({marks})"), values);
    }
}

/// The id that a list by id goes on behind.
pub(crate) fn after_id(page: &Page) -> &str {
    page.after.as_ref().map_or("", |(_, id)| id.as_str())
}

/// Keeps only rows with `text` in one of `columns`, ignoring ASCII case: `lower` knows no other in SQLite,
/// nor under PostgreSQL's collation "C", which every text column has.
pub(crate) fn and_contains(query: &mut Query, columns: &[&str], text: Option<&str>) {
    let Some(text) = text else { return };
    let any: Vec<String> = columns
        .iter()
        .map(|column| format!("lower({column}) LIKE {{}} ESCAPE '!'"))
        .collect();
    let pattern = containing(text);
    let patterns = columns.iter().flat_map(|_| params![&pattern]).collect();
    query.push(&format!(" AND ({})", any.join(" OR ")), patterns);
}

/// A `LIKE` pattern that finds `text` anywhere, whatever signs are in it.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for sign in text.to_ascii_lowercase().chars() {
        if matches!(sign, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(sign);
    }
    pattern.push('%');
    pattern
}

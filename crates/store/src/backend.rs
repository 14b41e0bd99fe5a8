//! The port between the store's methods and a database.
//!
//! A write is data: a list of statements, each with what it expects. A backend runs the list
//! atomically and serializably; when an expectation fails it rolls the list back and returns that
//! expectation's error. Nothing of ours runs between two statements, so a backend may repeat a list
//! that the database refused, and run many lists in one commit.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use grantry_core::StoreError;
use grantry_core::store::Stored;

use crate::migrate::Migrations;

/// A database that runs writes and queries.
pub trait Backend: Send + Sync + 'static {
    /// Its schema.
    const MIGRATIONS: Migrations;

    /// Runs `write` whole or not at all, and answers once it is durable: what each statement did.
    ///
    /// The error is that of the first failed expectation; `Taken` with the index's word (`unique.rs`)
    /// when a unique index refuses; `Unavailable` for everything else, logged where it happens.
    fn write(&self, write: Write) -> impl Future<Output = Stored<Vec<Done>>> + Send;

    /// The same for a step of the schema, which may take as long as it takes: an index over a table that has
    /// grown, or a table's lock beside a node that is at work.
    fn migrate(&self, write: Write) -> impl Future<Output = Stored<Vec<Done>>> + Send {
        self.write(write)
    }

    /// The rows of one query, in a snapshot that holds every write answered before.
    fn read(&self, query: Query) -> impl Future<Output = Stored<Vec<Row>>> + Send;

    /// Completes once changes were committed since it last did, by whomever. A hint for those who poll: it may
    /// come for nothing, late, or never.
    fn changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Statements that happen together.
pub type Write = Vec<Statement>;

/// Whether caches have to hear of `write`, if it stands.
pub(crate) fn tells_of_a_change(write: &[Statement]) -> bool {
    let tells = |statement: &Statement| statement.query.sql.starts_with("INSERT INTO changes ");
    write.iter().any(tells)
}

/// A value to bind, or one that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// `INTEGER`, `BIGINT`.
    Int(i64),
    /// `TEXT`.
    Text(String),
    /// `BLOB`, `BYTEA`.
    Bytes(Vec<u8>),
}

/// SQL and what to bind to its `?1`, `?2` … by number, whatever their order in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The text.
    pub sql: Cow<'static, str>,
    /// The value of `?n` is `params[n - 1]`.
    pub params: Vec<Value>,
}

impl Query {
    /// A query.
    pub fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Self {
            sql: sql.into(),
            params,
        }
    }

    /// Appends text; each `{}` in it becomes the next parameter's number.
    pub fn push(&mut self, text: &str, params: Vec<Value>) {
        let sql = self.sql.to_mut();
        let mut pieces = text.split("{}");
        sql.push_str(pieces.next().unwrap_or_default());
        for (param, piece) in params.into_iter().zip(pieces) {
            self.params.push(param);
            sql.push_str(&format!("?{}{piece}", self.params.len()));
        }
    }
}

/// One statement of a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What to run.
    pub query: Query,
    /// How many rows it has to return (when it returns any) or change, and what it means when it does not.
    pub expect: Option<(usize, StoreError)>,
    /// It only asks whether something holds, and nothing that may stand beside it in a write undoes that: said
    /// twice, it needs to be asked once.
    pub is_guard: bool,
}

impl Statement {
    /// A statement that may do anything.
    pub fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Query::new(sql, params).into()
    }

    /// The write fails with `error` unless this returns or changes exactly one row.
    pub fn one_or(self, error: StoreError) -> Self {
        Self {
            expect: Some((1, error)),
            ..self
        }
    }

    /// The write fails with `error` if this returns or changes a row.
    pub fn none_or(self, error: StoreError) -> Self {
        Self {
            expect: Some((0, error)),
            ..self
        }
    }
}

impl From<Query> for Statement {
    fn from(query: Query) -> Self {
        Self {
            query,
            expect: None,
            is_guard: false,
        }
    }
}

/// What a statement did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Rows returned, if it returns any; else rows changed.
    pub count: usize,
    /// The rows returned.
    pub rows: Vec<Row>,
}

/// One row, its columns known by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Names, shared by the rows of one answer. When a name comes twice, the first counts.
    pub columns: Arc<[String]>,
    /// Values, in the order of the names.
    pub values: Vec<Value>,
}

/// A column whose content makes no sense, or is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad(pub &'static str);

impl Row {
    /// The value of `column` as a `T`.
    pub fn get<T: FromValue>(&self, column: &'static str) -> Result<T, Bad> {
        self.value(column)
            .and_then(T::from_value)
            .ok_or(Bad(column))
    }

    /// The value of `column`, which holds JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T, Bad> {
        let Some(Value::Text(text)) = self.value(column) else {
            return Err(Bad(column));
        };
        serde_json::from_str(text).map_err(|_| Bad(column))
    }

    /// The value of `column`; for [`Row::get`] and for error messages.
    pub fn value(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.get(at)
    }
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// `None` when the value is of another kind or out of range.
    fn from_value(value: &Value) -> Option<Self>;
}

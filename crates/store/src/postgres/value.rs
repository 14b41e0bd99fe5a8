//! Values on their way to and from PostgreSQL.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use deadpool_postgres::GenericClient;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::backend::{Done, Query, Row, Value};

/// Texts with PostgreSQL's parameter marks, by their own. The store has a few hundred.
static TEXTS: LazyLock<Mutex<HashMap<String, Arc<str>>>> = LazyLock::new(Mutex::default);

/// Runs one statement and takes all that it returns.
pub(super) async fn run(
    client: &impl GenericClient,
    query: &Query,
) -> Result<Done, tokio_postgres::Error> {
    let statement = client.prepare_cached(&dollars(&query.sql)).await?;
    let params: Vec<&(dyn ToSql + Sync)> = query
        .params
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect();
    if statement.columns().is_empty() {
        let count = client.execute(&statement, &params).await?;
        return Ok(Done {
            count: usize::try_from(count).unwrap_or(usize::MAX),
            rows: Vec::new(),
        });
    }
    let columns: Arc<[String]> = statement
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let found = client.query(&statement, &params).await?;
    let row = |row: &tokio_postgres::Row| -> Result<Row, tokio_postgres::Error> {
        let values = (0..columns.len()).map(|at| row.try_get(at));
        Ok(Row {
            columns: Arc::clone(&columns),
            values: values.collect::<Result<_, _>>()?,
        })
    };
    let rows = found.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    Ok(Done {
        count: rows.len(),
        rows,
    })
}

/// `?1` as `$1`. No text of ours has a question mark in a literal.
fn dollars(sql: &str) -> Arc<str> {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = texts.get(sql) {
        return Arc::clone(text);
    }
    let text: Arc<str> = sql.replace('?', "$").into();
    texts.insert(sql.to_owned(), Arc::clone(&text));
    text
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [
            Type::INT4,
            Type::INT8,
            Type::TEXT,
            Type::VARCHAR,
            Type::BYTEA,
        ]
        .contains(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *ty {
            Type::INT4 => i32::from_sql(ty, raw).map(|number| Self::Int(number.into())),
            Type::INT8 => i64::from_sql(ty, raw).map(Self::Int),
            Type::BYTEA => Vec::from_sql(ty, raw).map(Self::Bytes),
            _ => String::from_sql(ty, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        <Self as ToSql>::accepts(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_numbers() {
        assert_eq!(
            &*dollars("UPDATE t SET a = ?2 WHERE b = ?1 AND c = ?10"),
            "UPDATE t SET a = $2 WHERE b = $1 AND c = $10"
        );
    }
}

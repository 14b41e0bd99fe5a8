//! No method reads a table from end to end: with a million connections a start or a look-up that
//! scans is an outage. The whole contract suite runs again on a backend that looks at every plan.

use grantry_core::StoreError;
use grantry_core::store::Stored;

use super::*;
use crate::backend::{Done, Query, Row, Value, Write};
use crate::migrate::Migrations;

/// Tables that stay small, and results of subqueries.
const MAY_BE_SCANNED: &[&str] = &[
    "CONSTANT",
    "counted",
    "ended",
    "leases",
    "newest",
    "numbered",
    "schema_migrations",
    "services",
    "signing_keys",
];

struct Watched(Sqlite);

impl Watched {
    async fn look(&self, query: &Query) -> Stored<()> {
        let explain = Query::new(
            format!("EXPLAIN QUERY PLAN {}", query.sql),
            query.params.clone(),
        );
        // By the writer: a reader hears of a new schema when it reads, and to explain is not to read.
        let explained = self.0.write(vec![explain.into()]).await?;
        for row in explained.iter().flat_map(|done| &done.rows) {
            let Some(Value::Text(step)) = row.value("detail") else {
                return Err(StoreError::Unavailable);
            };
            let scanned = step
                .strip_prefix("SCAN ")
                .and_then(|rest| rest.split(' ').next());
            let harmless = scanned.is_none_or(|table| {
                table.starts_with("(subquery") || MAY_BE_SCANNED.contains(&table)
            });
            assert!(harmless, "{step}, in: {}", query.sql);
        }
        Ok(())
    }
}

impl Backend for Watched {
    const MIGRATIONS: Migrations = Sqlite::MIGRATIONS;

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        for statement in &write {
            self.look(&statement.query).await?;
        }
        self.0.write(write).await
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        self.look(&query).await?;
        self.0.read(query).await
    }

    async fn changed(&self) {
        self.0.changed().await;
    }
}

async fn watched(clock: ManualClock) -> Arc<dyn Store> {
    Arc::new(Db::new(Watched(temporary(clock).await.backend)))
}

crate::contract_tests!(watched);

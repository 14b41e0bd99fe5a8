//! Migrations, and what the schema promises.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use grantry_core::store::{Stored, SystemStore};
use grantry_core::{Clock, StoreError};

use super::*;
use crate::OpenError;
use crate::backend::{Done, Query, Row, Value, Write};
use crate::migrate::{self, Migration, Migrations};
use crate::unique;

/// How many migrations this binary knows.
const KNOWN: usize = Sqlite::MIGRATIONS.list.len();
/// The number of the newest of them: some numbers were never used.
const NEWEST: i64 = Sqlite::MIGRATIONS.list[KNOWN - 1].version;
/// The number of the one after them.
const NEXT: i64 = NEWEST + 1;

/// The migrations of a later release: one more, which this one cannot run beside.
const fn and_one_more(sql: &'static str) -> [Migration; KNOWN + 1] {
    let next = Migration {
        version: NEXT,
        name: "next",
        min_binary: NEXT,
        sql,
    };
    let mut list = [next; KNOWN + 1];
    let mut at = 0;
    while at < KNOWN {
        list[at] = Sqlite::MIGRATIONS.list[at];
        at += 1;
    }
    list
}

/// A later release.
struct Next(Sqlite);

impl Backend for Next {
    const MIGRATIONS: Migrations = Migrations {
        bootstrap: Sqlite::MIGRATIONS.bootstrap,
        list: &and_one_more(
            "CREATE TABLE next (id TEXT) STRICT;\n\nINSERT INTO next VALUES ('a');\n",
        ),
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        self.0.write(write).await
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        self.0.read(query).await
    }
}

/// A release whose migration fails in its second statement.
struct Broken(Sqlite);

impl Backend for Broken {
    const MIGRATIONS: Migrations = Migrations {
        bootstrap: Sqlite::MIGRATIONS.bootstrap,
        list: &and_one_more(
            "CREATE TABLE next (id TEXT) STRICT;\n\nCREATE TABLE next (id TEXT) STRICT;\n",
        ),
    };

    async fn write(&self, write: Write) -> Stored<Vec<Done>> {
        self.0.write(write).await
    }

    async fn read(&self, query: Query) -> Stored<Vec<Row>> {
        self.0.read(query).await
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::default())
}

async fn tables(db: &Sqlite, name: &str) -> usize {
    let query = Query::new(
        "SELECT 1 FROM sqlite_schema WHERE name = ?1",
        vec![name.into()],
    );
    db.read(query).await.unwrap().len()
}

async fn open_with(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Db<Sqlite>, OpenError> {
    Sqlite::open(&path, clock, Options::default()).await
}

/// Lets time pass until `work` is done: whoever waits for somebody else must not wait for ever.
async fn while_time_passes<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::task::yield_now() => {
                if clock.sleepers() > 0 {
                    clock.advance(Duration::from_secs(1));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_binary_below_min_binary_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let older = open_at(&path).await;
    assert_eq!(older.ping().await, Ok(()));
    let newer = Next(Sqlite::start(&path, &clock(), Options::default()).unwrap());
    assert!(migrate::run(&newer, &clock()).await.is_ok());
    assert_eq!(
        older.ping().await,
        Err(StoreError::Unavailable),
        "it must stop"
    );
    assert_eq!(Db::new(newer).ping().await, Ok(()));
    let refused = Sqlite::open(&path, clock(), Options::default()).await;
    let expected = format!(
        "the database needs a binary with schema {NEXT} or newer, and this one has schema {NEWEST}: \
         start the newer release"
    );
    assert_eq!(refused.err().map(|error| error.to_string()), Some(expected));
}

#[tokio::test]
async fn an_older_binary_runs_beside_a_newer_one_that_allows_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let db = open_at(&path).await;
    let applied = format!("INSERT INTO schema_migrations VALUES ({NEXT}, 'next', 0, {NEWEST})");
    let applied = vec![Statement::new(applied, vec![])];
    db.backend.write(applied).await.unwrap();
    assert_eq!(db.ping().await, Ok(()));
    assert_eq!(open_at(&path).await.ping().await, Ok(()));
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let broken = Broken(Sqlite::start(&path, &clock(), Options::default()).unwrap());
    for _ in 0..2 {
        let failed = migrate::run(&broken, &clock()).await;
        assert!(matches!(
            failed,
            Err(OpenError::Migration { version: NEXT, .. })
        ));
        assert_eq!(tables(&broken.0, "next").await, 0);
        assert_eq!(
            tables(&broken.0, "connectors").await,
            1,
            "the one before stands"
        );
    }
    drop(broken);
    let mended = Next(Sqlite::start(&path, &clock(), Options::default()).unwrap());
    assert!(migrate::run(&mended, &clock()).await.is_ok());
    assert_eq!(tables(&mended.0, "next").await, 1);
}

#[tokio::test]
async fn a_second_runner_waits_for_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let time = ManualClock::default();
    let clock: Arc<dyn Clock> = Arc::new(time.clone());
    // The first holds the lease, has applied nothing yet, and dies in the second round.
    for dies in [false, true] {
        let first = Sqlite::start(&path, &clock, Options::default()).unwrap();
        let hold = "INSERT INTO leases VALUES ('migrations', 'first', now_us() + 60000000)";
        let bootstrap = Sqlite::MIGRATIONS.bootstrap.split(";\n\n");
        let mut write: Write = bootstrap.map(|sql| Statement::new(sql, vec![])).collect();
        write.push(Statement::new("DROP TABLE IF EXISTS changes", vec![]));
        write.push(Statement::new(hold, vec![]));
        first.write(write).await.unwrap();

        let second = tokio::spawn(open_with(path.clone(), Arc::clone(&clock)));
        while time.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tables(&first, "changes").await, 0, "it waits");
        if dies {
            time.advance(Duration::from_secs(60));
        } else {
            let give_back = Statement::new("DELETE FROM leases", vec![]);
            first.write(vec![give_back]).await.unwrap();
            time.advance(Duration::from_secs(1));
        }
        let db = while_time_passes(&time, second).await.unwrap().unwrap();
        assert_eq!(tables(&db.backend, "changes").await, 1);
        run(&db, "DELETE FROM schema_migrations").await;
        drop(db);
        drop(first);
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn runners_that_start_together_all_end_with_one_schema() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let time = ManualClock::default();
    let clock: Arc<dyn Clock> = Arc::new(time.clone());
    let runners: Vec<_> = (0..4)
        .map(|_| tokio::spawn(open_with(path.clone(), Arc::clone(&clock))))
        .collect();
    for runner in runners {
        let db = while_time_passes(&time, runner).await.unwrap().unwrap();
        assert_eq!(db.ping().await, Ok(()));
        let applied = Query::new("SELECT version FROM schema_migrations", vec![]);
        assert_eq!(db.backend.read(applied).await.unwrap().len(), KNOWN);
    }
}

/// Unique indexes that no `INSERT` can run into, because it names them in `ON CONFLICT`, or because
/// nothing but the store itself makes up their values.
const NEVER_MET: &[&str] = &[
    "icons.team, icons.digest",
    "accounts.id",
    "data_keys.team",
    "events.chain_pos",
    "keys.hash",
    "key_check.id",
    "keyed_requests.id",
    "invites.id",
    "leases.name",
    "mcp_servers.id",
    "memberships.user_id, memberships.team",
    "connections.id",
    "endings.connector",
    "credentials.connection",
    "projects.id",
    "refresh_attempts.set_id, refresh_attempts.number",
    "secrets.id",
    "services.id",
    "teams.id",
    "tombstones.team, tombstones.id",
    "users.id",
];

#[tokio::test]
async fn every_unique_index_has_a_word() {
    let db = temporary(ManualClock::default()).await;
    let columns = Query::new(
        "SELECT group_concat(t.name || '.' || c.name, ', ') AS columns
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
         WHERE t.type = 'table' AND i.\"unique\" = 1 GROUP BY i.name",
        vec![],
    );
    let rows = db.backend.read(columns).await.unwrap();
    assert!(rows.len() > 20, "the query finds the indexes");
    for row in rows {
        let Some(Value::Text(columns)) = row.value("columns") else {
            panic!("{row:?}");
        };
        let known = unique::taken(columns).is_some();
        let exempt = NEVER_MET.contains(&columns.as_str());
        assert!(
            known != exempt,
            "{columns}: give it a word in unique.rs, or say why it needs none"
        );
    }
}

#[tokio::test]
async fn a_position_that_was_fed_is_never_used_again() {
    let db = temporary(ManualClock::default()).await;
    run(
        &db,
        "INSERT INTO changes (kind, key, at) VALUES ('team', 'a', 0)",
    )
    .await;
    run(&db, "DELETE FROM changes").await;
    run(
        &db,
        "INSERT INTO changes (kind, key, at) VALUES ('team', 'b', 0)",
    )
    .await;
    assert_eq!(db.last_change().await, Ok(2));
}

//! The file and the disk under it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use grantry_core::StoreError;
use grantry_core::nouns::{Event, EventKind};
use grantry_core::store::{ConnectStore, ConnectorStore, EventFilter, Page, SystemStore};

use super::*;
use crate::contract::fixtures::{HOUR, NOW, authorization, connector, event, map};

async fn logged(db: &Db<Sqlite>) -> Vec<Event> {
    let team = "team".into();
    let events = db
        .events(&team, &EventFilter::default(), &Page::first(10))
        .await;
    events.unwrap()
}

fn line() -> Event {
    event("evt_1", &"team".into(), EventKind::Applied)
}

#[tokio::test]
async fn the_files_are_their_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let db = open_at(&directory.path().join("grantry.db")).await;
    assert_eq!(db.append_events(&[line()]).await, Ok(()));
    let mut names = Vec::new();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["grantry.db", "grantry.db-shm", "grantry.db-wal"]);
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let db = open_at(&path).await;
    assert_eq!(db.append_events(&[line()]).await, Ok(()));
    drop(db);
    assert!(
        !directory.path().join("grantry.db-wal").exists(),
        "a clean end leaves one file"
    );
    assert_eq!(logged(&open_at(&path).await).await, [line()]);
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    let db = open_at(&path).await;
    assert_eq!(db.append_events(&[line()]).await, Ok(()));
    // What a power cut leaves: the files as they are, and the shared memory gone.
    let crashed = directory.path().join("crashed.db");
    let with = |path: &Path, suffix: &str| format!("{}{suffix}", path.display());
    for suffix in ["", "-wal"] {
        fs::copy(with(&path, suffix), with(&crashed, suffix)).unwrap();
    }
    assert_eq!(logged(&open_at(&crashed).await).await, [line()]);
    assert_eq!(logged(&db).await, [line()]);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        pages_max: Some(200),
        ..Options::default()
    };
    let clock = Arc::new(ManualClock::default());
    let db = Sqlite::open(&directory.path().join("grantry.db"), clock, options)
        .await
        .unwrap();
    let team = "team".into();
    let ours = connector("scl_1", &team);
    let created = db.create_connector(&ours, &[], &line()).await;
    assert_eq!(created, Ok(()));

    let ask = async |number: usize| {
        let id = format!("sca_{number}");
        let mut asked = authorization(&id, &team, &ours.id);
        asked.additional_params = map(serde_json::json!({"x": "x".repeat(8000)}));
        let event = event(
            &format!("evt {id}"),
            &team,
            EventKind::AuthorizationRequested,
        );
        db.create_authorization(&asked, &event).await
    };
    let mut stored = 0;
    let refused = loop {
        match ask(stored).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the disk never fills");
    };
    assert_eq!(refused, StoreError::Full);
    assert!(stored > 1);
    for number in 0..stored {
        let found = db.authorization(&format!("sca_{number}").into()).await;
        assert!(found.unwrap().is_some(), "{number} was answered for");
    }
    assert!(db.connector(&team, "scl_1").await.unwrap().is_some());
    let failed = db.authorization(&format!("sca_{stored}").into()).await;
    assert_eq!(failed, Ok(None));

    assert!(db.sweep(NOW.after(2 * HOUR), 1000).await.is_ok());
    assert_eq!(ask(stored).await, Ok(()), "there is room again");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("grantry.db");
    fs::write(
        &path,
        "not a database, but long enough to be one".repeat(100),
    )
    .unwrap();
    let clock = Arc::new(ManualClock::default());
    let refused = Sqlite::open(&path, clock.clone(), Options::default()).await;
    assert!(matches!(refused, Err(crate::OpenError::Database(_))));
    let nowhere = directory.path().join("nowhere/grantry.db");
    let refused = Sqlite::open(&nowhere, clock, Options::default()).await;
    assert!(matches!(refused, Err(crate::OpenError::File { .. })));
}

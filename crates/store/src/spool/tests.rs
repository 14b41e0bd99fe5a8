use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::contract::fixtures::{NOW, connection, grant, token_set};
use crate::rows::Noun;

fn spooled(id: &str, age_s: u64) -> Spooled {
    let connection = connection("conn_1", &"team".into(), grant(&"scl_1".into(), "u"));
    Spooled {
        presented: format!("{id} before").into(),
        next: TokenSet {
            received_at: NOW.before(Duration::from_secs(age_s)),
            ..token_set(id, &connection, "main")
        },
    }
}

fn open() -> (tempfile::TempDir, DirSpool) {
    let directory = tempfile::tempdir().unwrap();
    let spool = DirSpool::open(&directory.path().join("a/spool")).unwrap();
    (directory, spool)
}

async fn ids(spool: &DirSpool) -> Vec<String> {
    let entries = spool.entries().await.unwrap();
    entries
        .iter()
        .map(|entry| entry.next.id.to_string())
        .collect()
}

#[tokio::test]
async fn a_pair_reads_back_as_it_was_kept() {
    let (_directory, spool) = open();
    let bare = {
        let mut bare = spooled("stk_bare", 1);
        bare.next.refresh = None;
        bare.next.scope = None;
        bare.next.access_expires_at = None;
        bare
    };
    let kept = [spooled("stk_full", 2), bare];
    for entry in kept.iter().chain(&kept) {
        assert_eq!(spool.keep(entry).await, Ok(()));
    }
    let entries = spool.entries().await.unwrap();
    let rows = |entries: &[Spooled]| {
        let row = |entry: &Spooled| (entry.presented.clone(), entry.next.to_row());
        entries.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(&entries), rows(&kept), "once each, oldest first");
}

#[tokio::test]
async fn a_kept_pair_outlives_the_spool_and_goes_when_it_is_removed() {
    let (_directory, spool) = open();
    for id in ["stk_1", "stk_2"] {
        assert_eq!(spool.keep(&spooled(id, 0)).await, Ok(()));
    }
    let again = DirSpool::open(&spool.directory).unwrap();
    assert_eq!(ids(&again).await, ["stk_1", "stk_2"]);
    for _ in 0..2 {
        assert_eq!(again.remove(&"stk_1".into()).await, Ok(()));
    }
    assert_eq!(ids(&spool).await, ["stk_2"]);
}

#[tokio::test]
async fn an_id_stays_inside_the_directory() {
    let (directory, spool) = open();
    let hostile = ["../../outside", "/etc/x", "a b", "ä", "..", "A", "%41"];
    for id in hostile {
        assert_eq!(spool.keep(&spooled(id, 0)).await, Ok(()), "{id}");
    }
    let mut found = ids(&spool).await;
    found.sort();
    let mut expected = hostile.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(files(&spool.directory, KEPT).unwrap().len(), hostile.len());
}

#[tokio::test]
async fn files_are_their_owners_alone() {
    let (_directory, spool) = open();
    assert_eq!(spool.keep(&spooled("stk_1", 0)).await, Ok(()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&spool.directory), 0o700);
    assert_eq!(mode(&spool.path(&"stk_1".into(), KEPT)), 0o600);
}

#[tokio::test]
async fn what_cannot_be_read_stays_where_it_is() {
    let (_directory, spool) = open();
    assert_eq!(spool.keep(&spooled("stk_1", 0)).await, Ok(()));
    let whole = fs::read_to_string(spool.path(&"stk_1".into(), KEPT)).unwrap();
    let broken = [
        ("empty", String::new()),
        ("half", whole[..whole.len() / 2].to_owned()),
        ("list", "[]".to_owned()),
        ("bytes", whole.replace("\"access\":\"", "\"access\":\"*")),
    ];
    for (name, content) in &broken {
        fs::write(spool.path(&(*name).into(), KEPT), content).unwrap();
    }
    assert_eq!(ids(&spool).await, ["stk_1"]);
    for (name, content) in &broken {
        let left = fs::read_to_string(spool.path(&(*name).into(), KEPT)).unwrap();
        assert_eq!(left, *content);
    }
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_cleared_away() {
    let (_directory, spool) = open();
    let half = spool.path(&"stk_1".into(), UNFINISHED);
    fs::write(&half, "{").unwrap();
    assert!(ids(&spool).await.is_empty());
    DirSpool::open(&spool.directory).unwrap();
    assert!(!half.exists());
}

/// A disk without room for another file: what is written to this one never fits.
fn fill_disk(spool: &DirSpool, id: &str) {
    let unfinished = spool.path(&id.into(), UNFINISHED);
    std::os::unix::fs::symlink("/dev/full", unfinished).unwrap();
}

fn rooms(spool: &DirSpool) -> usize {
    files(&spool.directory, ROOM).unwrap().len()
}

#[tokio::test]
async fn on_a_full_disk_a_pair_takes_the_room_that_was_kept_for_it() {
    let (_directory, spool) = open();
    assert_eq!(rooms(&spool), ROOMS);
    for id in ["stk_1", "stk_2"] {
        fill_disk(&spool, id);
        assert_eq!(spool.keep(&spooled(id, 0)).await, Ok(()));
    }
    assert_eq!(rooms(&spool), ROOMS - 2);
    let mut kept = ids(&spool).await;
    kept.sort();
    assert_eq!(kept, ["stk_1", "stk_2"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&spool.path(&"stk_1".into(), KEPT)), 0o600);

    assert_eq!(spool.remove(&"stk_1".into()).await, Ok(()));
    assert_eq!(rooms(&spool), ROOMS, "there is room again");
}

#[tokio::test]
async fn a_pair_that_no_room_was_kept_for_is_refused_and_nothing_is_lost() {
    let (_directory, spool) = open();
    assert_eq!(spool.keep(&spooled("stk_1", 0)).await, Ok(()));
    let mut huge = spooled("stk_2", 0);
    huge.next.access = Sealed(vec![1; ROOM_BYTES]);
    fill_disk(&spool, "stk_2");
    assert_eq!(spool.keep(&huge).await, Err(StoreError::Full));
    for room in files(&spool.directory, ROOM).unwrap() {
        fs::remove_file(room).unwrap();
    }
    fill_disk(&spool, "stk_3");
    let refused = spool.keep(&spooled("stk_3", 0)).await;
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(ids(&spool).await, ["stk_1"]);
}

#[tokio::test]
async fn a_spool_that_cannot_be_used_says_so() {
    let (_directory, spool) = open();
    fs::remove_dir_all(&spool.directory).unwrap();
    assert_eq!(
        spool.keep(&spooled("stk_1", 0)).await,
        Err(StoreError::Unavailable)
    );
    assert_eq!(spool.entries().await.err(), Some(StoreError::Unavailable));
}

//! The emergency spool: a directory with one file per pair.
//!
//! The pair arrives in an emergency, and the usual one is a full disk. So room is kept beforehand: some files
//! of zeros, one of which takes the pair's name and its bytes where there is no room for a new file
//! (requirement 95).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_core::ids::{ConnectionId, TeamId, TokenSetId};
use grantry_core::nouns::{Sealed, TokenSet};
use grantry_core::store::{Spool, Spooled, Stored};
use grantry_core::{StoreError, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A spool in a directory, which should be on a disk that outlives the process.
#[derive(Clone, Debug)]
pub struct DirSpool {
    directory: PathBuf,
}

impl DirSpool {
    /// A spool in `directory`, which is made (mode 0700) if there is none. What a crash left half
    /// written is removed: nobody was told that it is kept. A disk too full to keep room on is no error.
    pub fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        for path in files(directory, UNFINISHED)? {
            fs::remove_file(path)?;
        }
        let spool = Self {
            directory: directory.to_owned(),
        };
        spool.keep_room();
        Ok(spool)
    }

    /// Makes the files of zeros that are missing, as far as there is room.
    fn keep_room(&self) {
        let names = (0..ROOMS).map(|number| self.directory.join(format!("{number:02}.{ROOM}")));
        let missing: Vec<_> = names.filter(|path| !path.exists()).collect();
        let zeros = vec![0; ROOM_BYTES];
        for path in missing {
            let unfinished = path.with_extension(UNFINISHED);
            let made = write_new(&unfinished, &zeros).and_then(|()| fs::rename(&unfinished, path));
            if made.is_err() {
                // There is as much room as there is. Half a file would only take of it.
                let _gone = fs::remove_file(&unfinished);
                return;
            }
        }
    }

    /// Writes to `unfinished`, into a file of zeros if there is no room for another.
    fn write(&self, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
        let refused = match write_new(unfinished, bytes) {
            Err(error) if is_full(&error) && bytes.len() <= ROOM_BYTES => error,
            written => return written,
        };
        let Some(room) = files(&self.directory, ROOM)?.pop() else {
            return Err(refused);
        };
        fs::rename(room, unfinished)?;
        // Not cut before it is written: its blocks would be somebody else's.
        let mut file = OpenOptions::new().write(true).open(unfinished)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }

    fn path(&self, next: &TokenSetId, extension: &str) -> PathBuf {
        self.directory
            .join(format!("{}.{extension}", file_name(next.as_str())))
    }

    /// Runs blocking file work off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> io::Result<T> + Send + 'static,
    ) -> Stored<T> {
        let spool = self.clone();
        let done = tokio::task::spawn_blocking(move || work(spool)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| {
            if is_full(&error) {
                return StoreError::Full;
            }
            tracing::error!(%error, "the spool cannot be used");
            StoreError::Unavailable
        })
    }
}

const KEPT: &str = "json";
const UNFINISHED: &str = "tmp";
/// Room kept for a pair.
const ROOM: &str = "room";
/// Pairs that have room on a full disk: about as many flights as are in the air when it fills.
const ROOMS: usize = 32;
/// Twice what two tokens of 8 KiB take, sealed and in base64.
const ROOM_BYTES: usize = 48 * 1024;

#[async_trait]
impl Spool for DirSpool {
    async fn keep(&self, spooled: &Spooled) -> Stored<()> {
        let entry = Entry::from(spooled);
        let id = spooled.next.id.clone();
        self.blocking(move |spool| {
            let unfinished = spool.path(&id, UNFINISHED);
            let written = spool.write(&unfinished, &serde_json::to_vec(&entry)?);
            if written.is_err() {
                // Half a file would only take of the room that is missing.
                let _gone = fs::remove_file(&unfinished);
            }
            written?;
            fs::rename(&unfinished, spool.path(&id, KEPT))?;
            // Without this the name itself may not survive a power cut.
            File::open(&spool.directory)?.sync_all()
        })
        .await
    }

    async fn entries(&self) -> Stored<Vec<Spooled>> {
        self.blocking(|spool| {
            let mut entries: Vec<_> = files(&spool.directory, KEPT)?
                .into_iter()
                .filter_map(|path| match read(&path) {
                    Ok(entry) => Some(entry),
                    Err(error) => {
                        tracing::error!(%error, path = %path.display(), "a spooled pair cannot be read");
                        None
                    }
                })
                .collect();
            entries.sort_by(|one, two| {
                let age = |entry: &Spooled| (entry.next.received_at, entry.next.id.clone());
                age(one).cmp(&age(two))
            });
            Ok(entries)
        })
        .await
    }

    async fn remove(&self, next: &TokenSetId) -> Stored<()> {
        let id = next.clone();
        self.blocking(move |spool| match fs::remove_file(spool.path(&id, KEPT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                spool.keep_room();
                Ok(())
            }
        })
        .await
    }
}

/// A file of mode 0600 with `bytes`, on the disk when this returns.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// A file name for any id: bytes outside `[A-Za-z0-9_-]` become `%` and two hex digits.
fn file_name(id: &str) -> String {
    id.bytes().fold(String::new(), |mut name, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
        name
    })
}

fn files(directory: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> io::Result<Spooled> {
    let entry: Entry = serde_json::from_slice(&fs::read(path)?)?;
    entry.try_into()
}

/// The file's content. Sealed bytes are base64.
#[derive(Serialize, Deserialize)]
struct Entry {
    presented: TokenSetId,
    id: TokenSetId,
    team: TeamId,
    connection: ConnectionId,
    kind: String,
    access: String,
    access_expires_at: Option<Timestamp>,
    refresh: Option<String>,
    scope: Option<String>,
    metadata: Map<String, Value>,
    #[serde(default)]
    servers: Option<String>,
    received_at: Timestamp,
    failures: u32,
    not_before: Timestamp,
}

impl From<&Spooled> for Entry {
    fn from(Spooled { presented, next }: &Spooled) -> Self {
        Self {
            presented: presented.clone(),
            id: next.id.clone(),
            team: next.team.clone(),
            connection: next.connection.clone(),
            kind: next.kind.clone(),
            access: STANDARD.encode(&next.access.0),
            access_expires_at: next.access_expires_at,
            refresh: next
                .refresh
                .as_ref()
                .map(|sealed| STANDARD.encode(&sealed.0)),
            scope: next.scope.clone(),
            metadata: next.metadata.clone(),
            servers: next.servers.clone(),
            received_at: next.received_at,
            failures: next.failures,
            not_before: next.not_before,
        }
    }
}

impl TryFrom<Entry> for Spooled {
    type Error = io::Error;

    fn try_from(entry: Entry) -> io::Result<Self> {
        let sealed = |text: String| STANDARD.decode(text).map(Sealed).map_err(io::Error::other);
        Ok(Self {
            presented: entry.presented,
            next: TokenSet {
                id: entry.id,
                team: entry.team,
                connection: entry.connection,
                kind: entry.kind,
                access: sealed(entry.access)?,
                access_expires_at: entry.access_expires_at,
                refresh: entry.refresh.map(sealed).transpose()?,
                scope: entry.scope,
                metadata: entry.metadata,
                servers: entry.servers,
                received_at: entry.received_at,
                failures: entry.failures,
                not_before: entry.not_before,
            },
        })
    }
}

#[cfg(test)]
mod tests;

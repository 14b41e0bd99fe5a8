//! The data directory: who may use it, and what is where.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::{Exit, Failure};

/// A data directory that no other server uses while this value lives.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Name of the control socket within a data directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Name of the file that a running server locks; it holds its process id.
pub const LOCK: &str = "lock";
/// Name of the embedded database.
pub const DATABASE: &str = "grantry.db";
/// Name of the master key's file.
pub const MASTER_KEY: &str = "master.key";
/// Name of the spool.
pub const SPOOL: &str = "spool";
/// Name of the file of the first server key.
pub const FIRST_KEY: &str = "first-server-key";

impl DataDir {
    /// Makes `path` (mode 0700) unless it is there, and locks it.
    ///
    /// # Errors
    /// [`Exit::Locked`] when another process holds it, [`Exit::Store`] when it cannot be used.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |act: &str, error: io::Error| {
            let message = format!(
                "cannot {act} the data directory {}: {error}",
                path.display()
            );
            Failure::new(Exit::Store, message)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("make", error))?;
        let mode = fs::metadata(path)
            .map_err(|error| failed("read", error))?
            .permissions()
            .mode();
        if mode & 0o022 != 0 {
            // Whoever may write here may put other files in the place of ours. That others may look
            // is harmless (every file in it is 0600) and may be meant: `--data-dir .`
            let message = format!(
                "other users may write to the data directory {}",
                path.display()
            );
            return Err(Failure::new(Exit::Store, message).hint(format!(
                "If nobody has tampered with it: chmod 700 {}",
                path.display()
            )));
        }
        let lock = lock(&path.join(LOCK))
            .map_err(|error| failed("lock", error))?
            .map_err(|holder| {
                let message = format!(
                    "the data directory {} is in use by {holder}",
                    path.display()
                );
                Failure::new(Exit::Locked, message)
                    .hint("Stop that server, or give this one another --data-dir.")
            })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where a master key is made unless the deployment names a file.
    pub fn master_key(&self) -> PathBuf {
        self.path.join(MASTER_KEY)
    }

    /// Pairs that the database could not take.
    pub fn spool(&self) -> PathBuf {
        self.path.join(SPOOL)
    }

    /// Where local commands find the server.
    pub fn control_socket(&self) -> PathBuf {
        self.path.join(CONTROL_SOCKET)
    }

    /// Where the first server key is written when nobody watches the start.
    pub fn first_key(&self) -> PathBuf {
        self.path.join(FIRST_KEY)
    }
}

/// Writes a file that only its owner may read, in place of one that is there.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// The locked file, or who holds it. The kernel drops the lock with the process, however it ends.
fn lock(path: &Path) -> io::Result<Result<File, String>> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())?;
            Ok(Ok(file))
        }
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            Ok(Err(match holder.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            }))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_second_server_is_told_who_holds_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let second = DataDir::open(&path).err().unwrap();
        assert_eq!(second.exit, Exit::Locked);
        let holder = format!("process {}", std::process::id());
        assert!(second.message.contains(&holder), "{}", second.message);
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        for (mode, usable) in [(0o755, true), (0o770, false), (0o1777, false)] {
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let opened = DataDir::open(folder.path());
            assert_eq!(opened.is_ok(), usable, "{mode:o}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let failure = DataDir::open(&path).err().unwrap();
        assert_eq!(failure.exit, Exit::Store);
        assert!(failure.message.contains("file"), "{}", failure.message);
    }

    #[test]
    fn private_files_are_replaced_whole_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_private(&path, "a longer text").unwrap();
        write_private(&path, "short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

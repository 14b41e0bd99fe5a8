//! Master keys and where they come from: a 0600 file, a value, or a file descriptor.
//!
//! A key's text is base64 of 32 random bytes (`openssl rand -base64 32`), or this form, which can
//! hold several keys while they rotate:
//!
//! ```text
//! grantry-master-keys v1
//! active 1c5f0e9a7b3d2846 K0qV…=
//! decrypt-only 90ab12cd34ef5678 dGhp…=
//! retired 5566778899aabbcc -
//! ```
//!
//! The second column is the key's derived id ([`KeyId`]); a retired key is a record without its key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use grantry_core::limits;
use grantry_core::store::KeyStatus;
use grantry_core::{Entropy, Secret};
use zeroize::Zeroizing;

pub use self::text::KeyTextError;
use crate::envelope::{KEY_LEN, KeyId};

mod text;

/// The master keys given to this node: exactly one active, any number older.
pub struct MasterKeys(Vec<Entry>);

struct Entry {
    id: KeyId,
    status: KeyStatus,
    /// Empty when retired.
    key: Zeroizing<Vec<u8>>,
}

/// Why there are no usable master keys. Names files and key ids, never keys.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// There is no such file. On a new database the server may make one; on an old one it must not.
    #[error("there is no master key file {}", .0.display())]
    Missing(PathBuf),
    /// A master key is never overwritten.
    #[error("{} exists already, and a master key is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The file's group or everybody may read or change it.
    #[error("{} is open to other users (mode {mode:04o}); if none of them has read it: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system refused; the source says why.
    #[error("cannot {act} the master key file {}", path.display())]
    Io {
        /// `read`, `create`, …
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The text that was read or given is not master keys.
    #[error("{origin}: {problem}")]
    Text {
        /// The file, or the name of the setting that held the text.
        origin: String,
        /// What is wrong with it.
        problem: KeyTextError,
    },
}

/// Only a decrypt-only key can be retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("master key {0} is not a decrypt-only key of this list")]
pub struct NotRetirable(pub KeyId);

impl MasterKeys {
    /// One new key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(vec![Entry::generate(entropy)])
    }

    /// Reads the key file at `path`.
    ///
    /// # Errors
    /// [`MasterKeyError`]; a file that others may read is refused.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = io_error("read", path);
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MasterKeyError::Missing(path.to_owned()));
            }
            opened => opened.map_err(&failed)?,
        };
        // The mode of the opened file, so that no other file can take its place in between.
        let mode = file.metadata().map_err(&failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        Self::read(path, file)
    }

    /// Reads keys from an inherited descriptor, `/dev/fd/3` or the like. Its mode is the business of
    /// whoever opened it.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn from_descriptor(path: &Path) -> Result<Self, MasterKeyError> {
        let file = File::open(path).map_err(io_error("read", path))?;
        Self::read(path, file)
    }

    /// Takes keys from the value of a setting; `origin` names it in errors.
    ///
    /// # Errors
    /// [`MasterKeyError::Text`].
    pub fn from_value(origin: &str, value: &Secret) -> Result<Self, MasterKeyError> {
        text::parse(value.expose())
            .map(Self)
            .map_err(|problem| MasterKeyError::Text {
                origin: origin.to_owned(),
                problem,
            })
    }

    /// Makes a key and its file: mode 0600, on disk before this returns.
    ///
    /// # Errors
    /// [`MasterKeyError::Exists`], [`MasterKeyError::Io`].
    pub fn create_file(path: &Path, entropy: &dyn Entropy) -> Result<Self, MasterKeyError> {
        let keys = Self::generate(entropy);
        keys.write_new(path)?;
        sync_directory(path)?;
        Ok(keys)
    }

    /// Puts these keys in the place of those in the file, all or nothing: a crash leaves the old
    /// file or the new one.
    ///
    /// # Errors
    /// [`MasterKeyError::Exists`] when `path` + `.new` is there (another rotation, or one that was
    /// cut short), [`MasterKeyError::Io`].
    pub fn replace_file(&self, path: &Path) -> Result<(), MasterKeyError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        self.write_new(Path::new(&beside))?;
        fs::rename(&beside, path).map_err(io_error("replace", path))?;
        sync_directory(path)
    }

    /// These keys with a new active one; the one before it can still open.
    #[must_use]
    pub fn rotated(&self, entropy: &dyn Entropy) -> Self {
        let older = self.0.iter().map(|entry| match entry.status {
            KeyStatus::Active => entry.with_status(KeyStatus::DecryptOnly),
            status => entry.with_status(status),
        });
        Self(
            std::iter::once(Entry::generate(entropy))
                .chain(older)
                .collect(),
        )
    }

    /// These keys without the bytes of decrypt-only key `id`, once nothing is sealed by it.
    ///
    /// # Errors
    /// [`NotRetirable`].
    pub fn retiring(&self, id: KeyId) -> Result<Self, NotRetirable> {
        let wanted = |entry: &Entry| entry.id == id && entry.status == KeyStatus::DecryptOnly;
        if !self.0.iter().any(wanted) {
            return Err(NotRetirable(id));
        }
        let keys = self.0.iter().map(|entry| match wanted(entry) {
            true => entry.with_status(KeyStatus::Retired),
            false => entry.with_status(entry.status),
        });
        Ok(Self(keys.collect()))
    }

    /// Id of the active key.
    pub fn active_id(&self) -> KeyId {
        self.active_entry().id
    }

    /// Id and status of every key: what a person may see of them.
    pub fn list(&self) -> impl Iterator<Item = (KeyId, KeyStatus)> {
        self.0.iter().map(|entry| (entry.id, entry.status))
    }

    pub(crate) fn active(&self) -> &[u8] {
        &self.active_entry().key
    }

    pub(crate) fn decrypt_only(&self) -> impl Iterator<Item = &[u8]> {
        let older = |entry: &&Entry| entry.status == KeyStatus::DecryptOnly;
        self.0
            .iter()
            .filter(older)
            .map(|entry| entry.key.as_slice())
    }

    fn active_entry(&self) -> &Entry {
        #[expect(
            clippy::expect_used,
            reason = "every constructor makes or checks one active key"
        )]
        self.0
            .iter()
            .find(|entry| entry.status == KeyStatus::Active)
            .expect("one key is active")
    }

    fn read(path: &Path, file: File) -> Result<Self, MasterKeyError> {
        let text_error = |problem| MasterKeyError::Text {
            origin: path.display().to_string(),
            problem,
        };
        // Room for all of it at once, so that no freed copy of a key is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(limits::MASTER_KEYS_BYTES_MAX + 1));
        file.take(limits::MASTER_KEYS_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(io_error("read", path))?;
        if bytes.len() > limits::MASTER_KEYS_BYTES_MAX {
            return Err(text_error(KeyTextError::NotText));
        }
        std::str::from_utf8(&bytes)
            .map_err(|_| KeyTextError::NotText)
            .and_then(text::parse)
            .map(Self)
            .map_err(text_error)
    }

    /// Writes a file that must not exist yet.
    fn write_new(&self, path: &Path) -> Result<(), MasterKeyError> {
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let mut file = match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(MasterKeyError::Exists(path.to_owned()));
            }
            created => created.map_err(io_error("create", path))?,
        };
        file.write_all(text::render(&self.0).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io_error("write", path))
    }
}

impl Entry {
    fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = Zeroizing::new(vec![0; KEY_LEN]);
        entropy.fill(&mut key);
        Self {
            id: KeyId::of(&key),
            status: KeyStatus::Active,
            key,
        }
    }

    fn with_status(&self, status: KeyStatus) -> Self {
        Self {
            id: self.id,
            status,
            key: match status {
                KeyStatus::Active | KeyStatus::DecryptOnly => self.key.clone(),
                KeyStatus::Retired => Zeroizing::default(),
            },
        }
    }
}

fn io_error(act: &'static str, path: &Path) -> impl Fn(io::Error) -> MasterKeyError {
    move |source| MasterKeyError::Io {
        act,
        path: path.to_owned(),
        source,
    }
}

/// A new name is on disk only when its directory is.
fn sync_directory(path: &Path) -> Result<(), MasterKeyError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error("sync the directory of", path))
}

#[cfg(test)]
mod tests;

//! Which master key a process works with, and when one may be made.

use std::path::{Path, PathBuf};

use grantry_core::Entropy;
use grantry_vault::{MasterKeyError, MasterKeys};

use crate::config::MasterKeySource;
use crate::data_dir::{DataDir, MASTER_KEY};
use crate::failure::{Exit, Failure, chain};

/// Whether a command may make the key of a new database (design §8: `serve` and `dev` may).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNew {
    /// Make it.
    Make,
    /// Refuse.
    Refuse,
}

/// The master keys for the data in `directory`.
///
/// A file is made only while there is no database: data without its key stays untouched, for its
/// key may come back (requirement 75).
///
/// # Errors
/// [`Exit::MasterKey`], with how to mend it.
pub fn find(
    source: &MasterKeySource,
    directory: &DataDir,
    on_new: OnNew,
    entropy: &dyn Entropy,
) -> Result<MasterKeys, Failure> {
    match source {
        MasterKeySource::Default => in_file(&directory.master_key(), directory, on_new, entropy),
        MasterKeySource::File(path) => in_file(path, directory, on_new, entropy),
        MasterKeySource::Descriptor(number) => {
            let path = PathBuf::from(format!("/dev/fd/{number}"));
            MasterKeys::from_descriptor(&path).map_err(|error| failure(&error))
        }
        MasterKeySource::Environment(value) => {
            MasterKeys::from_value("GRANTRY_MASTER_KEY", value).map_err(|error| failure(&error))
        }
    }
}

/// What to do where the key that `source` names is not the data's.
pub fn put_back(source: &MasterKeySource, data_dir: &Path) -> String {
    let at = |path: &Path| {
        format!(
            "Put the right key back as {} from your backup, or name it with --master-key-file, --master-key-fd\n\
             or GRANTRY_MASTER_KEY.",
            path.display()
        )
    };
    match source {
        MasterKeySource::Default => at(&data_dir.join(MASTER_KEY)),
        MasterKeySource::File(path) => at(path),
        MasterKeySource::Descriptor(number) => {
            format!("Give the right key, from your backup, through file descriptor {number}.")
        }
        MasterKeySource::Environment(_) => {
            "Give the right key, from your backup, as GRANTRY_MASTER_KEY.".to_owned()
        }
    }
}

fn in_file(
    path: &Path,
    directory: &DataDir,
    on_new: OnNew,
    entropy: &dyn Entropy,
) -> Result<MasterKeys, Failure> {
    match MasterKeys::from_file(path) {
        Err(MasterKeyError::Missing(path)) if directory.database().exists() => {
            let message = format!(
                "the data in {} is sealed, and its master key file {} is missing",
                directory.path().display(),
                path.display()
            );
            Err(Failure::new(Exit::MasterKey, message).hint(
                "Put the file back from your backup, or give the key as --master-key-file, --master-key-fd\n\
                 or GRANTRY_MASTER_KEY. Without it nothing in there can be opened, by anybody.",
            ))
        }
        Err(MasterKeyError::Missing(path)) if on_new == OnNew::Refuse => {
            let message = format!("there is no master key {}", path.display());
            Err(Failure::new(Exit::MasterKey, message).hint(
                "On the embedded database `grantry serve` makes it with the data; with --database-url\n\
                 make it yourself (openssl rand -base64 32) and give the same one to every node.",
            ))
        }
        Err(MasterKeyError::Missing(path)) => {
            let keys = MasterKeys::create_file(&path, entropy).map_err(|error| failure(&error))?;
            tracing::info!(file = %path.display(), key = %keys.active_id(), "made a master key; keep a copy of it apart from the data");
            Ok(keys)
        }
        Err(error @ MasterKeyError::Text { .. }) if directory.database().exists() => {
            // A new key would be of no use to what is sealed.
            let source = MasterKeySource::File(path.to_owned());
            let message = chain(&error);
            Err(Failure::new(Exit::MasterKey, message).hint(put_back(&source, directory.path())))
        }
        read => read.map_err(|error| failure(&error)),
    }
}

fn failure(error: &MasterKeyError) -> Failure {
    let failure = Failure::new(Exit::MasterKey, chain(error));
    match error {
        MasterKeyError::Text { .. } => {
            failure.hint("32 random bytes in base64 would be right: openssl rand -base64 32")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::Secret;
    use grantry_vault::SystemEntropy;

    use super::*;

    fn found(
        source: &MasterKeySource,
        directory: &DataDir,
        on_new: OnNew,
    ) -> Result<String, Failure> {
        find(source, directory, on_new, &SystemEntropy).map(|keys| keys.active_id().to_string())
    }

    #[test]
    fn a_key_is_made_once_and_only_while_there_is_no_data() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDir::open(&folder.path().join("data")).unwrap();
        let refused = found(&MasterKeySource::Default, &directory, OnNew::Refuse);
        assert_eq!(refused.err().unwrap().exit, Exit::MasterKey);

        let made = found(&MasterKeySource::Default, &directory, OnNew::Make).unwrap();
        let again = found(&MasterKeySource::Default, &directory, OnNew::Make).unwrap();
        assert_eq!(made, again);

        std::fs::write(directory.database(), "rows").unwrap();
        std::fs::remove_file(directory.master_key()).unwrap();
        let lost = found(&MasterKeySource::Default, &directory, OnNew::Make)
            .err()
            .unwrap();
        assert_eq!(lost.exit, Exit::MasterKey);
        assert!(
            lost.message.contains("master.key is missing"),
            "{}",
            lost.message
        );
        assert!(!directory.master_key().exists());
    }

    #[test]
    fn a_given_key_is_used_and_a_useless_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDir::open(folder.path()).unwrap();
        let value = |text: &str| MasterKeySource::Environment(Secret::new(text));
        let good = value("TfMubj4yLhuT1vtK8JaYwwGGBqknPt7gx98tv/Q9nDg=");
        assert!(found(&good, &directory, OnNew::Refuse).is_ok());
        for source in [value("short"), MasterKeySource::Descriptor(987_654)] {
            let failure = found(&source, &directory, OnNew::Make).err().unwrap();
            assert_eq!(failure.exit, Exit::MasterKey);
            assert!(!failure.message.contains("short\""), "{}", failure.message);
        }
        assert!(!directory.master_key().exists());
    }
}

//! The master key: there, closed to others, the data's, and apart from it.

use std::path::PathBuf;

use grantry_core::store::Store;
use grantry_vault::ring::KeyRing;
use grantry_vault::{MasterKeyError, MasterKeys};

use super::finding::Finding;
use crate::config::{Config, MasterKeySource};
use crate::data_dir::{DATABASE, MASTER_KEY};
use crate::failure::chain;

/// Reads the key that the configuration names.
pub fn find(config: &Config, findings: &mut Vec<Finding>) -> Option<MasterKeys> {
    let (read, file) = match &config.master_key {
        MasterKeySource::Default => {
            let path = config.data_dir.join(MASTER_KEY);
            (MasterKeys::from_file(&path), Some(path))
        }
        MasterKeySource::File(path) => (MasterKeys::from_file(path), Some(path.clone())),
        MasterKeySource::Descriptor(number) => {
            let path = PathBuf::from(format!("/dev/fd/{number}"));
            (MasterKeys::from_descriptor(&path), None)
        }
        MasterKeySource::Environment(value) => {
            (MasterKeys::from_value("GRANTRY_MASTER_KEY", value), None)
        }
    };
    let keys = match read {
        Ok(keys) => keys,
        Err(error) => {
            findings.push(unusable(config, &error));
            return None;
        }
    };
    let place = file.as_ref().map_or("is given".to_owned(), |path| {
        format!("is in {}", path.display())
    });
    findings.push(Finding::ok(
        "key.present",
        format!("master key {} {place}", keys.active_id()),
    ));
    if let Some(file) = file {
        findings.push(apart(config, &file));
    }
    Some(keys)
}

fn unusable(config: &Config, error: &MasterKeyError) -> Finding {
    let message = chain(error);
    let has_data = config.database_url.is_some() || config.data_dir.join(DATABASE).exists();
    match error {
        MasterKeyError::Missing(_) if !has_data => Finding::warn(
            "key.present",
            format!("{message}, and no data yet"),
            "`grantry serve` makes both.",
        ),
        MasterKeyError::Missing(path) => Finding::fail(
            "key.present",
            message,
            format!(
                "Put {} back from your backup: without it nothing that is stored can be opened, by anybody.",
                path.display()
            ),
        ),
        MasterKeyError::Exposed { path, .. } => Finding::fail(
            "key.present",
            message,
            format!("chmod 600 {}", path.display()),
        ),
        MasterKeyError::Text { .. } => Finding::fail(
            "key.present",
            message,
            "32 random bytes in base64 would be right; put the right text back from your backup.",
        ),
        _ => Finding::fail(
            "key.present",
            message,
            "Let the server's user read the file.",
        ),
    }
}

/// Whoever copies the directory should not have both the sealed data and what opens it.
fn apart(config: &Config, file: &PathBuf) -> Finding {
    let resolved = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    if config.database_url.is_none() && resolved(file).starts_with(resolved(&config.data_dir)) {
        Finding::warn(
            "key.apart",
            "the master key lies beside the data that it opens: a copy of the directory is a copy of both",
            format!(
                "Stop the server; mv {} /etc/grantry/master.key; start it with --master-key-file /etc/grantry/master.key",
                file.display()
            ),
        )
    } else {
        Finding::ok("key.apart", "the master key lies apart from the data")
    }
}

/// Whether the data was sealed under this key.
pub async fn fits(masters: &MasterKeys, store: &dyn Store) -> Finding {
    let sealed = match store.read_key_check().await {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return Finding::ok("key.right", "no data is sealed yet"),
        Err(error) => {
            return Finding::fail(
                "key.right",
                format!("the key-check row cannot be read: {error}"),
                "See the database's checks.",
            );
        }
    };
    match KeyRing::new(masters).verify_key_check(&sealed.0) {
        Ok(()) => Finding::ok("key.right", "the data is sealed under this master key"),
        Err(error) => Finding::fail(
            "key.right",
            chain(&error),
            "Give the key that the data was made with (--master-key-file, GRANTRY_MASTER_KEY), from your backup.",
        ),
    }
}

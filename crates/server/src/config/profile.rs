//! The profile that `grantry dev` writes and the other commands read.

use std::collections::BTreeMap;
use std::path::Path;

use grantry_core::Secret;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use url::Url;

use crate::failure::Failure;

/// The profile that `grantry dev` writes and the other commands read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The server.
    #[serde(deserialize_with = "url")]
    pub url: Url,
    /// A key for it.
    pub key: Secret,
    /// The team to act in.
    pub team: Option<String>,
}

impl Profile {
    /// Reads the profile at `path`; `None` when there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failure::usage(format!(
                    "cannot read {}: {error}",
                    path.display()
                )));
            }
        };
        // The parser quotes the line it stumbles over, and that may be the key.
        let profile = toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("{}: {}", path.display(), error.message()))
                .hint("`grantry dev` writes this file anew.")
        })?;
        Ok(Some(profile))
    }

    /// As the text of the file.
    pub fn to_toml(&self) -> Result<String, Failure> {
        let mut rows = BTreeMap::from([("url", self.url.as_str()), ("key", self.key.expose())]);
        rows.extend(self.team.as_deref().map(|team| ("team", team)));
        let text = toml::to_string(&rows);
        text.map_err(|error| Failure::usage(format!("cannot write the profile: {error}")))
    }
}

/// A URL in a file.
fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(&text);
    url.map_err(|error| D::Error::custom(format!("{text:?} is no URL: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_reads_back_and_a_broken_one_keeps_its_key_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        assert!(Profile::read(&path).unwrap().is_none());
        let profile = Profile {
            url: "http://127.0.0.1:8787".parse().unwrap(),
            key: Secret::new("grk_secret"),
            team: Some("team_demo".to_owned()),
        };
        std::fs::write(&path, profile.to_toml().unwrap()).unwrap();
        let read = Profile::read(&path).unwrap().unwrap();
        assert_eq!(
            (read.url, read.key.expose(), read.team),
            (profile.url, "grk_secret", profile.team)
        );
        std::fs::write(&path, "url = 'http://x'\nkey = 'grk_secret").unwrap();
        let failure = Profile::read(&path).err().unwrap();
        assert!(
            !failure.message.contains("grk_secret"),
            "{}",
            failure.message
        );
    }
}

//! The configuration file.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use grantry_engine::RefreshSettings;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use url::Url;

use crate::failure::Failure;

/// What the file may say. Every key is optional.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    #[serde(deserialize_with = "some_url")]
    pub public_url: Option<Url>,
    pub database_url: Option<String>,
    pub master_key_file: Option<PathBuf>,
    pub master_key_fd: Option<u32>,
    pub connections_max: Option<NonZeroUsize>,
    pub egress: Egress,
    pub refresh: Refresh,
}

/// `[egress]`
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    pub allow: Vec<String>,
    pub extra_ca_file: Option<PathBuf>,
    pub per_host_max: Option<NonZeroUsize>,
}

/// `[refresh]`: times as "30s", "15m", "24h".
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Refresh {
    #[serde(deserialize_with = "time")]
    pub lease: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub wait: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub spacing: Option<Duration>,
    /// "off" is zero.
    #[serde(deserialize_with = "time_or_off")]
    pub keep_alive: Option<Duration>,
}

/// Section and names of every key. A test keeps it the same as the structs above.
const KEYS: [(&str, &[&str]); 3] = [
    (
        "",
        &[
            "listen",
            "data_dir",
            "public_url",
            "database_url",
            "master_key_file",
            "master_key_fd",
            "connections_max",
            "egress",
            "refresh",
        ],
    ),
    ("egress", &["allow", "extra_ca_file", "per_host_max"]),
    ("refresh", &["lease", "wait", "spacing", "keep_alive"]),
];

impl File {
    /// Reads `text` of the file `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let wrong = |error: toml::de::Error| {
            // The parser ends its words with an empty line.
            Failure::usage(format!("{name}: {error}").trim_end())
        };
        let table: toml::Table = toml::from_str(text).map_err(wrong)?;
        for (section, known) in KEYS {
            let found = match section {
                "" => Some(&table),
                section => table.get(section).and_then(toml::Value::as_table),
            };
            let mut names = found.into_iter().flat_map(toml::Table::keys);
            if let Some(unknown) = names.find(|name| !known.contains(&name.as_str())) {
                return Err(unknown_key(name, section, unknown));
            }
        }
        // From the text again: only this way an error can say where it is.
        toml::from_str(text).map_err(wrong)
    }
}

impl Refresh {
    /// The engine's defaults with these changes.
    pub fn settings(&self) -> Result<RefreshSettings, Failure> {
        let default = RefreshSettings::default();
        let settings = RefreshSettings {
            lease: self.lease.unwrap_or(default.lease),
            wait: self.wait.unwrap_or(default.wait),
            spacing: self.spacing.unwrap_or(default.spacing),
            keep_alive: match self.keep_alive {
                None => default.keep_alive,
                Some(Duration::ZERO) => None,
                given => given,
            },
            ..default
        };
        // Below this a node could not be sure that it may still send (design §6c).
        let shortest = settings.deadline + LEASE_MARGIN;
        if settings.lease < shortest {
            return Err(Failure::usage(format!(
                "refresh.lease is {} s, shorter than one token request ({} s) and the slowest commit ({} s)",
                settings.lease.as_secs(),
                settings.deadline.as_secs(),
                LEASE_MARGIN.as_secs()
            ))
            .hint(format!("\"{}s\" or more would be right.", shortest.as_secs())));
        }
        Ok(settings)
    }
}

/// Time for the commit before a token request is sent.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Names the known key that looks most like `unknown`, wherever it belongs.
fn unknown_key(file: &str, section: &str, unknown: &str) -> Failure {
    let full = |section: &str, key: &str| match section {
        "" => key.to_owned(),
        section => format!("{section}.{key}"),
    };
    let all = KEYS
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| (*section, *key)));
    let likeness = |(in_section, key): &(&str, &str)| {
        let same = strsim::normalized_damerau_levenshtein(key, unknown);
        // Of two keys that look alike the one of the same section is meant.
        (
            same + if *in_section == section { 0.01 } else { 0.0 },
            full(in_section, key),
        )
    };
    let nearest = all
        .map(|key| likeness(&key))
        .max_by(|one, two| one.0.total_cmp(&two.0));
    let failure = Failure::usage(format!(
        "{file}: there is no setting {}",
        full(section, unknown)
    ));
    match nearest.filter(|(likeness, _)| *likeness >= 0.5) {
        Some((_, key)) => failure.hint(format!("Is {key} meant?")),
        None => {
            let known: Vec<String> = KEYS
                .iter()
                .filter(|(known, _)| *known == section)
                .flat_map(|(_, keys)| keys.iter().map(|key| full(section, key)))
                .collect();
            failure.hint(format!("There are {}.", known.join(", ")))
        }
    }
}

/// A URL in a file.
pub fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(&text);
    url.map_err(|error| D::Error::custom(format!("{text:?} is no URL: {error}")))
}

fn some_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    url(deserializer).map(Some)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let positive = parsed.and_then(|time| Duration::try_from(time).ok());
    match positive.filter(|time| !time.is_zero()) {
        Some(time) => Ok(Some(time)),
        None => Err(D::Error::custom(format!(
            "{text:?} is no time; \"30s\", \"15m\" or \"24h\" would be right"
        ))),
    }
}

fn time_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    match value.as_str() {
        Some("off") => Ok(Some(Duration::ZERO)),
        _ => time(value).map_err(D::Error::custom),
    }
}

#[cfg(test)]
pub const SAMPLE: &str = r#"
listen = "127.0.0.1:1"
data_dir = "from-file"
public_url = "https://file.example"
database_url = "postgres://file"
master_key_file = "file.key"
master_key_fd = 3
connections_max = 9
[egress]
allow = ["127.0.0.0/8"]
extra_ca_file = "ca.pem"
per_host_max = 8
[refresh]
lease = "40s"
wait = "10s"
spacing = "1m"
keep_alive = "off"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_keys_is_what_the_file_may_say() {
        let table: toml::Table = SAMPLE.parse().unwrap();
        let listed = KEYS.iter().map(|(section, keys)| {
            let found = match *section {
                "" => &table,
                section => table[section].as_table().unwrap(),
            };
            let mut found: Vec<&str> = found.keys().map(String::as_str).collect();
            let mut listed = keys.to_vec();
            found.sort_unstable();
            listed.sort_unstable();
            assert_eq!(found, listed, "{section}");
            listed.len()
        });
        assert_eq!(listed.sum::<usize>(), 16);
        assert!(File::parse("sample", SAMPLE).is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        for (text, message, hint) in [
            (
                "listn = 'x'",
                "grantry.toml: there is no setting listn",
                "Is listen meant?",
            ),
            (
                "public-url = 'x'",
                "setting public-url",
                "Is public_url meant?",
            ),
            ("allow = []", "setting allow", "Is egress.allow meant?"),
            (
                "[egress]\nalow = []",
                "setting egress.alow",
                "Is egress.allow meant?",
            ),
            (
                "[refresh]\nkeepalive = '1h'",
                "setting refresh.keepalive",
                "Is refresh.keep_alive meant?",
            ),
            ("[refersh]\n", "setting refersh", "Is refresh meant?"),
            (
                "[refresh]\nzzz = 1",
                "setting refresh.zzz",
                "There are refresh.lease, refresh.wait",
            ),
        ] {
            let failure = File::parse("grantry.toml", text).err().unwrap();
            assert!(
                failure.message.contains(message),
                "{text}: {}",
                failure.message
            );
            let found = failure.hint.unwrap_or_default();
            assert!(found.starts_with(hint), "{text}: {found}");
        }
    }

    #[test]
    fn a_wrong_value_is_shown_where_it_stands() {
        for (text, words) in [
            ("listen = 8787", &["grantry.toml", "line 1"][..]),
            ("public_url = 'example.com'", &["line 1", "is no URL"]),
            ("[refresh]\nlease = '-5s'", &["line 2", "\"30s\""]),
            ("[refresh]\nlease = 30", &["line 2"]),
            (
                "[refresh]\nkeep_alive = 'never'",
                &["line 2", "\"never\" is no time"],
            ),
            ("[egress]\nallow = '127.0.0.0/8'", &["line 2"]),
            ("egress = 1", &["line 1"]),
            ("listen = ", &["line 1"]),
        ] {
            let failure = File::parse("grantry.toml", text).err().unwrap();
            assert_eq!(failure.message.trim_end(), failure.message);
            for word in words {
                assert!(
                    failure.message.contains(word),
                    "{text}: {}",
                    failure.message
                );
            }
        }
    }

    #[test]
    fn a_lease_must_outlast_a_token_request() {
        let settings = |lease: &str| {
            let text = format!("[refresh]\nlease = '{lease}'");
            File::parse("f", &text).unwrap().refresh.settings()
        };
        assert_eq!(settings("20s").unwrap().lease, Duration::from_secs(20));
        let failure = settings("19s").err().unwrap();
        assert_eq!(failure.hint.unwrap(), "\"20s\" or more would be right.");
    }
}

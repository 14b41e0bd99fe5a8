//! The text form of master keys, which the top of [`super`] shows.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grantry_core::store::KeyStatus;
use zeroize::Zeroizing;

use super::Entry;
use crate::envelope::{KEY_LEN, KeyId};

const HEADER: &str = "grantry-master-keys v1";

const STATUSES: [KeyStatus; 3] = [
    KeyStatus::Active,
    KeyStatus::DecryptOnly,
    KeyStatus::Retired,
];

const fn word(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "active",
        KeyStatus::DecryptOnly => "decrypt-only",
        KeyStatus::Retired => "retired",
    }
}

/// What is wrong with the text of master keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Nothing there, as after a start that was cut short while it made the file.
    #[error(
        "holds no key (an empty file, left by a first start that was cut short, may be deleted)"
    )]
    Empty,
    /// More than a list of keys can be, or not UTF-8.
    #[error("is not a list of master keys")]
    NotText,
    /// A line that is not `status id key`.
    #[error("line {line} is not `status id key`")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// The key is not base64.
    #[error("{key} is not base64 with its padding")]
    NotBase64 {
        /// `key` and the id it is written with, or `the key`.
        key: String,
    },
    /// The key is too short or too long.
    #[error(
        "{key} has {bytes} bytes and needs {KEY_LEN}; make one with: openssl rand -base64 {KEY_LEN}"
    )]
    Length {
        /// `key` and the id it is written with, or `the key`.
        key: String,
        /// Its length when decoded.
        bytes: usize,
    },
    /// All bytes equal, counting up or down, or plain text: an example or a passphrase.
    #[error(
        "key {id} is an example or a passphrase, not {KEY_LEN} random bytes; make one with: openssl rand -base64 {KEY_LEN}"
    )]
    Example {
        /// Derived from the key.
        id: KeyId,
    },
    /// The id beside the key is another key's.
    #[error("key {actual} is written as {written}")]
    Mislabelled {
        /// As in the text.
        written: KeyId,
        /// Derived from the key.
        actual: KeyId,
    },
    /// A key is listed twice.
    #[error("key {0} is listed twice")]
    Repeated(KeyId),
    /// There must be one key to seal with.
    #[error("{0} keys are active and exactly one must be")]
    NotOneActive(usize),
}

/// Every key of `text`: either one bare key, which is then active, or a list with one active key.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, KeyTextError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(KeyTextError::Empty);
    }
    let Some(lines) = text.strip_prefix(HEADER) else {
        let key = decode(text, "the key")?;
        return Ok(vec![Entry {
            id: KeyId::of(&key),
            status: KeyStatus::Active,
            key,
        }]);
    };
    let mut keys: Vec<Entry> = Vec::new();
    for (index, line) in lines.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let entry = parse_line(line).ok_or(KeyTextError::Line { line: index + 1 })??;
        if keys.iter().any(|other| other.id == entry.id) {
            return Err(KeyTextError::Repeated(entry.id));
        }
        keys.push(entry);
    }
    match keys
        .iter()
        .filter(|entry| entry.status == KeyStatus::Active)
        .count()
    {
        1 => Ok(keys),
        active => Err(KeyTextError::NotOneActive(active)),
    }
}

/// `None` when the line is not of the form at all.
fn parse_line(line: &str) -> Option<Result<Entry, KeyTextError>> {
    let mut words = line.split_ascii_whitespace();
    let (status, id, key) = (words.next()?, words.next()?, words.next()?);
    let status = STATUSES.into_iter().find(|known| word(*known) == status)?;
    let id = id.parse().ok()?;
    if words.next().is_some() || (status == KeyStatus::Retired) != (key == "-") {
        return None;
    }
    if status == KeyStatus::Retired {
        let key = Zeroizing::default();
        return Some(Ok(Entry { id, status, key }));
    }
    Some(decode(key, &format!("key {id}")).and_then(|key| {
        let actual = KeyId::of(&key);
        match actual == id {
            true => Ok(Entry { id, status, key }),
            false => Err(KeyTextError::Mislabelled {
                written: id,
                actual,
            }),
        }
    }))
}

/// The text that [`parse`] reads.
pub(super) fn render(keys: &[Entry]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(32 + 96 * keys.len()));
    text.push_str(HEADER);
    for Entry { id, status, key } in keys {
        let key = Zeroizing::new(match key.is_empty() {
            true => "-".to_owned(),
            false => STANDARD.encode(key),
        });
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{} {id} {}", word(*status), *key);
    }
    text.push('\n');
    text
}

fn decode(base64: &str, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyTextError> {
    let key = || name.to_owned();
    let bytes = STANDARD
        .decode(base64)
        .map(Zeroizing::new)
        .map_err(|_| KeyTextError::NotBase64 { key: key() })?;
    if bytes.len() != KEY_LEN {
        return Err(KeyTextError::Length {
            key: key(),
            bytes: bytes.len(),
        });
    }
    if looks_made_up(&bytes) {
        return Err(KeyTextError::Example {
            id: KeyId::of(&bytes),
        });
    }
    Ok(bytes)
}

/// True for 32 equal bytes, a run such as 0, 1, 2 …, and printable text. Random keys are none of
/// these (the likeliest, all printable, has odds of 10^-13).
pub(super) fn looks_made_up(key: &[u8]) -> bool {
    let mut steps = key.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let first = steps.next();
    let even = steps.all(|step| Some(step) == first);
    even || key.iter().all(|byte| (b' '..=b'~').contains(byte))
}

//! Sealing one value into the place where it lives. The format is at the top of [the crate](crate).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use grantry_core::{Entropy, Error, entropy};
use zeroize::Zeroizing;

use crate::hash::{hmac_sha256, sha256};

const VERSION: u8 = 1;
const NONCE_AT: usize = 1 + KeyId::LEN;
const TEXT_AT: usize = NONCE_AT + NONCE_LEN;
const TAG_LEN: usize = 16;

/// Bytes by which a sealed value is longer than its plaintext.
pub const OVERHEAD: usize = TEXT_AT + TAG_LEN;

/// Length of a master key and of a data key, in bytes.
pub const KEY_LEN: usize = 32;

/// Where a sealed value lives. Open it with the same four words it was sealed with, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The tenant whose data key seals the value; [`crate::ring::SERVER`] for the server's own.
    pub team: &'a str,
    /// Table of the row.
    pub table: &'a str,
    /// Id of the row.
    pub row: &'a str,
    /// Column, or the name of the value within it.
    pub field: &'a str,
}

/// Why a sealed value does not open. None of them says anything about the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key that sealed it is not on this node: not loaded yet, retired, or another master key's.
    #[error("sealed by key {0}, which this node does not have")]
    UnknownKey(KeyId),
    /// Written by a version of the format that this binary does not know.
    #[error("sealed in format {0}, which this version does not know")]
    UnknownVersion(u8),
    /// Shorter than any sealed value.
    #[error("a sealed value has at least {OVERHEAD} bytes")]
    Truncated,
    /// Changed, or moved here from another place.
    #[error("the sealed value fails its integrity check")]
    NotAuthentic,
    /// Sound, but asked for as text and not UTF-8.
    #[error("the sealed value is not text")]
    NotText,
}

/// A lacking key or format is this node's trouble and may pass (503); damage is not and will not (500).
impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::UnknownKey(_) | OpenError::UnknownVersion(_) => Self::Unavailable,
            OpenError::Truncated | OpenError::NotAuthentic | OpenError::NotText => Self::Internal,
        }
    }
}

/// Public name of a key, derived from it. 16 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    const LEN: usize = 8;

    /// The id of `key`.
    pub(crate) fn of(key: &[u8]) -> Self {
        let digest = sha256(&[b"grantry/key-id/v1\0", key]);
        let (id, _) = digest.split_at(Self::LEN);
        Self(id.iter().fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 16 lower-case hex digits")]
pub struct NotAKeyId;

impl FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 2 * Self::LEN || !text.bytes().all(digits) {
            return Err(NotAKeyId);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| NotAKeyId)
    }
}

/// Which key opens a sealed value: what key rotation counts.
///
/// # Errors
/// [`OpenError::Truncated`], [`OpenError::UnknownVersion`]. The value itself is not checked.
pub fn key_id(sealed: &[u8]) -> Result<KeyId, OpenError> {
    Parts::of(sealed).map(|parts| parts.key)
}

/// A sealed value taken apart, not yet checked.
struct Parts<'a> {
    key: KeyId,
    nonce: [u8; NONCE_LEN],
    ciphertext: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let (version, rest) = sealed.split_first().ok_or(OpenError::Truncated)?;
        if *version != VERSION {
            return Err(OpenError::UnknownVersion(*version));
        }
        let (key, rest) = rest.split_first_chunk().ok_or(OpenError::Truncated)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(OpenError::Truncated)?;
        let (ciphertext, tag) = rest
            .split_last_chunk::<TAG_LEN>()
            .ok_or(OpenError::Truncated)?;
        Ok(Self {
            key: KeyId(u64::from_be_bytes(*key)),
            nonce: *nonce,
            ciphertext,
            tag,
        })
    }
}

/// A master or data key, ready to seal and open.
pub(crate) struct Key {
    id: KeyId,
    prk: hkdf::Prk,
}

impl Key {
    /// From the key's [`KEY_LEN`] bytes.
    pub(crate) fn new(key: &[u8]) -> Self {
        // RFC 5869 §2.2: extracting is HMAC with the salt as its key. Done once here, because
        // `hkdf::Salt::extract` puts it off and repeats it for every value.
        let salt = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"grantry/envelope/v1");
        let prk = aws_lc_rs::hmac::sign(&salt, key);
        Self {
            id: KeyId::of(key),
            prk: hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, prk.as_ref()),
        }
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn seal(
        &self,
        place: &Place<'_>,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Vec<u8> {
        let nonce = entropy::bytes::<NONCE_LEN>(entropy);
        let mut sealed = Vec::with_capacity(OVERHEAD + plaintext.len());
        sealed.push(VERSION);
        sealed.extend(self.id.0.to_be_bytes());
        sealed.extend(nonce);
        sealed.extend(plaintext);
        #[expect(
            clippy::expect_used,
            reason = "AES-GCM refuses only texts above 64 GiB; every value sealed here was held to a limit of at most MiB"
        )]
        let tag = self
            .cipher(place)
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                self.associated_data(place),
                &mut sealed[TEXT_AT..],
            )
            .expect("the plaintext is shorter than 64 GiB");
        sealed.extend(tag.as_ref());
        sealed
    }

    pub(crate) fn open(
        &self,
        place: &Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let parts = Parts::of(sealed)?;
        if parts.key != self.id {
            return Err(OpenError::UnknownKey(parts.key));
        }
        let mut plaintext = Zeroizing::new(vec![0; parts.ciphertext.len()]);
        self.cipher(place)
            .open_separate_gather(
                Nonce::assume_unique_for_key(parts.nonce),
                self.associated_data(place),
                parts.ciphertext,
                parts.tag,
                &mut plaintext,
            )
            .map_err(|_| OpenError::NotAuthentic)?;
        Ok(plaintext)
    }

    /// The cipher of one (row, field).
    fn cipher(&self, place: &Place<'_>) -> LessSafeKey {
        let info = length_prefixed([place.row.as_bytes(), place.field.as_bytes()]);
        let info = [b"grantry/field/v1".as_slice(), &info];
        #[expect(
            clippy::expect_used,
            reason = "HKDF refuses only outputs above 255 × 32 bytes"
        )]
        let key = self
            .prk
            .expand(&info, &AES_256_GCM)
            .expect("a 32-byte key is below the limit of HKDF");
        LessSafeKey::new(UnboundKey::from(key))
    }

    /// A digest of `parts` that only who has this key can make: one for each `label`.
    pub(crate) fn mac(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let info = [b"grantry/mac/v1".as_slice(), label.as_bytes()];
        let mut key = Zeroizing::new([0; 32]);
        #[expect(
            clippy::expect_used,
            reason = "HKDF refuses only outputs above 255 × 32 bytes"
        )]
        self.prk
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("a 32-byte key is below the limit of HKDF");
        let lengths: Vec<[u8; 8]> = parts
            .iter()
            .map(|part| (part.len() as u64).to_be_bytes())
            .collect();
        let prefixed: Vec<&[u8]> = lengths
            .iter()
            .zip(parts)
            .flat_map(|(length, part)| [length.as_slice(), part])
            .collect();
        hmac_sha256(&*key, &prefixed)
    }

    fn associated_data(&self, place: &Place<'_>) -> Aad<Vec<u8>> {
        Aad::from(length_prefixed([
            [VERSION].as_slice(),
            place.team.as_bytes(),
            place.table.as_bytes(),
            place.row.as_bytes(),
            place.field.as_bytes(),
            &self.id.0.to_be_bytes(),
        ]))
    }
}

/// Parts joined so that no two lists of parts give the same bytes.
fn length_prefixed<const N: usize>(parts: [&[u8]; N]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        out.extend((part.len() as u64).to_be_bytes());
        out.extend(part);
    }
    out
}

#[cfg(test)]
mod tests;

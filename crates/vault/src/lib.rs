//! The only crate that does cryptography on Grantry's data: keys, sealing, hashes, signatures.
//!
//! **vault never stores.** It turns bytes into bytes; which row they go to is the store's part.
//! The one file it ever writes is the master-key file.
//!
//! # A sealed value, byte by byte
//!
//! ```text
//! offset  length  what
//!      0       1  version, 0x01
//!      1       8  id of the key that sealed it ([`KeyId`], big endian)
//!      9      12  nonce, fresh from [`grantry_core::Entropy`] for every seal
//!     21       n  ciphertext, as long as the plaintext
//!   21+n      16  AES-256-GCM tag
//! ```
//!
//! With `lp(x)` = the length of `x` as 8 bytes big endian, then `x`:
//!
//! ```text
//! key id          = first 8 bytes of SHA-256("grantry/key-id/v1" ‖ 0x00 ‖ key)
//! prk             = HKDF-Extract-SHA256(salt = "grantry/envelope/v1", key)
//! cipher key      = HKDF-Expand-SHA256(prk, "grantry/field/v1" ‖ lp(row) ‖ lp(field), 32 bytes)
//! associated data = lp(version) ‖ lp(team) ‖ lp(table) ‖ lp(row) ‖ lp(field) ‖ lp(key id)
//! ```
//!
//! `testdata/vectors.json` holds values made by an independent implementation (`vectors.py` beside
//! it), and damaged ones with the failure each must give.
//!
//! # Invariants
//!
//! - **Ciphertext is bound to where it lives.** Moved to another team, table, row or field it does
//!   not open (requirement 69). Putting back an *older* value of the same place is not seen here:
//!   a token set gets a fresh row id for each generation (design §6), which covers what matters
//!   (requirement 70).
//! - **All or nothing.** Any changed, missing or extra byte is an error: no panic, no part of the
//!   plaintext (requirement 71).
//! - **No key nears its nonce bound.** Random 96-bit nonces are safe for 2^32 seals of one key
//!   (NIST SP 800-38D §8.3), and every (row, field) has a key of its own (requirement 72).
//! - **Two layers of keys.** A team's data keys are sealed by a master key, under the same format,
//!   in the place (team, `data_keys`, key id, `key`). The master key is never stored by the server
//!   on a database; a [`KeyRing::key_check`] row tells a wrong one at start (requirement 75).
//! - **Keys name themselves.** An id is derived from its key, so none can be mislabelled; an
//!   unknown id is "this node lacks the key", never "the data is damaged" (requirement 76).
//! - **Secrets are wiped** from our own buffers when dropped, and have neither `Debug` nor `Serialize`.

pub mod entropy;
pub mod envelope;
pub mod hash;
pub mod jws;
pub mod master;
pub mod ring;

#[cfg(test)]
mod vectors;

pub use entropy::SystemEntropy;
pub use envelope::{KeyId, OpenError, Place};
pub use hash::{Handle, HandleKind};
pub use master::{MasterKeyError, MasterKeys};
pub use ring::{DataKey, KeyRing};

//! Signed tokens: the issuer's own keys, keys that a connector signs its assertions with, and the
//! check of tokens, ours and a provider's.
//!
//! The algorithm is a property of the key. A token's header chooses a key by `kid` and must then
//! name that key's algorithm, so neither `none` nor HMAC under a public key can pass (RFC 8725 §3.1).

mod sign;
mod verify;

pub use sign::{SigningAlgorithm, SigningError, SigningKey, SigningKeyError};
pub use verify::{Expected, KeySet, VerifyError, verify};

#[cfg(test)]
mod tests;

//! What lets a caller repeat a request safely.

use super::{Digest, Sealed};
use crate::Timestamp;

/// A request that came with an `Idempotency-Key`: reserved before it is carried out, answered after.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedRequest {
    /// Hash of who asks, in which team, and of their key; in hexadecimal.
    pub id: String,
    /// Hash of what is asked: method, path, query, body.
    pub request: Digest,
    /// What it was answered with, sealed in the place (team or server, `keyed_requests`, id, `answer`);
    /// `None` while it is carried out, and for ever when that was cut short.
    pub answer: Option<Sealed>,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// From when on the key is free again.
    pub expires_at: Timestamp,
}

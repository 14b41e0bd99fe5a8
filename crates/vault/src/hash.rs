//! Hashes, lookup handles, HMAC, constant-time comparison.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    #[expect(clippy::expect_used, reason = "SHA-256 gives 32 bytes")]
    context
        .finish()
        .as_ref()
        .try_into()
        .expect("SHA-256 gives 32 bytes")
}

/// SHA-1 of `bytes` in lower-case hex: a name that clients give a file. Nothing may rely on it being the only
/// file of that name.
pub fn sha1_hex(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The `N` bytes that hexadecimal digits of either case stand for; `None` for anything but exactly these.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

/// What a [`Handle`] stands for. Each kind hashes under a label of its own, so the handle of a
/// state is never the handle of a key with the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandleKind {
    /// An API key, at any level.
    ApiKey,
    /// The `state` of one press of the consent button.
    State,
    /// A PKCE verifier that a client of ours will present.
    Verifier,
    /// The cookie that binds a flow to a browser.
    Binding,
    /// The code that an app posts back to confirm a connection.
    Confirmation,
    /// The code of a sign-in.
    SignInCode,
    /// The refresh token of a sign-in.
    SignInRefresh,
    /// A signed token of ours, as the key of its verification cache.
    SignedToken,
}

impl HandleKind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::ApiKey => b"grantry/handle/api-key/v1\0",
            Self::State => b"grantry/handle/state/v1\0",
            Self::Verifier => b"grantry/handle/verifier/v1\0",
            Self::Binding => b"grantry/handle/binding/v1\0",
            Self::Confirmation => b"grantry/handle/confirmation/v1\0",
            Self::SignInCode => b"grantry/handle/sign-in-code/v1\0",
            Self::SignInRefresh => b"grantry/handle/sign-in-refresh/v1\0",
            Self::SignedToken => b"grantry/handle/signed-token/v1\0",
        }
    }
}

/// What is stored instead of a bearer secret, and what it is looked up by (requirement 82).
///
/// SHA-256 under the kind's label. Plain hashing is enough because what is hashed has at least
/// 128 random bits; the look-up compares hashes, so its timing tells nothing of the secret
/// (requirement 83). As text: base64url without padding, 43 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; 32]);

impl Handle {
    /// The handle of `secret`.
    pub fn of(kind: HandleKind, secret: &str) -> Self {
        Self(sha256(&[kind.label(), secret.as_bytes()]))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handle is 43 characters of base64url")]
pub struct NotAHandle;

impl FromStr for Handle {
    type Err = NotAHandle;

    fn from_str(text: &str) -> Result<Self, NotAHandle> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAHandle)?;
        bytes.try_into().map(Self).map_err(|_| NotAHandle)
    }
}

/// True when `a` and `b` are the same bytes. Takes the same time wherever they differ; only their
/// lengths are not hidden (requirement 83).
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// The PKCE `code_challenge` of `verifier` by method S256 (RFC 7636 §4.2).
pub fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(&[verifier.as_bytes()]))
}

/// HMAC-SHA256 (RFC 2104) of the parts, one after the other.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    #[expect(clippy::expect_used, reason = "HMAC-SHA256 gives 32 bytes")]
    context
        .sign()
        .as_ref()
        .try_into()
        .expect("HMAC-SHA256 gives 32 bytes")
}

/// True when `tag` is the whole HMAC-SHA256 of the parts, compared in constant time.
pub fn hmac_sha256_verify(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
    constant_time_eq(&hmac_sha256(key, parts), tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sha256_matches_the_standard_and_joins_its_parts() {
        // FIPS 180-4 example "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(&[b"abc"])), abc);
        assert_eq!(hex(&sha256(&[b"a", b"", b"bc"])), abc);
    }

    #[test]
    fn s256_matches_rfc_7636_appendix_b() {
        assert_eq!(
            s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    /// RFC 4231 test cases 2 and 6 (a key longer than a block).
    #[test]
    fn hmac_matches_rfc_4231() {
        let jefe = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex(&jefe),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex(&hmac_sha256(&[0xaa; 131], &[text])),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn only_the_whole_unchanged_tag_verifies() {
        let tag = hmac_sha256(b"key", &[b"v0:1:", b"body"]);
        assert!(hmac_sha256_verify(b"key", &[b"v0:1:body"], &tag));
        assert!(!hmac_sha256_verify(b"key", &[b"v0:1:body "], &tag));
        assert!(!hmac_sha256_verify(b"kex", &[b"v0:1:body"], &tag));
        for len in 0..tag.len() {
            assert!(!hmac_sha256_verify(b"key", &[b"v0:1:body"], &tag[..len]));
        }
        for bit in 0..256 {
            let mut bad = tag;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!hmac_sha256_verify(b"key", &[b"v0:1:body"], &bad));
        }
    }

    #[test]
    fn equality_is_of_the_whole() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"sam"));
        assert!(!constant_time_eq(b"same", b"samf"));
        assert!(!constant_time_eq(b"same", b"tame"));
    }

    #[test]
    fn handles_of_one_text_differ_by_kind_and_from_its_plain_hash() {
        let kinds = [
            HandleKind::ApiKey,
            HandleKind::State,
            HandleKind::Verifier,
            HandleKind::Binding,
            HandleKind::Confirmation,
            HandleKind::SignedToken,
        ];
        let mut seen: HashSet<[u8; 32]> = kinds
            .iter()
            .map(|kind| *Handle::of(*kind, "secret").as_bytes())
            .collect();
        seen.insert(sha256(&[b"secret"]));
        assert_eq!(seen.len(), kinds.len() + 1);
    }

    /// Stored handles must be found by every later version.
    #[test]
    fn the_handle_of_an_api_key_never_changes() {
        let handle = Handle::of(HandleKind::ApiKey, "gk_example");
        assert_eq!(
            handle.to_string(),
            "tlz-6jqEN8cqqLD_32tbAuj6TdMhPc4bdgkJA-1PXbE"
        );
        assert_eq!(handle.to_string().parse(), Ok(handle));
    }

    #[test]
    fn other_texts_are_not_handles() {
        let text = Handle::of(HandleKind::ApiKey, "x").to_string();
        for bad in [
            "",
            &text[1..],
            &format!("{text}A"),
            &format!("{text}="),
            &"+".repeat(43),
        ] {
            assert_eq!(bad.parse::<Handle>(), Err(NotAHandle), "{bad}");
        }
    }
}

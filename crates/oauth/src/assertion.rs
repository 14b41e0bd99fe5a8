//! Signed assertions: JWT bearer grants and `private_key_jwt` (RFC 7523 §3), and the JWT of a GitHub App.

use std::time::Duration;

use grantry_core::limits;
use grantry_core::{Entropy, Secret, Timestamp, entropy::alphanumeric};
use grantry_vault::jws::{SigningError, SigningKey};
use serde_json::{Map, Value};

/// How far `iat` is set back, for servers whose clock is behind ours (requirement 28).
const BACKDATED: Duration = Duration::from_secs(30);

/// Characters of `jti`: more than 128 bits.
const JTI_CHARS: usize = 22;

/// What an assertion claims. Empty texts are left out.
pub struct Assertion<'a> {
    /// Who signs: the client id, or a GitHub App's id.
    pub issuer: &'a str,
    /// For whom: the client id again for `private_key_jwt`, the user for a bearer grant.
    pub subject: &'a str,
    /// Exactly what the server calls itself here: its issuer or its token endpoint.
    pub audience: &'a str,
    /// Wished life, cut to [`limits::ASSERTION_TIME_MAX`].
    pub lifetime: Duration,
    /// More claims. They cannot replace those above, nor `iat`, `exp` and `jti`.
    pub extra: &'a Map<String, Value>,
}

impl Assertion<'_> {
    /// Signs the assertion, for one use. The algorithm is the key's, not the caller's.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign(
        &self,
        key: &SigningKey,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Secret, SigningError> {
        key.sign("JWT", &self.claims(entropy, now)).map(Secret::new)
    }

    fn claims(&self, entropy: &dyn Entropy, now: Timestamp) -> Map<String, Value> {
        let mut claims = self.extra.clone();
        for (name, value) in [
            ("iss", self.issuer),
            ("sub", self.subject),
            ("aud", self.audience),
        ] {
            claims.remove(name);
            if !value.is_empty() {
                claims.insert(name.to_owned(), value.into());
            }
        }
        let expires = now.after(self.lifetime.min(limits::ASSERTION_TIME_MAX));
        claims.insert("iat".to_owned(), now.before(BACKDATED).as_secs().into());
        claims.insert("exp".to_owned(), expires.as_secs().into());
        claims.insert("jti".to_owned(), alphanumeric(entropy, JTI_CHARS).into());
        claims
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::testing::SeededEntropy;
    use grantry_vault::jws::{Expected, KeySet, SigningAlgorithm, verify};
    use serde_json::json;

    use super::*;
    use crate::tests::NOW;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn requirement_28_an_assertion_is_short_lived_backdated_and_unique() {
        let extra = object(json!({
            "aud": "https://evil.example", "sub": "admin", "exp": 9_999_999_999_i64, "jti": "again", "scope": "a",
        }));
        let assertion = Assertion {
            issuer: "cid",
            subject: "",
            audience: "https://as.example",
            lifetime: Duration::from_secs(86_400),
            extra: &extra,
        };
        let entropy = SeededEntropy::new(1);
        let claims = assertion.claims(&entropy, NOW);
        let now = NOW.as_secs();
        assert_eq!(claims["iss"], "cid");
        assert_eq!(claims["aud"], "https://as.example");
        assert_eq!(claims.get("sub"), None);
        assert_eq!(claims["iat"], now - 30);
        assert_eq!(claims["exp"], now + 300);
        assert_eq!(claims["scope"], "a");
        assert_eq!(claims["jti"].as_str().map(str::len), Some(JTI_CHARS));
        assert_ne!(assertion.claims(&entropy, NOW)["jti"], claims["jti"]);
        let brief = Assertion {
            lifetime: Duration::from_secs(60),
            ..assertion
        };
        assert_eq!(brief.claims(&entropy, NOW)["exp"], now + 60);
    }

    #[test]
    fn a_signed_assertion_verifies_under_its_key() {
        let der = SigningKey::generate(SigningAlgorithm::Es256).ok().unwrap();
        let key = SigningKey::from_pkcs8(&der).ok().unwrap();
        let extra = Map::new();
        let assertion = Assertion {
            issuer: "cid",
            subject: "cid",
            audience: "https://as.example",
            lifetime: limits::ASSERTION_TIME_MAX,
            extra: &extra,
        };
        let signed = assertion
            .sign(&key, &SeededEntropy::new(1), NOW)
            .ok()
            .unwrap();
        let expected = Expected {
            typ: Some("JWT"),
            issuer: "cid",
            audience: "https://as.example",
            now: NOW,
            leeway: Duration::ZERO,
        };
        let claims: Result<Value, _> =
            verify(signed.expose(), &KeySet::new([key.jwk()]), &expected);
        assert_eq!(claims.map(|claims| claims["sub"].clone()), Ok(json!("cid")));
    }
}

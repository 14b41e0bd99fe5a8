//! The random values of one authorization (RFC 7636, OpenID Connect Core §3.1.2.1, requirement 9).
//!
//! Each is drawn once per authorization and never used for another.

use grantry_core::{Entropy, Secret, entropy::alphanumeric};

/// Characters of a verifier: RFC 7636 §4.1 allows 43 to 128. 64 of our alphabet carry 381 bits.
const VERIFIER_CHARS: usize = 64;

/// Characters of a state or a nonce: 256 bits.
const STATE_CHARS: usize = 43;

/// The only challenge method that is ever sent (requirement 11).
pub const CHALLENGE_METHOD: &str = "S256";

/// A PKCE code verifier. Send `S256` of it with the authorization request, itself with the token request.
pub fn verifier(entropy: &dyn Entropy) -> Secret {
    Secret::new(alphanumeric(entropy, VERIFIER_CHARS))
}

/// The challenge of `verifier`: unpadded base64url of its SHA-256 (RFC 7636 §4.2).
pub fn challenge(verifier: &Secret) -> String {
    grantry_vault::hash::s256(verifier.expose())
}

/// A `state` value. Store only a hash of it.
pub fn state(entropy: &dyn Entropy) -> Secret {
    Secret::new(alphanumeric(entropy, STATE_CHARS))
}

/// A `nonce` for the ID token.
pub fn nonce(entropy: &dyn Entropy) -> Secret {
    Secret::new(alphanumeric(entropy, STATE_CHARS))
}

#[cfg(test)]
mod tests {
    use grantry_core::testing::SeededEntropy;

    use super::*;

    #[test]
    fn values_are_long_enough_and_unreserved() {
        let entropy = SeededEntropy::new(1);
        // log2(62) = 5.95 bits per character: 22 characters carry 128 bits.
        for (value, range) in [
            (verifier(&entropy), 43..=128),
            (state(&entropy), 22..=64),
            (nonce(&entropy), 22..=64),
        ] {
            let text = value.expose();
            assert!(range.contains(&text.len()), "{text}");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636 appendix B.
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let expected = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge(&verifier), expected);
    }

    #[test]
    fn no_two_draws_are_alike() {
        let entropy = SeededEntropy::new(1);
        assert_ne!(state(&entropy).expose(), state(&entropy).expose());
    }
}

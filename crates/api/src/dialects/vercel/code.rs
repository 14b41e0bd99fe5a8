//! Results whose requester made the verifier (reference/vercel-connect E3): it sends the hash, and polls with the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::nouns::Digest;
use grantry_core::{Error, Result};

/// What the `vercel` CLI makes a verifier of: so many random bytes, in base64url without padding. Ours are shorter.
const VERIFIER_BYTES: usize = 37;

/// A `request_code`: the SHA-256 of the verifier under which its sender polls the result.
///
/// # Errors
/// [`Error::Invalid`].
pub fn digest(code: &str) -> Result<Digest> {
    let bytes = URL_SAFE_NO_PAD.decode(code).ok();
    let digest = bytes.and_then(|bytes| Digest::try_from(bytes).ok());
    digest.ok_or_else(|| {
        let message = "must be a SHA-256 in base64url without padding: 43 characters";
        Error::invalid("request_code", message)
    })
}

/// Whether a verifier is of the CLI's making. It polls from the moment at which it has printed its link, and gives up
/// at the fourth 404, 8 s later; whoever opens the link may need longer. So what is not known yet is pending.
pub fn is_of_the_cli(verifier: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(verifier);
    bytes.is_ok_and(|bytes| bytes.len() == VERIFIER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_32_bytes_in_base64url() {
        let code = "A".repeat(43);
        assert_eq!(digest(&code).unwrap(), [0; 32]);
        for wrong in [
            "",
            &"A".repeat(42),
            &"A".repeat(44),
            &format!("{code}="),
            &"+".repeat(43),
            &format!("{}B", &code[1..]),
        ] {
            let problems = digest(wrong).unwrap_err();
            assert!(
                problems.to_string().starts_with("request_code: must be"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_clis_verifiers_are_told_by_their_length() {
        assert!(is_of_the_cli(&"A".repeat(50)));
        for other in [
            "",
            "nonsense",
            &"A".repeat(43),
            &"A".repeat(49),
            &"A".repeat(51),
            &"+".repeat(50),
        ] {
            assert!(!is_of_the_cli(other), "{other}");
        }
    }
}

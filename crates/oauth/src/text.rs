//! What may be kept of a stranger's text.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantry_core::limits;
use grantry_core::{Secret, http::Request};
use url::form_urlencoded;

/// `text` without control and direction-changing characters, cut to [`limits::STRANGERS_TEXT_CHARS_MAX`].
///
/// HTML is left as it is: escaping belongs to whoever prints it.
pub fn tame(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    let visible = |c: &char| !matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
    let text: String = text
        .chars()
        .filter(visible)
        .map(blank)
        .take(limits::STRANGERS_TEXT_CHARS_MAX)
        .collect();
    text.trim().to_owned()
}

/// True for RFC 6749 appendix A's `1*VSCHAR` of at most `max` bytes.
pub(crate) fn is_vschar(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.bytes().all(|b| matches!(b, 0x20..=0x7E))
}

/// An error code fit for logs and columns: lower case, `[a-z0-9_.-]{1,64}`.
pub(crate) fn code(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
    (matches!(text.len(), 1..=64) && text.bytes().all(fits)).then_some(text)
}

/// Parameters whose values must never come back out of an error text (requirement 55).
const SECRET_PARAMETERS: &[&str] = &[
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "refresh_token",
    "subject_token",
    "actor_token",
    "token",
];

/// Every spelling of the secrets in one request, to be taken out of whatever its answer says.
///
/// Made from the request itself, so no secret of it can be forgotten.
pub struct Redaction(Vec<Secret>);

impl Redaction {
    /// The credentials of `request`: its `Authorization` header and the secret parameters of its body.
    pub fn of(request: &Request) -> Self {
        let mut secrets = Vec::new();
        for (name, value) in &request.headers {
            if *name == "authorization" {
                secrets.extend(credentials(value));
            }
        }
        secrets.extend(parameters(&request.body));
        Self::new(&secrets.iter().collect::<Vec<_>>())
    }

    /// The given secrets, each as itself and form-encoded.
    pub fn new(secrets: &[&Secret]) -> Self {
        let mut spellings = Vec::new();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let encoded: String =
                form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect();
            if encoded != secret.expose() {
                spellings.push(Secret::new(encoded));
            }
            spellings.push((*secret).clone());
        }
        // A secret that contains another must go first, or its rest would stay.
        spellings.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self(spellings)
    }

    /// `text` with every secret replaced, then tamed. Replacing comes first: a cut could leave half a secret.
    pub fn scrub(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.expose()) {
                text = Cow::Owned(text.replace(secret.expose(), "[redacted]"));
            }
        }
        tame(&text)
    }
}

/// `text` without any of `secrets`, for errors outside a request: see [`Redaction::scrub`].
pub fn scrub(text: &str, secrets: &[&Secret]) -> String {
    Redaction::new(secrets).scrub(text)
}

/// What follows the scheme, and for Basic also the password as sent and as configured.
fn credentials(header: &str) -> Vec<Secret> {
    let credentials = header.split_once(' ').map_or(header, |(_, rest)| rest);
    let mut secrets = vec![Secret::new(credentials)];
    let decoded = STANDARD
        .decode(credentials)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    // An unencoded id may hold colons, so each of them may be the one before the password.
    let pair = decoded.as_deref().unwrap_or_default();
    for (colon, _) in pair.match_indices(':') {
        let password = &pair[colon + 1..];
        secrets.push(Secret::new(password));
        if !password.contains(['&', '=']) {
            secrets.extend(
                form_urlencoded::parse(password.as_bytes())
                    .map(|(decoded, _)| Secret::new(decoded)),
            );
        }
    }
    secrets
}

fn parameters(body: &[u8]) -> Vec<Secret> {
    let secret = |name: &str| SECRET_PARAMETERS.contains(&name);
    if let Some(object) = crate::json::object(body) {
        return object
            .iter()
            .filter(|(name, _)| secret(name))
            .filter_map(|(_, value)| value.as_str().map(Secret::new))
            .collect();
    }
    form_urlencoded::parse(body)
        .filter(|(name, _)| secret(name))
        .map(|(_, value)| Secret::new(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tamed_text_is_short_and_has_no_control_characters() {
        let cases = [
            ("plain", "plain"),
            ("a\r\nSet-Cookie: x=1\0", "a  Set-Cookie: x=1"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("abc\u{202E}fed\u{200B}", "abcfed"),
        ];
        for (text, expected) in cases {
            assert_eq!(tame(text), expected);
        }
        assert_eq!(
            tame(&"é".repeat(100 * 1024)).chars().count(),
            limits::STRANGERS_TEXT_CHARS_MAX
        );
    }

    #[test]
    fn codes_are_one_short_word() {
        assert_eq!(
            code("BAD_REFRESH_TOKEN").as_deref(),
            Some("bad_refresh_token")
        );
        for bad in ["", "two words", "a\r\nb", "é", "<b>", &"x".repeat(65)] {
            assert_eq!(code(bad), None, "{bad}");
        }
    }

    #[test]
    fn scrubbing_takes_out_every_spelling_before_it_cuts() {
        let secret = Secret::new("p&ss w:rd/1");
        let long = format!(
            "{}p&ss w:rd/1",
            "x".repeat(limits::STRANGERS_TEXT_CHARS_MAX - 4)
        );
        for text in [
            "client_secret=p%26ss+w%3Ard%2F1&x",
            "bad secret p&ss w:rd/1!",
            &long,
        ] {
            let scrubbed = scrub(text, &[&secret, &Secret::new("")]);
            assert!(
                !scrubbed.contains("p&ss") && !scrubbed.contains("p%26ss"),
                "{scrubbed}"
            );
        }
    }

    #[test]
    fn a_secret_inside_another_leaves_no_rest() {
        let (short, long) = (Secret::new("abc"), Secret::new("abcdef"));
        for secrets in [[&short, &long], [&long, &short]] {
            assert_eq!(scrub("abcdef", &secrets), "[redacted]");
        }
    }
}

//! What single values may look like.

use grantry_core::Secret;
use grantry_core::limits::{CONNECTOR_URL_BYTES_MAX, PEM_BYTES_MAX};
use grantry_vault::jws::{SigningAlgorithm, SigningKey};
use serde_json::Value;
use url::Url;

use super::Form;
use crate::catalogue::matches_whole;

/// What is wrong with a text, for people.
pub fn text_complaint(text: &str, max: usize, line_breaks: bool) -> Option<String> {
    let unwanted = |c: char| c.is_control() && !(line_breaks && matches!(c, '\n' | '\r' | '\t'));
    if text.len() > max {
        Some(format!("is longer than {max} bytes"))
    } else if text.chars().any(unwanted) {
        Some("must not contain control characters".to_owned())
    } else {
        None
    }
}

pub(super) fn is_text(value: &Value, max: usize) -> bool {
    value
        .as_str()
        .is_some_and(|text| text_complaint(text, max, false).is_none())
}

/// Absolute, http or https, with a host and without user name or password. What a parser would pass over (white space,
/// line breaks) is no part of a URL.
pub fn is_web_url(text: &str) -> bool {
    let stray = |c: char| c.is_control() || c.is_whitespace();
    let fits = text.len() <= CONNECTOR_URL_BYTES_MAX && !text.contains(stray);
    fits && Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// What a list of texts is made of.
pub(super) fn text_words(max: usize) -> String {
    format!("a string of at most {max} bytes without control characters")
}

/// What a URL is.
pub fn url_words() -> String {
    format!(
        "an absolute http(s) URL of at most {CONNECTOR_URL_BYTES_MAX} bytes without user name or password"
    )
}

pub(super) fn is_bare(text: &str) -> bool {
    is_web_url(text)
        && Url::parse(text).is_ok_and(|url| url.query().is_none() && url.fragment().is_none())
}

impl Form {
    pub(super) fn takes(&self, text: &str) -> bool {
        text.len() <= self.max && matches_whole(self.pattern, text)
    }
}

/// E.164: a plus sign and 2 to 15 digits, of which the first is no zero.
pub(super) fn is_phone(value: &Value) -> bool {
    let digits = value.as_str().and_then(|text| text.strip_prefix('+'));
    digits.is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// The private key in `text`, whose lines may have been joined by the two characters `\n`, as environment files do.
pub(super) fn private_key(text: &str, algorithm: SigningAlgorithm) -> Result<Secret, String> {
    if text.len() > PEM_BYTES_MAX {
        return Err(format!("is longer than {PEM_BYTES_MAX} bytes"));
    }
    let pem = Secret::new(text.replace("\\n", "\n"));
    match SigningKey::from_pem(&pem) {
        Ok(key) if key.algorithm() == algorithm => Ok(pem),
        Ok(_) => Err("is a private key of another kind: an RSA key is needed".to_owned()),
        Err(_) => Err(
            "is not a usable private key: one in PEM form is needed, RSA of 2048 bits or more"
                .to_owned(),
        ),
    }
}

//! A successful answer.
//!
//! An answer may hold the only copy of a rotated refresh token, so a field that makes no sense counts as absent
//! wherever the rest is still of use. Only the access token itself and its type can spoil an answer.

use std::time::Duration;

use grantry_core::limits;
use grantry_core::{
    Secret,
    limits::{TOKEN_BYTES_MAX, TOKEN_LIFE_MAX},
};
use serde_json::{Map, Value};

use crate::{providers::Quirks, text::is_vschar};

/// What a token endpoint granted (RFC 6749 §5.1).
pub struct TokenSet {
    /// Visible ASCII, at most 64 KiB (requirement 33).
    pub access_token: Secret,
    /// `None` when the answer brought none: keep the one that was presented (requirement 36).
    pub refresh_token: Option<Secret>,
    /// Life of the access token from the moment the answer arrived, at most a year. `None` when the answer does not say,
    /// or says zero or less: use the connector's default, then [`Quirks::default_expires_in`] (requirements 34, 35).
    pub expires_in: Option<Duration>,
    /// Life of the refresh token, under the three names that services use for it.
    pub refresh_expires_in: Option<Duration>,
    /// The granted scopes in the server's order; `None` when the answer does not say, which means as asked.
    pub scope: Option<Vec<String>>,
    /// The ID token, unchecked.
    pub id_token: Option<Secret>,
    /// Every other member (`instance_url`, `team`, …) without those whose names speak of a secret, at any depth.
    /// Empty when they exceed 16 KiB.
    pub extra: Map<String, Value>,
}

/// Members that have fields of their own in [`TokenSet`], or none.
const READ: &[&str] = &["expires_in", "ok", "refresh_expires_in", "scope"];

const REFRESH_EXPIRES_IN: &[&str] = &[
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x_refresh_token_expires_in",
];

/// A member whose name holds one of these words is taken for a secret.
const SECRET_WORDS: &[&str] = &[
    "assertion",
    "credential",
    "jwt",
    "key",
    "password",
    "secret",
    "token",
    "webhook",
];

impl TokenSet {
    /// Reads the object that holds the tokens; on failure says what is wrong with it.
    pub(super) fn read(members: &Value, quirks: &Quirks) -> Result<Self, &'static str> {
        let Some(members) = members.as_object() else {
            return Err("no token in the answer");
        };
        let access_token = match members.get("access_token") {
            None => return Err("no access_token in the answer"),
            Some(value) => {
                token(value).ok_or("access_token is not 1 to 65536 visible ASCII characters")?
            }
        };
        if !is_bearer(members.get("token_type"), quirks) {
            return Err("token_type is not bearer");
        }
        let duration = |name: &&str| members.get(*name).and_then(seconds);
        Ok(Self {
            access_token,
            refresh_token: members.get("refresh_token").and_then(token),
            expires_in: duration(&"expires_in"),
            refresh_expires_in: REFRESH_EXPIRES_IN.iter().find_map(duration),
            scope: members
                .get("scope")
                .and_then(|value| scopes(value, quirks.granted_scope_separator)),
            id_token: members.get("id_token").and_then(token),
            extra: extra(members),
        })
    }
}

impl TokenSet {
    /// Keeps the facts of the whole that the token was a part of, beside its own.
    pub(super) fn keep_beside(&mut self, whole: &Value) {
        let Some(whole) = whole.as_object() else {
            return;
        };
        let mut all = extra(whole);
        all.extend(std::mem::take(&mut self.extra));
        self.extra = within_size(all);
    }
}

fn token(value: &Value) -> Option<Secret> {
    let text = value.as_str()?;
    is_vschar(text, TOKEN_BYTES_MAX).then(|| Secret::new(text))
}

/// A missing type is taken for bearer, as many services leave it out.
fn is_bearer(token_type: Option<&Value>, quirks: &Quirks) -> bool {
    match token_type {
        None | Some(Value::Null) => true,
        Some(Value::String(name)) => {
            let name = name.to_ascii_lowercase();
            name == "bearer" || quirks.token_types.contains(&name.as_str())
        }
        Some(_) => false,
    }
}

/// A number, or a text that is one. Zero, less, and what is no number are unknown.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let believable = seconds.is_finite() && seconds >= 1.0;
    believable.then(|| Duration::from_secs_f64(seconds.min(TOKEN_LIFE_MAX.as_secs_f64()).floor()))
}

/// A text, or an array of texts. Names that are not RFC 6749 §3.3 scope tokens are left out.
fn scopes(value: &Value, separator: char) -> Option<Vec<String>> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let names = items.iter().filter_map(Value::as_str);
            names.collect::<Vec<_>>().join(" ")
        }
        _ => return None,
    };
    if text.len() > limits::GRANTED_SCOPE_BYTES_MAX {
        return None;
    }
    let mut scopes = Vec::<String>::new();
    for name in text.split(|c: char| c.is_whitespace() || c == separator) {
        let valid = name
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
        if valid && !name.is_empty() && !scopes.iter().any(|scope| scope == name) {
            scopes.push(name.to_owned());
        }
    }
    Some(scopes)
}

fn extra(members: &Map<String, Value>) -> Map<String, Value> {
    let mut extra = members.clone();
    extra.retain(|name, _| !READ.contains(&name.as_str()));
    forget_secrets(&mut extra);
    within_size(extra)
}

fn within_size(extra: Map<String, Value>) -> Map<String, Value> {
    let size = serde_json::to_vec(&extra).map_or(usize::MAX, |text| text.len());
    if size > limits::TOKEN_EXTRA_BYTES_MAX {
        return Map::new();
    }
    extra
}

fn forget_secrets(members: &mut Map<String, Value>) {
    members.retain(|name, _| {
        let name = name.to_ascii_lowercase();
        !SECRET_WORDS.iter().any(|word| name.contains(word))
    });
    members.values_mut().for_each(forget_nested_secrets);
}

fn forget_nested_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => forget_secrets(members),
        Value::Array(items) => items.iter_mut().for_each(forget_nested_secrets),
        _ => {}
    }
}

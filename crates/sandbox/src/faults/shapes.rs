//! The makers of table rows, and the bodies that take more than a line.

use std::io::Write as _;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use grantry_core::Timestamp;
use serde_json::{Value, json};

use super::{Effect, Endpoint, Fault, Play, Scene};
use crate::answer::{Answer, Payload};
use crate::crypto::{self, Signing};

type Shape = fn(&mut Answer, &Scene<'_>);

const fn row(
    endpoints: &'static [Endpoint],
    name: &'static str,
    requirements: &'static [u8],
    what: &'static str,
    effect: Effect,
    usable: bool,
    shape: Shape,
) -> Fault {
    Fault {
        name,
        endpoints,
        requirements,
        what,
        effect,
        usable,
        every: 1,
        play: Play::Answer(shape),
    }
}

/// Processed, and the honest answer changed into one that a client can still use.
pub(super) const fn edit(
    endpoints: &'static [Endpoint],
    name: &'static str,
    requirements: &'static [u8],
    what: &'static str,
    shape: Shape,
) -> Fault {
    row(
        endpoints,
        name,
        requirements,
        what,
        Effect::Rotate,
        true,
        shape,
    )
}

/// As [`edit`], without rotating the refresh token.
pub(super) const fn keep(
    endpoints: &'static [Endpoint],
    name: &'static str,
    requirements: &'static [u8],
    what: &'static str,
    shape: Shape,
) -> Fault {
    row(
        endpoints,
        name,
        requirements,
        what,
        Effect::Keep,
        true,
        shape,
    )
}

/// Processed, but the client never gets to know.
pub(super) const fn lose(
    endpoints: &'static [Endpoint],
    name: &'static str,
    requirements: &'static [u8],
    what: &'static str,
    shape: Shape,
) -> Fault {
    row(
        endpoints,
        name,
        requirements,
        what,
        Effect::Rotate,
        false,
        shape,
    )
}

/// Not processed: this answer comes instead.
pub(super) const fn instead(
    endpoints: &'static [Endpoint],
    name: &'static str,
    requirements: &'static [u8],
    what: &'static str,
    shape: Shape,
) -> Fault {
    row(
        endpoints,
        name,
        requirements,
        what,
        Effect::Skip,
        false,
        shape,
    )
}

impl Fault {
    pub(super) const fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    pub(super) const fn every(mut self, every: u64) -> Self {
        self.every = every;
        self
    }
}

/// A whole token answer with these fields changed, for faults that never look at the grant.
pub(super) fn tokens(answer: &mut Answer, changes: Value) {
    let whole = json!({
        "access_token": "at_fault", "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": "rt_fault",
    });
    answer.set(whole);
    answer.set(changes);
}

/// An OAuth error with `status`.
pub(super) fn error(answer: &mut Answer, status: StatusCode, code: &str, description: &str) {
    *answer = Answer::json(json!({"error": code, "error_description": description}));
    answer.status = status;
}

/// `status` with `Retry-After`.
pub(super) fn retry_after(answer: &mut Answer, status: StatusCode, value: &str) {
    error(answer, status, "temporarily_unavailable", "try again later");
    answer.header(RETRY_AFTER, value);
}

/// A redirect to the trap, whose visitors [`crate::Stats::trapped`] counts.
pub(super) fn redirect(answer: &mut Answer, scene: &Scene<'_>, status: StatusCode) {
    *answer = Answer::empty();
    answer.status = status;
    let trap = format!("{}/_trap", scene.public_url);
    answer.header(LOCATION, &scene.value_or(&trap));
}

/// The JSON body as a form (as GitHub answers without `Accept`).
pub(crate) fn form(answer: &mut Answer) {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    if let Payload::Json(fields) = &answer.payload {
        for (key, value) in fields {
            match value {
                Value::String(text) => form.append_pair(key, text),
                other => form.append_pair(key, &other.to_string()),
            };
        }
    }
    let body = form.finish();
    answer.replace(
        StatusCode::OK,
        "application/x-www-form-urlencoded; charset=utf-8",
        body,
    );
}

/// Megabytes that [`bomb`] unpacks to; it travels in a thousandth of that.
const BOMB_MEGABYTES: usize = 64;

/// A gzip bomb: a JSON string of spaces.
pub(super) fn bomb(answer: &mut Answer) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let megabyte = vec![b' '; 1024 * 1024];
    // Writing to memory does not fail; were it to, a shorter bomb would still be one.
    let packed = gzip
        .write_all(b"{\"access_token\":\"")
        .and_then(|()| (0..BOMB_MEGABYTES).try_for_each(|_| gzip.write_all(&megabyte)))
        .and_then(|()| gzip.finish())
        .unwrap_or_default();
    answer.replace(StatusCode::OK, "application/json", packed);
    answer.header(CONTENT_ENCODING, "gzip");
}

/// JSON that never ends.
pub(super) fn huge(answer: &mut Answer) {
    answer.header(CONTENT_TYPE, "application/json");
    answer.payload = Payload::Endless(Bytes::from_static(b"{\"access_token\":\""));
}

/// The honest body, with `before` and `after` around it.
pub(super) fn wrap(answer: &mut Answer, media: &str, before: &str, after: &str) {
    let body = [before.as_bytes(), &answer.body(), after.as_bytes()].concat();
    answer.replace(answer.status, media, body);
}

/// The honest scope, changed.
pub(super) fn scope(answer: &mut Answer, change: fn(&mut Vec<&str>)) {
    let honest = answer.text("scope").unwrap_or_default().to_owned();
    let mut scopes: Vec<_> = honest.split_whitespace().collect();
    change(&mut scopes);
    let changed = scopes.join(" ");
    answer.set(json!({"scope": changed}));
}

/// Nothing but the tokens (RFC 6749 §5.1).
pub(super) fn facts(answer: &mut Answer) {
    const STANDARD: [&str; 6] = [
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "scope",
        "id_token",
    ];
    if let Payload::Json(fields) = &mut answer.payload {
        fields.retain(|name, _| STANDARD.contains(&name.as_str()));
    }
}

/// An instant as HTTP writes it (RFC 9110 §5.6.7).
pub(super) fn http_date(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).map_or_else(
        |_| String::new(),
        |at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    )
}

/// The ID token with other claims, signed in another way or under another key id. An answer without
/// one is left alone.
pub(super) fn id_token(
    answer: &mut Answer,
    scene: &Scene<'_>,
    signing: Signing,
    kid: Option<&str>,
    claims: &[(&str, Value)],
) {
    let Some(mut spoiled) = answer.text("id_token").and_then(crypto::claims) else {
        return;
    };
    for (name, value) in claims {
        spoiled[name] = value.clone();
    }
    let key = (scene.key)();
    let token = key.sign(signing, kid.unwrap_or(&key.kid), &spoiled);
    answer.set(json!({"id_token": token}));
}

/// One hour, the usual mistake of a clock.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

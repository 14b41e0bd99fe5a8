//! Who calls the token endpoint (RFC 6749 §2.3): Basic with form-encoded parts, post, or none.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_core::Timestamp;

use super::Pairs;
use crate::crypto;
use crate::model::{Model, Refusal};

/// The credentials of a request, not yet checked.
pub(super) struct Credentials {
    pub id: Option<String>,
    secret: Option<String>,
    /// Tried in the Authorization header, so a refusal must name that scheme (RFC 6749 §5.2).
    pub basic: bool,
    malformed: Option<&'static str>,
}

impl Credentials {
    pub(super) fn read(headers: &HeaderMap, form: &Pairs) -> Self {
        let mut credentials = Self {
            id: form.get("client_id").map(str::to_owned),
            secret: form.get("client_secret").map(str::to_owned),
            basic: headers.contains_key(AUTHORIZATION),
            malformed: None,
        };
        if credentials.basic {
            match basic(headers) {
                None => credentials.malformed = Some("unreadable Authorization header"),
                Some(_) if credentials.secret.is_some() => {
                    credentials.malformed = Some("two ways of authentication at once");
                }
                Some((id, _)) if credentials.id.as_ref().is_some_and(|other| *other != id) => {
                    credentials.malformed = Some("two different client ids");
                }
                Some((id, secret)) => {
                    credentials.id = Some(id);
                    credentials.secret = Some(secret);
                }
            }
        }
        credentials
    }

    /// The id of the client, if it is who it says.
    pub(super) fn check(&self, model: &Model, now: Timestamp) -> Result<String, Refusal> {
        if let Some(why) = self.malformed {
            return Err(Refusal::new("invalid_request", why));
        }
        let refusal = Refusal::new("invalid_client", "unknown client or wrong secret");
        let id = self.id.as_deref().ok_or(refusal)?;
        let client = model.client(id).ok_or(refusal)?;
        let good = match (&client.secret, &self.secret) {
            (None, None) => true,
            // An empty password is what Basic sends for a client without a secret.
            (None, Some(given)) => given.is_empty(),
            (Some(secret), Some(given)) => crypto::equal(secret.expose(), given),
            (Some(_), None) => false,
        };
        let good = good && !(client.secret.is_some() && model.secret_has_ended(id, now));
        good.then(|| id.to_owned()).ok_or(refusal)
    }

    /// The credentials in clear text, for the fault that repeats them.
    pub(super) fn echo(&self) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}:{}", part(&self.id), part(&self.secret))
    }
}

/// Id and secret of a Basic header, each form-decoded (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let joined = STANDARD.decode(encoded.trim()).ok()?;
    let joined = String::from_utf8(joined).ok()?;
    let (id, secret) = joined.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| Some((form_decode(id)?, form_decode(secret)?)))?
}

/// One form-encoded value. A raw character that the encoding would have changed is an error: a
/// strict server tells who forgot to encode (requirement 23).
fn form_decode(text: &str) -> Option<String> {
    let decoded = Pairs::parse(format!("v={text}").as_bytes());
    let value = decoded.all("v").into_iter().next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._~+%".contains(&byte);
    (decoded.0.len() == 1 && text.bytes().all(plain)).then_some(value)
}

//! From the bytes of an answer to a JSON object, whatever the server says it sent.

use grantry_core::http::Response;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::json;

/// The answer's members. JSON is tried first, whatever the content type; a form only where the answer or the service's
/// row says that it is one (requirements 30, 31). `None` for everything else, including doubled names.
pub(super) fn members(response: &Response, form: bool) -> Option<Value> {
    if response.body.len() > grantry_core::http::Purpose::Token.body_bytes_max() {
        return None;
    }
    if let Some(object) = json::object(&response.body) {
        return Some(Value::Object(object));
    }
    let declared = media_type(response) == "application/x-www-form-urlencoded";
    (declared || form).then(|| form_members(&response.body))?
}

/// The content type without parameters, in lower case; empty for none.
pub(crate) fn media_type(response: &Response) -> String {
    let value = response.header("content-type").unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

fn form_members(body: &[u8]) -> Option<Value> {
    // Bad JSON must not pass as a form with one odd name, nor a page of HTML as many.
    let text = std::str::from_utf8(body).ok()?.trim();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"*-._+%&=~:/,!".contains(&b);
    if text.is_empty() || !text.bytes().all(fits) {
        return None;
    }
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if members.insert(name.into(), value.as_ref().into()).is_some() {
            return None;
        }
    }
    Some(Value::Object(members))
}

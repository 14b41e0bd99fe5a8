//! What the tests of several modules share.

use grantry_core::{Timestamp, http::Response};
use url::Url;

/// 2026-11-23T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_795_435_200_000_000);

/// An answer with a content type and a body.
pub(crate) fn answer(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), content_type.into())],
        body: body.as_ref().to_vec().into(),
        url: Url::parse("https://as.example/token").unwrap(),
    }
}

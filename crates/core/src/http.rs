//! The port for outgoing requests. `egress` implements it; nothing else may open a socket outwards.

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;
use zeroize::Zeroizing;

/// Sends one request under the rules of its [`Purpose`].
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends `request` once. There is no retry and no cookie; redirects only where [`Purpose`] says so.
    async fn send(&self, request: Request) -> Result<Response, Failure>;
}

/// HTTP methods that leave the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

/// What a request is for; decides redirects, size, and with which others it shares places at its host (design §7,
/// requirements 46, 47, 49, 56–66).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Token, revocation, registration and introspection endpoints: no redirect.
    Token,
    /// Metadata documents and key sets: GET, at most 3 redirects, each checked again.
    Discovery,
    /// A connector's own search endpoint: no redirect, and a time of its own.
    Search,
    /// An image that a connector is to show: GET, redirects as for metadata.
    Icon,
    /// Whoever asked for a consent, told how it ended: no redirect.
    Webhook,
}

impl Purpose {
    /// Redirects that may be followed. Each hop is checked like the first.
    pub const fn redirects_max(self) -> usize {
        match self {
            Self::Token | Self::Search | Self::Webhook => 0,
            Self::Discovery | Self::Icon => 3,
        }
    }

    /// Largest body in bytes, counted after decompression.
    pub const fn body_bytes_max(self) -> usize {
        match self {
            Self::Icon => crate::limits::ICON_BYTES_MAX,
            Self::Token | Self::Webhook | Self::Discovery | Self::Search => {
                crate::limits::PROVIDER_BYTES_MAX
            }
        }
    }
}

/// An outgoing request. The body and the header values may hold secrets: the type has no `Debug`.
pub struct Request {
    /// GET, POST, …
    pub method: Method,
    /// Absolute `https` URL (`http` only where the deployment's allow-list says so).
    pub url: Url,
    /// Names in lower case.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// Empty for none.
    pub body: Zeroizing<Vec<u8>>,
    /// The rules it is sent under.
    pub purpose: Purpose,
}

/// An answer that arrived whole, whatever its status.
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Names in lower case, in the order received. Values that are not visible ASCII are left out.
    pub headers: Vec<(String, String)>,
    /// After decompression.
    pub body: Bytes,
    /// The URL that answered (differs from the request's after redirects).
    pub url: Url,
}

impl Response {
    /// First value of header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// Why there is no answer. The split between *not sent* and *unknown* decides whether a refresh
/// token may be presented again (design §6d), so an implementation must choose `Unknown` when in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The destination is not allowed: private address, scheme, port, userinfo. One kind for all
    /// of them, so that the answer is no oracle (requirement 64).
    #[error("destination refused")]
    Refused,
    /// The name did not resolve, the connection or the TLS handshake failed: no byte of the request left.
    #[error("could not connect")]
    NotSent,
    /// Some of the request may have reached the server, and no whole answer came back.
    #[error("no answer")]
    Unknown(Silence),
}

/// How an answer failed to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The deadline passed.
    Timeout,
    /// The connection was reset or closed, or the body was cut short.
    Cut,
    /// The body exceeded its limit or could not be decoded.
    BadBody,
    /// A redirect where none is followed, too many of them, or one without a usable target.
    Redirect,
}

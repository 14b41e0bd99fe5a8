//! Our own command line talking to its own server.
//!
//! The operator names the place, so nothing is filtered; otherwise the rules are those of
//! [`crate::Egress`]: no proxy, no redirect, no retry, certificates checked.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use grantry_core::Secret;
use grantry_core::http::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use url::Url;

use crate::lines::{Lines, TooLong};
use crate::transport::{self, SetupError, wire_method};

/// Time for one whole exchange. A token call may wait for a provider (15 s), twice.
const DEADLINE: Duration = Duration::from_secs(60);

/// Time for an exchange whose answer comes in pieces: an apply of a million rows fits.
const PATIENT_DEADLINE: Duration = Duration::from_secs(3600);

/// A client of one server.
pub struct Local {
    client: reqwest::Client,
    /// For messages: the URL or the socket's path.
    place: String,
    /// No slash at its end.
    base: String,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// After decompression.
    pub body: Bytes,
}

/// Why there is no [`Reply`]. Displays no source; print the chain.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The path does not begin with a slash, or makes no URL.
    #[error("{0:?} is no path of a request")]
    BadPath(String),
    /// No connection, no answer in 60 s, or one that broke off.
    #[error("no answer from the server at {place}")]
    NoAnswer {
        /// The URL or the socket's path.
        place: String,
        /// What happened.
        #[source]
        cause: reqwest::Error,
    },
    /// More than 16 MiB, or, of an answer in lines, one of more than that.
    #[error("the answer of the server at {place} is too large")]
    TooLarge {
        /// The URL or the socket's path.
        place: String,
    },
}

impl LocalError {
    /// True when nothing listens there: no request was made.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoAnswer { cause, .. } if cause.is_connect())
    }
}

/// Is shown each line of an answer.
type Seer<'s> = dyn FnMut(&[u8]) + Send + 's;

impl Local {
    /// The server that listens at the control socket `socket`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn unix(socket: &Path) -> Result<Self, SetupError> {
        let client = transport::builder(transport::trust_nobody()?)
            .timeout(DEADLINE)
            .unix_socket(socket)
            .build()
            .map_err(SetupError::Client)?;
        Ok(Self {
            client,
            place: socket.display().to_string(),
            base: "http://localhost".to_owned(),
        })
    }

    /// The server at `base` (http or https, with or without a path), trusting `extra_ca_pem` beside
    /// the system's authorities.
    ///
    /// # Errors
    /// An extra CA that is no PEM, or when no HTTP client can be made.
    pub fn http(base: &Url, extra_ca_pem: Option<&[u8]>) -> Result<Self, SetupError> {
        let tls = match base.scheme() {
            "https" => transport::trust(extra_ca_pem)?,
            _ => transport::trust_nobody()?,
        };
        let client = transport::builder(tls)
            .timeout(DEADLINE)
            .build()
            .map_err(SetupError::Client)?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            place: base.clone(),
            base,
        })
    }

    /// Sends one request. `path` begins with a slash and may carry a query; `key` goes into
    /// `Authorization: Bearer`; `json` is the body.
    ///
    /// # Errors
    /// When no whole answer arrived. An answer of any status is a [`Reply`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&Secret>,
        json: Option<Vec<u8>>,
    ) -> Result<Reply, LocalError> {
        let body = json.map(|json| ("application/json", json));
        self.send_content(method, path, key, body).await
    }

    /// [`Local::send`] with a body of any content type.
    ///
    /// # Errors
    /// The same.
    pub async fn send_content(
        &self,
        method: Method,
        path: &str,
        key: Option<&Secret>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Reply, LocalError> {
        let request = self.request(method, path, key, body)?;
        let request = request.header(ACCEPT, "application/json");
        self.exchange(request, None).await
    }

    /// [`Local::send_content`] to an answer of the media type `accept` that comes in lines, each of which
    /// `line` sees when it arrives. The last one is the reply's body. There may be any number of them, and
    /// the whole exchange may take an hour.
    ///
    /// # Errors
    /// The same; [`LocalError::TooLarge`] for one line.
    pub async fn send_patiently(
        &self,
        method: Method,
        path: &str,
        key: Option<&Secret>,
        body: Option<(&'static str, Vec<u8>)>,
        accept: &'static str,
        line: &mut Seer<'_>,
    ) -> Result<Reply, LocalError> {
        let request = self.request(method, path, key, body)?;
        let request = request.header(ACCEPT, accept).timeout(PATIENT_DEADLINE);
        self.exchange(request, Some(line)).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        key: Option<&Secret>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<reqwest::RequestBuilder, LocalError> {
        let url = path
            .starts_with('/')
            .then(|| Url::parse(&format!("{}{path}", self.base)).ok())
            .flatten()
            .ok_or_else(|| LocalError::BadPath(path.to_owned()))?;
        let mut request = self.client.request(wire_method(method), url);
        if let Some(key) = key {
            request = request.bearer_auth(key.expose());
        }
        if let Some((media_type, bytes)) = body {
            request = request.header(CONTENT_TYPE, media_type).body(bytes);
        }
        Ok(request)
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        mut see: Option<&mut Seer<'_>>,
    ) -> Result<Reply, LocalError> {
        let mut answer = request
            .send()
            .await
            .map_err(|error| self.no_answer(error))?;
        let status = answer.status().as_u16();
        let mut lines = Lines::default();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.no_answer(error))?
        {
            let taken = match &mut see {
                None => lines.keep(&piece),
                Some(see) => lines.take(&piece, see),
            };
            taken.map_err(|TooLong| LocalError::TooLarge {
                place: self.place.clone(),
            })?;
        }
        Ok(Reply {
            status,
            body: lines.last(),
        })
    }

    fn no_answer(&self, cause: reqwest::Error) -> LocalError {
        LocalError::NoAnswer {
            place: self.place.clone(),
            cause: cause.without_url(),
        }
    }
}

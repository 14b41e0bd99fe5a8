//! What every HTTP client of this crate has in common.

use std::error::Error;
use std::time::Duration;

use grantry_core::http::Method;
use reqwest::{Certificate, ClientBuilder, redirect, retry, tls};

/// Why no HTTP client could be made. Displays no source; print the chain.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The extra CA is no PEM text, or holds no certificate.
    #[error("the extra CA holds no certificate in PEM form")]
    ExtraCa,
    /// The system's certificate roots could not be read, or the socket path is unusable.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// Time for resolving, connecting and the TLS handshake together: a third of the whole deadline,
/// so that a request that does leave has time to be answered.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Idle connections are dropped before the other side drops them (Node and Apache wait 5 s): a
/// request written to a connection that is just being closed is a needless *unknown outcome*.
const IDLE_MAX: Duration = Duration::from_secs(4);

const IDLE_PER_HOST_MAX: usize = 8;

/// Response headers; more end the exchange.
const HEADERS_MAX: usize = 100;

/// A client that goes straight to the named server and does what it is told, once.
///
/// reqwest's default policy may send a request again; [`retry::never`] ends that. What remains is
/// hyper moving a request it has *not begun to write* from a dead idle connection to a new one,
/// which is no second presentation.
pub(crate) fn builder(extra_ca_pem: Option<&[u8]>) -> Result<ClientBuilder, SetupError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "egress is the one way out that the ban points to"
    )]
    let builder = reqwest::Client::builder();
    Ok(builder
        .user_agent(concat!("grantry/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .http1_only()
        .http1_max_headers(HEADERS_MAX)
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .tls_version_min(tls::Version::TLS_1_2)
        .tls_certs_merge(certificates(extra_ca_pem)?))
}

fn certificates(pem: Option<&[u8]>) -> Result<Vec<Certificate>, SetupError> {
    let Some(pem) = pem else {
        return Ok(Vec::new());
    };
    let certificates = Certificate::from_pem_bundle(pem).map_err(|_| SetupError::ExtraCa)?;
    if certificates.is_empty() {
        return Err(SetupError::ExtraCa);
    }
    Ok(certificates)
}

/// The causes of `error`, outermost first.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

/// The name of `method` on the wire.
pub(crate) fn wire_method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

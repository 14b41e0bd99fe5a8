//! What every HTTP client of this crate has in common.

use std::error::Error;
use std::sync::Arc;

use grantry_core::http::Method;
use grantry_core::limits;
use reqwest::{ClientBuilder, redirect, retry};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

/// Why no HTTP client could be made. Displays no source; print the chain.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The extra CA is no PEM text, or holds no certificate.
    #[error("the extra CA holds no certificate in PEM form")]
    ExtraCa,
    /// The system's certificate roots could not be read.
    #[error("the system's certificate authorities cannot be read")]
    Roots(#[source] rustls::Error),
    /// The socket path is unusable.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// TLS 1.2 and 1.3 (requirement 66).
const VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Whom clients trust: the system's authorities, and those of `extra_ca_pem`. Share it between
/// clients: reading a system's hundred-odd certificates takes longer than all else at a start.
pub(crate) fn trust(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let extra = certificates(extra_ca_pem)?;
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone());
    let verifier = Arc::new(verifier.map_err(SetupError::Roots)?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(SetupError::Roots)?;
    // The name of the method is a warning to those who write a verifier; this one is the system's.
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(config.with_no_client_auth())
}

/// For a client that never speaks TLS: trusts nobody, and reads nothing.
pub(crate) fn trust_nobody() -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(SetupError::Roots)?;
    let config = config.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

/// A client that goes straight to the named server and does what it is told, once.
///
/// reqwest's default policy may send a request again; [`retry::never`] ends that. What remains is
/// hyper moving a request it has *not begun to write* from a dead idle connection to a new one,
/// which is no second presentation.
pub(crate) fn builder(tls: ClientConfig) -> ClientBuilder {
    #[expect(
        clippy::disallowed_methods,
        reason = "egress is the one way out that the ban points to"
    )]
    let builder = reqwest::Client::builder();
    builder
        .user_agent(concat!("grantry/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .http1_only()
        .http1_max_headers(limits::PROVIDER_HEADERS_MAX)
        .connect_timeout(limits::PROVIDER_CONNECT_TIME_MAX)
        .pool_idle_timeout(limits::PROVIDER_IDLE_TIME_MAX)
        .pool_max_idle_per_host(limits::PROVIDER_IDLE_CONNECTIONS_MAX)
        .tls_backend_preconfigured(tls)
}

/// The certificates of a PEM text, each of them one that can be an authority.
fn certificates(pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let Some(pem) = pem else {
        return Ok(Vec::new());
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| SetupError::ExtraCa)?;
    let mut usable = RootCertStore::empty();
    let refused = certificates
        .iter()
        .any(|one| usable.add(one.clone()).is_err());
    if refused || certificates.is_empty() {
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

//! Whether the way to the database is encrypted, and to whom: libpq's words with libpq's meaning.
//!
//! | `sslmode` | encrypted | who is at the other end |
//! |---|---|---|
//! | `disable` | no | anybody |
//! | `prefer` (when nothing is said) | if the server can | anybody |
//! | `require` | yes | anybody; with `sslrootcert` as `verify-ca` |
//! | `verify-ca` | yes | someone with a certificate of `sslrootcert` |
//! | `verify-full` | yes | the host of the URL, by a certificate of `sslrootcert` or of the system's authorities |
//!
//! Names are read from the certificate's subject alternative names only. `sslcert` and `sslkey` are the
//! client's own certificate, both PEM.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::target::Target;
use crate::OpenError;

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    const ALL: [(&'static str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    /// Reads the word.
    pub fn parse(word: &str) -> Result<Self, OpenError> {
        let known = Self::ALL.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, mode)| mode).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            refused(format!("sslmode={word:?}: one of {names} would be right"))
        })
    }
}

/// What a URL says about TLS.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub mode: Option<Mode>,
    /// File of certificate authorities, or `system`.
    pub root: Option<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
}

/// How connections are made.
#[derive(Clone)]
pub(super) struct Way {
    pub config: Config,
    pub tls: MakeRustlsConnect,
}

impl Way {
    /// The way that `target` describes; certificates are read now.
    pub fn to(target: Target) -> Result<Self, OpenError> {
        let Target { mut config, tls } = target;
        let mode = tls.mode.unwrap_or(Mode::Prefer);
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        let verified = tls.root.is_some() || mode == Mode::VerifyFull;
        if !verified && mode != Mode::Disable && leaves_the_machine(&config) {
            tracing::warn!(
                "whoever answers at the database's address is believed to be it; sslmode=verify-full in its URL would \
                 make sure, sslmode=disable would say that the network is trusted"
            );
        }
        let tls = MakeRustlsConnect::new(tls.client(mode)?);
        Ok(Self { config, tls })
    }
}

impl Wish {
    fn client(&self, mode: Mode) -> Result<ClientConfig, OpenError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match (mode, self.root.as_deref()) {
            (Mode::Disable | Mode::Prefer, Some(_)) => {
                return Err(refused(
                    "sslrootcert is of no use while the server may answer in clear; sslmode=verify-full would be right",
                ));
            }
            (Mode::VerifyCa, None | Some(SYSTEM)) => {
                return Err(refused(
                    "sslmode=verify-ca needs sslrootcert=FILE: the system's authorities vouch for everybody; \
                     sslmode=verify-full asks them for the host's name too",
                ));
            }
            (Mode::Disable | Mode::Prefer | Mode::Require, None) => Arc::new(Lenient {
                chain: None,
                provider: Arc::clone(&provider),
            }),
            (Mode::Require | Mode::VerifyFull, None | Some(SYSTEM)) => {
                let system = Verifier::new(Arc::clone(&provider));
                Arc::new(system.map_err(|error| {
                    refused(format!("the system's certificate authorities: {error}"))
                })?)
            }
            (Mode::VerifyFull, Some(file)) => authorities(file, &provider)?,
            (Mode::Require | Mode::VerifyCa, Some(file)) => Arc::new(Lenient {
                chain: Some(authorities(file, &provider)?),
                provider: Arc::clone(&provider),
            }),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        match (&self.certificate, &self.key) {
            (None, None) => Ok(config.with_no_client_auth()),
            (Some(_), Some(_)) if matches!(mode, Mode::Disable | Mode::Prefer) => Err(refused(
                "sslcert is of no use while the server may be talked to in clear; sslmode=verify-full would be right",
            )),
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate, "sslcert")?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| refused(format!("sslkey {key}: {error}")))?;
                let config = config.with_client_auth_cert(chain, key);
                config
                    .map_err(|error| refused(format!("sslcert {certificate} and sslkey: {error}")))
            }
            _ => Err(refused(
                "sslcert and sslkey go together, and one of them is missing",
            )),
        }
    }
}

/// The word for the system's own authorities (libpq has it since PostgreSQL 16).
const SYSTEM: &str = "system";

fn refused(why: impl Into<String>) -> OpenError {
    OpenError::Database(format!("the database URL: {}", why.into()))
}

fn certificates(file: &str, parameter: &str) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let found =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(certificates) if certificates.is_empty() => Err(refused(format!(
            "{parameter} {file} holds no certificate in PEM form"
        ))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(refused(format!("{parameter} {file}: {error}"))),
    }
}

/// Believes whom the certificates in `file` vouch for, under the name that was connected to.
fn authorities(
    file: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, OpenError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, "sslrootcert")? {
        let added = roots.add(certificate);
        added.map_err(|error| refused(format!("sslrootcert {file}: {error}")))?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map_err(|error| refused(format!("sslrootcert {file}: {error}")))
}

/// Believes everybody, or whom `chain` vouches for under whatever name.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last, once the chain has been found good.
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Whether any of the servers is reached over a network.
pub(super) fn leaves_the_machine(config: &Config) -> bool {
    let remote = |host: &Host| match host {
        Host::Tcp(name) => {
            name != "localhost"
                && !name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Host::Unix(_) => false,
    };
    // An address, where one is given, is what is connected to; the name is then only verified.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().any(remote),
        addresses => addresses.iter().any(|address| !address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_told_from_one_here() {
        for (url, elsewhere) in [
            ("postgres://u@localhost/db", false),
            ("postgres://u@127.0.0.1/db", false),
            ("postgres://u@[::1]/db", false),
            ("host=/run/postgresql user=u", false),
            ("host=db.example hostaddr=127.0.0.1 user=u", false),
            ("postgres://u@db.example/db", true),
            ("postgres://u@10.0.0.1/db", true),
            ("postgres://u@localhost,db.example/db", true),
            ("host=localhost hostaddr=10.0.0.1 user=u", true),
        ] {
            assert_eq!(
                leaves_the_machine(&url.parse().unwrap()),
                elsewhere,
                "{url}"
            );
        }
    }

    #[test]
    fn wishes_that_contradict_themselves_are_refused_with_what_would_be_right() {
        let none = "/nonexistent/ca.pem";
        for (wish, words) in [
            ("", None),
            ("sslmode=disable", None),
            ("sslmode=prefer", None),
            ("sslmode=require", None),
            ("sslmode=verify-full", None),
            ("sslmode=verify-full&sslrootcert=system", None),
            ("sslmode=verify-ca", Some("needs sslrootcert=FILE")),
            (
                "sslmode=verify-ca&sslrootcert=system",
                Some("needs sslrootcert=FILE"),
            ),
            ("sslrootcert=/ca.pem", Some("verify-full would be right")),
            (
                "sslmode=disable&sslrootcert=/ca.pem",
                Some("verify-full would be right"),
            ),
            (
                "sslmode=require&sslrootcert=/nonexistent/ca.pem",
                Some(none),
            ),
            (
                "sslmode=verify-full&sslrootcert=/dev/null",
                Some("holds no certificate"),
            ),
            ("sslmode=require&sslcert=/c.pem", Some("go together")),
            (
                "sslcert=/c.pem&sslkey=/k.pem",
                Some("verify-full would be right"),
            ),
            (
                "sslmode=require&sslcert=/nonexistent/ca.pem&sslkey=/k.pem",
                Some(none),
            ),
        ] {
            let made =
                Way::to(Target::parse(&format!("postgres://u@localhost/db?{wish}")).unwrap());
            let said = made.map(drop).map_err(|error| super::super::chain(&error));
            match words {
                None => assert_eq!(said, Ok(()), "{wish}"),
                Some(words) => {
                    let said = said.expect_err(wish);
                    assert!(said.contains(words), "{wish}: {said}");
                }
            }
        }
    }
}

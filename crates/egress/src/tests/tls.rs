//! Certificates (requirement 66).

use std::sync::Arc;

use grantry_core::http::{Failure, Silence};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::AsyncWriteExt;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::server::{Act, Server, answer, listen};
use super::*;
use crate::SetupError;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

fn signed_by(ca: &Ca, params: &CertificateParams) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    config(certificate.der().clone(), &key)
}

fn self_signed(params: &CertificateParams) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    config(certificate.der().clone(), &key)
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

/// An egress to loopback under the name `idp.example` that trusts `ca` beside the system.
fn trusting(ca: Option<&Ca>) -> Egress {
    let policy = Policy::from_strings(["127.0.0.0/8"]).unwrap();
    let options = Options {
        extra_ca_pem: ca.map(|ca| ca.pem().into_bytes()),
        ..Options::default()
    };
    Egress::new(policy, Answers::new(&[&["127.0.0.1"]]), &options)
        .unwrap()
        .with_deadline(PATIENT)
}

async fn post_to(server: &Server, egress: &Egress) -> Result<u16, Failure> {
    outcome(&post(egress, format!("https://idp.example:{}/token", server.port)).await)
}

#[tokio::test]
async fn a_certificate_of_the_extra_authority_is_trusted() {
    let ca = ca();
    let tls = signed_by(&ca, &params("idp.example"));
    let server = Server::start_tls([answer(200, "", "")], tls).await;
    assert_eq!(post_to(&server, &trusting(Some(&ca))).await, Ok(200));
}

#[tokio::test]
async fn certificates_that_nobody_vouches_for_are_refused_before_a_byte_is_sent() {
    let trusted = ca();
    let mut expired = params("idp.example");
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    let mut early = params("idp.example");
    early.not_before = date_time_ymd(2100, 1, 1);
    early.not_after = date_time_ymd(2101, 1, 1);
    for (case, tls) in [
        ("expired", signed_by(&trusted, &expired)),
        ("not yet valid", signed_by(&trusted, &early)),
        ("wrong name", signed_by(&trusted, &params("other.example"))),
        ("self-signed", self_signed(&params("idp.example"))),
        (
            "unknown authority",
            signed_by(&ca(), &params("idp.example")),
        ),
    ] {
        let server = Server::start_tls([], tls).await;
        let result = post_to(&server, &trusting(Some(&trusted))).await;
        assert_eq!(result, Err(Failure::NotSent), "{case}");
        assert!(server.requests().is_empty(), "{case}");
    }
}

#[tokio::test]
async fn the_extra_authority_is_trusted_only_where_it_is_configured() {
    let ca = ca();
    let tls = signed_by(&ca, &params("idp.example"));
    let server = Server::start_tls([], tls).await;
    assert_eq!(
        post_to(&server, &trusting(None)).await,
        Err(Failure::NotSent)
    );
}

#[tokio::test]
async fn plain_text_where_tls_is_expected_is_not_sent() {
    let listener = listen().await;
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let text = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(text).await.unwrap();
    });
    let result = post(&trusting(None), format!("https://idp.example:{port}/token")).await;
    assert_eq!(outcome(&result), Err(Failure::NotSent));
}

#[tokio::test]
async fn a_reset_inside_tls_after_the_request_is_unknown() {
    let ca = ca();
    let tls = signed_by(&ca, &params("idp.example"));
    let server = Server::start_tls([Act::Reset], tls).await;
    let result = post_to(&server, &trusting(Some(&ca))).await;
    assert_eq!(result, Err(Failure::Unknown(Silence::Cut)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let ca = ca();
    let plain = Server::start([]).await;
    let location = format!("Location: {}\r\n", plain.url("/meta"));
    let tls = signed_by(&ca, &params("idp.example"));
    let server = Server::start_tls([answer(302, &location, "")], tls).await;
    let url = format!("https://idp.example:{}/", server.port);
    let result = discover(&trusting(Some(&ca)), url).await;
    assert_eq!(outcome(&result), Err(Failure::Refused));
    assert_eq!(plain.connections(), 0);
}

#[test]
fn an_extra_authority_that_is_no_pem_stops_the_start() {
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let options = Options {
            extra_ca_pem: Some(pem.into()),
            ..Options::default()
        };
        let result = Egress::new(Policy::default(), Arc::new(NoLookup), &options);
        assert!(matches!(result, Err(SetupError::ExtraCa)), "{pem:?}");
    }
}

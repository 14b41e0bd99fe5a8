//! Private keys and signing.

use crate::hash::sha256;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::Secret;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

/// A private key that signs tokens.
pub struct SigningKey {
    pub(super) pair: Pair,
    kid: String,
    jwk: Value,
}

pub(super) enum Pair {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
}

/// What a signing key can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a 2048-bit key, the one every verifier knows.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// Why a private key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The text holds no PEM block of a private key.
    #[error("not a private key in PEM form")]
    NotPem,
    /// The key is damaged, encrypted, too small, or of a kind that signs neither RS256 nor ES256.
    #[error("not an RSA key of 2048 bits or more, nor a P-256 key, in PKCS#8, PKCS#1 or SEC1 form")]
    Unusable,
    /// The cryptographic library failed.
    #[error("the key could not be made")]
    Generation,
}

/// Signing failed inside the cryptographic library, or the claims are not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SigningError;

impl SigningKey {
    /// Makes a key and returns it as PKCS#8 DER, to be sealed and to be read by [`Self::from_pkcs8`].
    ///
    /// The library draws the randomness itself; this is the one key that `core::Entropy` has no part in.
    ///
    /// # Errors
    /// [`SigningKeyError::Generation`].
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>, SigningKeyError> {
        let failed = |_| SigningKeyError::Generation;
        let pkcs8 = match algorithm {
            SigningAlgorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| pair.as_der())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
        };
        Ok(Zeroizing::new(pkcs8))
    }

    /// From PKCS#8 DER.
    ///
    /// # Errors
    /// [`SigningKeyError::Unusable`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::Es256);
        ec.or_else(|_| RsaKeyPair::from_pkcs8(der).map(Pair::Rs256))
            .map_err(|_| SigningKeyError::Unusable)
            .and_then(Self::new)
    }

    /// From the first private key of a PEM text, as providers hand them out: `PRIVATE KEY`
    /// (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1).
    ///
    /// # Errors
    /// [`SigningKeyError::NotPem`], [`SigningKeyError::Unusable`].
    pub fn from_pem(pem: &Secret) -> Result<Self, SigningKeyError> {
        let unusable = |_| SigningKeyError::Unusable;
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_| SigningKeyError::NotPem)?;
        let der_bytes = der.secret_der();
        match der {
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der_bytes)
                .map(Pair::Rs256)
                .map_err(unusable),
            PrivateKeyDer::Sec1(_) => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der_bytes)
                    .map(Pair::Es256)
                    .map_err(unusable)
            }
            _ => return Self::from_pkcs8(der_bytes),
        }
        .and_then(Self::new)
    }

    /// The same key under the id that the verifier knows it by.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        let kid = kid.into();
        let mut jwk = self.jwk;
        jwk["kid"] = Value::from(kid.as_str());
        Self { kid, jwk, ..self }
    }

    /// The `kid` of every token: the RFC 7638 thumbprint of the public key unless set otherwise.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a member of a JWK set (RFC 7517), with `kid`, `alg` and `use`.
    pub const fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// SHA-256 of the public key as an X.509 `SubjectPublicKeyInfo`: how Snowflake names a key.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn public_fingerprint(&self) -> Result<[u8; 32], SigningError> {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rs256(pair) => pair.public_key().as_der(),
            Pair::Es256(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| SigningError)?;
        Ok(sha256(&[der.as_ref()]))
    }

    /// What this key signs with.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Rs256(_) => SigningAlgorithm::Rs256,
            Pair::Es256(_) => SigningAlgorithm::Es256,
        }
    }

    /// `claims` as a compact JWS whose header has this `typ`: `JWT`, `at+jwt` …
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign<T: Serialize>(&self, typ: &str, claims: &T) -> Result<String, SigningError> {
        let header = Header {
            typ: Some(typ.to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(self.algorithm().into())
        };
        let part =
            |json: serde_json::Result<Vec<u8>>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
        let header = part(serde_json::to_vec(&header)).map_err(|_| SigningError)?;
        let claims = part(serde_json::to_vec(claims)).map_err(|_| SigningError)?;
        let message = format!("{header}.{claims}");
        let signature = self.signature(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    // Not jsonwebtoken's `encode`: it takes RSA keys in PKCS#1 only and parses and checks the
    // private key anew for each signature.
    pub(super) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a ring-compatible argument that aws-lc-rs ignores: the C library draws blinding and nonces itself"
        )]
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Pair::Es256(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
        }
        .map_err(|_| SigningError)
    }

    fn new(pair: Pair) -> Result<Self, SigningKeyError> {
        let (public, algorithm) = match &pair {
            Pair::Rs256(pair) => (
                DecodingKey::from_rsa_der(pair.public_key().as_ref()),
                Algorithm::RS256,
            ),
            Pair::Es256(pair) => (
                DecodingKey::from_ec_der(pair.public_key().as_ref()),
                Algorithm::ES256,
            ),
        };
        let described = Jwk::from_decoding_key(&public, Some(algorithm)).and_then(|mut jwk| {
            let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
            jwk.common.public_key_use = Some(PublicKeyUse::Signature);
            jwk.common.key_id = Some(kid.clone());
            Ok((kid, serde_json::to_value(jwk)?))
        });
        let (kid, jwk) = described.map_err(|_| SigningKeyError::Unusable)?;
        Ok(Self { pair, kid, jwk })
    }
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Rs256 => Self::RS256,
            SigningAlgorithm::Es256 => Self::ES256,
        }
    }
}

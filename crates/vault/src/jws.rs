//! Signed tokens: the issuer's own keys, keys that a connector signs its assertions with, and the
//! check of tokens, ours and a provider's.
//!
//! The algorithm is a property of the key. A token's header chooses a key by `kid` and must then
//! name that key's algorithm, so neither `none` nor HMAC under a public key can pass (RFC 8725 §3.1).

use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::{Secret, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// A private key that signs tokens.
pub struct SigningKey {
    pair: Pair,
    kid: String,
    jwk: Value,
}

enum Pair {
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
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
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

/// Public keys that a token may be signed by.
#[derive(Default)]
pub struct KeySet(Vec<VerifyingKey>);

struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// From the members of a JWK set. A member that is no public signing key, or of a kind unknown
    /// here, is passed over, as RFC 7517 §5 asks; symmetric keys are never taken.
    pub fn new<'a>(jwks: impl IntoIterator<Item = &'a Value>) -> Self {
        Self(
            jwks.into_iter()
                .filter_map(VerifyingKey::from_jwk)
                .collect(),
        )
    }

    /// True when a token with this `kid` has a key here. False is the cue to fetch the set anew.
    pub fn contains(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key for a token header. Without a `kid` there must be only one it could mean (OpenID
    /// Connect Core §10.1).
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, VerifyError> {
        let mut named = self
            .0
            .iter()
            .filter(|key| kid.is_none() || key.kid.as_deref() == kid)
            .peekable();
        if named.peek().is_none() {
            return Err(VerifyError::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(VerifyError::UnknownKey),
            (None, _) => Err(VerifyError::Algorithm),
        }
    }
}

impl VerifyingKey {
    fn from_jwk(jwk: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        if !matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        ) {
            return None;
        }
        let by_kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
                EllipticCurve::P256 => Algorithm::ES256,
                EllipticCurve::P384 => Algorithm::ES384,
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
            _ => return None,
        };
        let algorithm = match jwk.common.key_algorithm {
            Some(named) => named.to_string().parse().ok()?,
            None => by_kind,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (algorithm.family() == key.family()).then_some(Self {
            kid: jwk.common.key_id,
            algorithm,
            key,
        })
    }
}

/// What a token must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Header `typ`, which keeps kinds of tokens apart (RFC 8725 §3.11); `None` for a provider's ID
    /// token, which need not have one.
    pub typ: Option<&'a str>,
    /// Claim `iss`, byte for byte.
    pub issuer: &'a str,
    /// Must be among the claim `aud`.
    pub audience: &'a str,
    /// The time now.
    pub now: Timestamp,
    /// How far the issuer's clock may be off, for `exp` and `nbf`.
    pub leeway: Duration,
}

/// Why a token is refused. For the log; a caller learns only that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not a compact JWS with a JSON header and an object of claims, or one with `alg` none, an
    /// unknown `alg`, or a critical extension.
    #[error("not a signed token of a kind known here")]
    Malformed,
    /// No key has the token's `kid`.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The header names another algorithm than the key has.
    #[error("the algorithm is not that of the key")]
    Algorithm,
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// Another kind of token.
    #[error("the typ is not the expected one")]
    Type,
    /// Missing or other `iss`.
    #[error("the issuer is not the expected one")]
    Issuer,
    /// Missing or other `aud`.
    #[error("the audience is not the expected one")]
    Audience,
    /// Missing or past `exp`.
    #[error("expired, or without an expiry")]
    Expired,
    /// `nbf` is in the future or no number.
    #[error("not valid yet")]
    NotYetValid,
    /// Signed and in time, but the claims are not what the caller reads.
    #[error("the claims have another form than expected")]
    Claims,
}

/// Checks a compact JWS and returns its claims.
///
/// # Errors
/// [`VerifyError`].
pub fn verify<T: DeserializeOwned>(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<T, VerifyError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::Malformed)?;
    // RFC 7515 §4.1.11: a critical extension that is not understood refuses the token.
    if header.crit.is_some() {
        return Err(VerifyError::Malformed);
    }
    let key = keys.find(header.kid.as_deref(), header.alg)?;

    // The crate's own checks of claims read the ambient clock and skip claims that are absent.
    let mut signature_only = Validation::new(key.algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let claims: Map<String, Value> = jsonwebtoken::decode(token, &key.key, &signature_only)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => VerifyError::Signature,
            _ => VerifyError::Malformed,
        })?
        .claims;

    if expected
        .typ
        .is_some_and(|typ| !same_type(typ, header.typ.as_deref()))
    {
        return Err(VerifyError::Type);
    }
    check_claims(&claims, expected)?;
    serde_json::from_value(Value::Object(claims)).map_err(|_| VerifyError::Claims)
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), VerifyError> {
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(VerifyError::Issuer);
    }
    let names_us = |audience: &Value| audience.as_str() == Some(expected.audience);
    let for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(names_us),
        Some(one) => names_us(one),
        None => false,
    };
    if !for_us {
        return Err(VerifyError::Audience);
    }
    let seconds = |at: Timestamp| at.as_secs() as f64;
    let expires = claims.get("exp").and_then(Value::as_f64);
    if expires.is_none_or(|exp| exp <= seconds(expected.now.before(expected.leeway))) {
        return Err(VerifyError::Expired);
    }
    let early = |nbf: &Value| {
        nbf.as_f64()
            .is_none_or(|nbf| nbf > seconds(expected.now.after(expected.leeway)))
    };
    if claims.get("nbf").is_some_and(early) {
        return Err(VerifyError::NotYetValid);
    }
    Ok(())
}

/// RFC 7515 §4.1.9: a media type, in any case, its `application/` usually left out.
fn same_type(expected: &str, found: Option<&str>) -> bool {
    found.is_some_and(|found| {
        let short = match found.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => found,
        };
        short.eq_ignore_ascii_case(expected)
    })
}

#[cfg(test)]
mod tests;

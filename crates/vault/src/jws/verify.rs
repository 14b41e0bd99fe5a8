//! Public keys and the check of tokens.

use std::time::Duration;

use grantry_core::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Public keys that a token may be signed by.
#[derive(Default)]
pub struct KeySet(pub(super) Vec<VerifyingKey>);

pub(super) struct VerifyingKey {
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

    /// True when no member was a key that signs.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
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

//! The little cryptography a provider needs: PKCE, comparing secrets, signing ID tokens.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

/// The PKCE challenge of `verifier` by method S256 (RFC 7636 §4.2).
pub(crate) fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// Compares two secrets in a time that does not tell where they differ.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// How a JWT is signed. Only [`Signing::Rs256`] is honest.
#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) enum Signing {
    /// RSASSA-PKCS1-v1_5 with SHA-256, by the published key.
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
    /// HMAC keyed with the text of the published modulus (key confusion).
    #[serde(rename = "HS256")]
    Hs256WithPublicKey,
    /// No signature.
    #[serde(rename = "none")]
    None,
}

/// The signing key. A fresh one per process: nothing that this provider signs has to outlive it.
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    /// RFC 7638-like: derived from the modulus, so that it differs between processes.
    pub(crate) kid: String,
}

/// Octets of the modulus of an RSA-2048 key.
const MODULUS_BYTES: usize = 256;
/// `INTEGER 65537`, which ends the DER form of each public key made here.
const EXPONENT_DER_BYTES: usize = 5;

impl SigningKey {
    /// A new RSA-2048 key; takes some tens of milliseconds.
    #[expect(
        clippy::expect_used,
        reason = "fails only when the system has no memory or no randomness"
    )]
    pub(crate) fn generate() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be made");
        let kid = s256(&modulus(&pair)).chars().take(16).collect();
        Self { pair, kid }
    }

    /// The public half as a member of a JWK set (RFC 7517).
    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256",
            "kid": self.kid, "n": modulus(&self.pair), "e": "AQAB",
        })
    }

    /// A compact JWS of `claims` (RFC 7515 §7.1) under key id `kid`.
    pub(crate) fn sign(&self, signing: Signing, kid: &str, claims: &Value) -> String {
        self.sign_with(signing, &json!({"typ": "JWT", "kid": kid}), claims)
    }

    /// A compact JWS of `claims` with this header; `alg` is what `signing` says unless the header has one.
    #[expect(
        clippy::expect_used,
        reason = "a signature buffer of the modulus' length always fits"
    )]
    #[expect(
        clippy::disallowed_methods,
        reason = "the signature's type wants a generator; PKCS #1 v1.5 draws nothing from it"
    )]
    pub(crate) fn sign_with(&self, signing: Signing, header: &Value, claims: &Value) -> String {
        let alg = match signing {
            Signing::Rs256 => "RS256",
            Signing::Hs256WithPublicKey => "HS256",
            Signing::None => "none",
        };
        let mut header = header.clone();
        if header.get("alg").is_none() {
            header["alg"] = json!(alg);
        }
        let header = header;
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(claims));
        let signature = match signing {
            Signing::Rs256 => {
                let mut signature = vec![0; MODULUS_BYTES];
                let random = rand::SystemRandom::new();
                self.pair
                    .sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature)
                    .expect("an RSA-2048 signature fits");
                signature
            }
            Signing::Hs256WithPublicKey => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, modulus(&self.pair).as_bytes());
                hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
            }
            Signing::None => Vec::new(),
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The modulus in base64url: the last 256 octets before the exponent of the DER form (RFC 8017 A.1.1).
fn modulus(pair: &RsaKeyPair) -> String {
    let der = pair.public_key().as_ref();
    let end = der.len().saturating_sub(EXPONENT_DER_BYTES);
    URL_SAFE_NO_PAD.encode(&der[end.saturating_sub(MODULUS_BYTES)..end])
}

/// The claims of a compact JWS, unverified: for faults that spoil one of our own.
pub(crate) fn claims(jws: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    #[test]
    fn s256_matches_the_example_of_rfc_7636_appendix_b() {
        assert_eq!(
            s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn a_signed_token_verifies_under_the_published_key() {
        let key = SigningKey::generate();
        let jwk = key.jwk();
        let field = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let public = RsaPublicKeyComponents {
            n: field("n"),
            e: field("e"),
        };
        let token = key.sign(Signing::Rs256, &key.kid, &json!({"sub": "alice"}));
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verify =
            |input: &str| public.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature);
        assert!(verify(input).is_ok());
        assert!(verify(&format!("{input}x")).is_err());
        assert_eq!(claims(&token).unwrap()["sub"], "alice");
    }
}

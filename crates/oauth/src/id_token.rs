//! Checking the ID token of a consent (OpenID Connect Core §3.1.3.7, requirement 22).

use std::time::Duration;

use grantry_core::{Secret, Timestamp};
use grantry_vault::jws::{self, KeySet, VerifyError};
use serde_json::{Map, Value};

/// How far the provider's clock may be off.
const LEEWAY: Duration = Duration::from_secs(60);

/// What an ID token must say.
pub struct Expected<'a> {
    /// The issuer frozen when the authorization began.
    pub issuer: &'a str,
    /// Our client id.
    pub client_id: &'a str,
    /// What a nonce has to be.
    pub nonce: &'a str,
    /// Whether there has to be one: only where the request carried it.
    pub nonce_required: bool,
    /// The wall clock.
    pub now: Timestamp,
}

/// Why an ID token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not signed by a key of the provider, or its claims fail. After [`VerifyError::UnknownKey`] fetch the key set once
    /// more, at a limited rate, and try again.
    #[error(transparent)]
    Token(#[from] VerifyError),
    /// Issued to another client.
    #[error("the authorized party is another client")]
    AuthorizedParty,
    /// Issued in another authorization.
    #[error("the nonce is not the one of this authorization")]
    Nonce,
    /// No subject, or none that could be one (§2: at most 255 characters).
    #[error("the subject is missing or malformed")]
    Subject,
}

/// The claims of `id_token`, once it has proven itself.
///
/// # Errors
/// [`IdTokenError`].
pub fn verify(
    id_token: &Secret,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, IdTokenError> {
    let checks = jws::Expected {
        typ: None,
        issuer: expected.issuer,
        audience: expected.client_id,
        now: expected.now,
        leeway: LEEWAY,
    };
    let claims: Map<String, Value> = jws::verify(id_token.expose(), keys, &checks)?;
    let several = claims
        .get("aud")
        .and_then(Value::as_array)
        .is_some_and(|all| all.len() > 1);
    let ours = match claims.get("azp") {
        Some(party) => party == expected.client_id,
        None => !several,
    };
    if !ours {
        return Err(IdTokenError::AuthorizedParty);
    }
    let nonce_holds = match claims.get("nonce") {
        Some(said) => said == expected.nonce,
        None => !expected.nonce_required,
    };
    if !nonce_holds {
        return Err(IdTokenError::Nonce);
    }
    let subject = claims.get("sub").and_then(Value::as_str);
    match subject.is_some_and(|subject| !subject.is_empty()) {
        true => Ok(claims),
        false => Err(IdTokenError::Subject),
    }
}

#[cfg(test)]
mod tests {
    use grantry_vault::jws::{SigningAlgorithm, SigningKey};
    use serde_json::json;

    use super::*;
    use crate::tests::NOW;

    fn key() -> SigningKey {
        let der = SigningKey::generate(SigningAlgorithm::Es256).ok().unwrap();
        SigningKey::from_pkcs8(&der).ok().unwrap()
    }

    fn claims(changes: Value) -> Value {
        let now = NOW.as_secs();
        let mut claims = json!({
            "iss": "https://as.example", "aud": "cid", "sub": "u1", "nonce": "n", "iat": now, "exp": now + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://as.example",
        client_id: "cid",
        nonce: "n",
        nonce_required: true,
        now: NOW,
    };

    #[test]
    fn requirement_22_only_a_token_for_this_authorization_passes() {
        use IdTokenError::{AuthorizedParty, Nonce, Subject, Token};
        let key = key();
        let keys = KeySet::new([key.jwk()]);
        let past = NOW.as_secs() - 61;
        let cases = [
            (json!({}), Ok(())),
            (json!({"aud": ["cid"]}), Ok(())),
            (json!({"aud": ["cid", "other"], "azp": "cid"}), Ok(())),
            (json!({"aud": ["cid", "other"]}), Err(AuthorizedParty)),
            (json!({"azp": "other"}), Err(AuthorizedParty)),
            (json!({"azp": null}), Err(AuthorizedParty)),
            (json!({"aud": "other"}), Err(Token(VerifyError::Audience))),
            (json!({"aud": null}), Err(Token(VerifyError::Audience))),
            (
                json!({"iss": "https://as.example/"}),
                Err(Token(VerifyError::Issuer)),
            ),
            (json!({"exp": past}), Err(Token(VerifyError::Expired))),
            (json!({"exp": null}), Err(Token(VerifyError::Expired))),
            (json!({"nonce": "other"}), Err(Nonce)),
            (json!({"nonce": 5}), Err(Nonce)),
            (json!({"nonce": null}), Err(Nonce)),
            (json!({"sub": ""}), Err(Subject)),
            (json!({"sub": 7}), Err(Subject)),
        ];
        for (changes, expected) in cases {
            let token = Secret::new(key.sign("JWT", &claims(changes.clone())).ok().unwrap());
            assert_eq!(
                verify(&token, &keys, &EXPECTED).map(drop),
                expected,
                "{changes}"
            );
        }
    }

    #[test]
    fn requirement_22_a_token_of_a_strange_key_or_without_signature_is_refused() {
        let (known, strange) = (key(), key());
        let keys = KeySet::new([known.jwk()]);
        let signed = strange.sign("JWT", &claims(json!({}))).ok().unwrap();
        assert_eq!(
            verify(&Secret::new(signed.clone()), &keys, &EXPECTED),
            Err(IdTokenError::Token(VerifyError::UnknownKey))
        );
        let parts: Vec<_> = signed.split('.').collect();
        // {"alg":"none"}
        let unsigned = Secret::new(format!("eyJhbGciOiJub25lIn0.{}.", parts[1]));
        assert!(matches!(
            verify(&unsigned, &keys, &EXPECTED),
            Err(IdTokenError::Token(_))
        ));
    }

    #[test]
    fn requirement_22_a_nonce_that_was_not_sent_may_be_missing_and_not_wrong() {
        let key = key();
        let keys = KeySet::new([key.jwk()]);
        let unasked = Expected {
            nonce_required: false,
            ..EXPECTED
        };
        let mut without = claims(json!({}));
        without.as_object_mut().unwrap().remove("nonce");
        for (claims, expected) in [
            (without, Ok(())),
            (claims(json!({"nonce": "other"})), Err(IdTokenError::Nonce)),
        ] {
            let token = Secret::new(key.sign("JWT", &claims).ok().unwrap());
            assert_eq!(verify(&token, &keys, &unasked).map(drop), expected);
        }
    }
}

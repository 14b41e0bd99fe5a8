use std::time::Duration;

use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::{Secret, Timestamp};
use serde_json::{Value, json};

use super::sign::Pair;
use super::*;
use crate::hash::sha256;

static_assertions::assert_not_impl_any!(SigningKey: std::fmt::Debug, serde::Serialize);

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const NOW_SECS: i64 = NOW.as_secs();

const EXPECTED: Expected<'static> = Expected {
    typ: Some("at+jwt"),
    issuer: "https://grantry.test",
    audience: "api",
    now: NOW,
    leeway: Duration::ZERO,
};

const EC_PEM: &str = include_str!("../../testdata/keys/ec-pkcs8.pem");
const RSA_PEM: &str = include_str!("../../testdata/keys/rsa-pkcs8.pem");

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(&Secret::new(pem)).unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://grantry.test", "aud": "api", "sub": "s", "exp": NOW_SECS + 60})
}

fn set(keys: &[&SigningKey]) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.jwk()))
}

fn check(token: &str, keys: &KeySet) -> Result<Value, VerifyError> {
    verify(token, keys, &EXPECTED)
}

/// A token put together by hand: any header, any claims, any signature.
fn compact(header: &Value, claims: &Value, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(&message));
    format!("{message}.{signature}")
}

/// Claims under a header of the test's making, truly signed by `key`.
fn signed(key: &SigningKey, header: &Value) -> String {
    compact(header, &claims(), |message| {
        key.signature(message.as_bytes()).unwrap()
    })
}

#[test]
fn a_generated_key_signs_what_its_public_half_verifies() {
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let pkcs8 = SigningKey::generate(algorithm).unwrap();
        let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let token = key.sign("at+jwt", &claims()).unwrap();
        assert_eq!(check(&token, &set(&[&key])), Ok(claims()));
        assert_ne!(*pkcs8, *SigningKey::generate(algorithm).unwrap());
    }
}

#[test]
fn every_pem_form_that_providers_hand_out_is_read() {
    let rows = [
        (
            include_str!("../../testdata/keys/rsa-pkcs1.pem"),
            RSA_PEM,
            SigningAlgorithm::Rs256,
        ),
        (RSA_PEM, RSA_PEM, SigningAlgorithm::Rs256),
        (
            include_str!("../../testdata/keys/ec-sec1.pem"),
            EC_PEM,
            SigningAlgorithm::Es256,
        ),
        (EC_PEM, EC_PEM, SigningAlgorithm::Es256),
    ];
    for (pem, same_key, algorithm) in rows {
        let read = key(pem);
        assert_eq!(read.algorithm(), algorithm);
        assert_eq!(read.jwk(), key(same_key).jwk());
        let token = read.sign("at+jwt", &claims()).unwrap();
        assert_eq!(check(&token, &set(&[&read])), Ok(claims()));
    }
}

#[test]
fn keys_that_cannot_sign_here_are_refused() {
    let rows = [
        ("", SigningKeyError::NotPem),
        ("not a key", SigningKeyError::NotPem),
        (
            include_str!("../../testdata/keys/bad-public.pem"),
            SigningKeyError::NotPem,
        ),
        (
            include_str!("../../testdata/keys/bad-encrypted.pem"),
            SigningKeyError::NotPem,
        ),
        (&RSA_PEM[..RSA_PEM.len() / 2], SigningKeyError::NotPem),
        (
            include_str!("../../testdata/keys/bad-rsa-1024.pem"),
            SigningKeyError::Unusable,
        ),
        (
            include_str!("../../testdata/keys/bad-ec-p384.pem"),
            SigningKeyError::Unusable,
        ),
        (
            include_str!("../../testdata/keys/bad-ed25519.pem"),
            SigningKeyError::Unusable,
        ),
    ];
    for (pem, expected) in rows {
        assert_eq!(
            SigningKey::from_pem(&Secret::new(pem)).err(),
            Some(expected),
            "{pem}"
        );
    }
    assert_eq!(
        SigningKey::from_pkcs8(b"").err(),
        Some(SigningKeyError::Unusable)
    );
}

#[test]
fn a_public_key_shows_its_thumbprint_and_nothing_private() {
    let members = |jwk: &Value| {
        jwk.as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let rsa = key(RSA_PEM);
    let mut names: Vec<String> = members(rsa.jwk()).split(' ').map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(
        (&rsa.jwk()["alg"], &rsa.jwk()["use"]),
        (&json!("RS256"), &json!("sig"))
    );
    // RFC 7638 §3: the required members in alphabetical order, no white space.
    let canonical = format!(r#"{{"e":"AQAB","kty":"RSA","n":{}}}"#, rsa.jwk()["n"]);
    assert_eq!(
        rsa.kid(),
        URL_SAFE_NO_PAD.encode(sha256(&[canonical.as_bytes()]))
    );

    let ec = key(EC_PEM);
    let canonical = format!(
        r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
        ec.jwk()["x"],
        ec.jwk()["y"]
    );
    assert_eq!(
        ec.kid(),
        URL_SAFE_NO_PAD.encode(sha256(&[canonical.as_bytes()]))
    );
    assert_eq!(ec.jwk()["kid"], ec.kid());
    assert!(ec.jwk().get("d").is_none());
}

#[test]
fn a_key_signs_under_the_id_its_verifier_gave_it() {
    let key = key(EC_PEM).with_kid("registered-1");
    let token = key.sign("at+jwt", &claims()).unwrap();
    assert_eq!(
        jsonwebtoken::decode_header(&token).unwrap().kid.as_deref(),
        Some("registered-1")
    );
    let keys = set(&[&key]);
    assert!(keys.contains("registered-1"));
    assert_eq!(check(&token, &keys), Ok(claims()));
}

/// Headers that a forger or a confused issuer would send. All of them bear a true signature of the
/// EC key, except where the row makes another.
#[test]
fn headers_are_refused_each_for_its_own_reason() {
    let (ec, rsa) = (key(EC_PEM), key(RSA_PEM));
    let keys = set(&[&ec, &rsa]);
    let header = |alg: &str, kid: &str, typ: &str| json!({"alg": alg, "kid": kid, "typ": typ});
    let (ec_kid, rsa_kid) = (ec.kid(), rsa.kid());

    let good = [
        header("ES256", ec_kid, "at+jwt"),
        header("ES256", ec_kid, "AT+JWT"),
        header("ES256", ec_kid, "application/at+jwt"),
        json!({"alg": "ES256", "kid": ec_kid, "typ": "at+jwt", "jku": "https://evil.test", "jwk": rsa.jwk()}),
    ];
    for header in good {
        assert_eq!(
            check(&signed(&ec, &header), &keys),
            Ok(claims()),
            "{header}"
        );
    }

    let bad = [
        (header("none", ec_kid, "at+jwt"), VerifyError::Malformed),
        (header("None", ec_kid, "at+jwt"), VerifyError::Malformed),
        (header("", ec_kid, "at+jwt"), VerifyError::Malformed),
        (header("HS256", ec_kid, "at+jwt"), VerifyError::Algorithm),
        (header("HS256", rsa_kid, "at+jwt"), VerifyError::Algorithm),
        (header("ES384", ec_kid, "at+jwt"), VerifyError::Algorithm),
        (header("RS256", ec_kid, "at+jwt"), VerifyError::Algorithm),
        (header("ES256", rsa_kid, "at+jwt"), VerifyError::Algorithm),
        (header("PS256", rsa_kid, "at+jwt"), VerifyError::Algorithm),
        (header("RS512", rsa_kid, "at+jwt"), VerifyError::Algorithm),
        (header("RS256", rsa_kid, "at+jwt"), VerifyError::Signature),
        (header("ES256", "other", "at+jwt"), VerifyError::UnknownKey),
        (header("ES256", "", "at+jwt"), VerifyError::UnknownKey),
        (header("ES256", ec_kid, "JWT"), VerifyError::Type),
        (header("ES256", ec_kid, "workload+jwt"), VerifyError::Type),
        (header("ES256", ec_kid, "application/"), VerifyError::Type),
        (header("ES256", ec_kid, ""), VerifyError::Type),
        (json!({"alg": "ES256", "kid": ec_kid}), VerifyError::Type),
        (
            json!({"kid": ec_kid, "typ": "at+jwt"}),
            VerifyError::Malformed,
        ),
        (
            json!({"alg": "ES256", "kid": 1, "typ": "at+jwt"}),
            VerifyError::Malformed,
        ),
        (
            json!({"alg": "ES256", "kid": ec_kid, "typ": "at+jwt", "crit": ["b64"], "b64": false}),
            VerifyError::Malformed,
        ),
        (json!(["ES256"]), VerifyError::Malformed),
    ];
    for (header, expected) in bad {
        assert_eq!(
            check(&signed(&ec, &header), &keys),
            Err(expected),
            "{header}"
        );
    }
}

/// The classic forgery: the public key, in any form its holder could guess, as an HMAC secret.
#[test]
fn an_hmac_under_the_public_key_is_refused() {
    let rsa = key(RSA_PEM);
    let header = json!({"alg": "HS256", "kid": rsa.kid(), "typ": "at+jwt"});
    let n = URL_SAFE_NO_PAD
        .decode(rsa.jwk()["n"].as_str().unwrap())
        .unwrap();
    let public_pem = include_bytes!("../../testdata/keys/bad-public.pem").to_vec();
    let Pair::Rs256(pair) = &rsa.pair else {
        panic!("an RSA key")
    };
    for secret in [
        public_pem,
        pair.public_key().as_ref().to_vec(),
        n,
        rsa.jwk().to_string().into_bytes(),
    ] {
        let token = compact(&header, &claims(), |message| {
            crate::hash::hmac_sha256(&secret, &[message.as_bytes()]).to_vec()
        });
        assert_eq!(check(&token, &set(&[&rsa])), Err(VerifyError::Algorithm));
    }
}

#[test]
fn claims_are_refused_each_for_its_own_reason() {
    let key = key(EC_PEM);
    let keys = set(&[&key]);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let rows = [
        (claims(), None),
        (with("aud", json!(["other", "api"])), None),
        (with("exp", json!(NOW_SECS + 1)), None),
        (with("exp", json!(NOW_SECS as f64 + 0.5)), None),
        (with("nbf", json!(NOW_SECS)), None),
        (
            with("iss", json!("https://grantry.test/")),
            Some(VerifyError::Issuer),
        ),
        (
            with("iss", json!("https://GRANTRY.test")),
            Some(VerifyError::Issuer),
        ),
        (
            with("iss", json!(["https://grantry.test"])),
            Some(VerifyError::Issuer),
        ),
        (without("iss"), Some(VerifyError::Issuer)),
        (with("aud", json!("other")), Some(VerifyError::Audience)),
        (with("aud", json!("ap")), Some(VerifyError::Audience)),
        (with("aud", json!([])), Some(VerifyError::Audience)),
        (with("aud", json!([["api"]])), Some(VerifyError::Audience)),
        (with("aud", Value::Null), Some(VerifyError::Audience)),
        (without("aud"), Some(VerifyError::Audience)),
        (with("exp", json!(NOW_SECS)), Some(VerifyError::Expired)),
        (with("exp", json!(-1)), Some(VerifyError::Expired)),
        (
            with("exp", json!((NOW_SECS + 60).to_string())),
            Some(VerifyError::Expired),
        ),
        (with("exp", Value::Null), Some(VerifyError::Expired)),
        (without("exp"), Some(VerifyError::Expired)),
        (
            with("nbf", json!(NOW_SECS + 1)),
            Some(VerifyError::NotYetValid),
        ),
        (with("nbf", json!("soon")), Some(VerifyError::NotYetValid)),
        (json!("a text"), Some(VerifyError::Malformed)),
        (json!([claims()]), Some(VerifyError::Malformed)),
    ];
    for (claims, refused) in rows {
        let token = key.sign("at+jwt", &claims).unwrap();
        assert_eq!(check(&token, &keys).err(), refused, "{claims}");
    }
}

#[test]
fn leeway_stretches_exp_and_nbf_and_no_further() {
    let key = key(EC_PEM);
    let keys = set(&[&key]);
    let lenient = Expected {
        leeway: Duration::from_secs(60),
        ..EXPECTED
    };
    let rows = [
        (json!({"exp": NOW_SECS - 59}), None),
        (json!({"exp": NOW_SECS - 60}), Some(VerifyError::Expired)),
        (json!({"exp": NOW_SECS + 90, "nbf": NOW_SECS + 60}), None),
        (
            json!({"exp": NOW_SECS + 90, "nbf": NOW_SECS + 61}),
            Some(VerifyError::NotYetValid),
        ),
    ];
    for (times, refused) in rows {
        let mut claims = claims();
        claims
            .as_object_mut()
            .unwrap()
            .extend(times.as_object().unwrap().clone());
        let token = key.sign("at+jwt", &claims).unwrap();
        assert_eq!(
            verify::<Value>(&token, &keys, &lenient).err(),
            refused,
            "{claims}"
        );
    }
}

#[test]
fn claims_of_another_form_than_the_callers_are_refused() {
    #[derive(Debug, serde::Deserialize)]
    struct Workload {
        #[expect(dead_code, reason = "its presence is the test")]
        project: String,
    }
    let key = key(EC_PEM);
    let token = key.sign("at+jwt", &claims()).unwrap();
    let read = verify::<Workload>(&token, &set(&[&key]), &EXPECTED);
    assert_eq!(read.err(), Some(VerifyError::Claims));
}

#[test]
fn no_altered_token_passes() {
    for pem in [EC_PEM, RSA_PEM] {
        let key = key(pem);
        let keys = set(&[&key]);
        let token = key.sign("at+jwt", &claims()).unwrap();
        for at in 0..token.len() {
            assert!(check(&token[..at], &keys).is_err(), "cut at {at}");
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(check(&altered, &keys).is_err(), "changed at {at}");
        }
        for more in ["A", ".", ".A", "=", " ", "\n"] {
            assert!(
                check(&format!("{token}{more}"), &keys).is_err(),
                "{more:?} added"
            );
        }
    }
    for text in ["", ".", "..", "...", "a.b.c", "é.é.é"] {
        assert_eq!(
            check(text, &KeySet::default()).err(),
            Some(VerifyError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn a_key_set_passes_over_what_it_cannot_use() {
    let (ec, rsa) = (key(EC_PEM), key(RSA_PEM));
    let with = |name: &str, value: &str| {
        let mut jwk = rsa.jwk().clone();
        jwk[name] = json!(value);
        jwk
    };
    let unusable = [
        json!(null),
        json!({}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": ec.kid(), "alg": "HS256"}),
        json!({"kty": "NEW", "kid": ec.kid()}),
        json!({"kty": "RSA", "kid": ec.kid(), "n": "***", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": ec.kid()}),
        with("use", "enc"),
        with("alg", "HS256"),
        with("alg", "ES256"),
        with("alg", "RSA-OAEP"),
    ];
    assert!(KeySet::new(&unusable).0.is_empty());
    let mixed = KeySet::new(unusable.iter().chain([ec.jwk()]));
    assert_eq!(
        check(&ec.sign("at+jwt", &claims()).unwrap(), &mixed),
        Ok(claims())
    );
}

#[test]
fn without_a_key_id_only_one_key_may_be_meant() {
    let (ec, rsa) = (key(EC_PEM), key(RSA_PEM));
    let other =
        SigningKey::from_pkcs8(&SigningKey::generate(SigningAlgorithm::Es256).unwrap()).unwrap();
    let token = signed(&ec, &json!({"alg": "ES256", "typ": "at+jwt"}));
    let rows = [
        (set(&[&ec]), None),
        (set(&[&ec, &rsa]), None),
        (set(&[&rsa]), Some(VerifyError::Algorithm)),
        (set(&[&other]), Some(VerifyError::Signature)),
        (set(&[&ec, &other]), Some(VerifyError::UnknownKey)),
        (KeySet::default(), Some(VerifyError::UnknownKey)),
    ];
    for (number, (keys, refused)) in rows.iter().enumerate() {
        assert_eq!(check(&token, keys).err(), *refused, "row {number}");
    }
}

#[test]
fn an_id_token_needs_no_type() {
    let key = key(EC_PEM);
    let lenient = Expected {
        typ: None,
        ..EXPECTED
    };
    for header in [
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "typ": "JWT"}),
    ] {
        assert!(
            verify::<Value>(&signed(&key, &header), &set(&[&key]), &lenient).is_ok(),
            "{header}"
        );
    }
}

/// RFC 7515 appendix A.3: a token signed by others, under a key of theirs.
#[test]
fn the_es256_example_of_the_standard_verifies() {
    let jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let token = "eyJhbGciOiJFUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let expected = Expected {
        typ: None,
        issuer: "joe",
        ..EXPECTED
    };
    // The signature holds; the example has no audience, which is refused after it.
    assert_eq!(
        verify::<Value>(token, &KeySet::new([&jwk]), &expected),
        Err(VerifyError::Audience)
    );
    let forged = token.replace("Dt", "Du");
    assert_eq!(
        verify::<Value>(&forged, &KeySet::new([&jwk]), &expected),
        Err(VerifyError::Signature)
    );
}

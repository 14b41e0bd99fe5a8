//! Snowflake accounts: how they are written, and the key-pair JWT that is a token by itself
//! (docs.snowflake.com, "Key-pair authentication", "Account identifiers").

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_core::{Secret, Timestamp};
use grantry_vault::jws::{SigningError, SigningKey};
use serde_json::json;

/// Life of a token, which is no assertion that buys one: Snowflake takes none of more than an hour.
const LIFE: Duration = Duration::from_secs(59 * 60);

/// How far `iat` is set back, for a clock behind ours.
const BACKDATED: Duration = Duration::from_secs(30);

/// An account identifier as a label of a host name: `ACME-Prod_1` is at `acme-prod-1.snowflakecomputing.com`.
pub fn host_label(account: &str) -> String {
    account.to_ascii_lowercase().replace('_', "-")
}

/// The account in a JWT: in upper case, a locator without its region and cloud.
fn account(identifier: &str) -> String {
    let (locator, _) = identifier.split_once('.').unwrap_or((identifier, ""));
    locator.to_ascii_uppercase()
}

/// The token of `user`, signed by the key whose public half is theirs, and how long it holds from `now`.
///
/// # Errors
/// The cryptographic library failed.
pub fn token(
    account_identifier: &str,
    user: &str,
    key: &SigningKey,
    now: Timestamp,
) -> Result<(Secret, Duration), SigningError> {
    let subject = format!(
        "{}.{}",
        account(account_identifier),
        user.to_ascii_uppercase()
    );
    let fingerprint = STANDARD.encode(key.public_fingerprint()?);
    let issued = now.before(BACKDATED);
    let claims = json!({
        "iss": format!("{subject}.SHA256:{fingerprint}"),
        "sub": subject,
        "iat": issued.as_secs(),
        "exp": issued.after(LIFE).as_secs(),
    });
    let token = key.sign("JWT", &claims)?;
    Ok((Secret::new(token), LIFE - BACKDATED))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;
    use crate::tests::NOW;

    #[test]
    fn every_form_of_an_account_is_its_host_and_its_name() {
        for (identifier, host, name) in [
            ("acme-prod", "acme-prod", "ACME-PROD"),
            ("ACME-Prod_1", "acme-prod-1", "ACME-PROD_1"),
            ("xy12345", "xy12345", "XY12345"),
            ("xy12345.eu-central-1", "xy12345.eu-central-1", "XY12345"),
            ("xy12345.us-east-2.aws", "xy12345.us-east-2.aws", "XY12345"),
        ] {
            assert_eq!(host_label(identifier), host);
            assert_eq!(account(identifier), name);
        }
    }

    #[test]
    fn a_token_names_its_user_and_the_key_that_signed_it() {
        let pem = include_str!("../../../vault/testdata/keys/rsa-pkcs1.pem");
        let key = SigningKey::from_pem(&Secret::new(pem)).ok().unwrap();
        let (token, life) = token("xy12345.eu-central-1", "svc", &key, NOW)
            .ok()
            .unwrap();
        let claims = token.expose().split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["sub"], "XY12345.SVC");
        // openssl rsa -in rsa-pkcs1.pem -pubout -outform DER | openssl dgst -sha256 -binary | base64
        assert_eq!(
            claims["iss"],
            "XY12345.SVC.SHA256:nAuKazzIE6NvFOJw5SgxTxzNRO31P15ztJbnhMOX76Q="
        );
        let (exp, iat) = (
            claims["exp"].as_i64().unwrap(),
            claims["iat"].as_i64().unwrap(),
        );
        assert!(exp - iat < 3600 && iat < NOW.as_secs());
        assert_eq!(exp, NOW.after(life).as_secs());
    }
}

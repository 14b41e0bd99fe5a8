//! `serverConfig`: what a connector says of its authorization server, over what else is known of it. Its members have the
//! names of RFC 8414 (reference/vercel-connect §5), in the RFC's spelling or in the camelCase that `@vercel/sdk` sends
//! where something beside them is not in its own types.
//!
//! Other members are refused: one that is misspelt would be kept, shown and not used.

use grantry_oauth::server::{ADMIN_CONSENT, API_BASE_URL};
use serde_json::{Map, Value};

use super::Check;

/// What is used, here or by who is shown it; what every complaint names.
const USED: &[&str] = &[
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "registration_endpoint",
    "userinfo_endpoint",
    "user_emails_endpoint",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "jwks_uri",
    "jwks",
    "scopes_supported",
    "grant_types_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "authorization_response_iss_parameter_supported",
    "client_id_metadata_document_supported",
    API_BASE_URL,
    ADMIN_CONSENT,
];

/// What else servers publish, and who copies a server's document brings along: the registry "OAuth Authorization Server
/// Metadata" of IANA. Kept, as the metadata of a server is.
const PUBLISHED: &[&str] = &[
    "acr_values_supported",
    "authorization_details_types_supported",
    "authorization_encryption_alg_values_supported",
    "authorization_encryption_enc_values_supported",
    "authorization_signing_alg_values_supported",
    "backchannel_authentication_endpoint",
    "backchannel_authentication_request_signing_alg_values_supported",
    "backchannel_logout_session_supported",
    "backchannel_logout_supported",
    "backchannel_token_delivery_modes_supported",
    "backchannel_user_code_parameter_supported",
    "check_session_iframe",
    "claim_types_supported",
    "claims_locales_supported",
    "claims_parameter_supported",
    "claims_supported",
    "device_authorization_endpoint",
    "display_values_supported",
    "dpop_signing_alg_values_supported",
    "end_session_endpoint",
    "frontchannel_logout_session_supported",
    "frontchannel_logout_supported",
    "id_token_encryption_alg_values_supported",
    "id_token_encryption_enc_values_supported",
    "id_token_signing_alg_values_supported",
    "introspection_encryption_alg_values_supported",
    "introspection_encryption_enc_values_supported",
    "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "introspection_signing_alg_values_supported",
    "logo_uri",
    "mtls_endpoint_aliases",
    "op_policy_uri",
    "op_tos_uri",
    "prompt_values_supported",
    "protected_resources",
    "request_object_encryption_alg_values_supported",
    "request_object_encryption_enc_values_supported",
    "request_object_signing_alg_values_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "require_signed_request_object",
    "response_modes_supported",
    "response_types_supported",
    "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
    "service_documentation",
    "signed_metadata",
    "subject_types_supported",
    "tls_client_certificate_bound_access_tokens",
    "ui_locales_supported",
    "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_enc_values_supported",
    "userinfo_signing_alg_values_supported",
];

/// Members of a key that are its owner's alone (RFC 7518 §6).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fn names() -> impl Iterator<Item = &'static str> {
    USED.iter().chain(PUBLISHED).copied()
}

/// All names, for a schema.
pub(super) fn known() -> Vec<&'static str> {
    names().collect()
}

/// Whether a member of this name may be there.
pub(super) fn is_known(name: &str) -> bool {
    names().any(|known| known == name)
}

/// `token_endpoint` as `tokenEndpoint`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The RFC's spelling of a name.
fn in_snake(name: &str) -> Option<&'static str> {
    names().find(|known| known.contains('_') && camel(known) == name)
}

/// The members under the RFC's names. Where a name is there in both spellings, both stay.
pub(super) fn spelled(config: &Map<String, Value>) -> Map<String, Value> {
    let spelled = config.iter().map(|(name, value)| {
        let snake = in_snake(name).filter(|snake| !config.contains_key(*snake));
        let name = snake.map_or_else(|| name.clone(), str::to_owned);
        let value = match name.as_str() {
            "jwks" => spelled_keys(value),
            _ => value.clone(),
        };
        (name, value)
    });
    spelled.collect()
}

/// Of a key, only `key_ops` has a name in which the two differ (RFC 7517 §4).
fn spelled_keys(keys: &Value) -> Value {
    let mut keys = keys.clone();
    let list = keys.get_mut("keys").and_then(Value::as_array_mut);
    for key in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(operations) = key.remove("keyOps") {
            key.entry("key_ops").or_insert(operations);
        }
    }
    keys
}

impl Check<'_> {
    /// The members that may be there, under the RFC's names.
    pub(super) fn server_config(&mut self, path: &str, config: &Map<String, Value>) -> Value {
        let config = spelled(config);
        for (name, value) in &config {
            if !is_known(name) {
                let message = match in_snake(name) {
                    Some(snake) => format!("says the same as {snake}, which is there too"),
                    None => format!(
                        "is not a member of an authorization server's metadata (RFC 8414); those that are used are {}",
                        USED.join(", ")
                    ),
                };
                self.problem(&format!("{path}.{name}"), message);
            }
            // Empty takes away what is stored.
            if name == "jwks" && !value.is_null() && value != "" {
                self.public_keys(&format!("{path}.jwks"), value);
            }
        }
        Value::Object(config)
    }

    fn public_keys(&mut self, path: &str, value: &Value) {
        let Some(keys) = value.get("keys").and_then(Value::as_array) else {
            return self.problem(path, "must be an object with a list of keys (RFC 7517 §5)");
        };
        if keys.is_empty() {
            let message = "must have one key at least: by none, no ID token is good. Leave jwks out where the server publishes its keys";
            return self.problem(&format!("{path}.keys"), message);
        }
        for (index, key) in keys.iter().enumerate() {
            let path = format!("{path}.keys[{index}]");
            match key.as_object() {
                None => self.problem(&path, "must be an object"),
                Some(key) => {
                    let private = PRIVATE.iter().find(|name| key.contains_key(**name));
                    if let Some(name) = private {
                        let message = "is of a private or shared key: only public keys belong here";
                        self.problem(&format!("{path}.{name}"), message);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::ConnectorType;
    use grantry_oauth::server::{Endpoint, Server};
    use serde_json::json;

    use super::super::{Manner, check, patch};
    use super::*;

    fn checked(config: Value) -> Result<Value, Vec<(String, String)>> {
        let data = json!({"clientId": "c", "serverConfig": config});
        let data = data.as_object().unwrap();
        match check(ConnectorType::Oauth, data, false, &String::new) {
            Ok(checked) => Ok(checked.public["serverConfig"].clone()),
            Err(problems) => {
                let pairs = problems.into_iter().map(|one| (one.field, one.message));
                Err(pairs.collect())
            }
        }
    }

    #[test]
    fn members_are_read_in_both_spellings_and_kept_in_the_rfcs() {
        let camel = json!({
            "issuer": "https://as.example", "tokenEndpoint": "https://as.example/t", "jwksUri": "",
            "codeChallengeMethodsSupported": ["S256"], "authorizationResponseIssParameterSupported": true,
            "jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "keyOps": ["verify"]}]},
        });
        let snake = json!({
            "issuer": "https://as.example", "token_endpoint": "https://as.example/t", "jwks_uri": "",
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
            "jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": ["verify"]}]},
        });
        assert_eq!(checked(camel), Ok(snake.clone()));
        assert_eq!(checked(snake.clone()), Ok(snake));
    }

    #[test]
    fn what_would_not_be_used_is_named() {
        for (config, named, said) in [
            (
                json!({"nonsense": 1}),
                "nonsense",
                "used are issuer, authorization_endpoint",
            ),
            (json!({"token_endpiont": "x"}), "token_endpiont", "RFC 8414"),
            (json!({"TokenEndpoint": "x"}), "TokenEndpoint", "RFC 8414"),
            (
                json!({"tokenEndpoint": "https://a.example", "token_endpoint": "https://b.example"}),
                "tokenEndpoint",
                "says the same as token_endpoint",
            ),
            (json!({"jwks": {}}), "jwks", "a list of keys"),
            (json!({"jwks": []}), "jwks", "a list of keys"),
            (
                json!({"jwks": {"keys": []}}),
                "jwks.keys",
                "one key at least",
            ),
            (
                json!({"jwks": {"keys": ["x"]}}),
                "jwks.keys[0]",
                "an object",
            ),
            (
                json!({"jwks": {"keys": [{"kty": "RSA", "d": "x"}]}}),
                "jwks.keys[0].d",
                "public",
            ),
            (
                json!({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}),
                "jwks.keys[0].k",
                "public",
            ),
        ] {
            let problems = checked(config.clone()).unwrap_err();
            assert_eq!(problems.len(), 1, "{config}");
            assert_eq!(problems[0].0, format!("data.serverConfig.{named}"));
            assert!(problems[0].1.contains(said), "{}", problems[0].1);
        }
    }

    #[test]
    fn a_change_lies_over_what_is_stored_in_either_spelling() {
        // As a version before this one could store it: kept, and never used.
        let stored = json!({"clientId": "c", "serverConfig":
            {"token_endpoint": "https://a.example/t", "jwks_uri": "https://a.example/k", "nonsense": 1}});
        let run = |change: Value| {
            let map = |value: &Value| value.as_object().cloned().unwrap();
            let (stored, change) = (map(&stored), map(&change));
            let manner = Manner::default();
            patch(ConnectorType::Oauth, &stored, &change, manner, &String::new)
                .map(|patched| patched.public["serverConfig"].clone())
                .map_err(|problems| problems[0].field.clone())
        };
        let change =
            json!({"serverConfig": {"tokenEndpoint": "https://b.example/t", "jwksUri": ""}});
        assert_eq!(
            run(change),
            Ok(json!({"token_endpoint": "https://b.example/t"}))
        );
        assert_eq!(
            run(json!({"clientName": "n"})),
            Ok(json!({"token_endpoint": "https://a.example/t", "jwks_uri": "https://a.example/k"}))
        );
        assert_eq!(
            run(json!({"serverConfig": {"tokenEndpiont": "x"}})),
            Err("data.serverConfig.tokenEndpiont".to_owned())
        );
    }

    #[test]
    fn a_change_keeps_what_was_stored_in_camel_case_and_it_does_not_name() {
        // As a version before this one stored what it was sent.
        let key = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "keyOps": ["verify"]});
        let stored = json!({"clientId": "c", "serverConfig": {
            "tokenEndpoint": "https://a.example/t", "authorizationEndpoint": "https://a.example/a",
            "jwks": {"keys": [key]}, "issuer": "https://a.example",
            "jwksUri": "https://old.example/k", "jwks_uri": "https://a.example/k",
        }});
        let run = |change: Value| {
            let map = |value: &Value| value.as_object().cloned().unwrap();
            let (stored, change) = (map(&stored), map(&change));
            let manner = Manner::default();
            let patched = patch(ConnectorType::Oauth, &stored, &change, manner, &String::new);
            patched.ok().unwrap().public["serverConfig"].clone()
        };
        let key = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": ["verify"]});
        let mut kept = json!({
            "token_endpoint": "https://a.example/t", "authorization_endpoint": "https://a.example/a",
            "jwks": {"keys": [key]}, "issuer": "https://a.example", "jwks_uri": "https://a.example/k",
        });
        assert_eq!(run(json!({"clientName": "n"})), kept);
        assert_eq!(run(json!({"serverConfig": {}})), kept);
        kept["token_endpoint"] = json!("https://b.example/t");
        for name in ["token_endpoint", "tokenEndpoint"] {
            let change = json!({"serverConfig": {name: "https://b.example/t"}});
            assert_eq!(run(change), kept, "{name}");
        }
        kept.as_object_mut().unwrap().remove("token_endpoint");
        for name in ["token_endpoint", "tokenEndpoint"] {
            for gone in [json!(""), json!(null)] {
                assert_eq!(run(json!({"serverConfig": {name: gone}})), kept, "{name}");
            }
        }
    }

    #[test]
    fn every_member_that_the_client_reads_is_known() {
        for endpoint in Endpoint::ALL {
            assert!(USED.contains(&endpoint.as_str()), "{}", endpoint.as_str());
        }
        // A member that the type has is none of what it merely keeps.
        let all: Map<String, Value> = names().map(|name| (name.to_owned(), json!(""))).collect();
        let kept = |name: &str| {
            let one = json!({name: all[name].clone()});
            serde_json::from_value::<Server>(one)
                .is_ok_and(|server| server.extra.contains_key(name))
        };
        assert!(PUBLISHED.iter().all(|name| kept(name)));
        let mut sorted = PUBLISHED.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, PUBLISHED);
    }
}

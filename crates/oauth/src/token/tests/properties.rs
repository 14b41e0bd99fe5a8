//! What holds for every answer.

use std::time::Duration;

use grantry_core::limits;
use grantry_core::limits::{TOKEN_BYTES_MAX, TOKEN_LIFE_MAX};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::text::is_vschar;

/// JSON with the names that the parser looks at.
fn any_answer() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "\\PC{0,40}".prop_map(|text| Value::from(text).to_string()),
        ".{0,40}".prop_map(|text| Value::from(text).to_string()),
        Just("\"bearer\"".to_owned()),
        Just("\"invalid_grant\"".to_owned()),
    ];
    let name = prop_oneof![
        Just("access_token"),
        Just("refresh_token"),
        Just("token_type"),
        Just("expires_in"),
        Just("scope"),
        Just("error"),
        Just("ok"),
        Just("id_token"),
        Just("authed_user"),
    ];
    let member = (name, leaf).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let object =
        proptest::collection::vec(member, 0..6).prop_map(|m| format!("{{{}}}", m.join(",")));
    prop_oneof![4 => object, 1 => ".{0,100}"]
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused_within_bounds(
        status in prop_oneof![Just(200_u16), Just(400), 0_u16..700],
        content_type in prop_oneof![Just(JSON), Just(FORM), Just("text/html")],
        service in prop_oneof![Just(""), Just("slack"), Just("slack-user"), Just("github")],
        body in any_answer(),
    ) {
        match read(service, Ok(answer(status, content_type, &body))) {
            Ok(set) => {
                prop_assert!((200..300).contains(&status));
                let secrets = [Some(set.access_token), set.refresh_token, set.id_token];
                for secret in secrets.iter().flatten() {
                    prop_assert!(is_vschar(secret.expose(), TOKEN_BYTES_MAX));
                }
                prop_assert!(set.expires_in.is_none_or(|life| life <= TOKEN_LIFE_MAX && !life.is_zero()));
            }
            Err(error) => {
                prop_assert!(crate::text::code(error.code()).is_some());
                prop_assert!(!error.detail.chars().any(char::is_control));
                prop_assert!(error.detail.chars().count() <= limits::STRANGERS_TEXT_CHARS_MAX);
                // Only an explicit answer may end a grant.
                let words = ["invalid_grant", "bad_", "token_", "invalid_", "account_inactive", "not_found", "code_"];
                let explicit = words.iter().any(|word| body.contains(word));
                prop_assert!(error.outcome != Outcome::Rejected || explicit);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_never_panic(status in 0_u16..700, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let outcome = read("github", Ok(answer(status, FORM, body))).err().map(|error| error.outcome);
        prop_assert_ne!(outcome, Some(Outcome::Rejected));
    }

    #[test]
    fn what_is_printed_is_read_back(
        access in "[ -~]{1,200}",
        refresh in proptest::option::of("[ -~]{1,200}"),
        life in 1_u64..31_536_000,
        scope in proptest::collection::btree_set("[!#-\\[\\]-~]{1,20}", 0..5),
    ) {
        let scope: Vec<String> = scope.into_iter().collect();
        let body = json!({
            "access_token": access, "refresh_token": refresh, "expires_in": life, "token_type": "bearer",
            "scope": scope.join(" "),
        });
        let set = tokens("", JSON, body.to_string());
        prop_assert_eq!(set.access_token.expose(), access);
        prop_assert_eq!(set.refresh_token.as_ref().map(Secret::expose), refresh.as_deref());
        prop_assert_eq!(set.expires_in, Some(Duration::from_secs(life)));
        prop_assert_eq!(set.scope, Some(scope));
    }
}

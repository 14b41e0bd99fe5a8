//! The authorization response (RFC 6749 §4.1.2, RFC 9207): what a browser brings back, believed as little as possible.

use grantry_core::Secret;
use grantry_core::limits;
use url::{Url, form_urlencoded};

use crate::server::{Endpoint, Server};
use crate::text::{self, is_vschar, tame};

/// Parameters that may occur once.
const PROTOCOL: [&str; 7] = [
    "code",
    "error",
    "error_description",
    "error_uri",
    "iss",
    "response",
    "state",
];

/// Parameters of which one at least comes back from a page of the provider's own on which an application is installed, in
/// place of a code.
const INSTALLED: [&str; 3] = ["admin_consent", "installation_id", "setup_action"];

/// An authorization response.
pub struct Callback {
    /// The handle of the authorization. Always there with a code; some servers leave it out of an error (requirement 13).
    pub state: Option<Secret>,
    /// The issuer that claims to answer, form-decoded once and otherwise as received.
    pub iss: Option<String>,
    /// The code, or the refusal. With both, the refusal counts (requirement 13). No code comes from a page on which an
    /// application is installed; then `others` say what was done there.
    pub answer: Result<Option<Secret>, Denied>,
    /// Other parameters (`realmId`, `installation_id`, `shop`, …): at most 16, printable ASCII, at most 2 KiB each.
    pub others: Vec<(String, String)>,
}

/// The server, or the user, said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// `access_denied` and so on: `[a-z0-9_.-]{1,64}`, else `unrecognised`.
    pub code: String,
    /// For people: no control characters, at most 200 characters, not escaped.
    pub description: String,
}

/// A callback that is no authorization response. Answer 4xx, send nothing anywhere (requirements 5, 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// A protocol parameter occurs more than once.
    #[error("a parameter occurs more than once")]
    Duplicate,
    /// Neither a code nor an error.
    #[error("neither a code nor an error")]
    Empty,
    /// A code without a state.
    #[error("no state")]
    NoState,
    /// The query or a value is too long, or holds characters that do not belong there.
    #[error("a value is too long or malformed")]
    Malformed,
}

/// The answer did not come from where the user was sent. No token request may follow (requirements 1 to 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// `iss` is not the issuer that the authorization was started with.
    #[error("the answer names another issuer")]
    Mismatch,
    /// The server promises `iss` and this answer has none, or there is no issuer to compare it with.
    #[error("the issuer of the answer cannot be checked")]
    Missing,
}

impl Callback {
    /// Reads the raw query of a callback, without its question mark.
    pub fn parse(raw_query: &str) -> Result<Self, CallbackError> {
        if raw_query.len() > limits::CALLBACK_BYTES_MAX {
            return Err(CallbackError::Malformed);
        }
        let mut protocol: [Option<String>; PROTOCOL.len()] = Default::default();
        let mut others = Vec::new();
        for (name, value) in form_urlencoded::parse(raw_query.as_bytes()) {
            match PROTOCOL.iter().position(|known| *known == name) {
                Some(index) if protocol[index].is_some() => return Err(CallbackError::Duplicate),
                Some(index) => protocol[index] = Some(value.into_owned()),
                None if others.len() < limits::CALLBACK_OTHERS_MAX
                    && is_vschar(&name, limits::CALLBACK_VALUE_BYTES_MAX)
                    && is_vschar(&value, limits::CALLBACK_VALUE_BYTES_MAX) =>
                {
                    others.push((name.into_owned(), value.into_owned()));
                }
                None => {}
            }
        }
        let [code, error, description, _, iss, _, state] = protocol;
        let state = state.filter(|state| !state.is_empty());
        let bounded =
            |value: &Option<String>, max| value.as_ref().is_none_or(|v| is_vschar(v, max));
        if !bounded(&state, limits::CALLBACK_VALUE_BYTES_MAX)
            || iss
                .as_ref()
                .is_some_and(|iss| iss.len() > limits::CALLBACK_VALUE_BYTES_MAX)
        {
            return Err(CallbackError::Malformed);
        }
        let answer = match (error, code) {
            (Some(error), _) => Err(Denied {
                code: text::code(&error).unwrap_or_else(|| "unrecognised".to_owned()),
                description: tame(&description.unwrap_or_default()),
            }),
            (None, None) if others.iter().any(is_installed) => Ok(None),
            (None, None) => return Err(CallbackError::Empty),
            // GitHub's, with "Request user authorization during installation", of who was led there by no link. The code is
            // nobody's, and stays unused.
            (None, Some(_)) if state.is_none() && others.iter().any(is_installed) => Ok(None),
            (None, Some(_)) if state.is_none() => return Err(CallbackError::NoState),
            (None, Some(code)) if !is_vschar(&code, limits::CODE_BYTES_MAX) => {
                return Err(CallbackError::Malformed);
            }
            (None, Some(code)) => Ok(Some(Secret::new(code))),
        };
        Ok(Self {
            state: state.map(Secret::new),
            iss,
            answer,
            others,
        })
    }

    /// The value of a parameter that is none of the protocol's. One that occurs twice says nothing.
    pub fn other(&self, name: &str) -> Option<&str> {
        let mut named = self.others.iter().filter(|(other, _)| other == name);
        match (named.next(), named.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Compares `iss` with the issuer frozen when the authorization began, character by character (RFC 9207 §2.4).
    ///
    /// `server` is as it was at that moment. An answer without `iss` passes only where none was promised; then the
    /// redirect URI has to tell servers apart (requirement 2). Where no issuer is known, an `iss` has to be at home where
    /// the code is about to be sent: a code that another server made is nobody's business there.
    pub fn check_issuer(&self, server: &Server) -> Result<(), IssuerError> {
        match (self.iss.as_deref(), server.issuer.as_deref()) {
            (Some(iss), Some(expected)) if iss == expected => Ok(()),
            (Some(_), Some(_)) => Err(IssuerError::Mismatch),
            _ if server.promises_iss() => Err(IssuerError::Missing),
            (None, _) => Ok(()),
            (Some(iss), None) => {
                let redeemed_at = server.url(Endpoint::Token).ok().map(|url| url.origin());
                let said_by = Url::parse(iss).ok().map(|url| url.origin());
                match said_by.is_some() && said_by == redeemed_at {
                    true => Ok(()),
                    false => Err(IssuerError::Mismatch),
                }
            }
        }
    }
}

fn is_installed((name, _): &(String, String)) -> bool {
    INSTALLED.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(query: &str) -> Callback {
        Callback::parse(query).ok().unwrap()
    }

    fn denied(query: &str) -> Denied {
        parse(query).answer.err().unwrap()
    }

    const ISSUER: &str = "https://as.example/a";

    /// A server of which this is known, with its token endpoint at `as.example`.
    fn knows(issuer: Option<&str>, promises: bool) -> Server {
        Server {
            issuer: issuer.map(str::to_owned),
            token_endpoint: Some("https://as.example/token".to_owned()),
            iss_parameter_supported: Some(promises),
            ..Server::default()
        }
    }

    #[test]
    fn requirement_1_where_no_issuer_is_known_an_answer_is_of_the_server_that_redeems_its_code() {
        for (iss, holds) in [
            ("https%3A%2F%2Fas.example", true),
            ("https%3A%2F%2Fas.example%2Ftenant", true),
            ("https%3A%2F%2Fevil.example", false),
            ("http%3A%2F%2Fas.example", false),
            ("https%3A%2F%2Fas.example%3A8443", false),
            ("as.example", false),
            ("", false),
        ] {
            let checked =
                parse(&format!("code=c&state=s&iss={iss}")).check_issuer(&knows(None, false));
            assert_eq!(checked.is_ok(), holds, "{iss}");
        }
        let silent = Server {
            token_endpoint: None,
            ..knows(None, false)
        };
        let checked = parse("code=c&state=s&iss=https://as.example").check_issuer(&silent);
        assert_eq!(checked, Err(IssuerError::Mismatch));
    }

    #[test]
    fn requirement_1_an_answer_of_another_issuer_is_refused() {
        let check = |iss: &str| {
            let iss: String = form_urlencoded::byte_serialize(iss.as_bytes()).collect();
            parse(&format!("code=c&state=s&iss={iss}")).check_issuer(&knows(Some(ISSUER), true))
        };
        assert_eq!(check(ISSUER), Ok(()));
        // Requirement 3: nothing is normalised, and the value is decoded exactly once.
        for other in [
            "https://evil.example",
            "https://as.example/a/",
            "https://AS.example/a",
            "HTTPS://as.example/a",
            "https://as.example:443/a",
            "https%3A%2F%2Fas.example%2Fa",
            " https://as.example/a",
            "",
        ] {
            assert_eq!(check(other), Err(IssuerError::Mismatch), "{other:?}");
        }
    }

    #[test]
    fn requirement_1_a_refusal_of_another_issuer_is_no_refusal_of_ours() {
        let callback = parse("error=access_denied&state=s&iss=https://evil.example");
        assert_eq!(
            callback.check_issuer(&knows(Some(ISSUER), true)),
            Err(IssuerError::Mismatch)
        );
    }

    #[test]
    fn requirement_2_a_missing_issuer_passes_only_when_none_was_promised() {
        let callback = parse("code=c&state=s");
        assert_eq!(
            callback.check_issuer(&knows(Some(ISSUER), true)),
            Err(IssuerError::Missing)
        );
        assert_eq!(callback.check_issuer(&knows(Some(ISSUER), false)), Ok(()));
        assert_eq!(
            callback.check_issuer(&knows(None, true)),
            Err(IssuerError::Missing)
        );
    }

    #[test]
    fn requirement_3_an_issuer_with_a_trailing_slash_matches_itself_only() {
        let callback = parse("code=c&state=s&iss=http%3A%2F%2F127.0.0.1%3A4410%2F");
        assert_eq!(
            callback.check_issuer(&knows(Some("http://127.0.0.1:4410/"), true)),
            Ok(())
        );
        assert_eq!(
            callback.check_issuer(&knows(Some("http://127.0.0.1:4410"), true)),
            Err(IssuerError::Mismatch)
        );
    }

    #[test]
    fn requirement_5_a_code_without_a_state_is_refused() {
        for query in ["code=c", "code=c&state=", "code=c&State=s"] {
            assert_eq!(
                Callback::parse(query).err(),
                Some(CallbackError::NoState),
                "{query}"
            );
        }
    }

    #[test]
    fn requirement_12_a_doubled_protocol_parameter_is_refused() {
        for name in PROTOCOL {
            let query = format!("code=c&state=s&{name}=x&{name}=x");
            assert_eq!(
                Callback::parse(&query).err(),
                Some(CallbackError::Duplicate),
                "{name}"
            );
        }
        let spelled_differently = "code=c&state=s&c%6Fde=c";
        assert_eq!(
            Callback::parse(spelled_differently).err(),
            Some(CallbackError::Duplicate)
        );
    }

    #[test]
    fn requirement_13_an_error_wins_over_a_code_and_needs_no_state() {
        assert_eq!(
            denied("code=c&error=access_denied&state=s").code,
            "access_denied"
        );
        assert_eq!(denied("code=c&error=&state=s").code, "unrecognised");
        assert!(parse("error=invalid_request").state.is_none());
        assert_eq!(denied("error=Server+Error%0d%0a").code, "unrecognised");
    }

    #[test]
    fn requirement_14_an_error_text_is_cut_and_has_no_control_characters() {
        let denied = denied(&format!(
            "error=access_denied&state=s&error_description=%3Cb%3E%0D%0ASet-Cookie%3A+x{}",
            "A".repeat(100 * 1024)
        ));
        assert!(denied.description.starts_with("<b>  Set-Cookie: xAAA"));
        assert_eq!(
            denied.description.chars().count(),
            limits::STRANGERS_TEXT_CHARS_MAX
        );
    }

    #[test]
    fn requirement_15_no_other_form_of_answer_is_read() {
        for query in [
            "",
            "#code=c&state=s",
            "response=e30.e30.x&state=s",
            "access_token=t&state=s",
        ] {
            assert_eq!(
                Callback::parse(query).err(),
                Some(CallbackError::Empty),
                "{query}"
            );
        }
    }

    #[test]
    fn without_a_code_only_an_installation_is_an_answer() {
        for query in [
            "installation_id=1&setup_action=install&state=s",
            "installation_id=1&setup_action=update",
            "setup_action=request&state=s",
            "admin_consent=True&tenant=t&state=s",
        ] {
            let callback = parse(query);
            assert!(matches!(callback.answer, Ok(None)), "{query}");
        }
        for query in ["tenant=t&state=s", "installation=1&state=s"] {
            let refused = Callback::parse(query).err();
            assert_eq!(refused, Some(CallbackError::Empty), "{query}");
        }
        let callback = parse("installation_id=1&installation_id=2&setup_action=install&state=s");
        assert_eq!(callback.other("installation_id"), None);
        assert_eq!(callback.other("setup_action"), Some("install"));
    }

    #[test]
    fn long_or_malformed_values_are_refused() {
        for query in [
            format!("code={}&state=s", "c".repeat(limits::CODE_BYTES_MAX + 1)),
            format!(
                "code=c&state={}",
                "s".repeat(limits::CALLBACK_VALUE_BYTES_MAX + 1)
            ),
            format!(
                "code=c&state=s&iss={}",
                "i".repeat(limits::CALLBACK_VALUE_BYTES_MAX + 1)
            ),
            "code=a%0d%0ab&state=s".to_owned(),
            "code=&state=s".to_owned(),
            "code=c&state=%00".to_owned(),
            "code=%ff&state=s".to_owned(),
            format!(
                "code=c&state=s&x={}",
                "x".repeat(limits::CALLBACK_BYTES_MAX)
            ),
        ] {
            let error = Callback::parse(&query).err();
            assert_eq!(error, Some(CallbackError::Malformed), "{query:.60}");
        }
    }

    #[test]
    fn other_parameters_are_kept_within_bounds() {
        let many: String = (0..100).map(|n| format!("&p{n}=v")).collect();
        let callback = parse(&format!("code=c&state=s&realmId=12+3&bad=%0a{many}"));
        assert_eq!(callback.others[0], ("realmId".into(), "12 3".into()));
        assert_eq!(callback.others.len(), limits::CALLBACK_OTHERS_MAX);
        assert!(!callback.others.iter().any(|(name, _)| name == "bad"));
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused_within_bounds(query in "([a-z_]{1,12}=[ -~]{0,20}&){0,6}|\\PC{0,200}|(code|state|error|iss)=\\PC{0,40}(&(code|state|error|iss)=[^&]{0,40}){0,4}") {
            if let Ok(callback) = Callback::parse(&query) {
                match &callback.answer {
                    Ok(code) => {
                        let fits = |code: &Secret| is_vschar(code.expose(), limits::CODE_BYTES_MAX);
                        prop_assert!(code.as_ref().is_none_or(fits));
                        prop_assert!(code.is_none() || callback.state.is_some());
                    }
                    Err(denied) => {
                        prop_assert!(text::code(&denied.code).is_some());
                        prop_assert!(!denied.description.chars().any(char::is_control));
                        prop_assert!(denied.description.chars().count() <= limits::STRANGERS_TEXT_CHARS_MAX);
                    }
                }
            }
        }

        #[test]
        fn what_is_printed_is_read_back(code in "[ -~]{1,100}", state in "[ -~]{1,100}", iss in "\\PC{0,100}") {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("state", &state), ("iss", &iss), ("code", &code)])
                .finish();
            let callback = parse(&query);
            prop_assert_eq!(callback.state.as_ref().map(Secret::expose), Some(state.as_str()));
            prop_assert_eq!(callback.iss.as_deref(), Some(iss.as_str()));
            let read = callback.answer.ok().flatten();
            prop_assert_eq!(read.as_ref().map(Secret::expose), Some(code.as_str()));
        }
    }
}

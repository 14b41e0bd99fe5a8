//! What each error code of a token endpoint says about the grant that was presented (design §6d).
//!
//! Only a row that says [`Meaning::Rejected`] can end a connection, so a spelling counts only for the service that is
//! known to use it: the same word may mean something harmless elsewhere.

/// What an error code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The grant (refresh token, code, assertion) is dead.
    Rejected,
    /// The client's credentials or permissions are wrong; the grant is untouched.
    ClientFault,
    /// The request is wrong in another way; repeating it unchanged cannot help. The grant is untouched.
    Config,
    /// The server did not get to it.
    NotProcessed,
    /// The server failed on the way; the grant may have been used up.
    Unknown,
}

use Meaning::{ClientFault, Config, NotProcessed, Rejected, Unknown};

/// (family of services, code in lower case, meaning). The empty family holds for all.
const CODES: &[(&str, &str, Meaning)] = &[
    // RFC 6749 §5.2
    ("", "invalid_grant", Rejected),
    ("", "invalid_client", ClientFault),
    ("", "unauthorized_client", ClientFault),
    ("", "invalid_request", Config),
    ("", "invalid_scope", Config),
    ("", "unsupported_grant_type", Config),
    // RFC 6749 §4.1.2.1, sent by token endpoints too
    ("", "access_denied", Config),
    ("", "server_error", Unknown),
    ("", "temporarily_unavailable", NotProcessed),
    // RFC 7009 §2.2.1, RFC 8628 §3.5, RFC 8707 §2, RFC 9396 §5, RFC 9449 §5 and §8
    ("", "unsupported_token_type", Config),
    ("", "slow_down", NotProcessed),
    ("", "invalid_target", Config),
    ("", "invalid_authorization_details", Config),
    ("", "invalid_dpop_proof", Config),
    ("", "use_dpop_nonce", Config),
    // OpenID Connect Core §3.1.2.6; Entra sends them when a policy wants the user back
    ("microsoft", "consent_required", Rejected),
    ("microsoft", "interaction_required", Rejected),
    ("microsoft", "login_required", Rejected),
    // GitHub, always under status 200
    ("github", "bad_refresh_token", Rejected),
    ("github", "bad_verification_code", Rejected),
    ("github", "incorrect_client_credentials", ClientFault),
    ("github", "redirect_uri_mismatch", Config),
    ("github", "unverified_user_email", Config),
    ("hubspot", "bad_auth_code", Rejected),
    ("hubspot", "bad_client_id", ClientFault),
    ("hubspot", "bad_client_secret", ClientFault),
    ("hubspot", "bad_redirect_uri", Config),
    ("hubspot", "bad_refresh_token", Rejected),
    // Slack, always under status 200. Of the two failures its documentation says that some of the operation may have
    // succeeded.
    ("slack", "account_inactive", Rejected),
    ("slack", "authorization_not_found", Rejected),
    ("slack", "bad_client_secret", ClientFault),
    ("slack", "bad_redirect_uri", Config),
    ("slack", "code_already_used", Rejected),
    ("slack", "fatal_error", Unknown),
    ("slack", "internal_error", Unknown),
    ("slack", "invalid_client_id", ClientFault),
    ("slack", "invalid_code", Rejected),
    ("slack", "invalid_grant_type", Config),
    ("slack", "invalid_refresh_token", Rejected),
    ("slack", "ratelimited", NotProcessed),
    ("slack", "request_timeout", Unknown),
    ("slack", "service_unavailable", NotProcessed),
    ("slack", "token_expired", Rejected),
    ("slack", "token_revoked", Rejected),
    ("slack", "token_rotation_not_enabled", Config),
    ("zoho", "invalid_client_secret", ClientFault),
    ("zoho", "invalid_code", Rejected),
];

/// The row for `code`: the family's own before the general one. The code comes back as the table's constant.
pub(crate) fn meaning(family: &str, code: &str) -> Option<(&'static str, Meaning)> {
    let row = |family: &str| CODES.iter().find(|(f, c, _)| *f == family && *c == code);
    row(family)
        .or_else(|| row(""))
        .map(|(_, code, meaning)| (*code, *meaning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_spelling_kills_only_its_own_grants() {
        assert_eq!(
            meaning("slack", "token_expired"),
            Some(("token_expired", Rejected))
        );
        assert_eq!(meaning("", "token_expired"), None);
        assert_eq!(meaning("acme", "bad_refresh_token"), None);
        assert_eq!(
            meaning("acme", "invalid_grant"),
            Some(("invalid_grant", Rejected))
        );
    }

    #[test]
    fn no_row_appears_twice_and_every_code_is_one_that_can_be_read() {
        for (index, (family, code, _)) in CODES.iter().enumerate() {
            assert_eq!(crate::text::code(code).as_deref(), Some(*code));
            let twin = CODES[..index]
                .iter()
                .any(|(f, c, _)| f == family && c == code);
            assert!(!twin, "{family} {code}");
        }
    }
}

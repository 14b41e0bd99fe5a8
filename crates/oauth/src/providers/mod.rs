//! Where services depart from the RFCs, as data: one row per service, one row per error code.
//!
//! To add a service: add a row to `rows.rs` with what differs from [`Quirks::STANDARD`], its own error codes to
//! `codes.rs`, and one fixture per difference to `token/tests/`.

mod codes;
pub mod github;
pub mod microsoft;
mod rows;
pub mod salesforce;
pub mod slack;
pub mod snowflake;

use std::time::Duration;

pub(crate) use codes::{Meaning, meaning};

/// How one service's token endpoint departs from the RFCs.
///
/// Plain data: a connector's own settings replace single fields (`Quirks { scope_separator: ',', ..Quirks::of("x") }`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quirks {
    /// Slug of the service in the catalogue.
    pub service: &'static str,
    /// Family of services that it shares its error codes with: the first column of `codes.rs`.
    pub codes: &'static str,
    /// Takes its parameters as a JSON object instead of a form.
    pub json_request: bool,
    /// Parameters that every token request must carry.
    pub request_extra: &'static [(&'static str, &'static str)],
    /// Form-encoded answers are taken whatever content type they claim.
    pub form_response: bool,
    /// JSON pointer to the object that holds the tokens.
    pub token_at: &'static str,
    /// What stands at [`Quirks::token_at`] is one user's part of a whole that has facts of its own, and may be
    /// missing: then the token is the whole's.
    pub token_of_user: bool,
    /// JSON pointers to the error code, tried in order.
    pub error_at: &'static [&'static str],
    /// JSON pointers to the error text, tried in order.
    pub error_text_at: &'static [&'static str],
    /// Values of `token_type`, in lower case, that mean a bearer token beside `bearer` itself.
    pub token_types: &'static [&'static str],
    /// What separates scopes in the authorization request.
    pub scope_separator: char,
    /// What separates granted scopes in the answer, beside white space.
    pub granted_scope_separator: char,
    /// Lifetime to assume when the answer names none and the connector sets none.
    pub default_expires_in: Option<Duration>,
    /// A second use of a refresh token ends the grant at once (design §6: "kills on reuse, no grace").
    pub kills_on_reuse: bool,
    /// How tokens are ended.
    pub revocation: Revocation,
}

/// How a service ends tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// RFC 7009, where it has the endpoint.
    Rfc7009,
    /// GitHub's API: each kind of token has a path of its own.
    Github,
    /// Slack's `auth.revoke`.
    Slack,
}

impl Quirks {
    /// None: the RFCs as they are.
    pub const STANDARD: Self = Self {
        service: "",
        codes: "",
        json_request: false,
        request_extra: &[],
        form_response: false,
        token_at: "",
        token_of_user: false,
        error_at: &["/error"],
        error_text_at: &["/error_description"],
        token_types: &[],
        scope_separator: ' ',
        granted_scope_separator: ' ',
        default_expires_in: None,
        kills_on_reuse: false,
        revocation: Revocation::Rfc7009,
    };

    /// The row of `service`, or [`Quirks::STANDARD`].
    pub fn of(service: &str) -> Self {
        let row = rows::ROWS.iter().find(|row| row.service == service);
        *row.unwrap_or(&Self::STANDARD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_without_a_row_gets_the_standard() {
        assert_eq!(Quirks::of("no-such-service"), Quirks::STANDARD);
        assert!(Quirks::of("github").form_response);
    }

    #[test]
    fn rows_are_unique_and_say_something() {
        for (index, row) in rows::ROWS.iter().enumerate() {
            let twin = rows::ROWS[..index]
                .iter()
                .find(|r| r.service == row.service);
            assert_eq!(twin, None);
            let plain = Quirks {
                service: row.service,
                ..Quirks::STANDARD
            };
            assert_ne!(*row, plain, "{} is the standard", row.service);
            for pointer in [row.token_at]
                .iter()
                .chain(row.error_at)
                .chain(row.error_text_at)
            {
                assert!(
                    pointer.is_empty() || pointer.starts_with('/'),
                    "{}",
                    row.service
                );
            }
        }
    }
}

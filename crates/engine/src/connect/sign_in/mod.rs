//! Signing in through a connector: the gateway is an OAuth 2.0 authorization server (OpenID Connect on top) whose clients
//! are connectors and whose people are those of the connector's provider (reference/vercel-connect G1, docs/sign-in.md).
//!
//! An application names the connector as its client and proves itself with its workload's token in place of a secret, so
//! there is nothing to hand out: what may redeem a code is a project that is linked, in the environment that is linked.
//! What a browser brings is believed as far as RFC 9700 lets it be: one exact redirect URI that a linked project declared,
//! PKCE with S256, `iss` in every answer (RFC 9207), codes that work once for a minute. What a person connects by signing
//! in is held until the code is redeemed, as any consent that its requester has to confirm; from then on it is a
//! connection in the environment of the application, and the sign-in is a session with a refresh token that rotates.
//!
//! - `client`: which connector is meant, and where the answer may go.
//! - `start`: the browser comes, and goes on to the provider.
//! - `answer`: it comes back from there, and goes on to the application.
//! - `person`: who it is.
//! - `tenant`: where they are, if that is proved.
//! - `redeem`: the application's code and refresh tokens.
//! - `tokens`: what it gets for them, and what it may read with them.
//! - `over`: what ends by itself.

mod answer;
mod client;
mod over;
mod person;
mod redeem;
mod start;
mod tenant;
mod tokens;

use std::time::Duration;

use grantry_core::limits::SIGN_IN_URIS_MAX;
use grantry_core::nouns::Authorization;
use grantry_core::{Error, StoreError};

use super::return_url::well_formed;

pub use redeem::{AskTokens, TokenProof};
pub use start::{AskSignIn, SignInStart};
pub(super) use tenant::Tenant;
pub use tokens::SignInTokens;

/// Life of a code (RFC 6749 §4.1.2 asks for ten minutes at most).
const CODE_TIME: Duration = Duration::from_secs(60);
/// Life of an access token, and of a sign-in without a refresh token.
const ACCESS_TIME: Duration = Duration::from_secs(3600);
/// Life of a refresh token from its making: a session that is not used for so long is over.
const REFRESH_TIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Characters of a code and of a refresh token: 256 bits.
const GRANT_CHARS: usize = 43;

/// What begins the id of a sign-in's consent. Its page is never shown: a sign-in is begun by its own request alone.
const CONSENT: &str = "scs_";

/// Scopes that an application may ask for. Others are ignored (RFC 6749 §3.3), and what was granted is said.
pub const SCOPES: [&str; 4] = ["openid", "profile", "email", OFFLINE];
const OFFLINE: &str = "offline_access";

/// Whether a consent is a sign-in's.
pub(super) fn signs_in(authorization: &Authorization) -> bool {
    authorization.id.as_str().starts_with(CONSENT)
}

/// Why an application does not get what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Denied {
    /// For the application: an error of RFC 6749 §5.2, and what is wrong, for its developer.
    Oauth(&'static str, String),
    /// Something else.
    Other(Error),
}

/// What an application asked for, or why it does not get it.
pub type Told<T> = Result<T, Denied>;

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

/// An error of RFC 6749 in words.
fn denied<T>(code: &'static str, why: impl Into<String>) -> Told<T> {
    Err(Denied::Oauth(code, why.into()))
}

/// What is wrong with the addresses that a project declares for its sign-ins, each with its field.
pub fn uri_problems(uris: &[String]) -> Vec<(String, String)> {
    let each = uris.iter().enumerate().filter_map(|(index, uri)| {
        let problem = match well_formed(uri) {
            Err(message) => message,
            Ok(url) if url.fragment().is_some() => "must not have a fragment".to_owned(),
            Ok(_) => return None,
        };
        Some((format!("sign_in_uris[{index}]"), problem))
    });
    let mut problems: Vec<_> = each.collect();
    if uris.len() > SIGN_IN_URIS_MAX {
        let message = format!("must have at most {SIGN_IN_URIS_MAX} items");
        problems.push(("sign_in_uris".to_owned(), message));
    }
    problems
}

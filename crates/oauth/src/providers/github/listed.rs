//! The installations that an app has, and those of them that a person has to do with (docs.github.com, "List installations
//! for the authenticated app", "List app installations accessible to the user access token").

use grantry_core::http::{Failure, Method, Request, Response};
use grantry_core::{Entropy, Secret, Timestamp};
use grantry_vault::jws::SigningError;
use serde_json::Value;

use url::Url;

use super::{App, Refused, answer, at, bearer, request, taken};
use crate::json;

/// Installations on a page.
pub const LISTED: usize = 100;

impl App<'_> {
    /// Asks for the app's installations, [`LISTED`] at once, from page 1 on.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn installations(
        &self,
        page: u32,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Option<Request>, SigningError> {
        let jwt = self.jwt(entropy, now)?;
        Ok(asked(self.api, "app", &jwt, page))
    }
}

/// Asks for the installations of the app that the user of `token` has to do with, from page 1 on. It is what GitHub
/// says to ask before an `installation_id` in an address is believed (docs.github.com, "About the setup URL").
pub fn installations_of_user(api: &Url, token: &Secret, page: u32) -> Option<Request> {
    asked(api, "user", token, page)
}

fn asked(api: &Url, whose: &str, token: &Secret, page: u32) -> Option<Request> {
    let mut url = at(api, &[whose, "installations"])?;
    url.query_pairs_mut()
        .append_pair("per_page", &LISTED.to_string())
        .append_pair("page", &page.to_string());
    Some(request(Method::Get, url, bearer(token), None))
}

/// What GitHub lists of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub id: String,
    /// The account's login.
    pub account: Option<String>,
    /// Whether it is suspended.
    pub suspended: bool,
}

/// Reads what came of [`App::installations`].
pub fn parse_list(result: Result<Response, Failure>, now: Timestamp) -> Result<Vec<Seen>, Refused> {
    let response = taken(result, now)?;
    let rows: Vec<Value> = json::list(&response.body).ok_or(Refused::Unusable)?;
    seen(&rows)
}

/// Reads what came of [`App::installation`].
pub fn parse_installation(
    result: Result<Response, Failure>,
    now: Timestamp,
) -> Result<Seen, Refused> {
    let members = answer(result, now)?;
    let seen = seen(&[Value::Object(members)])?;
    seen.into_iter().next().ok_or(Refused::Unusable)
}

/// Reads what came of [`installations_of_user`].
pub fn parse_list_of_user(
    result: Result<Response, Failure>,
    now: Timestamp,
) -> Result<Vec<Seen>, Refused> {
    let members = answer(result, now)?;
    let rows = members.get("installations").and_then(Value::as_array);
    seen(rows.ok_or(Refused::Unusable)?)
}

fn seen(rows: &[Value]) -> Result<Vec<Seen>, Refused> {
    let seen = rows.iter().map(|row| {
        let account = row.get("account").and_then(|account| {
            let login = account.get("login").or_else(|| account.get("slug"))?;
            Some(login.as_str()?.to_owned())
        });
        Some(Seen {
            id: row.get("id")?.as_u64()?.to_string(),
            account,
            suspended: row.get("suspended_at").is_some_and(|at| !at.is_null()),
        })
    });
    seen.collect::<Option<_>>().ok_or(Refused::Unusable)
}

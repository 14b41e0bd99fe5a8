//! The installations that an app has (docs.github.com, "List installations for the authenticated app").

use grantry_core::http::{Failure, Method, Request, Response};
use grantry_core::{Entropy, Timestamp};
use grantry_vault::jws::SigningError;
use serde_json::Value;

use super::{App, Refused, at, bearer, request, taken};
use crate::json;

/// Installations on a page of [`App::installations`].
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
        let url = at(self.api, &["app", "installations"]).map(|mut url| {
            url.query_pairs_mut()
                .append_pair("per_page", &LISTED.to_string())
                .append_pair("page", &page.to_string());
            url
        });
        Ok(url.map(|url| request(Method::Get, url, bearer(&jwt), None)))
    }
}

/// What of an installation GitHub lists for the app.
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

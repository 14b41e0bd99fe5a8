//! Requests to the token endpoint (RFC 6749 §4.1.3, §4.4.2, §6; RFC 7523 §2.1; RFC 8693 §2.1). The answers are read by
//! [`parse`].

mod body;
mod outcome;
mod set;
#[cfg(test)]
mod tests;

use grantry_core::{
    Secret,
    http::{Method, Purpose, Request},
};
use serde_json::{Map, Value};
use url::form_urlencoded;
use zeroize::Zeroizing;

pub(crate) use body::media_type;
pub use outcome::{Outcome, TokenError, parse};
pub use set::TokenSet;

use crate::{
    client::Client,
    providers::Quirks,
    server::{Endpoint, Misconfigured, Server},
};

/// Who asks whom, and how that server wants to be asked.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The server as frozen when the flow began (requirement 1).
    pub server: &'a Server,
    /// Our registration with it.
    pub client: &'a Client,
    /// How it departs from the RFCs.
    pub quirks: &'a Quirks,
    /// Resource indicators (RFC 8707), the same in every request of a grant (requirement 24).
    pub resources: &'a [String],
    /// Rich authorization details, the same in every request of a grant (RFC 9396 §6).
    pub details: &'a [Value],
}

/// What an authorization code is redeemed with.
pub struct AuthorizationCode<'a> {
    /// The code of the callback.
    pub code: &'a Secret,
    /// The redirect URI of the authorization request, character by character.
    pub redirect_uri: &'a str,
    /// The PKCE verifier of the authorization request.
    pub verifier: &'a Secret,
}

impl Exchange<'_> {
    /// Redeems an authorization code.
    pub fn authorization_code(
        &self,
        grant: &AuthorizationCode<'_>,
    ) -> Result<Request, Misconfigured> {
        self.request(&[
            ("grant_type", "authorization_code"),
            ("code", grant.code.expose()),
            ("redirect_uri", grant.redirect_uri),
            ("code_verifier", grant.verifier.expose()),
        ])
    }

    /// Refreshes. Sends no `scope`: the server then keeps what was granted, which can never ask for more (requirement 20).
    pub fn refresh(&self, refresh_token: &Secret) -> Result<Request, Misconfigured> {
        self.request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ])
    }

    /// Asks for a token of the client itself. An empty `scope` or `audience` is not sent.
    pub fn client_credentials(
        &self,
        scope: &str,
        audience: &str,
    ) -> Result<Request, Misconfigured> {
        self.request(&[
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("audience", audience),
        ])
    }

    /// Presents a signed assertion about the subject. An empty `scope` or `audience` is not sent.
    pub fn jwt_bearer(
        &self,
        assertion: &Secret,
        scope: &str,
        audience: &str,
    ) -> Result<Request, Misconfigured> {
        self.request(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose()),
            ("scope", scope),
            ("audience", audience),
        ])
    }

    /// Exchanges a token of the type `subject_token_type` (a URN of RFC 8693 §3). An empty `scope` or `audience` is not sent.
    pub fn token_exchange(
        &self,
        subject_token: &Secret,
        subject_token_type: &str,
        scope: &str,
        audience: &str,
    ) -> Result<Request, Misconfigured> {
        self.request(&[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", subject_token.expose()),
            ("subject_token_type", subject_token_type),
            ("scope", scope),
            ("audience", audience),
        ])
    }

    fn request(&self, grant: &[(&str, &str)]) -> Result<Request, Misconfigured> {
        let set = grant.iter().filter(|(_, value)| !value.is_empty());
        let mut parameters: Vec<(&str, &str)> = set.copied().collect();
        parameters.extend(self.resources.iter().map(|r| ("resource", r.as_str())));
        let details = serde_json::to_string(self.details).unwrap_or_default();
        if !self.details.is_empty() {
            parameters.push(("authorization_details", &details));
        }
        parameters.extend(self.quirks.request_extra);
        post(
            self.server,
            Endpoint::Token,
            self.client,
            parameters,
            self.quirks.json_request,
        )
    }
}

/// A client-authenticated POST to `endpoint`.
pub(crate) fn post<'a>(
    server: &Server,
    endpoint: Endpoint,
    client: &'a Client,
    mut parameters: Vec<(&'a str, &'a str)>,
    json: bool,
) -> Result<Request, Misconfigured> {
    let url = server.url(endpoint)?;
    let credentials = client.credentials()?;
    parameters.extend(credentials.parameters);
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    let (content_type, body) = match json {
        true => ("application/json", json_body(&parameters)),
        false => ("application/x-www-form-urlencoded", form_body(&parameters)),
    };
    let mut headers = vec![
        ("accept", plain("application/json")),
        ("content-type", plain(content_type)),
    ];
    headers.extend(credentials.header.map(|value| ("authorization", value)));
    Ok(Request {
        method: Method::Post,
        url,
        headers,
        body: Zeroizing::new(body.into_bytes()),
        purpose: Purpose::Token,
    })
}

fn form_body(parameters: &[(&str, &str)]) -> String {
    // Three bytes for each: the buffer never grows, so no copy of a secret is left behind.
    let size = parameters
        .iter()
        .map(|(name, value)| name.len() + 3 * value.len() + 2);
    form_urlencoded::Serializer::new(String::with_capacity(size.sum()))
        .extend_pairs(parameters)
        .finish()
}

/// A parameter that occurs more than once (`resource`) becomes an array.
fn json_body(parameters: &[(&str, &str)]) -> String {
    let mut object = Map::new();
    for (name, value) in parameters {
        match object.get_mut(*name) {
            None => {
                object.insert((*name).to_owned(), Value::from(*value));
            }
            Some(Value::Array(values)) => values.push(Value::from(*value)),
            Some(first) => *first = Value::Array(vec![first.take(), Value::from(*value)]),
        }
    }
    Value::Object(object).to_string()
}

//! Finding the authorization server behind a base URL (RFC 8414 §3, OpenID Connect Discovery §4).
//!
//! A small machine without I/O: it says what to fetch, is fed what came, and ends with a [`Server`] or a reason.
//!
//! The base is first taken for the issuer itself. Only when nothing at all is published for it, and it has a path (so it
//! is more likely an API than an issuer), its origin is asked. Of an OAuth and an OpenID document the first wins and the
//! second fills its gaps.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use grantry_core::http::{Failure, Method, Purpose, Request, Response, Silence};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    json,
    resource::ResourceError,
    server::{Endpoint, Server, web_url},
    token::media_type,
};

/// What discovery needs next.
pub enum Step {
    /// Send this, then call [`Discovery::next`].
    Fetch(Box<Discovery>, Request),
    /// The server, with its issuer as published.
    Done(Box<Server>),
    /// There is none that can be trusted; store nothing.
    Failed(DiscoveryError),
}

/// Why discovery failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The base is not an absolute http(s) URL without user name, query and fragment.
    #[error("the URL must be absolute http(s), without user name, query and fragment")]
    BadBase,
    /// No metadata at any of the well-known places.
    #[error("no authorization server metadata found")]
    NotFound,
    /// A document exists, but speaks for another issuer (RFC 8414 §3.3, requirement 4).
    #[error("the metadata speaks for another issuer than {asked}")]
    IssuerMismatch {
        /// The issuer that was asked for, to be compared by a person.
        asked: String,
        /// The issuer in the document, tamed.
        found: String,
    },
    /// A document is right about its issuer and wrong in itself.
    #[error("the metadata has no valid {0}")]
    BadMember(&'static str),
    /// The OAuth and the OpenID document name different token endpoints.
    #[error("the OAuth and OpenID metadata disagree about token_endpoint")]
    Disagreement,
    /// The URL is a protected resource, and its metadata cannot be believed.
    #[error("the URL is a protected resource: {0}")]
    Resource(ResourceError),
    /// The server failed, was busy, or did not answer. Later it may work.
    #[error("the server did not answer")]
    Unavailable,
    /// The destination is not allowed.
    #[error("the destination is not allowed")]
    Refused,
}

impl From<ResourceError> for DiscoveryError {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Refused => Self::Refused,
            ResourceError::Unavailable => Self::Unavailable,
            ResourceError::NotFound => Self::NotFound,
            ResourceError::Mismatch | ResourceError::NoServer => Self::Resource(error),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OAuth,
    OpenId,
}

/// A document to ask for.
struct Candidate {
    kind: Kind,
    url: Url,
    /// Who it must speak for, in either of these spellings.
    issuers: Vec<String>,
}

/// Discovery under way.
pub struct Discovery {
    current: Candidate,
    queue: VecDeque<Candidate>,
    /// To ask when the base itself publishes nothing.
    fallback: VecDeque<Candidate>,
    found: Option<Server>,
    /// The most telling thing that went wrong so far.
    problem: DiscoveryError,
}

impl Discovery {
    /// Begins at `base`, an issuer or the URL of an API. It is taken as written: a trailing slash makes another issuer.
    pub fn start(base: &str) -> Step {
        Self::at(base, true)
    }

    /// Begins at an issuer that somebody wrote down (RFC 9728 §2): nothing else is asked.
    pub fn of_issuer(issuer: &str) -> Step {
        Self::at(issuer, false)
    }

    fn at(base: &str, may_be_an_api: bool) -> Step {
        let Some(url) =
            web_url(base).filter(|url| url.query().is_none() && url.fragment().is_none())
        else {
            return Step::Failed(DiscoveryError::BadBase);
        };
        let origin = url.origin().ascii_serialization();
        let fallback = match url.path() {
            _ if !may_be_an_api => VecDeque::new(),
            "/" => VecDeque::new(),
            // Nobody wrote this issuer down, and both of its spellings have the same well-known URL (RFC 8414 §3.1).
            _ => candidates(&url, "", &[&origin, &format!("{origin}/")]),
        };
        let path = url.path().trim_end_matches('/');
        let mut queue = candidates(&url, path, &[base]);
        match queue.pop_front() {
            None => Step::Failed(DiscoveryError::BadBase),
            Some(current) => Self {
                current,
                queue,
                fallback,
                found: None,
                problem: DiscoveryError::NotFound,
            }
            .fetch(),
        }
    }

    /// Goes on with what came of the last request.
    pub fn next(mut self, result: Result<Response, Failure>) -> Step {
        match self.read(result) {
            Ok(server) => match self.merge(server) {
                Ok(merged) => self.found = Some(merged),
                Err(error) => return Step::Failed(error),
            },
            Err(error @ (DiscoveryError::Refused | DiscoveryError::BadMember(_))) => {
                return Step::Failed(error);
            }
            Err(DiscoveryError::NotFound) => {}
            Err(error) => self.problem = error,
        }
        self.advance()
    }

    fn advance(mut self) -> Step {
        let found = self.found.is_some();
        // One document of a kind is enough.
        let kind = self.current.kind;
        let wanted = |candidate: &Candidate| !found || candidate.kind != kind;
        while let Some(candidate) = self.queue.pop_front() {
            if wanted(&candidate) {
                self.current = candidate;
                return self.fetch();
            }
        }
        match self.found {
            Some(server) => Step::Done(Box::new(server)),
            // A base that failed to answer may well be an issuer, so its origin is not taken for one.
            None if self.problem == DiscoveryError::Unavailable => Step::Failed(self.problem),
            None => match self.fallback.pop_front() {
                Some(candidate) => {
                    self.current = candidate;
                    self.queue = std::mem::take(&mut self.fallback);
                    self.fetch()
                }
                None => Step::Failed(self.problem),
            },
        }
    }

    fn fetch(self) -> Step {
        let request = Request {
            method: Method::Get,
            url: self.current.url.clone(),
            headers: vec![("accept", Zeroizing::new("application/json".to_owned()))],
            body: Zeroizing::default(),
            purpose: Purpose::Discovery,
        };
        Step::Fetch(Box::new(self), request)
    }

    /// The document, if it is one and may be believed.
    fn read(&self, result: Result<Response, Failure>) -> Result<Server, DiscoveryError> {
        let response = match result {
            Ok(response) => response,
            Err(Failure::Refused) => return Err(DiscoveryError::Refused),
            Err(Failure::Unknown(Silence::BadBody | Silence::Redirect)) => {
                return Err(DiscoveryError::NotFound);
            }
            Err(Failure::NotSent | Failure::Unknown(_)) => return Err(DiscoveryError::Unavailable),
        };
        match response.status {
            200 => {}
            408 | 425 | 429 | 500.. => return Err(DiscoveryError::Unavailable),
            _ => return Err(DiscoveryError::NotFound),
        }
        let fits = media_type(&response) == "application/json"
            && response.body.len() <= Purpose::Discovery.body_bytes_max();
        let document = fits.then(|| json::object(&response.body)).flatten();
        let document = Value::Object(document.ok_or(DiscoveryError::NotFound)?);
        let issuer = document
            .get("issuer")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !self.current.issuers.iter().any(|asked| asked == issuer) {
            return Err(DiscoveryError::IssuerMismatch {
                asked: self.current.issuers.join(" or "),
                found: crate::text::tame(issuer),
            });
        }
        let server: Server =
            serde_json::from_value(document).map_err(|_| DiscoveryError::BadMember("members"))?;
        for endpoint in Endpoint::ALL {
            match server.url(endpoint) {
                Ok(_) => {}
                Err(crate::server::Misconfigured::NoEndpoint(_)) if endpoint != Endpoint::Token => {
                }
                Err(_) => return Err(DiscoveryError::BadMember(endpoint.as_str())),
            }
        }
        Ok(server)
    }

    /// `new` together with what was found before: the OAuth document wins, whichever came first.
    fn merge(&self, new: Server) -> Result<Server, DiscoveryError> {
        match &self.found {
            None => Ok(new),
            Some(old) if old.token_endpoint != new.token_endpoint => {
                Err(DiscoveryError::Disagreement)
            }
            Some(old) if self.current.kind == Kind::OAuth => Ok(old.overridden_by(&new)),
            Some(old) => Ok(new.overridden_by(old)),
        }
    }
}

/// Where metadata of the issuer at `path` of `origin` may be: RFC 8414 §3.1 puts the well-known part before the path,
/// OpenID Connect Discovery §4.1 after it, and some servers put OpenID's before it too.
fn candidates(origin: &Url, path: &str, issuers: &[&str]) -> VecDeque<Candidate> {
    let mut places = vec![
        (
            Kind::OAuth,
            format!("/.well-known/oauth-authorization-server{path}"),
        ),
        (
            Kind::OpenId,
            format!("{path}/.well-known/openid-configuration"),
        ),
    ];
    if !path.is_empty() {
        places.push((
            Kind::OpenId,
            format!("/.well-known/openid-configuration{path}"),
        ));
    }
    let candidate = |(kind, place): (Kind, String)| {
        let mut url = origin.clone();
        url.set_path(&place);
        Candidate {
            kind,
            url,
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
        }
    };
    places.into_iter().map(candidate).collect()
}

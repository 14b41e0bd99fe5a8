//! Protected resource metadata: from the URL of an API to its authorization servers (RFC 9728).

use grantry_core::http::{Failure, Method, Purpose, Request, Response, Silence};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::{json, server::web_url, token::media_type};

/// What a protected resource says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProtectedResource {
    /// Its identifier, to be sent as the resource indicator (RFC 8707).
    pub resource: String,
    /// Issuers that it takes tokens of. Not empty.
    pub authorization_servers: Vec<String>,
    /// Scopes it chose to publish.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
}

/// Why there is no metadata to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// Nothing there; ask at the next place.
    #[error("no protected resource metadata here")]
    NotFound,
    /// The document speaks for another resource (RFC 9728 §3.3, requirement 4).
    #[error("the metadata speaks for another resource")]
    Mismatch,
    /// The document names no authorization server, or none that is a URL.
    #[error("the metadata names no authorization server")]
    NoServer,
    /// No answer, or the server failed. Later it may work.
    #[error("the resource did not answer")]
    Unavailable,
    /// The destination is not allowed.
    #[error("the destination is not allowed")]
    Refused,
}

/// Where metadata may be, and whom it must speak for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    url: Url,
    /// The resource that was asked about, as it was written, and the spellings that mean the same.
    resources: Vec<String>,
}

/// The places to ask for `resource`, in order: where its own challenge points, then the well-known URL with its path, then
/// that of its origin. Empty when `resource` is not an absolute http(s) URL without user name.
///
/// `challenge` is the `WWW-Authenticate` of a 401 from the resource, if there was one.
///
/// Metadata that stands for a whole origin speaks for the origin or for the resource that was asked about, as both are
/// in use; an origin is the same with and without its slash. Nothing else is normalised.
pub fn places(resource: &str, challenge: Option<&str>) -> Vec<Place> {
    let Some(url) = web_url(resource) else {
        return Vec::new();
    };
    let origin = url.origin().ascii_serialization();
    let whole = [origin.clone(), format!("{origin}/")];
    let is_whole = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let mut exact = vec![resource.to_owned()];
    if is_whole {
        exact.extend(whole.iter().filter(|one| *one != resource).cloned());
    }
    let either: Vec<String> = match is_whole {
        true => exact.clone(),
        false => exact.iter().chain(&whole).cloned().collect(),
    };
    let well_known = |path: &str, resources: &[String]| {
        let mut url = url.clone();
        url.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
        url.set_fragment(None);
        Place {
            url,
            resources: resources.to_vec(),
        }
    };
    let mut places = Vec::new();
    places.extend(challenge.and_then(metadata_url).map(|url| Place {
        url,
        resources: either.clone(),
    }));
    places.push(well_known(url.path().trim_end_matches('/'), &exact));
    if url.path() != "/" {
        let mut origin = well_known("", &either);
        origin.url.set_query(None);
        places.push(origin);
    }
    places
}

/// A request without credentials, to which a protected resource answers with its challenge (RFC 9728 §5.1). `None`
/// when `resource` is not an absolute http(s) URL without user name.
pub fn challenge_request(resource: &str) -> Option<Request> {
    let mut url = web_url(resource)?;
    url.set_fragment(None);
    Some(get(url))
}

/// The challenge in the answer to [`challenge_request`], if there is one.
pub fn challenge_of(response: &Response) -> Option<&str> {
    let challenged = response.status == 401;
    challenged
        .then(|| response.header("www-authenticate"))
        .flatten()
}

fn get(url: Url) -> Request {
    Request {
        method: Method::Get,
        url,
        headers: vec![("accept", Zeroizing::new("application/json".to_owned()))],
        body: Zeroizing::default(),
        purpose: Purpose::Discovery,
    }
}

/// The `resource_metadata` parameter of a challenge (RFC 9728 §5.1).
fn metadata_url(challenge: &str) -> Option<Url> {
    let (_, rest) = challenge.split_once("resource_metadata=")?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([',', ' ']).next()?,
    };
    web_url(value)
}

impl Place {
    /// The request to send.
    pub fn request(&self) -> Request {
        get(self.url.clone())
    }

    /// Reads what came of it. After [`ResourceError::NotFound`] the next place may know more; every other error is final.
    pub fn parse(
        &self,
        result: Result<Response, Failure>,
    ) -> Result<ProtectedResource, ResourceError> {
        let response = match result {
            Ok(response) => response,
            Err(Failure::Refused) => return Err(ResourceError::Refused),
            Err(Failure::Unknown(Silence::BadBody | Silence::Redirect)) => {
                return Err(ResourceError::NotFound);
            }
            Err(Failure::NotSent | Failure::Unknown(_)) => return Err(ResourceError::Unavailable),
        };
        match response.status {
            200 if media_type(&response) == "application/json" => {}
            408 | 425 | 429 | 500.. => return Err(ResourceError::Unavailable),
            _ => return Err(ResourceError::NotFound),
        }
        let document = json::object(&response.body).ok_or(ResourceError::NotFound)?;
        // Servers that answer everything with some document say nothing of a resource.
        let named = document.get("resource").ok_or(ResourceError::NotFound)?;
        let ours = |named: &str| self.resources.iter().any(|one| one == named);
        if !named.as_str().is_some_and(ours) {
            return Err(ResourceError::Mismatch);
        }
        let found: ProtectedResource =
            serde_json::from_value(document.into()).map_err(|_| ResourceError::NoServer)?;
        let servers = &found.authorization_servers;
        if servers.is_empty() || servers.iter().any(|server| web_url(server).is_none()) {
            return Err(ResourceError::NoServer);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::answer;

    const RESOURCE: &str = "https://mcp.example/a/mcp";

    fn urls(resource: &str, challenge: Option<&str>) -> Vec<String> {
        let places = places(resource, challenge);
        places.iter().map(|place| place.url.to_string()).collect()
    }

    #[test]
    fn places_go_from_the_most_telling_to_the_least() {
        let challenge = r#"Bearer error="invalid_token", resource_metadata="https://mcp.example/meta", scope="a""#;
        assert_eq!(
            urls(RESOURCE, Some(challenge)),
            [
                "https://mcp.example/meta",
                "https://mcp.example/.well-known/oauth-protected-resource/a/mcp",
                "https://mcp.example/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            urls(
                "https://mcp.example/",
                Some("Bearer resource_metadata=javascript:x, a=b")
            ),
            ["https://mcp.example/.well-known/oauth-protected-resource"]
        );
        assert!(urls("https://u@mcp.example/", None).is_empty());
    }

    fn parse(place: usize, body: serde_json::Value) -> Result<ProtectedResource, ResourceError> {
        let response = answer(200, "application/json", body.to_string());
        places(RESOURCE, None)[place].parse(Ok(response))
    }

    #[test]
    fn requirement_4_metadata_must_speak_for_the_resource_asked_for() {
        let document = |resource: &str| json!({"resource": resource, "authorization_servers": ["https://as.example"]});
        let found = parse(0, document(RESOURCE)).unwrap();
        assert_eq!(found.authorization_servers, ["https://as.example"]);
        assert!(parse(1, document("https://mcp.example")).is_ok());
        for other in [
            "https://mcp.example/a/mcp/",
            "https://mcp.example",
            "https://evil.example",
            "",
        ] {
            assert_eq!(
                parse(0, document(other)),
                Err(ResourceError::Mismatch),
                "{other}"
            );
        }
    }

    #[test]
    fn an_origin_has_two_spellings_and_its_metadata_may_speak_for_what_is_on_it() {
        let parse = |asked: &str, place: usize, named: &str| {
            let document =
                json!({"resource": named, "authorization_servers": ["https://as.example"]});
            let response = answer(200, "application/json", document.to_string());
            places(asked, None)[place].parse(Ok(response)).is_ok()
        };
        let (bare, slash) = ("https://mcp.example", "https://mcp.example/");
        for (asked, place, named, believed) in [
            (bare, 0, bare, true),
            (bare, 0, slash, true),
            (slash, 0, bare, true),
            (bare, 0, "https://mcp.example/a", false),
            (bare, 0, "https://MCP.example", false),
            (RESOURCE, 1, bare, true),
            (RESOURCE, 1, slash, true),
            (RESOURCE, 1, RESOURCE, true),
            (RESOURCE, 1, "https://mcp.example/a", false),
        ] {
            assert_eq!(parse(asked, place, named), believed, "{asked} {named}");
        }
    }

    #[test]
    fn only_a_401_has_a_challenge() {
        let mut response = answer(401, "application/json", "{}");
        response
            .headers
            .push(("www-authenticate".to_owned(), "Bearer".to_owned()));
        assert_eq!(challenge_of(&response), Some("Bearer"));
        response.status = 403;
        assert_eq!(challenge_of(&response), None);
        let request = challenge_request("https://mcp.example/mcp#x").unwrap();
        assert_eq!(request.url.as_str(), "https://mcp.example/mcp");
        assert!(challenge_request("https://u@mcp.example/").is_none());
    }

    #[test]
    fn metadata_without_a_usable_server_is_refused() {
        for servers in [
            json!([]),
            json!(null),
            json!(["as.example"]),
            json!(["https://a", "file:///x"]),
        ] {
            let document = json!({"resource": RESOURCE, "authorization_servers": servers});
            assert_eq!(
                parse(0, document),
                Err(ResourceError::NoServer),
                "{servers}"
            );
        }
    }

    #[test]
    fn what_is_no_document_has_a_name() {
        let place = &places(RESOURCE, None)[0];
        for (status, content_type, expected) in [
            (404, "application/json", ResourceError::NotFound),
            (200, "text/html", ResourceError::NotFound),
            (200, "application/json", ResourceError::NotFound),
            (503, "application/json", ResourceError::Unavailable),
        ] {
            let response = answer(status, content_type, "[]");
            assert_eq!(
                place.parse(Ok(response)),
                Err(expected),
                "{status} {content_type}"
            );
        }
        assert_eq!(
            place.parse(Err(Failure::Refused)),
            Err(ResourceError::Refused)
        );
        assert_eq!(
            place.parse(Err(Failure::NotSent)),
            Err(ResourceError::Unavailable)
        );
    }
}

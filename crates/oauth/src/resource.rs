//! Protected resource metadata: from the URL of an API to its authorization servers (RFC 9728).

use grantry_core::http::{Failure, Method, Purpose, Request, Response};
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
    resource: String,
}

/// The places to ask for `resource`, in order: where its own challenge points, then the well-known URL with its path, then
/// that of its origin. Empty when `resource` is not an absolute http(s) URL without user name.
///
/// `challenge` is the `WWW-Authenticate` of a 401 from the resource, if there was one.
pub fn places(resource: &str, challenge: Option<&str>) -> Vec<Place> {
    let Some(url) = web_url(resource) else {
        return Vec::new();
    };
    let well_known = |path: &str, resource: &str| {
        let mut url = url.clone();
        url.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
        url.set_fragment(None);
        Place {
            url,
            resource: resource.to_owned(),
        }
    };
    let mut places = Vec::new();
    places.extend(challenge.and_then(metadata_url).map(|url| Place {
        url,
        resource: resource.to_owned(),
    }));
    places.push(well_known(url.path().trim_end_matches('/'), resource));
    if url.path() != "/" {
        let mut origin = well_known("", &url.origin().ascii_serialization());
        origin.url.set_query(None);
        places.push(origin);
    }
    places
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
        Request {
            method: Method::Get,
            url: self.url.clone(),
            headers: vec![("accept", Zeroizing::new("application/json".to_owned()))],
            body: Zeroizing::default(),
            purpose: Purpose::Discovery,
        }
    }

    /// Reads what came of it. After [`ResourceError::NotFound`] the next place may know more; every other error is final.
    pub fn parse(
        &self,
        result: Result<Response, Failure>,
    ) -> Result<ProtectedResource, ResourceError> {
        let response = match result {
            Ok(response) => response,
            Err(Failure::Refused) => return Err(ResourceError::Refused),
            Err(Failure::NotSent | Failure::Unknown(_)) => return Err(ResourceError::Unavailable),
        };
        match response.status {
            200 if media_type(&response) == "application/json" => {}
            408 | 425 | 429 | 500.. => return Err(ResourceError::Unavailable),
            _ => return Err(ResourceError::NotFound),
        }
        let document = json::object(&response.body).ok_or(ResourceError::NotFound)?;
        if document.get("resource").and_then(|value| value.as_str()) != Some(&self.resource) {
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

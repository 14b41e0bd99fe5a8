//! What connectors are called: names, uids, services, and what is wrong with them.

use grantry_core::Problem;
use grantry_core::limits::{NAME_BYTES_MAX, UID_BYTES_MAX};
use grantry_core::nouns::{ConnectorType, Project};
use serde_json::{Map, Value};
use url::Url;

use super::icon::{is_digest, is_url};
use super::{NewConnector, types};

pub fn name_of(
    new: &NewConnector,
    project: Option<&Project>,
    kind: Option<ConnectorType>,
    problems: &mut Vec<Problem>,
) -> String {
    let given = new
        .name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let name = match (given, project) {
        (Some(name), _) => name,
        (None, Some(project)) if kind != Some(ConnectorType::ApiKey) => &project.name,
        (None, _) => {
            let message = match kind {
                None | Some(ConnectorType::ApiKey) => "is required",
                Some(_) => "is required, or projectId to take the project's name",
            };
            problems.push(Problem::new("name", message));
            return String::new();
        }
    };
    let complaint = name_complaint(name);
    problems.extend(complaint.map(|message| Problem::new("name", message)));
    name.to_owned()
}

/// What is wrong with a name.
pub fn name_complaint(name: &str) -> Option<String> {
    let good =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    (!good).then(|| format!("must be 1 to {NAME_BYTES_MAX} bytes without control characters"))
}

/// What is wrong with a connector's branding.
pub fn look_problems(
    icon: Option<&str>,
    background_color: Option<&str>,
    accent_color: Option<&str>,
    problems: &mut Vec<Problem>,
) {
    for (field, colour) in [
        ("backgroundColor", background_color),
        ("accentColor", accent_color),
    ] {
        if colour.is_some_and(|colour| !is_colour(colour)) {
            let message = "must be a six-digit hex colour such as #0a84ff";
            problems.push(Problem::new(field, message));
        }
    }
    if icon.is_some_and(|icon| !is_digest(icon) && !is_url(icon)) {
        let message = "must be the SHA-1 (40 hex digits) of an uploaded image, or a URL of one";
        problems.push(Problem::new("icon", message));
    }
}

/// What is wrong with a uid (reference/vercel-connect §1).
pub fn uid_complaint(uid: &str) -> Option<String> {
    const RESERVED_STARTS: [&str; 4] = ["scl_", "sca_", "store_", "ir_"];
    let lower = uid.to_lowercase();
    let host = lower.split_once('/').map(|(host, _)| host);
    if uid.len() > UID_BYTES_MAX {
        Some(format!("is longer than {UID_BYTES_MAX} bytes"))
    } else if uid
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '%' | '#'))
    {
        Some("must not contain white space, control characters, % or #".to_owned())
    } else if RESERVED_STARTS.iter().any(|start| lower.starts_with(start)) {
        Some(format!(
            "must not start with {}",
            RESERVED_STARTS.join(", ")
        ))
    } else if host.is_some_and(|host| {
        host == "vc" || (host.ends_with(".vercel.com") && host != "mcp.vercel.com")
    }) {
        Some("starts with a reserved name".to_owned())
    } else {
        None
    }
}

fn is_colour(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A service that is given as the URL of a server.
pub fn server_of_service(service: &str) -> Option<&str> {
    let service = service.trim();
    let is_url = service.starts_with("https://") || service.starts_with("http://");
    is_url.then_some(service)
}

/// The given service, else the type's, else the host of the server in `data`, else of its search, else the type's
/// word: never empty.
pub fn service_of(given: Option<&str>, data: &Map<String, Value>, kind: ConnectorType) -> String {
    let host = |value: Option<&Value>| {
        let url = Url::parse(value?.as_str()?).ok()?;
        url.host_str().map(str::to_owned)
    };
    let given = given
        .map(str::trim)
        .filter(|service| !service.is_empty())
        .map(|service| host(Some(&Value::from(service))).unwrap_or_else(|| service.to_owned()));
    let config = data.get("serverConfig");
    let search = data.get("search");
    let known = || types::of(kind).service.map(str::to_owned);
    given
        .or_else(known)
        .or_else(|| host(data.get("serverUrl")))
        .or_else(|| host(config.and_then(|config| config.get("issuer"))))
        .or_else(|| host(config.and_then(|config| config.get("token_endpoint"))))
        .or_else(|| host(search.and_then(|search| search.get("url"))))
        .unwrap_or_else(|| kind.as_str().to_owned())
}

/// `text` in lower case with everything but ASCII letters and digits as single hyphens.
pub fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// Characters of a name that go into a generated uid.
const SLUG_CHARS: usize = 100;

/// `<service>/<name>`, with what a uid may not contain left out.
pub fn generated_uid(service: &str, name: &str) -> String {
    let slug: String = name
        .to_lowercase()
        .chars()
        .take(SLUG_CHARS)
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    let service: String = service
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '%' | '#'))
        .collect();
    let slug = slug.trim_matches('-');
    format!(
        "{service}/{}",
        if slug.is_empty() { "connector" } else { slug }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_that_would_be_ambiguous_are_refused() {
        for good in [
            "oauth/acme",
            "slack/my-bot",
            "mcp.vercel.com/x",
            "sclx",
            "büro",
        ] {
            assert_eq!(uid_complaint(good), None, "{good}");
        }
        for bad in [
            "scl_1",
            "SCL_1",
            "sca_x",
            "store_1",
            "ir_1",
            "a b",
            "a%2Fb",
            "a#b",
            "a\u{7}",
            "vc/x",
            "api.vercel.com/x",
        ] {
            assert!(uid_complaint(bad).is_some(), "{bad}");
        }
        assert!(uid_complaint(&"x".repeat(257)).is_some());
    }

    #[test]
    fn a_missing_name_is_told_with_the_way_out_that_there_is() {
        let oauth = "is required, or projectId to take the project's name";
        for (kind, message) in [
            (Some(ConnectorType::Oauth), oauth),
            (Some(ConnectorType::ApiKey), "is required"),
            (None, "is required"),
        ] {
            let mut problems = Vec::new();
            name_of(&NewConnector::default(), None, kind, &mut problems);
            assert_eq!(problems, [Problem::new("name", message)], "{kind:?}");
        }
    }

    #[test]
    fn the_service_is_never_empty_and_a_generated_uid_is_a_legal_one() {
        let data = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let cases = [
            (Some("slack"), "{}", "slack"),
            (Some("https://mcp.linear.app/mcp"), "{}", "mcp.linear.app"),
            (
                None,
                r#"{"serverUrl":"https://as.example/x"}"#,
                "as.example",
            ),
            (
                None,
                r#"{"serverConfig":{"token_endpoint":"http://127.0.0.1:9/t"}}"#,
                "127.0.0.1",
            ),
            (Some(" "), "{}", "oauth"),
        ];
        for (given, text, expected) in cases {
            let service = service_of(given, &data(text), ConnectorType::Oauth);
            assert_eq!(service, expected);
            assert_eq!(
                uid_complaint(&generated_uid(&service, "My Connector! 1")),
                None
            );
        }
        assert_eq!(generated_uid("oauth", "Acme Inc"), "oauth/acme-inc");
        assert_eq!(generated_uid("oauth", "日本"), "oauth/connector");
    }
}

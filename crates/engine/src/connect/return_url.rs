//! Where a browser may be sent at the end: exact origins only (requirement 16).

use grantry_core::Result;
use grantry_core::ids::TeamId;
use grantry_core::limits::{RETURN_PROJECTS_MAX, RETURN_URL_BYTES_MAX};
use grantry_core::store::Page;
use url::{Host, Url};

use crate::Engine;

impl Engine {
    /// The origins that the team has declared, and those of its projects' base URLs, in order.
    pub(super) async fn return_origins(&self, team: &TeamId) -> Result<Vec<String>> {
        let store = &self.ports.store;
        let declared = store.team(team.as_str()).await?;
        let declared = declared.map_or_else(Vec::new, |team| team.return_origins);
        let projects = store
            .projects(team, None, &Page::first(RETURN_PROJECTS_MAX as u32))
            .await?;
        let urls = projects
            .iter()
            .flat_map(|project| project.base_urls.values());
        let origin = |text: &String| Some(Url::parse(text).ok()?.origin().ascii_serialization());
        let mut origins: Vec<String> = declared.iter().chain(urls).filter_map(origin).collect();
        origins.sort_unstable();
        origins.dedup();
        Ok(origins)
    }

    /// Whether `url` may be returned to, and if not, why. Checked when a consent is asked for and
    /// again when the browser is sent there.
    pub(super) async fn check_return_url(
        &self,
        team: &TeamId,
        url: &str,
    ) -> Result<Result<Url, String>> {
        let url = match well_formed(url) {
            Ok(url) => url,
            Err(message) => return Ok(Err(message)),
        };
        let loopback = is_loopback(&self.settings.public_url) && is_loopback(&url);
        let allowed = self.return_origins(team).await?;
        if loopback || allowed.iter().any(|origin| same_origin(origin, &url)) {
            return Ok(Ok(url));
        }
        let origin = url.origin().ascii_serialization();
        Ok(Err(format!(
            "{origin} is not one of the team's return origins nor of its projects' base URLs"
        )))
    }
}

/// What is not an origin of the kind that browsers are sent to, and why.
pub(super) fn well_formed_origin(text: &str) -> Result<(), String> {
    let url = well_formed(text)?;
    if url.origin().ascii_serialization() == text {
        Ok(())
    } else {
        Err("must be an origin: scheme, host and port, such as https://app.example".to_owned())
    }
}

/// An absolute https URL, or http on loopback, that cannot be read in two ways.
pub(super) fn well_formed(text: &str) -> Result<Url, String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.len() > RETURN_URL_BYTES_MAX {
        return Err(format!("is longer than {RETURN_URL_BYTES_MAX} bytes"));
    }
    // The parser forgives what browsers forgive; the scheme and slashes have to be spelled out here.
    let spelled = ["https://", "http://"].iter().any(|start| {
        text.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    });
    let url = Url::parse(text)
        .ok()
        .filter(|_| spelled && !text.contains(odd));
    let Some(url) = url else {
        return Err("must be an absolute https URL".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    // A browser takes `*` in a policy for every host.
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    if matches!(url.host(), Some(Host::Domain(name)) if !plain(name)) {
        return Err("must name one host, without wildcards".to_owned());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("must be https, or http on localhost".to_owned());
    }
    Ok(url)
}

fn same_origin(allowed: &str, url: &Url) -> bool {
    Url::parse(allowed).is_ok_and(|allowed| allowed.origin() == url.origin())
}

/// `localhost`, `*.localhost` and loopback addresses.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirement_16_only_plain_absolute_urls_are_well_formed() {
        for good in [
            "https://app.acme.example",
            "https://app.acme.example/path?x=1#y",
            "HTTPS://app.acme.example/",
            "http://localhost:3000/done",
            "http://x.localhost/",
            "http://127.0.0.1:9/",
            "http://[::1]:9/",
        ] {
            assert!(well_formed(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/done",
            "//evil.example",
            "///evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:\\\\evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://good.example\\@evil.example",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "ftp://app.acme.example/",
            "https://user@app.acme.example/",
            "https://user:pw@app.acme.example/",
            "https://@evil.example@app.acme.example/",
            "http://app.acme.example/",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "https://app.acme.example/\r\nSet-Cookie: x=1",
            "https://app.acme.example/\tx",
            " https://app.acme.example/",
            "https://app.acme.example/ x",
            "ht\ntps://app.acme.example/",
            "https://",
            "https:///",
            "blob:https://app.acme.example/x",
            "about:blank",
            "mailto:a@b",
            "ws://localhost/",
            "http://0.0.0.0/",
            "http://2130706434.example/",
        ] {
            assert!(well_formed(bad).is_err(), "{bad:?}");
        }
        assert!(well_formed(&format!("https://a.example/{}", "x".repeat(5000))).is_err());
    }

    #[test]
    fn requirement_16_origins_are_compared_whole() {
        let url = Url::parse("https://app.acme.example/path").unwrap();
        assert!(same_origin("https://app.acme.example", &url));
        assert!(same_origin("https://app.acme.example:443/other", &url));
        for other in [
            "http://app.acme.example",
            "https://app.acme.example:8443",
            "https://acme.example",
            "https://app.acme.example.evil.example",
            "https://evil.example/https://app.acme.example",
            "app.acme.example",
            "",
            "null",
        ] {
            assert!(!same_origin(other, &url), "{other}");
        }
    }
}

//! What a browser says about itself: its cookie, the host it thinks it is at, who made it post.

use std::time::Duration;

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri};
use grantry_core::Secret;
use url::Url;

/// Name of the binding cookie. `__Host-` lets no other host and no plain http set it; loopback
/// http cannot have that.
fn cookie_name(public: &Url) -> &'static str {
    match public.scheme() {
        "https" => "__Host-grantry",
        _ => "grantry",
    }
}

/// The binding cookie that the browser sent (requirement 6).
pub(super) fn cookie(headers: &HeaderMap, public: &Url) -> Option<Secret> {
    let name = cookie_name(public);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Secret::new(value))
}

/// `Set-Cookie` for the binding cookie, for as long as a press is good. `Lax`, because the callback
/// is a navigation that the provider's site starts.
///
/// `None` when the value could not stand in a header; ours always can.
pub(super) fn set_cookie(cookie: &Secret, public: &Url, life: Duration) -> Option<HeaderValue> {
    let secure = match public.scheme() {
        "https" => " Secure;",
        _ => "",
    };
    let line = format!(
        "{}={};{secure} HttpOnly; SameSite=Lax; Path=/; Max-Age={}",
        cookie_name(public),
        cookie.expose(),
        life.as_secs()
    );
    let mut value = HeaderValue::from_str(&line).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether one of our own pages made the browser post.
///
/// There is no CSRF token because there is no session that another site could ride on: the link is
/// the whole authority, and whoever has it may press its button. What another site must not do is
/// press it for its visitor, past the page that says what it means. A browser tells us who made it
/// post: by `Sec-Fetch-Site`, or, before that existed and on plain http, by `Origin`. A client that
/// sends neither is no browser and carries nobody's cookie.
pub(super) fn is_own_post(headers: &HeaderMap, public: &Url) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    headers
        .get(ORIGIN)
        .is_none_or(|origin| origin.as_bytes() == origin_of(public).as_bytes())
}

/// Whether the browser is at the public host, where the binding cookie and the callback live.
pub(super) fn is_at_home(headers: &HeaderMap, uri: &Uri, public: &Url) -> bool {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| uri.authority().map(|authority| authority.as_str()));
    host.is_none_or(|host| {
        Url::parse(&format!("{}://{host}", public.scheme()))
            .is_ok_and(|seen| seen.origin() == public.origin())
    })
}

/// The origin of a URL as browsers write it.
pub(super) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn public(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn requirement_6_the_cookie_is_bound_to_the_host_on_https_and_plain_on_loopback() {
        const LIFE: Duration = Duration::from_secs(600);
        let cookie = Secret::new("c00k1e");
        for (url, line) in [
            (
                "https://connect.example/",
                "__Host-grantry=c00k1e; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=600",
            ),
            (
                "http://127.0.0.1:8787/",
                "grantry=c00k1e; HttpOnly; SameSite=Lax; Path=/; Max-Age=600",
            ),
        ] {
            let value = set_cookie(&cookie, &public(url), LIFE).unwrap();
            assert_eq!(value.to_str().unwrap(), line);
            assert!(value.is_sensitive());
        }
        let broken = Secret::new("a\r\nb");
        assert!(set_cookie(&broken, &public("https://x.example/"), LIFE).is_none());
    }

    #[test]
    fn the_cookie_is_found_by_its_exact_name() {
        let https = public("https://connect.example/");
        for (line, expected) in [
            ("__Host-grantry=abc", Some("abc")),
            ("a=b; __Host-grantry=abc; c=d", Some("abc")),
            ("grantry=abc", None),
            ("x__Host-grantry=abc", None),
            ("__Host-grantry", None),
            ("", None),
        ] {
            let found = cookie(&headers(&[("cookie", line)]), &https);
            assert_eq!(found.as_ref().map(Secret::expose), expected, "{line}");
        }
        let split = headers(&[("cookie", "a=b"), ("cookie", "grantry=abc")]);
        let found = cookie(&split, &public("http://localhost:1/"));
        assert_eq!(found.as_ref().map(Secret::expose), Some("abc"));
    }

    #[test]
    fn only_our_own_pages_may_make_a_browser_post() {
        let ours = public("https://connect.example/");
        for (lines, allowed) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://connect.example"),
                ],
                false,
            ),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                true,
            ),
            (&[("origin", "https://connect.example")], true),
            (&[("origin", "https://connect.example:443")], false),
            (&[("origin", "http://connect.example")], false),
            (&[("origin", "https://connect.example.evil.example")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[], true),
        ] {
            assert_eq!(is_own_post(&headers(lines), &ours), allowed, "{lines:?}");
        }
    }

    #[test]
    fn home_is_the_public_host_and_port() {
        for (url, host, home) in [
            ("https://connect.example/", "connect.example", true),
            ("https://connect.example/", "CONNECT.example:443", true),
            ("https://connect.example/", "connect.example:8443", false),
            ("https://connect.example/", "evil.example", false),
            ("https://connect.example/", "a b", false),
            ("http://127.0.0.1:8787/", "127.0.0.1:8787", true),
            ("http://127.0.0.1:8787/", "localhost:8787", false),
            ("http://[::1]:8787/", "[::1]:8787", true),
        ] {
            let at = is_at_home(
                &headers(&[("host", host)]),
                &Uri::from_static("/authorize/x"),
                &public(url),
            );
            assert_eq!(at, home, "{host} at {url}");
        }
        let http2 = Uri::from_static("https://10.0.0.1/authorize/x");
        let ours = public("https://connect.example/");
        assert!(!is_at_home(&HeaderMap::new(), &http2, &ours));
    }
}

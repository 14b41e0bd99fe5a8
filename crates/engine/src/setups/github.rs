//! GitHub makes an app of a manifest (docs.github.com, "Registering a GitHub App from a manifest"): the browser posts
//! the manifest to GitHub, where a person says yes; it comes back with a code, which is exchanged, once and within the
//! hour, for the app's id and all of its secrets.
//!
//! Nothing is kept of a visit: `state` is made of the browser's cookie, so that only the browser that was shown the
//! form brings a code back, and the setup itself is completed only once.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::http::{Method, Purpose, Request, Response};
use grantry_core::ids::SetupId;
use grantry_core::limits::CODE_BYTES_MAX;
use grantry_core::{Error, Problem, Result, Secret};
use grantry_vault::hash::{constant_time_eq, hmac_sha256};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::complete::Filling;
use super::{SetupPage, SetupView};
use crate::connect::browser_cookie;
use crate::connectors::{is_web_url, types};
use crate::tokens::unanswered;
use crate::{ConnectorView, Engine};

/// Characters of an app's name.
const NAME_MAX: usize = 34;

/// The permission that an event needs to be read at least, where it needs one
/// (docs.github.com, "Webhook events and payloads").
const READ_FOR: &[(&str, &str)] = &[
    ("check_run", "checks"),
    ("check_suite", "checks"),
    ("commit_comment", "contents"),
    ("create", "contents"),
    ("delete", "contents"),
    ("deployment", "deployments"),
    ("deployment_status", "deployments"),
    ("discussion", "discussions"),
    ("discussion_comment", "discussions"),
    ("fork", "contents"),
    ("issue_comment", "issues"),
    ("issues", "issues"),
    ("label", "issues"),
    ("milestone", "issues"),
    ("pull_request", "pull_requests"),
    ("pull_request_review", "pull_requests"),
    ("pull_request_review_comment", "pull_requests"),
    ("push", "contents"),
    ("release", "contents"),
    ("status", "statuses"),
    ("workflow_job", "actions"),
    ("workflow_run", "actions"),
];

/// Where and as what the app is made; what is empty is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubPlace {
    /// The organization that owns it; whoever is signed in when empty.
    pub organization: String,
    /// GitHub Enterprise Server: its host.
    pub host: String,
    /// What it may do: `contents:read, issues:write`.
    pub permissions: String,
}

/// The form that a browser posts to GitHub.
pub struct GithubForm {
    /// Where.
    pub action: Url,
    /// Its one field.
    pub manifest: String,
    /// The browser's cookie from now on.
    pub cookie: Secret,
}

/// A GitHub: where people are, and where programs are.
struct Site {
    web: Url,
    api: String,
    /// It is not the catalogue's: the connector has to say so.
    own: bool,
}

impl Engine {
    /// The form for a browser whose cookie, if it has one, is `cookie`.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the part of `place` that is wrong.
    pub async fn github_form(
        &self,
        page: &SetupPage,
        place: &GithubPlace,
        cookie: Option<Secret>,
    ) -> Result<GithubForm> {
        let site = self.github_site(&place.host).await?;
        let permissions = permissions(&place.permissions, &page.view)?;
        let manifest = self.github_manifest(page, permissions);
        let cookie = browser_cookie(cookie, self.entropy());
        let path = match place.organization.trim() {
            "" => "/settings/apps/new".to_owned(),
            owner if is_login(owner) => format!("/organizations/{owner}/settings/apps/new"),
            _ => {
                let message = "must be the organization's name as in its address: letters, digits and hyphens";
                return Err(Error::invalid("organization", message));
            }
        };
        let mut action = site.web.join(&path).map_err(|_| Error::Internal)?;
        let state = state(&page.view.setup.id, &cookie, place.host.trim());
        action.query_pairs_mut().append_pair("state", &state);
        Ok(GithubForm {
            action,
            manifest: manifest.to_string(),
            cookie,
        })
    }

    fn github_manifest(&self, page: &SetupPage, permissions: BTreeMap<String, String>) -> Value {
        let setup = &page.view.setup;
        let name: String = page.name.chars().take(NAME_MAX).collect();
        let mut manifest = json!({
            "name": name,
            "url": self.settings.url("/"),
            "redirect_url": self.settings.url(&format!("/register/{}/github", setup.id)),
            "callback_urls": [self.settings.url("/callback")],
            "public": false,
            "default_permissions": permissions,
        });
        if setup.ask.triggers {
            let url = self.settings.url(&format!("/trigger/{}", setup.connector));
            manifest["hook_attributes"] = json!({"url": url, "active": true});
            manifest["default_events"] = json!(setup.ask.events);
        }
        manifest
    }

    /// Exchanges the code that a browser came back with and registers the app. Nobody's disconnect cuts that short.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where `state` is not this browser's; [`Error::Gone`] when the setup has ended;
    /// [`Error::Provider`] when GitHub gives no usable answer. Nothing is stored then.
    pub async fn github_made(
        self: &Arc<Self>,
        id: &SetupId,
        cookie: Option<Secret>,
        state: &str,
        code: &Secret,
    ) -> Result<ConnectorView> {
        let host = host_of(id, cookie.as_ref(), state).ok_or(Error::Unauthenticated)?;
        let setup = self.open_setup(id).await?;
        let maker = self.maker_of(&setup).await?;
        let site = self.github_site(&host).await?;
        let refused = || unanswered("app_refused", false, std::time::Duration::ZERO);
        let known = (1..=CODE_BYTES_MAX).contains(&code.expose().len());
        let mut url = Url::parse(&site.api).map_err(|_| Error::Internal)?;
        url.path_segments_mut()
            .map_err(|()| Error::Internal)?
            .pop_if_empty()
            .extend(["app-manifests", code.expose(), "conversions"]);
        if !known {
            return Err(refused());
        }
        let engine = Arc::clone(self);
        self.uncancellable(async move {
            let request = Request {
                method: Method::Post,
                url,
                headers: vec![
                    (
                        "accept",
                        Zeroizing::new("application/vnd.github+json".to_owned()),
                    ),
                    (
                        "x-github-api-version",
                        Zeroizing::new("2022-11-28".to_owned()),
                    ),
                ],
                body: Zeroizing::default(),
                purpose: Purpose::Token,
            };
            let answer = engine.ports.http.send(request).await;
            let answer = answer.map_err(|failure| {
                tracing::warn!(%failure, "GitHub did not answer with the app that it made");
                refused()
            })?;
            let data = app_of(&answer, &site).ok_or_else(|| {
                tracing::warn!(
                    status = answer.status,
                    "GitHub did not tell of the app that it made"
                );
                refused()
            })?;
            engine.make_of_setup(&maker, &setup, Filling { data }).await
        })
        .await
    }

    /// The GitHub at `host`, or the catalogue's.
    async fn github_site(&self, host: &str) -> Result<Site> {
        let host = host.trim().trim_end_matches('/');
        if host.is_empty() {
            let catalogue = self.catalogue().await?;
            let service = types::of(grantry_core::nouns::ConnectorType::Github).service;
            let row = service.and_then(|id| catalogue.service(id));
            let text = |name: &str| row.and_then(|row| row.data.get(name)?.as_str());
            let web = text("authorization_endpoint").and_then(|url| Url::parse(url).ok());
            let (Some(web), Some(api)) = (web, text("api_base_url")) else {
                return Err(Error::Internal);
            };
            let api = api.to_owned();
            return Ok(Site {
                web,
                api,
                own: false,
            });
        }
        let whole = match host.contains("://") {
            true => host.to_owned(),
            false => format!("https://{host}"),
        };
        let web = Url::parse(&whole).ok().filter(|url| {
            is_web_url(&whole)
                && url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(web) = web else {
            return Err(Error::invalid(
                "host",
                "must be a host name, such as github.example.com",
            ));
        };
        let api = format!("{}/api/v3", web.origin().ascii_serialization());
        Ok(Site {
            web,
            api,
            own: true,
        })
    }
}

/// What the app may do: what was typed, and what its events need.
fn permissions(typed: &str, view: &SetupView) -> Result<BTreeMap<String, String>> {
    let mut permissions = BTreeMap::from([("metadata".to_owned(), "read".to_owned())]);
    let ask = &view.setup.ask;
    let events = ask.events.iter().filter(|_| ask.triggers);
    for event in events {
        if let Some((_, permission)) = READ_FOR.iter().find(|(known, _)| known == event) {
            permissions.insert((*permission).to_owned(), "read".to_owned());
        }
    }
    for pair in typed.split([' ', ',']).filter(|pair| !pair.is_empty()) {
        let (name, level) = pair.split_once(':').unwrap_or((pair, "read"));
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let good = (1..=64).contains(&name.len())
            && name.bytes().all(letters)
            && ["read", "write", "admin"].contains(&level);
        if !good {
            let message = format!(
                "{:?} is no permission: they are written contents:read, issues:write",
                pair.chars().take(64).collect::<String>()
            );
            return Err(Error::Invalid(vec![Problem::new("permissions", message)]));
        }
        permissions.insert(name.to_owned(), level.to_owned());
    }
    Ok(permissions)
}

/// A name in GitHub's addresses.
fn is_login(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=100).contains(&name.len()) && name.bytes().all(letters)
}

/// `state` for one browser: who does not know its cookie cannot make one. It carries the host along.
fn state(id: &SetupId, cookie: &Secret, host: &str) -> String {
    let mac = mac(id, cookie, host);
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(mac),
        URL_SAFE_NO_PAD.encode(host)
    )
}

fn mac(id: &SetupId, cookie: &Secret, host: &str) -> [u8; 32] {
    let parts: [&[u8]; 4] = [
        b"grantry/setup-state/v1\0",
        id.as_str().as_bytes(),
        b"\0",
        host.as_bytes(),
    ];
    hmac_sha256(cookie.expose().as_bytes(), &parts)
}

/// The host in a `state` that was made for this browser.
fn host_of(id: &SetupId, cookie: Option<&Secret>, state: &str) -> Option<String> {
    let (tag, host) = state.split_once('.')?;
    let host = String::from_utf8(URL_SAFE_NO_PAD.decode(host).ok()?).ok()?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    constant_time_eq(&tag, &mac(id, cookie?, &host)).then_some(host)
}

/// The `data` of the connector, from GitHub's answer.
fn app_of(answer: &Response, site: &Site) -> Option<Map<String, Value>> {
    if answer.status != 201 {
        return None;
    }
    let app: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
    let mut data = Map::new();
    for (name, from) in [
        ("appId", "id"),
        ("appSlug", "slug"),
        ("appName", "name"),
        ("clientId", "client_id"),
        ("clientSecret", "client_secret"),
        ("privateKeyPem", "pem"),
    ] {
        data.insert(name.to_owned(), app.get(from)?.clone());
    }
    // Null where the app has no webhook.
    if let Some(secret) = app
        .get("webhook_secret")
        .filter(|secret| secret.is_string())
    {
        data.insert("webhookSecret".to_owned(), secret.clone());
    }
    if let Some(owner) = app.get("owner").and_then(Value::as_object)
        && let (Some(kind), Some(id), Some(login)) =
            (owner.get("type"), owner.get("id"), owner.get("login"))
    {
        let owner = json!({"type": kind, "id": id, "slug": login});
        data.insert("owner".to_owned(), owner);
    }
    if site.own {
        let web = site.web.origin().ascii_serialization();
        let config = json!({
            "authorization_endpoint": format!("{web}/login/oauth/authorize"),
            "token_endpoint": format!("{web}/login/oauth/access_token"),
            "api_base_url": site.api,
        });
        data.insert("serverConfig".to_owned(), config);
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_good_for_its_own_browser_setup_and_host() {
        let (id, cookie) = (SetupId::from("scr_1"), Secret::new("c".repeat(43)));
        let made = state(&id, &cookie, "github.example.com");
        let host = host_of(&id, Some(&cookie), &made);
        assert_eq!(host.as_deref(), Some("github.example.com"));
        let other = Secret::new("d".repeat(43));
        assert_eq!(host_of(&id, Some(&other), &made), None);
        assert_eq!(host_of(&id, None, &made), None);
        assert_eq!(host_of(&"scr_2".into(), Some(&cookie), &made), None);
        let (tag, _) = made.split_once('.').unwrap();
        let elsewhere = format!("{tag}.{}", URL_SAFE_NO_PAD.encode("evil.example"));
        assert_eq!(host_of(&id, Some(&cookie), &elsewhere), None);
        for bad in ["", ".", "x", "é.é", &format!("{tag}."), &made[1..]] {
            assert_eq!(host_of(&id, Some(&cookie), bad), None, "{bad}");
        }
    }

    #[test]
    fn an_organization_is_a_name_and_never_a_path() {
        for good in ["acme", "Acme-2", "a_b"] {
            assert!(is_login(good), "{good}");
        }
        for bad in ["", "a/b", "..", "a b", "é", "a?x", &"a".repeat(101)] {
            assert!(!is_login(bad), "{bad}");
        }
    }
}

//! GitHub makes an app of a manifest (docs.github.com, "Registering a GitHub App from a manifest"): the browser posts
//! the manifest to GitHub, where a person says yes; it comes back with a code, which is exchanged, once and within the
//! hour, for the app's id and all of its secrets.
//!
//! Nothing is kept of a visit: `state` is made of the browser's cookie, so that only the browser that was shown the
//! form brings a code back, and the setup itself is completed only once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::http::{Failure, Method, Purpose, Request, Response, Silence};
use grantry_core::ids::SetupId;
use grantry_core::limits::CODE_BYTES_MAX;
use grantry_core::nouns::{ConnectorType, Setup};
use grantry_core::{Error, Problem, Result, Secret};
use grantry_vault::hash::{constant_time_eq, hmac_sha256};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::complete::Filling;
use super::{SetupPage, SetupView};
use crate::connect::{browser_cookie, is_loopback};
use crate::connectors::{is_web_url, types};
use crate::{Caller, Engine};

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
    /// What it may do: `contents:read, issues:write`.
    pub permissions: String,
}

/// The form that a browser posts to GitHub.
pub struct GithubForm {
    /// Where.
    pub action: Url,
    /// Its one field.
    pub manifest: String,
    /// What the manifest asks for, by name: `read`, `write` or `admin`.
    pub permissions: BTreeMap<String, String>,
    /// The browser's cookie from now on.
    pub cookie: Secret,
}

/// How a visit at GitHub ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GithubEnd {
    /// The connector is there.
    Stored,
    /// GitHub was not reached. Its code is still good.
    Unreached,
    /// GitHub did not tell of an app: the code is used up or unknown, or the answer was lost.
    Untold,
    /// GitHub told of the app, and it could not be stored here. Nothing tells of it again.
    Unstored,
}

/// How long to wait before what GitHub told, which it tells once, is tried to be stored again: an outage of half a
/// minute is outlasted.
const STORE_PAUSES: [Duration; 7] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

/// A GitHub: where people are, and where programs are.
struct Site {
    web: Url,
    api: String,
}

impl Engine {
    /// The form for a browser whose cookie, if it has one, is `cookie`.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the part of `place` that is wrong, or what the connector needs and is not there any
    /// more; [`Error::Gone`] where who asked may not make connectors any more.
    pub async fn github_form(
        &self,
        page: &SetupPage,
        place: &GithubPlace,
        cookie: Option<Secret>,
    ) -> Result<GithubForm> {
        // Nobody makes an app that could not be stored here.
        let setup = &page.view.setup;
        let maker = self.maker_of(setup).await?;
        self.check_makeable(&maker, setup).await?;
        let site = self.github_site(setup).await?;
        let permissions = permissions(&place.permissions, &page.view)?;
        let manifest = self.github_manifest(page, &site, &permissions);
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
        let state = URL_SAFE_NO_PAD.encode(mac(&setup.id, &cookie));
        action.query_pairs_mut().append_pair("state", &state);
        Ok(GithubForm {
            action,
            manifest: manifest.to_string(),
            permissions,
            cookie,
        })
    }

    fn github_manifest(
        &self,
        page: &SetupPage,
        site: &Site,
        permissions: &BTreeMap<String, String>,
    ) -> Value {
        let setup = &page.view.setup;
        let name: String = page.name.chars().take(NAME_MAX).collect();
        let mut manifest = json!({
            "name": name,
            "url": self.settings.url("/"),
            "redirect_url": self.settings.url(&format!("/register/{}/github", setup.id)),
            "callback_urls": [self.settings.url("/callback")],
            // Who installs it comes back with the installation, and who does so once more, too.
            "setup_url": self.settings.url("/callback"),
            "setup_on_update": true,
            "public": false,
            "default_permissions": permissions,
        });
        // GitHub tells every app what becomes of its installations. It makes none whose hook it could not reach.
        if reaches(site, &self.settings.public_url) {
            let url = self.settings.url(&format!("/trigger/{}", setup.connector));
            manifest["hook_attributes"] = json!({"url": url, "active": true});
            if setup.ask.triggers {
                manifest["default_events"] = json!(setup.ask.events);
            }
        }
        manifest
    }

    /// Exchanges the code that a browser came back with and registers the app. Nobody's disconnect cuts that short.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where `state` is not this browser's; [`Error::Gone`] when the setup has ended, or who
    /// asked may not make connectors any more; [`Error::Invalid`] as of [`Engine::github_form`]. GitHub was not asked
    /// then.
    pub async fn github_made(
        self: &Arc<Self>,
        id: &SetupId,
        cookie: Option<Secret>,
        state: &str,
        code: &Secret,
    ) -> Result<GithubEnd> {
        if !is_state(id, cookie.as_ref(), state) {
            return Err(Error::Unauthenticated);
        }
        let setup = self.open_setup(id).await?;
        let maker = self.maker_of(&setup).await?;
        // Before the exchange, after which nothing tells of the app again.
        self.check_makeable(&maker, &setup).await?;
        let site = self.github_site(&setup).await?;
        if !(1..=CODE_BYTES_MAX).contains(&code.expose().len()) {
            return Ok(GithubEnd::Untold);
        }
        let mut url = Url::parse(&site.api).map_err(|_| Error::Internal)?;
        url.path_segments_mut()
            .map_err(|()| Error::Internal)?
            .pop_if_empty()
            .extend(["app-manifests", code.expose(), "conversions"]);
        let engine = Arc::clone(self);
        self.uncancellable(async move {
            let answer = match engine.ports.http.send(asking(Method::Post, url)).await {
                Ok(answer) => answer,
                Err(failure) => {
                    tracing::warn!(%failure, "GitHub did not answer with the app that it made");
                    return Ok(match failure {
                        Failure::NotSent | Failure::Refused => GithubEnd::Unreached,
                        Failure::Unknown(_) => GithubEnd::Untold,
                    });
                }
            };
            match app_of(&answer) {
                Some(data) => Ok(engine.store_app(&maker, &setup, data).await),
                // Another tab may have brought the same code, and have been told.
                None if engine.is_made(&setup).await => Ok(GithubEnd::Stored),
                None => {
                    let status = answer.status;
                    tracing::warn!(status, "GitHub did not tell of the app that it made");
                    Ok(GithubEnd::Untold)
                }
            }
        })
        .await
    }

    /// Stores the app that GitHub told of, and outlasts an outage of the database.
    async fn store_app(
        self: &Arc<Self>,
        maker: &Caller,
        setup: &Setup,
        data: Map<String, Value>,
    ) -> GithubEnd {
        let mut pauses = STORE_PAUSES.into_iter();
        loop {
            let filling = Filling { data: data.clone() };
            let error = match self.make_of_setup(maker, setup, filling, true).await {
                Ok(_) => return GithubEnd::Stored,
                Err(error) => error,
            };
            let passing = matches!(error, Error::Unavailable | Error::Full);
            if let (true, Some(pause)) = (passing, pauses.next()) {
                self.ports.clock.sleep(pause).await;
                continue;
            }
            // A write whose answer was lost may have been done.
            if self.is_made(setup).await {
                return GithubEnd::Stored;
            }
            tracing::error!(%error, connector = %setup.connector, "an app that GitHub made could not be stored");
            return GithubEnd::Unstored;
        }
    }

    async fn is_made(&self, setup: &Setup) -> bool {
        let made = self.setup_by_link(&setup.id).await;
        made.is_ok_and(|view| view.is_created())
    }

    /// The GitHub that was asked for, or the catalogue's.
    async fn github_site(&self, setup: &Setup) -> Result<Site> {
        if let Some(host) = &setup.ask.host {
            let web = Url::parse(host).map_err(|_| Error::Internal)?;
            let api = api_of(host);
            return Ok(Site { web, api });
        }
        let catalogue = self.catalogue().await?;
        let service = types::of(ConnectorType::Github).service;
        let row = service.and_then(|id| catalogue.service(id));
        let text = |name: &str| row.and_then(|row| row.data.get(name)?.as_str());
        let web = text("authorization_endpoint").and_then(|url| Url::parse(url).ok());
        let (Some(web), Some(api)) = (web, text("api_base_url")) else {
            return Err(Error::Unresolvable {
                reason: "the deployment's [[services]] row of GitHub has endpoints of its own, and no api_base_url beside them".to_owned(),
            });
        };
        let api = api.to_owned();
        Ok(Site { web, api })
    }

    /// The origin of a GitHub Enterprise Server, which this server must be able to ask: whoever has the link chooses
    /// none, and an app that is made there can be fetched.
    pub(super) async fn checked_host(&self, kind: ConnectorType, host: &str) -> Result<String> {
        let wrong = |message| Err(Error::invalid("host", message));
        if kind != ConnectorType::Github {
            return wrong("is for apps on a GitHub Enterprise Server only");
        }
        let whole = match host.contains("://") {
            true => host.to_owned(),
            false => format!("https://{host}"),
        };
        let url = Url::parse(&whole).ok().filter(|url| {
            let loopback = is_loopback(url) && is_loopback(&self.settings.public_url);
            is_web_url(&whole)
                && (url.scheme() == "https" || loopback)
                && url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(url) = url else {
            return wrong(
                "must be a host name, such as github.example.com, and is reached by https",
            );
        };
        let origin = url.origin().ascii_serialization();
        let meta = format!("{}/meta", api_of(&origin));
        let meta = Url::parse(&meta).map_err(|_| Error::Internal)?;
        match self.ports.http.send(asking(Method::Get, meta)).await {
            Err(Failure::Refused) => wrong(
                "may not be asked by this server: where that is meant, its operator adds it to egress.allow",
            ),
            Err(Failure::NotSent | Failure::Unknown(Silence::Timeout)) => {
                wrong("does not answer this server")
            }
            _ => Ok(origin),
        }
    }
}

/// Whether a GitHub delivers to this server, as far as addresses say: none does to a place of the machine that it runs on
/// ("Hook url is not supported because it isn't reachable over the public Internet"), but one that runs there, too.
fn reaches(site: &Site, ours: &Url) -> bool {
    match is_loopback(ours) {
        true => is_loopback(&site.web),
        false => ours.scheme() == "https",
    }
}

/// A question to GitHub's API.
fn asking(method: Method, url: Url) -> Request {
    let header = |text: &str| Zeroizing::new(text.to_owned());
    Request {
        method,
        url,
        headers: vec![
            ("accept", header("application/vnd.github+json")),
            ("x-github-api-version", header("2022-11-28")),
        ],
        body: Zeroizing::default(),
        purpose: Purpose::Token,
    }
}

/// The API of a GitHub Enterprise Server (docs.github.com/enterprise-server, "Getting started with the REST API").
fn api_of(origin: &str) -> String {
    format!("{origin}/api/v3")
}

/// What a connector to the GitHub Enterprise Server at `origin` has to say.
pub(crate) fn config_of(origin: &str) -> Value {
    let api = api_of(origin);
    json!({
        "authorization_endpoint": format!("{origin}/login/oauth/authorize"),
        "token_endpoint": format!("{origin}/login/oauth/access_token"),
        "userinfo_endpoint": format!("{api}/user"),
        "user_emails_endpoint": format!("{api}/user/emails"),
        "api_base_url": api,
    })
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
        let (name, level) = pair.split_once(':').unwrap_or((pair, ""));
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

/// `state` for one browser: who does not know its cookie cannot make one.
fn mac(id: &SetupId, cookie: &Secret) -> [u8; 32] {
    let parts: [&[u8]; 2] = [b"grantry/setup-state/v2\0", id.as_str().as_bytes()];
    hmac_sha256(cookie.expose().as_bytes(), &parts)
}

/// Whether `state` was made for this browser.
fn is_state(id: &SetupId, cookie: Option<&Secret>, state: &str) -> bool {
    let Some((cookie, tag)) = cookie.zip(URL_SAFE_NO_PAD.decode(state).ok()) else {
        return false;
    };
    constant_time_eq(&tag, &mac(id, cookie))
}

/// The `data` of the connector, from GitHub's answer.
fn app_of(answer: &Response) -> Option<Map<String, Value>> {
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
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_good_for_its_own_browser_and_setup() {
        let (id, cookie) = (SetupId::from("scr_1"), Secret::new("c".repeat(43)));
        let made = URL_SAFE_NO_PAD.encode(mac(&id, &cookie));
        assert!(is_state(&id, Some(&cookie), &made));
        let other = Secret::new("d".repeat(43));
        assert!(!is_state(&id, Some(&other), &made));
        assert!(!is_state(&id, None, &made));
        assert!(!is_state(&"scr_2".into(), Some(&cookie), &made));
        for bad in ["", ".", "x", "é.é", &format!("{made}."), &made[1..]] {
            assert!(!is_state(&id, Some(&cookie), bad), "{bad}");
        }
    }

    #[test]
    fn a_hook_is_one_that_github_can_reach() {
        for (github, ours, reached) in [
            ("https://github.com", "https://connect.example", true),
            ("https://github.com", "http://connect.example", false),
            ("https://github.com", "http://127.0.0.1:8787", false),
            ("https://github.com", "https://localhost", false),
            ("https://ghe.internal", "https://connect.internal", true),
            ("http://127.0.0.1:1", "http://127.0.0.1:8787", true),
        ] {
            let site = Site {
                web: github.parse().unwrap(),
                api: String::new(),
            };
            assert_eq!(
                reaches(&site, &ours.parse().unwrap()),
                reached,
                "{github} {ours}"
            );
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

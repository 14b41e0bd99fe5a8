//! A browser: follows what it is told, keeps its cookies, sends them to whoever set them.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use grantry_core::nouns::AuthorizationState;
use grantry_engine::Requested;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use url::Url;

use super::{PUBLIC, World};

/// An answer, whole.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    /// Where it sends the browser: always by 303, so that no credentials are posted on.
    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.headers["location"].to_str().unwrap()
    }
}

/// One browser, at one node of a world.
pub struct Browser {
    router: Router,
    cookies: Vec<String>,
}

impl Browser {
    /// A browser without cookies.
    pub fn at(router: Router) -> Self {
        Self {
            router,
            cookies: Vec::new(),
        }
    }

    /// The same browser, led to another node by a load balancer.
    pub fn led_to(&self, router: Router) -> Self {
        Self {
            router,
            cookies: self.cookies.clone(),
        }
    }

    /// Fetches a page of the server.
    pub async fn get(&mut self, url: &str) -> Page {
        self.send("GET", url, String::new()).await
    }

    /// Posts a form as one of the server's own pages does.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send("POST", url, form).await
    }

    async fn send(&mut self, method: &str, url: &str, body: String) -> Page {
        let url = Url::parse(PUBLIC).unwrap().join(url).unwrap();
        let path = &url[url::Position::BeforePath..];
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", url.authority())
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", self.cookies.join("; "));
        let request = request.body(Body::from(body)).unwrap();
        let page = send(&self.router, request).await;
        for line in page.headers.get_all("set-cookie") {
            let cookie = line.to_str().unwrap().split(';').next().unwrap();
            let (name, _) = cookie.split_once('=').unwrap();
            self.cookies
                .retain(|kept| !kept.starts_with(&format!("{name}=")));
            self.cookies.push(cookie.to_owned());
        }
        page
    }

    /// Presses the button of a consent page: the provider's URL.
    pub async fn press(&mut self, requested: &Requested) -> Url {
        let page = self.post(&requested.url, &[("action", "connect")]).await;
        Url::parse(page.location()).unwrap()
    }

    /// Presses the button and signs in at the provider: the URL at which its answer arrives.
    pub async fn sign_in(&mut self, world: &World, requested: &Requested) -> String {
        let url = self.press(requested).await;
        world.provider_redirects(&url).await
    }
}

/// Sends one request into a router.
pub async fn send(router: &Router, request: Request<Body>) -> Page {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Page {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// How a consent stands for its requester.
pub async fn standing(world: &World, requested: &Requested) -> AuthorizationState {
    let result = world
        .engine
        .consent_result(requested.verifier.expose())
        .await;
    result.unwrap().1.state
}

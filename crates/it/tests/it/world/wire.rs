//! Between the engine and the sandbox.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use futures_util::future::{Either, select};
use grantry_core::Clock;
use grantry_core::http::{Failure, Http, Method, Request, Response, Silence};
use grantry_core::limits::Limits;
use grantry_core::testing::ManualClock;
use grantry_egress::{Egress, Options, Policy, SystemLookup};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::Watch;

/// No wire: requests go straight into the router. Deadlines are the test's clock's; what a socket
/// would show (redirects unfollowed, bodies cut or too long, resets) shows here too. One router stands for all hosts, so
/// which were asked is written down.
pub struct InProcess {
    router: Router,
    clock: ManualClock,
    hosts: Hosts,
}

/// The hosts that were sent something.
pub type Hosts = Arc<Mutex<BTreeSet<String>>>;

impl InProcess {
    pub fn new(router: Router, clock: ManualClock, hosts: Hosts) -> Self {
        Self {
            router,
            clock,
            hosts,
        }
    }
}

#[async_trait]
impl Http for InProcess {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        self.hosts.lock().unwrap().insert(host);
        let deadline = self.clock.sleep(Limits::default().provider_time_max);
        let answer = Box::pin(answer(self.router.clone(), request));
        match select(answer, deadline).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Failure::Unknown(Silence::Timeout)),
        }
    }
}

async fn answer(router: Router, request: Request) -> Result<Response, Failure> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    };
    let path = &request.url[url::Position::BeforePath..];
    let mut builder = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value.as_str());
    }
    let body = Body::from(request.body.to_vec());
    let answer = router.oneshot(builder.body(body).unwrap()).await.unwrap();
    let (parts, mut incoming) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Failure::Unknown(Silence::Cut))?;
        body.extend_from_slice(&frame.into_data().unwrap_or_default());
        if body.len() > request.purpose.body_bytes_max() {
            return Err(Failure::Unknown(Silence::BadBody));
        }
    }
    let declared = parts.headers.get("content-length");
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > body.len()) {
        return Err(Failure::Unknown(Silence::Cut));
    }
    let visible = parts.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    Ok(Response {
        status: parts.status.as_u16(),
        headers: visible.collect(),
        body: body.into(),
        url: request.url,
    })
}

/// The real way out, allowed to reach loopback. Time stands still while a request is under way.
pub struct Counted {
    egress: Egress,
    watch: Watch,
}

impl Counted {
    pub fn new(watch: Watch) -> Self {
        let policy = Policy::from_strings(["127.0.0.0/8"]).unwrap();
        let egress = Egress::new(policy, Arc::new(SystemLookup), &Options::default());
        Self {
            egress: egress.unwrap(),
            watch,
        }
    }
}

#[async_trait]
impl Http for Counted {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let _under_way = self.watch.enter();
        self.egress.send(request).await
    }
}

/// A listener for the sandbox, on a port that the system picks.
pub async fn listen() -> TcpListener {
    #[expect(
        clippy::disallowed_methods,
        reason = "the provider of a test listens here"
    )]
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

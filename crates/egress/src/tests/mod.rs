//! Egress against servers that misbehave, on loopback.

mod destinations;
mod limits;
mod local;
mod proxy;
mod redirects;
mod resolving;
mod server;
mod tls;
mod truth;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use grantry_core::http::{Failure, Http, Method, Purpose, Request, Response};
use url::Url;
use zeroize::Zeroizing;

use crate::{Egress, Lookup, Options, Policy};

/// Long enough that only a bug reaches it.
const PATIENT: Duration = Duration::from_secs(30);

/// Short, for the tests whose server never finishes.
const SHORT: Duration = Duration::from_millis(300);

/// An egress that may go to `rules`, with names answered by `lookup`.
fn egress(rules: &[&str], lookup: Arc<dyn Lookup>) -> Egress {
    let policy = Policy::from_strings(rules).unwrap();
    Egress::new(policy, lookup, &Options::default())
        .unwrap()
        .with_deadline(PATIENT)
}

/// An egress that may go to loopback and resolves nothing.
fn loopback() -> Egress {
    egress(&["127.0.0.0/8"], Arc::new(NoLookup))
}

fn request(method: Method, url: impl AsRef<str>, body: &[u8], purpose: Purpose) -> Request {
    Request {
        method,
        url: Url::parse(url.as_ref()).unwrap(),
        headers: Vec::new(),
        body: Zeroizing::new(body.to_vec()),
        purpose,
    }
}

/// A token request: the POST that must not be presented twice.
async fn post(egress: &Egress, url: impl AsRef<str>) -> Result<Response, Failure> {
    let body = b"grant_type=refresh_token";
    egress
        .send(request(Method::Post, url, body, Purpose::Token))
        .await
}

/// The GET of a metadata document.
async fn discover(egress: &Egress, url: impl AsRef<str>) -> Result<Response, Failure> {
    egress
        .send(request(Method::Get, url, b"", Purpose::Discovery))
        .await
}

/// `Response` has no `Debug`; its status says enough.
fn outcome(result: &Result<Response, Failure>) -> Result<u16, Failure> {
    result
        .as_ref()
        .map(|response| response.status)
        .map_err(|failure| *failure)
}

/// For destinations that must be refused before any name is resolved.
struct NoLookup;

#[async_trait]
impl Lookup for NoLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        panic!("{name} was looked up")
    }
}

/// A name server that gives one answer after the other, the last one for ever.
struct Answers {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            answers: answers.iter().map(parse).collect(),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Lookup for Answers {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(turn).or(self.answers.last());
        answer
            .cloned()
            .ok_or_else(|| io::Error::other("no such name"))
    }
}

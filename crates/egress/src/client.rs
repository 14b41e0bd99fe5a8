//! One request out, one answer or one honest failure back.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use grantry_core::http::{Failure, Http, Method, Purpose, Request, Response, Silence};
use grantry_core::limits;
use grantry_core::limits::Limits;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION};
use tokio::time::timeout;
use url::Url;

use crate::bulkhead::{Bulkhead, Queue};
use crate::departure::{Departure, Watched};
use crate::policy::{Policy, Reach, Refusal};
use crate::resolver::{Filter, Lookup};
use crate::transport::{self, SetupError, causes, wire_method};

/// A request that finds no place at its host within this part of its deadline is not sent, so that
/// one that is sent has most of the deadline left to be answered.
const WAIT_PART: u32 = 3;

/// What a deployment may choose.
pub struct Options {
    /// Certificate authorities trusted beside the system's, in PEM form (requirement 66).
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Requests in flight to one port of a host for one purpose; further ones wait (requirement 49).
    pub per_host_max: NonZeroUsize,
    /// From resolving the name to the last byte of the answer.
    pub deadline: Duration,
    /// The same for [`Purpose::Search`].
    pub search_deadline: Duration,
}

impl Default for Options {
    /// No extra authority, and core's limits.
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

impl From<&Limits> for Options {
    fn from(limits: &Limits) -> Self {
        Self {
            extra_ca_pem: None,
            per_host_max: NonZeroUsize::new(limits.provider_requests_max)
                .unwrap_or(NonZeroUsize::MIN),
            deadline: limits.provider_time_max,
            search_deadline: limits.search_time_max,
        }
    }
}

/// The implementation of core's `Http` port. Share one per process: it holds the connections.
pub struct Egress {
    policy: Arc<Policy>,
    clients: Clients,
    bulkhead: Bulkhead,
    deadline: Duration,
    search_deadline: Duration,
}

/// One client per reach, so that no connection is shared between URLs that may end at different places.
struct Clients {
    public: reqwest::Client,
    networks: reqwest::Client,
    listed: reqwest::Client,
}

/// One request on its way to one URL.
struct Hop {
    method: reqwest::Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    purpose: Purpose,
}

impl Egress {
    /// An egress that goes where `policy` allows, with names resolved by `lookup`.
    ///
    /// # Errors
    /// An extra CA that is no PEM, or certificate roots of the system that cannot be read.
    pub fn new(
        policy: Policy,
        lookup: Arc<dyn Lookup>,
        options: &Options,
    ) -> Result<Self, SetupError> {
        let policy = Arc::new(policy);
        let tls = transport::trust(options.extra_ca_pem.as_deref())?;
        let client = |reach| {
            let filter = Filter {
                lookup: lookup.clone(),
                policy: policy.clone(),
                reach,
            };
            transport::builder(tls.clone())
                .dns_resolver(filter)
                .build()
                .map_err(SetupError::Client)
        };
        Ok(Self {
            clients: Clients {
                public: client(Reach::Public)?,
                networks: client(Reach::Networks)?,
                listed: client(Reach::Listed)?,
            },
            bulkhead: Bulkhead::new(options.per_host_max),
            deadline: options.deadline,
            search_deadline: options.search_deadline,
            policy,
        })
    }

    /// What kind of place `url` is, for operators: `public`, `allowed` by the deployment, or `refused`.
    pub fn destination(&self, url: &Url) -> &'static str {
        match self.policy.admit(url) {
            Ok((_, Reach::Public)) => "public",
            Ok((_, Reach::Networks | Reach::Listed)) => "allowed",
            Err(_) => "refused",
        }
    }

    /// The same egress under another deadline.
    #[cfg(test)]
    pub(crate) fn with_deadline(self, deadline: Duration) -> Self {
        Self {
            deadline,
            search_deadline: deadline,
            ..self
        }
    }

    /// Sends `request` and follows its redirects, as far as its purpose allows.
    async fn follow(
        &self,
        request: Request,
        wait_max: Duration,
        departure: &Departure,
    ) -> Result<Response, Failure> {
        let hops = match request.method {
            Method::Get => request.purpose.redirects_max(),
            _ => 0,
        };
        let headers = header_map(request.headers)?;
        let accept = headers.get(ACCEPT).cloned();
        let purpose = request.purpose;
        let first = Hop {
            method: wire_method(request.method),
            url: request.url,
            headers,
            body: Bytes::from_owner(request.body),
            purpose,
        };
        let mut response = self.exchange(first, wait_max, departure).await?;
        if hops == 0 {
            return Ok(response);
        }
        for _ in 0..hops {
            let Some(url) = redirect_target(&response)? else {
                return Ok(response);
            };
            // Whatever else was meant for the first server stays with it.
            let headers = accept.iter().map(|value| (ACCEPT, value.clone()));
            let next = Hop {
                method: reqwest::Method::GET,
                url,
                headers: headers.collect(),
                body: Bytes::new(),
                purpose,
            };
            let answer = self.exchange(next, wait_max, departure).await;
            response = answer.map_err(|failure| match failure {
                // The first request did leave.
                Failure::NotSent => Failure::Unknown(Silence::Redirect),
                other => other,
            })?;
        }
        match redirect_target(&response)? {
            None => Ok(response),
            Some(_) => Err(Failure::Unknown(Silence::Redirect)),
        }
    }

    /// One request to one URL, checked from its scheme to the address connected to.
    async fn exchange(
        &self,
        hop: Hop,
        wait_max: Duration,
        departure: &Departure,
    ) -> Result<Response, Failure> {
        let (url, reach) = self.policy.admit(&hop.url).map_err(|refusal| {
            log_refusal(hop.url.host_str(), refusal);
            Failure::Refused
        })?;
        let host = url.host_str().unwrap_or_default();
        let place = timeout(wait_max, self.bulkhead.enter(Queue::of(&url, hop.purpose))).await;
        let Ok(Ok(_place)) = place else {
            return Err(Failure::NotSent);
        };

        let mut request = reqwest::Request::new(hop.method, url.clone());
        *request.headers_mut() = hop.headers;
        if !hop.body.is_empty() {
            let body = Watched::new(hop.body, departure.clone());
            *request.body_mut() = Some(reqwest::Body::wrap(body));
        }
        let client = match reach {
            Reach::Public => &self.clients.public,
            Reach::Networks => &self.clients.networks,
            Reach::Listed => &self.clients.listed,
        };
        let answer = client.execute(request).await;
        let answer = answer.map_err(|error| failure(host, error, departure))?;

        let status = answer.status().as_u16();
        let headers = visible_headers(answer.headers())?;
        let body = whole_body(answer, hop.purpose.body_bytes_max())
            .await
            .map_err(Failure::Unknown)?;
        Ok(Response {
            status,
            headers,
            body,
            url,
        })
    }
}

#[async_trait]
impl Http for Egress {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let deadline = match request.purpose {
            Purpose::Search => self.search_deadline,
            Purpose::Token | Purpose::Discovery | Purpose::Icon | Purpose::Webhook => self.deadline,
        };
        let departure = Departure::of(&request.body);
        let exchange = self.follow(request, deadline / WAIT_PART, &departure);
        match timeout(deadline, exchange).await {
            Ok(result) => result,
            Err(_) if departure.recall() => Err(Failure::NotSent),
            Err(_) => Err(Failure::Unknown(Silence::Timeout)),
        }
    }
}

/// Why no answer began. `NotSent` only for what is certain: the body was held back, or there was no connection.
fn failure(host: &str, error: reqwest::Error, departure: &Departure) -> Failure {
    // The URL may carry a secret in its query.
    let error = error.without_url();
    if let Some(refusal) = causes(&error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
        log_refusal(Some(host), *refusal);
        return Failure::Refused;
    }
    let failure = if departure.recall() || error.is_connect() {
        Failure::NotSent
    } else if error.is_timeout() {
        Failure::Unknown(Silence::Timeout)
    } else {
        Failure::Unknown(Silence::Cut)
    };
    let chain: Vec<String> = causes(&error).map(ToString::to_string).collect();
    tracing::debug!(host, ?failure, error = chain.join(": "), "no answer");
    failure
}

fn log_refusal(host: Option<&str>, reason: Refusal) {
    tracing::info!(host, %reason, "destination refused");
}

/// The body, decompressed, as it streams in: the cap holds whatever it would have become.
async fn whole_body(mut answer: reqwest::Response, bytes_max: usize) -> Result<Bytes, Silence> {
    // gzip is undone, and its header gone, by now. Nothing else was asked for.
    if answer.headers().contains_key(CONTENT_ENCODING) {
        return Err(Silence::BadBody);
    }
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| silence(&error))? {
        if piece.len() > bytes_max - body.len() {
            return Err(Silence::BadBody);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

fn silence(error: &reqwest::Error) -> Silence {
    if error.is_timeout() {
        Silence::Timeout
    } else if causes(error).any(|cause| cause.is::<hyper::Error>()) {
        // The connection failed beneath the decoder.
        Silence::Cut
    } else {
        Silence::BadBody
    }
}

fn visible_headers(headers: &HeaderMap) -> Result<Vec<(String, String)>, Failure> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > limits::PROVIDER_HEADER_BYTES_MAX {
        return Err(Failure::Unknown(Silence::BadBody));
    }
    let visible = headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    Ok(visible.collect())
}

/// Where a redirect leads; `None` when the response is none. https never becomes http (requirement 61).
fn redirect_target(response: &Response) -> Result<Option<Url>, Failure> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let target = response
        .header(LOCATION.as_str())
        .and_then(|location| response.url.join(location).ok())
        .ok_or(Failure::Unknown(Silence::Redirect))?;
    if response.url.scheme() == "https" && target.scheme() != "https" {
        log_refusal(target.host_str(), Refusal::DOWNGRADE);
        return Err(Failure::Refused);
    }
    Ok(Some(target))
}

/// A header that cannot be put on the wire (a line break in a secret) refuses the request.
fn header_map(
    headers: Vec<(&'static str, zeroize::Zeroizing<String>)>,
) -> Result<HeaderMap, Failure> {
    headers
        .into_iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Failure::Refused)?;
            // The header owns the caller's buffer, so that it is wiped when the request is done.
            let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value))
                .map_err(|_| Failure::Refused)?;
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect()
}

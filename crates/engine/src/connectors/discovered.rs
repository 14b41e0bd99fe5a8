//! Authorization servers' metadata, fetched once for all connectors that name the same `serverUrl` or are bound to the
//! same issuer. A URL can be an authorization server's, or that of a resource whose own metadata names one (RFC 9728).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_core::http::Http;
use grantry_core::limits;
use grantry_core::{Clock, Timestamp};
use grantry_oauth::discovery::{Discovery, DiscoveryError, Step};
use grantry_oauth::resource::{self, ProtectedResource, ResourceError};
use grantry_oauth::server::Server;
use quick_cache::sync::Cache;

/// How long a document is used before it is fetched again.
const TTL: Duration = Duration::from_secs(3600);

/// How long a server that failed is not asked again.
const FAILED_TTL: Duration = Duration::from_secs(5);

/// Where to begin.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// A URL that somebody typed: a resource, an issuer, or an API on an issuer's origin.
    Url(&'a str),
    /// An issuer, exactly.
    Issuer(&'a str),
}

impl At<'_> {
    fn key(self) -> String {
        match self {
            Self::Url(url) => url.to_owned(),
            Self::Issuer(issuer) => format!("issuer {issuer}"),
        }
    }
}

/// What is behind a URL.
#[derive(Default)]
pub struct Located {
    /// The authorization server.
    pub server: Server,
    /// The resource that the URL turned out to be.
    pub resource: Option<ProtectedResource>,
}

/// What is known of servers, by where asking began.
pub struct Discovered(Cache<String, Arc<Known>>);

#[derive(Default)]
struct Known {
    last: Mutex<Last>,
    /// Held by whoever is asking the server.
    asking: tokio::sync::Mutex<()>,
}

/// How asking ended, each with when.
#[derive(Clone, Default)]
struct Last {
    answer: Option<(Timestamp, Arc<Located>)>,
    failure: Option<(Timestamp, DiscoveryError)>,
}

impl Default for Discovered {
    fn default() -> Self {
        Self(Cache::new(limits::METADATA_ENTRIES_MAX))
    }
}

impl Discovered {
    /// What is behind `at`. While the server does not answer, an old one will do:
    /// metadata that is down must not stop refreshes that worked an hour ago.
    pub async fn get(
        &self,
        http: &dyn Http,
        clock: &dyn Clock,
        at: At<'_>,
    ) -> Result<Arc<Located>, DiscoveryError> {
        let fresh = || Ok::<_, DiscoveryError>(Arc::default());
        let known: Arc<Known> = self.0.get_or_insert_with(&at.key(), fresh)?;
        let last = known.last();
        if let Some(settled) = last.settled(clock.now()) {
            return settled;
        }
        let _asking = match (known.asking.try_lock(), last.answer) {
            (Ok(asking), _) => asking,
            (Err(_), Some((_, old))) => return Ok(old),
            (Err(_), None) => known.asking.lock().await,
        };
        // Somebody else may have asked meanwhile.
        if let Some(settled) = known.last().settled(clock.now()) {
            return settled;
        }
        let asked = locate(http, at).await;
        known.keep(clock.now(), asked)
    }
}

impl Known {
    fn last(&self) -> Last {
        let last = self.last.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(
        &self,
        now: Timestamp,
        asked: Result<Located, DiscoveryError>,
    ) -> Result<Arc<Located>, DiscoveryError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(located) => {
                let located = Arc::new(located);
                *last = Last {
                    answer: Some((now, Arc::clone(&located))),
                    failure: None,
                };
                Ok(located)
            }
            Err(error) => {
                last.failure = Some((now, error.clone()));
                last.despite(error)
            }
        }
    }
}

impl Last {
    /// What need not be asked for.
    fn settled(&self, now: Timestamp) -> Option<Result<Arc<Located>, DiscoveryError>> {
        match (&self.answer, &self.failure) {
            (Some((at, server)), _) if now.since(*at) < TTL => Some(Ok(Arc::clone(server))),
            (_, Some((at, error))) if now.since(*at) < FAILED_TTL => {
                Some(self.despite(error.clone()))
            }
            _ => None,
        }
    }

    /// The old document, if it may stand in for one that `error` kept away.
    fn despite(&self, error: DiscoveryError) -> Result<Arc<Located>, DiscoveryError> {
        match (&self.answer, error) {
            (Some((_, old)), DiscoveryError::Unavailable) => Ok(Arc::clone(old)),
            (_, error) => Err(error),
        }
    }
}

async fn locate(http: &dyn Http, at: At<'_>) -> Result<Located, DiscoveryError> {
    let located = match at {
        At::Issuer(issuer) => discover(http, Discovery::of_issuer(issuer))
            .await
            .map(|server| Located {
                server,
                resource: None,
            }),
        At::Url(url) => behind(http, url).await,
    };
    if let Err(error) = &located {
        tracing::info!(?at, %error, "discovery failed");
    }
    located
}

/// What a URL that somebody typed leads to. Its own metadata as a resource comes first: whoever publishes that says
/// which server to ask and wants to be named to it. A challenge is only asked for where nothing is published.
async fn behind(http: &dyn Http, url: &str) -> Result<Located, DiscoveryError> {
    let unanswered = match described(http, url, None).await {
        Ok(Some(resource)) => return of_resource(http, resource).await,
        Ok(None) => false,
        Err(ResourceError::Unavailable) => true,
        Err(error) => return Err(error.into()),
    };
    match discover(http, Discovery::start(url)).await {
        Ok(server) => Ok(Located {
            server,
            resource: None,
        }),
        Err(DiscoveryError::NotFound) if unanswered => Err(DiscoveryError::Unavailable),
        Err(DiscoveryError::NotFound) => {
            let Some(request) = resource::challenge_request(url) else {
                return Err(DiscoveryError::NotFound);
            };
            let answer = http.send(request).await;
            let challenge = answer.as_ref().ok().and_then(resource::challenge_of);
            let Some(challenge) = challenge else {
                return Err(DiscoveryError::NotFound);
            };
            match described(http, url, Some(challenge)).await {
                Ok(Some(resource)) => of_resource(http, resource).await,
                Ok(None) => Err(DiscoveryError::NotFound),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error),
    }
}

/// The metadata of the resource at `url`, if it publishes any.
async fn described(
    http: &dyn Http,
    url: &str,
    challenge: Option<&str>,
) -> Result<Option<ProtectedResource>, ResourceError> {
    for place in resource::places(url, challenge) {
        match place.parse(http.send(place.request()).await) {
            Err(ResourceError::NotFound) => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

async fn of_resource(
    http: &dyn Http,
    resource: ProtectedResource,
) -> Result<Located, DiscoveryError> {
    let issuer = resource.authorization_servers.first();
    let issuer = issuer.ok_or(DiscoveryError::Resource(ResourceError::NoServer))?;
    Ok(Located {
        server: discover(http, Discovery::of_issuer(issuer)).await?,
        resource: Some(resource),
    })
}

async fn discover(http: &dyn Http, mut step: Step) -> Result<Server, DiscoveryError> {
    loop {
        step = match step {
            Step::Fetch(discovery, request) => discovery.next(http.send(request).await),
            Step::Done(server) => return Ok(*server),
            Step::Failed(error) => return Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures_util::future::join_all;
    use grantry_core::http::{Failure, Request, Response};
    use grantry_core::testing::ManualClock;

    use super::*;

    const URL: &str = "https://as.example";

    /// An authorization server that can be switched off, and counts how often it is asked.
    #[derive(Default)]
    struct Provider {
        asked: AtomicUsize,
        down: AtomicBool,
    }

    #[async_trait]
    impl Http for Provider {
        async fn send(&self, request: Request) -> Result<Response, Failure> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let down = self.down.load(Ordering::SeqCst);
            let openid = request.url.path().contains("openid");
            let document = format!(
                r#"{{"issuer":"{URL}","authorization_endpoint":"{URL}/a","token_endpoint":"{URL}/t"}}"#
            );
            Ok(Response {
                status: if down {
                    503
                } else if openid {
                    404
                } else {
                    200
                },
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: document.into_bytes().into(),
                url: request.url,
            })
        }
    }

    #[derive(Default)]
    struct World {
        provider: Provider,
        clock: ManualClock,
        discovered: Discovered,
    }

    impl World {
        async fn get(&self) -> Result<(), DiscoveryError> {
            let got = self
                .discovered
                .get(&self.provider, &self.clock, At::Url(URL));
            got.await.map(drop)
        }

        fn switch(&self, down: bool) {
            self.provider.down.store(down, Ordering::SeqCst);
        }

        /// How often the server was asked since the last call.
        fn asked(&self) -> usize {
            self.provider.asked.swap(0, Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_server_is_asked_once_however_many_want_to_know() {
        let world = World::default();
        assert_eq!(world.get().await, Ok(()));
        let one = world.asked();
        assert!(one > 0);
        world.clock.advance(TTL - FAILED_TTL);
        assert_eq!(world.get().await, Ok(()));
        assert_eq!(world.asked(), 0);
        world.clock.advance(FAILED_TTL);
        let answers = join_all((0..50).map(|_| world.get())).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(world.asked(), one);

        let world = World::default();
        let answers = join_all((0..50).map(|_| world.get())).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(world.asked(), one);
    }

    #[tokio::test]
    async fn a_server_that_failed_is_left_alone_for_a_moment() {
        let world = World::default();
        world.switch(true);
        let failed = Err(DiscoveryError::Unavailable);
        let answers = join_all((0..50).map(|_| world.get())).await;
        assert!(answers.iter().all(|answer| *answer == failed));
        let once = world.asked();
        assert!(once < 5, "{once}");
        world.switch(false);
        assert_eq!(world.get().await, failed);
        assert_eq!(world.asked(), 0);
        world.clock.advance(FAILED_TTL);
        assert_eq!(world.get().await, Ok(()));
    }

    #[tokio::test]
    async fn an_old_document_serves_while_the_server_is_down() {
        let world = World::default();
        assert_eq!(world.get().await, Ok(()));
        world.clock.advance(TTL);
        world.switch(true);
        world.asked();
        for _ in 0..3 {
            assert_eq!(world.get().await, Ok(()));
        }
        let once = world.asked();
        assert!((1..5).contains(&once), "{once}");
    }
}

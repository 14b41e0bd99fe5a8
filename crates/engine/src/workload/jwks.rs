//! Public keys of outside issuers, fetched when a token needs them.
//!
//! One set per declared issuer, so what is kept is bounded by the configuration. Strangers can make us
//! ask an issuer at most once per [`ISSUER_ASKS_APART_TIME`]: that is how far asks are apart, whatever the tokens say.

use grantry_core::limits::{
    ISSUER_ASKS_APART_TIME, ISSUER_KEYS_FRESH_TIME, ISSUER_KEYS_MAX, ISSUER_KEYS_STALE_TIME_MAX,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grantry_core::Clock;
use grantry_core::http::{Http, Method, Purpose, Request};
use grantry_vault::jws::KeySet;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::trust::{KeySource, TrustedIssuer};

/// What is known of one issuer's keys.
#[derive(Default)]
pub struct Known {
    last: Mutex<Last>,
    /// Held by whoever is asking the issuer.
    asking: tokio::sync::Mutex<()>,
}

/// How asking ended. Times are the boot clock's, which does not step.
#[derive(Clone, Default)]
struct Last {
    /// The newest set, and when it was asked for.
    set: Option<(Duration, Arc<KeySet>)>,
    /// When the issuer was asked last, of the asks that have ended.
    asked: Option<Duration>,
}

/// Notes the end of an ask, also of one whose caller went away.
struct Asked<'a> {
    known: &'a Known,
    at: Duration,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.known.last().asked = Some(self.at);
    }
}

impl Last {
    /// The set, as long as it may be used at all.
    fn usable(&self, now: Duration) -> Option<Arc<KeySet>> {
        let set = self.set.as_ref();
        let set = set.filter(|(at, _)| now.saturating_sub(*at) < ISSUER_KEYS_STALE_TIME_MAX);
        set.map(|(_, keys)| Arc::clone(keys))
    }

    /// What to answer without asking; `None` when the issuer has to be asked.
    fn settled(&self, now: Duration, kid: Option<&str>) -> Option<Option<Arc<KeySet>>> {
        let age = |at: Duration| now.saturating_sub(at);
        if let Some((at, keys)) = &self.set
            && age(*at) < ISSUER_KEYS_FRESH_TIME
            && kid.is_none_or(|kid| keys.contains(kid))
        {
            return Some(Some(Arc::clone(keys)));
        }
        let just_asked = self
            .asked
            .is_some_and(|at| age(at) < ISSUER_ASKS_APART_TIME);
        just_asked.then(|| self.usable(now))
    }

    /// The issuer was asked in vain.
    fn is_failing(&self) -> bool {
        self.asked > self.set.as_ref().map(|(at, _)| *at)
    }
}

impl Known {
    /// The keys of `trusted` for a token that names `kid`; the set may lack it. `None` when there are
    /// none that may be used: the issuer does not answer, and has not for long.
    pub async fn keys(
        &self,
        http: &dyn Http,
        clock: &dyn Clock,
        trusted: &TrustedIssuer,
        kid: Option<&str>,
    ) -> Option<Arc<KeySet>> {
        let url = match &trusted.keys {
            KeySource::Fixed(keys) => return Some(Arc::clone(keys)),
            KeySource::Url(url) => Some(url),
            KeySource::Discover => None,
        };
        let last = self.last().clone();
        if let Some(settled) = last.settled(clock.boot(), kid) {
            return settled;
        }
        let _asking = match self.asking.try_lock() {
            Ok(asking) => asking,
            // While an issuer is down, one caller tries it and the others are not kept waiting.
            Err(_) if last.is_failing() => return last.usable(clock.boot()),
            Err(_) => self.asking.lock().await,
        };
        let now = clock.boot();
        let settled = self.last().settled(now, kid);
        if let Some(settled) = settled {
            return settled;
        }
        let _asked = Asked {
            known: self,
            at: now,
        };
        match fetch(http, &trusted.issuer, url).await {
            Ok(keys) => self.last().set = Some((now, Arc::new(keys))),
            Err(problem) => {
                tracing::warn!(
                    issuer = trusted.name,
                    problem,
                    "an issuer's keys cannot be had"
                );
            }
        }
        let last = self.last().clone();
        last.usable(clock.boot())
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(http: &dyn Http, issuer: &str, url: Option<&Url>) -> Result<KeySet, &'static str> {
    let url = match url {
        Some(url) => url.clone(),
        None => discover(http, issuer).await?,
    };
    let document = get(http, url).await?;
    let members = document.get("keys").and_then(Value::as_array);
    let members = members.ok_or("the key set has no list of keys")?;
    let keys = KeySet::new(members.iter().take(ISSUER_KEYS_MAX));
    match keys.is_empty() {
        true => Err("the key set has no key that signs"),
        false => Ok(keys),
    }
}

/// Where the issuer's keys are, in the words of its own document.
async fn discover(http: &dyn Http, issuer: &str) -> Result<Url, &'static str> {
    let base = issuer.trim_end_matches('/');
    let url = Url::parse(&format!("{base}/.well-known/openid-configuration"));
    let document = get(http, url.map_err(|_| "the issuer is no URL")?).await?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err("the discovery document is another issuer's");
    }
    let url = text("jwks_uri").ok_or("the discovery document names no keys")?;
    Url::parse(url).map_err(|_| "the discovery document's jwks_uri is no URL")
}

async fn get(http: &dyn Http, url: Url) -> Result<Value, &'static str> {
    let request = Request {
        method: Method::Get,
        url,
        headers: vec![("accept", Zeroizing::new("application/json".to_owned()))],
        body: Zeroizing::default(),
        purpose: Purpose::Discovery,
    };
    let response = http.send(request).await.map_err(|_| "no answer")?;
    match response.status {
        200 => serde_json::from_slice(&response.body).map_err(|_| "the answer is no JSON"),
        _ => Err("the answer is a refusal"),
    }
}

//! The provider itself: its state, and the way every request takes through the faults.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use grantry_core::Timestamp;

use crate::answer::Answer;
use crate::config::Config;
use crate::crypto::SigningKey;
use crate::faults::{
    Callback, Effect, Endpoint, Order, Orders, Play, Scene, Strike, Target, UnknownFault,
};
use crate::log::{Entry, Log, Outcome, Stats};
use crate::model::{Mint, Model, Place};

/// Period of the `grace` fault unless its order says otherwise.
const GRACE: Duration = Duration::from_secs(60);

/// An OAuth provider, and the handle to steer it. Clones share their state.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    /// Signing keys, the newest last; the first one is made on first use.
    keys: Mutex<Vec<Arc<SigningKey>>>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub model: Model,
    pub orders: Orders,
    pub log: Log,
}

/// A request on its way through the faults.
pub(crate) struct Visit<'a> {
    pub endpoint: Endpoint,
    pub client_id: Option<&'a str>,
    pub grant_type: Option<&'a str>,
    pub refresh_token: Option<&'a str>,
    /// Decoded query parameters.
    pub query: &'a [(String, String)],
    /// See [`Scene::echo`].
    pub echo: &'a str,
}

impl Sandbox {
    /// A provider with `config`, honest until told otherwise.
    pub fn new(mut config: Config) -> Self {
        config
            .public_url
            .truncate(config.public_url.trim_end_matches('/').len());
        let state = State {
            model: Model::new(config.clients.iter().cloned()),
            orders: Orders::default(),
            log: Log::default(),
        };
        Self {
            inner: Arc::new(Inner {
                config,
                keys: Mutex::default(),
                state: Mutex::new(state),
            }),
        }
    }

    /// All endpoints. Under another server than [`Sandbox::serve`], a connection that should be
    /// reset without an answer is cut after the headers instead.
    pub fn router(&self) -> Router {
        crate::http::router(self.clone())
    }

    /// The issuer, and the base of all URLs.
    pub fn issuer(&self) -> &str {
        &self.inner.config.public_url
    }

    /// Plays a fault from now on, behind those already ordered.
    pub fn order(&self, order: Order) -> Result<(), UnknownFault> {
        self.lock().orders.add(order)
    }

    /// Back to honesty: drops all orders, the log and the counts. Grants stay.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.orders = Orders::default();
        state.log.clear();
    }

    /// Forgets a client and all that was granted to it, as a server does that was set up anew.
    pub fn forget(&self, client_id: &str) {
        self.lock().model.forget(client_id);
    }

    /// An administrator of an Entra tenant consents to an application, with no browser of ours there.
    pub fn install_in(&self, client_id: &str, tenant: &str) {
        self.lock().model.entra_install(client_id, tenant);
    }

    /// An administrator of an Entra tenant throws an application out.
    pub fn throw_out(&self, client_id: &str, tenant: &str) {
        self.lock().model.entra_remove(client_id, tenant);
    }

    /// An owner of an account at GitHub suspends an installation there, or lets it go on.
    pub fn suspend(&self, installation: u64, suspended: bool) {
        self.lock().model.github_suspend(installation, suspended);
    }

    /// An owner of an account at GitHub removes an installation there. The next one is the account's anew, with its number
    /// where it was the last.
    pub fn uninstall(&self, installation: u64) {
        self.lock().model.github_remove(installation);
    }

    /// What a client that registered itself says of itself; `None` for one that is not known.
    pub fn registered(&self, client_id: &str) -> Option<serde_json::Value> {
        let state = self.lock();
        let registration = state.model.registration(client_id)?;
        Some(registration.metadata.clone().into())
    }

    /// What was asked and answered since the last reset (the latest million requests).
    pub fn log(&self) -> Vec<Entry> {
        self.lock().log.entries()
    }

    /// Counts since the last reset.
    pub fn stats(&self) -> Stats {
        let state = self.lock();
        Stats {
            families: state.model.families() as u64,
            families_killed_by_reuse: state.model.killed_by_reuse,
            ..state.log.stats.clone()
        }
    }

    /// Where a refresh token stands; `None` for one that was never issued here.
    pub fn place(&self, refresh_token: &str) -> Option<Place> {
        self.lock().model.place(refresh_token)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> Arc<SigningKey> {
        let mut keys = self.keys();
        if keys.is_empty() {
            keys.push(Arc::new(SigningKey::generate()));
        }
        Arc::clone(&keys[keys.len() - 1])
    }

    /// The key set that is published.
    pub(crate) fn jwks(&self) -> serde_json::Value {
        self.key();
        let keys: Vec<_> = self.keys().iter().map(|key| key.jwk()).collect();
        serde_json::json!({ "keys": keys })
    }

    /// Signs with a new key from now on; the keys before it stay published unless `forget`.
    pub fn rotate_key(&self, forget: bool) {
        let mut keys = self.keys();
        if forget {
            keys.clear();
        }
        keys.push(Arc::new(SigningKey::generate()));
    }

    fn keys(&self) -> MutexGuard<'_, Vec<Arc<SigningKey>>> {
        self.inner
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.config.clock.now()
    }

    pub(crate) fn mint(&self) -> Mint<'_> {
        Mint {
            entropy: &*self.inner.config.entropy,
            now: self.now(),
            access_ttl: self.inner.config.access_ttl,
            grace: self.inner.config.grace,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state usable: each change to it is a single step.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request: chooses the faults that strike it, lets `work` do the honest part (unless a
    /// fault comes instead), writes the log and plays the answer.
    ///
    /// A fault that spoils good answers leaves a refusal by the rules alone; one that loses answers
    /// loses refusals too.
    pub(crate) async fn perform(
        &self,
        visit: Visit<'_>,
        work: impl FnOnce(&mut Model, &Mint<'_>, Effect) -> Answer,
    ) -> Response {
        let (answer, settles) = self.process(&visit, work);
        let sandbox = self.clone();
        let sent = move || {
            if let Some(seq) = settles {
                let now = sandbox.now();
                sandbox.lock().log.answered(seq, now);
            }
        };
        answer.play(self.config().clock.clone(), sent).await
    }

    /// The answer, and the log position to mark once it is out, if it settles the matter.
    fn process(
        &self,
        visit: &Visit<'_>,
        work: impl FnOnce(&mut Model, &Mint<'_>, Effect) -> Answer,
    ) -> (Answer, Option<u64>) {
        let mut state = self.lock();
        let strikes = state.orders.strike(&visit.target());
        let refresh = visit
            .refresh_token
            .and_then(|token| state.model.place(token));
        let effect = strikes.iter().map(Strike::effect).max();
        let effect = effect.unwrap_or(Effect::Rotate);
        let mut mint = self.mint();
        if effect == Effect::RotateWithGrace {
            mint.grace = strikes
                .iter()
                .find_map(|strike| strike.order.seconds)
                .map_or(GRACE, Duration::from_secs);
        }
        let (mut answer, outcome) = if effect == Effect::Skip {
            (Answer::empty(), Outcome::Skipped)
        } else {
            let answer = work(&mut state.model, &mint, effect);
            let refused = answer.status.is_client_error();
            let outcome = if refused {
                Outcome::Refused
            } else {
                Outcome::Done
            };
            (answer, outcome)
        };
        let usable = strikes.iter().all(|strike| strike.fault.usable);
        for strike in &strikes {
            let spares_refusals = strike.fault.usable;
            if let Play::Answer(shape) = strike.fault.play
                && !(outcome == Outcome::Refused && spares_refusals)
            {
                let scene = Scene {
                    echo: visit.echo,
                    value: strike.order.value.as_deref(),
                    seconds: strike.order.seconds,
                    now: mint.now,
                    public_url: self.issuer(),
                    key: &|| self.key(),
                };
                if strike.fault.effect == Effect::Skip {
                    // Even when its order had the request processed, it answers in its own words.
                    answer = Answer::empty();
                }
                shape(&mut answer, &scene);
            }
        }
        let error = answer.text("error").map(str::to_owned);
        let settles = match error.as_deref() {
            Some(code) => code == "invalid_grant",
            None => usable && outcome == Outcome::Done,
        };
        let status = answer.status.as_u16();
        let entry = entry(visit, mint.now, &strikes, outcome, status, error);
        let seq = state.log.push(Entry { refresh, ..entry });
        (answer, settles.then_some(seq))
    }

    /// Plays on an authorization response the faults that strike it, and writes the log.
    pub(crate) fn spoil(&self, visit: &Visit<'_>, callback: &mut Callback) {
        let now = self.now();
        let mut state = self.lock();
        let strikes = state.orders.strike(&visit.target());
        for strike in &strikes {
            if let Play::Callback(shape) = strike.fault.play {
                shape(callback, strike.order.value.as_deref().unwrap_or_default());
            }
        }
        let error = callback.get("error").map(str::to_owned);
        let outcome = match &error {
            None => Outcome::Done,
            Some(_) => Outcome::Refused,
        };
        let entry = entry(visit, now, &strikes, outcome, 303, error);
        let seq = state.log.push(entry);
        state.log.answered(seq, now);
    }
}

impl Visit<'_> {
    fn target(&self) -> Target<'_> {
        Target {
            endpoint: self.endpoint,
            client_id: self.client_id,
            grant_type: self.grant_type,
            query: self.query,
        }
    }
}

fn entry(
    visit: &Visit<'_>,
    at: Timestamp,
    strikes: &[Strike],
    outcome: Outcome,
    status: u16,
    error: Option<String>,
) -> Entry {
    Entry {
        seq: 0, // the log numbers its entries
        at,
        endpoint: visit.endpoint,
        client_id: visit.client_id.map(str::to_owned),
        grant_type: visit.grant_type.map(str::to_owned),
        refresh: None,
        faults: strikes.iter().map(|s| s.fault.name.to_owned()).collect(),
        outcome,
        status,
        error,
        answered_at: None,
    }
}

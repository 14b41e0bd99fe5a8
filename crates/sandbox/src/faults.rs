//! What can go wrong, as a table, and who is struck by it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Answer;
use crate::crypto::SigningKey;

mod callback;
mod shapes;
mod table;

pub(crate) use callback::{Callback, Mode};
pub(crate) use shapes::form;
pub use table::FAULTS;

/// Endpoints that faults can strike and that the log tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /token`
    Token,
    /// `/authorize`
    Authorize,
    /// `/.well-known/*`, `/meta/*`
    Metadata,
    /// `GET /jwks`
    Jwks,
    /// `POST /register`
    Register,
    /// `/register/{client}`
    Manage,
    /// `POST /revoke`
    Revoke,
    /// `POST /introspect`
    Introspect,
    /// `/userinfo`, `/api/me`
    Resource,
}

impl Endpoint {
    /// The path, for people.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Token => "/token",
            Self::Authorize => "/authorize",
            Self::Metadata => "/.well-known",
            Self::Jwks => "/jwks",
            Self::Register => "/register",
            Self::Manage => "/register/{client}",
            Self::Revoke => "/revoke",
            Self::Introspect => "/introspect",
            Self::Resource => "/api/me",
        }
    }
}

/// A row of [`FAULTS`].
pub struct Fault {
    /// Unique among the faults of an endpoint.
    pub name: &'static str,
    /// Where it can be played; the first is meant when an [`Order`] names none.
    pub endpoints: &'static [Endpoint],
    /// The numbered requirements it serves.
    pub requirements: &'static [u8],
    /// What happens, in one line.
    pub what: &'static str,
    pub(crate) effect: Effect,
    /// Whether a client may settle on the answer that is left.
    pub(crate) usable: bool,
    /// Strikes every n-th request that it could strike, beginning with the first.
    pub(crate) every: u64,
    pub(crate) play: Play,
}

/// What happens to the grant behind a request that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// Processed as always: codes are redeemed, refresh tokens rotate.
    Rotate,
    /// As `Rotate`, and the presented refresh token keeps answering for a while.
    RotateWithGrace,
    /// Processed, but the refresh token is not rotated.
    Keep,
    /// Not looked at.
    Skip,
}

/// How a fault changes what is sent.
#[derive(Clone, Copy)]
pub(crate) enum Play {
    /// Changes an answer.
    Answer(fn(&mut Answer, &Scene<'_>)),
    /// Changes an authorization response.
    Callback(fn(&mut Callback, &str)),
}

/// What a fault may look at.
pub(crate) struct Scene<'a> {
    /// The request in its own words, credentials decoded: what a careless server echoes.
    pub echo: &'a str,
    /// [`Order::value`].
    pub value: Option<&'a str>,
    /// [`Order::seconds`].
    pub seconds: Option<u64>,
    pub now: Timestamp,
    pub public_url: &'a str,
    pub key: &'a dyn Fn() -> Arc<SigningKey>,
}

impl Scene<'_> {
    pub(crate) fn value_or(&self, default: &str) -> String {
        self.value.unwrap_or(default).to_owned()
    }

    pub(crate) fn seconds_or(&self, default: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default))
    }
}

/// An order to play a fault; the body of `POST /_control`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// [`Fault::name`].
    pub fault: String,
    /// Where; by default the first endpoint of the fault's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Only requests of this client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Only token requests of this grant type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// Strikes left; absent for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Replaces the text a fault plays with: a `Retry-After`, a `Location`, an issuer, an error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Replaces the time a fault plays with: the delay of `late`, the period of `grace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Overrides whether the request is processed before the fault's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<bool>,
}

impl Order {
    /// Plays `fault` at its first endpoint, until reset.
    pub fn new(fault: impl Into<String>) -> Self {
        Self {
            fault: fault.into(),
            ..Self::default()
        }
    }

    /// Plays `fault` once.
    pub fn once(fault: impl Into<String>) -> Self {
        Self {
            times: Some(1),
            ..Self::new(fault)
        }
    }
}

/// No fault of that name at that endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl std::fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such fault at this endpoint; GET /_control lists them")
    }
}

impl std::error::Error for UnknownFault {}

/// A fault on its way to strike.
pub(crate) struct Strike {
    pub fault: &'static Fault,
    pub order: Order,
}

impl Strike {
    pub(crate) fn effect(&self) -> Effect {
        match self.order.rotate {
            Some(true) if self.fault.effect != Effect::RotateWithGrace => Effect::Rotate,
            Some(false) => Effect::Skip,
            Some(true) | None => self.fault.effect,
        }
    }
}

/// The request that a fault may strike.
pub(crate) struct Target<'a> {
    pub endpoint: Endpoint,
    pub client_id: Option<&'a str>,
    pub grant_type: Option<&'a str>,
    /// Decoded query parameters.
    pub query: &'a [(String, String)],
}

/// The orders in force.
#[derive(Default)]
pub(crate) struct Orders {
    armed: Vec<Order>,
    /// Requests that each fault could have struck, for [`Fault::every`].
    turns: HashMap<&'static str, u64>,
}

impl Orders {
    /// Adds an order behind the others.
    pub(crate) fn add(&mut self, order: Order) -> Result<(), UnknownFault> {
        let fault = match order.endpoint {
            Some(endpoint) => find(endpoint, &order.fault),
            None => FAULTS.iter().find(|fault| fault.name == order.fault),
        };
        let endpoint = fault
            .and_then(|fault| order.endpoint.or(fault.endpoints.first().copied()))
            .ok_or(UnknownFault)?;
        self.armed.push(Order {
            endpoint: Some(endpoint),
            ..order
        });
        Ok(())
    }

    /// The orders still in force, first to strike first.
    pub(crate) fn armed(&self) -> &[Order] {
        &self.armed
    }

    /// The faults that strike `target`: all those its query names, or else the first order that fits.
    pub(crate) fn strike(&mut self, target: &Target<'_>) -> Vec<Strike> {
        let mut strikes = named(target);
        if strikes.is_empty() {
            let fits = |order: &Order| {
                let narrowed = |wanted: &Option<String>, is: Option<&str>| {
                    wanted.is_none() || wanted.as_deref() == is
                };
                order.endpoint == Some(target.endpoint)
                    && order.times != Some(0)
                    && narrowed(&order.client_id, target.client_id)
                    && narrowed(&order.grant_type, target.grant_type)
            };
            if let Some(order) = self.armed.iter_mut().find(|order| fits(order)) {
                order.times = order.times.map(|times| times - 1);
                let fault = find(target.endpoint, &order.fault);
                strikes.extend(fault.map(|fault| Strike {
                    fault,
                    order: order.clone(),
                }));
            }
            self.armed.retain(|order| order.times != Some(0));
        }
        strikes.retain(|strike| {
            let turn = self.turns.entry(strike.fault.name).or_default();
            *turn += 1;
            (*turn - 1).is_multiple_of(strike.fault.every)
        });
        strikes
    }
}

/// The row of `name` at `endpoint`.
pub(crate) fn find(endpoint: Endpoint, name: &str) -> Option<&'static Fault> {
    FAULTS
        .iter()
        .find(|fault| fault.name == name && fault.endpoints.contains(&endpoint))
}

/// Faults that the query names, in the table's order: `?fault=lost` (at `/revoke` also `?m=`, at
/// `/register` also `?mode=`), or the name itself with an optional value: `?err=access_denied&xss=1`.
fn named(target: &Target<'_>) -> Vec<Strike> {
    let seconds = target
        .query
        .iter()
        .find(|(key, _)| key == "seconds")
        .and_then(|(_, value)| value.parse().ok());
    let mut strikes: Vec<_> = target
        .query
        .iter()
        .filter_map(|(key, value)| {
            let (name, value) = match key.as_str() {
                "fault" | "m" | "mode" => (value, None),
                _ => (key, Some(value).filter(|value| *value != "1")),
            };
            let order = Order {
                value: value.cloned(),
                seconds,
                ..Order::new(name)
            };
            find(target.endpoint, name).map(|fault| Strike { fault, order })
        })
        .collect();
    let position = |strike: &Strike| FAULTS.iter().position(|f| std::ptr::eq(f, strike.fault));
    strikes.sort_by_key(position);
    strikes
}

/// The table as `GET /_control` shows it.
pub(crate) fn listing() -> Value {
    FAULTS
        .iter()
        .map(|fault| {
            serde_json::json!({
                "fault": fault.name, "endpoints": fault.endpoints,
                "requirements": fault.requirements, "what": fault.what,
            })
        })
        .collect()
}

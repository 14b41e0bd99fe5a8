//! The flight that presents a refresh token (design §6 b–d).

use std::sync::Arc;
use std::time::Duration;

use grantry_core::error::ReconnectReason;
use grantry_core::meter::Seen;
use grantry_core::nouns::{ConnectionState, Connector, EventKind, Fault, TokenSet};
use grantry_core::store::{Begin, Live, Rejection, Retry};
use grantry_core::{Error, Result, Secret, Timestamp, entropy};
use grantry_oauth::text::Redaction;
use grantry_oauth::token::{self, Exchange, Outcome};

use super::decide::lives;
use super::flights::{Flight, Landed};
use super::lives::main_set;
use super::pair::{Arrived, Half, is_over};
use super::read::{outcome, reconnect};
use crate::Engine;
use crate::connectors::OauthClient;

/// How often a flight looks whether another node's flight has landed.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Presentations of one token in its first seconds, the first one included (design §6d).
const PRESENTATIONS_AT_ONCE: u32 = 3;

/// How often in a row a server says `invalid_client` of a client that it registered before that is taken for lost.
const REFUSALS_OF_A_LOST_CLIENT: u32 = 3;

/// What one presentation needs, opened once per flight.
struct Cargo {
    connector: Connector,
    oauth: OauthClient,
    refresh_token: Secret,
}

/// What a flight does after a presentation.
enum Next {
    Land(Landed),
    PresentAgain,
    WaitForOther,
}

impl Engine {
    /// Joins or starts the flight that renews the main set of `live`.
    pub(crate) fn refresh(self: &Arc<Self>, live: Arc<Live>) -> Flight {
        let name = main_set(&live)
            .map_or_else(|_| live.connection.id.to_string(), |set| set.id.to_string());
        self.fly(name, |engine| async move {
            let connection = live.connection.clone();
            let landed = Arc::clone(&engine).flight(live).await;
            let outcome = landed.as_ref().map_or_else(outcome, |_| "renewed");
            // From memory, where the flight has just left it: nobody waits for a database to be counted.
            let connector = engine.caches.connectors.get(&connection.grant.connector);
            let service = connector
                .as_ref()
                .map_or("", |entry| &entry.connector.service);
            engine.ports.meter.note(Seen::Refresh { service, outcome });
            landed
        })
    }

    async fn flight(self: Arc<Self>, live: Arc<Live>) -> Landed {
        let set = main_set(&live)?;
        if let Some(spooled) = self.flights.spooled(&set.id) {
            // Its successor arrived already: bring that home instead of presenting this one again.
            return self.bring_home(&live.connection, spooled).await?.landed();
        }
        let cargo = self.load_cargo(&live, set).await?;
        let started = self.ports.clock.boot();
        let mut presented = false;
        loop {
            // What was presented is seen through; nothing new is begun.
            if !presented && self.stop.is_cancelled() {
                return Err(Error::Unavailable);
            }
            let before_attempt = self.ports.clock.boot();
            let lease = self.settings.refresh.lease;
            let begun = self
                .ports
                .store
                .begin_attempt(&set.team, &set.id, &self.settings.node, lease)
                .await?;
            let next = match begun {
                Begin::Moved => return self.current(&live).await,
                Begin::Held => Next::WaitForOther,
                Begin::Go {
                    number,
                    first_sent_at,
                } => {
                    let asked = self
                        .asked_patience(&live, set, &cargo, number, first_sent_at)
                        .await;
                    let spent = self.ports.clock.boot().saturating_sub(before_attempt);
                    let not_sent = match asked {
                        Err(error) => Some((self.now(), error)),
                        Ok(Some(until)) => {
                            let wait = until.since(self.now());
                            Some((until, unanswered("backing_off", false, wait)))
                        }
                        // It took so long that the lease could end before the answer (design §6c).
                        Ok(None)
                            if spent > lease.saturating_sub(self.settings.refresh.deadline) =>
                        {
                            Some((self.now(), Error::Unavailable))
                        }
                        Ok(None) => None,
                    };
                    if let Some((not_before, error)) = not_sent {
                        let retry = Retry {
                            not_processed: true,
                            release: true,
                            not_before,
                        };
                        self.ports
                            .store
                            .end_attempt(&set.team, &set.id, &self.settings.node, number, &retry)
                            .await?;
                        return Err(error);
                    }
                    presented = true;
                    self.present(&live, set, &cargo, number, first_sent_at)
                        .await?
                }
            };
            match next {
                Next::Land(landed) => return landed,
                Next::PresentAgain => {}
                Next::WaitForOther => {
                    if self.ports.clock.boot().saturating_sub(started) > self.settings.refresh.wait
                    {
                        return Err(unanswered("timeout", true, Duration::from_secs(1)));
                    }
                    self.ports.clock.sleep(LOOK_AGAIN).await;
                }
            }
        }
    }

    /// Until when attempt `number` has to wait: because a flight that ended since `live` was read asked
    /// everybody to, or because one never ended, for its process died. Read with the lease in hand, so
    /// that none can end unseen.
    async fn asked_patience(
        &self,
        live: &Live,
        set: &TokenSet,
        cargo: &Cargo,
        number: u32,
        first_sent_at: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let connection = &live.connection;
        let store = &self.ports.store;
        let stored = store.connection(&connection.team, &connection.id).await?;
        let sets = stored.map(|stored| stored.sets).unwrap_or_default();
        let same = sets.into_iter().find(|stored| stored.id == set.id);
        let asked = same.map_or(Timestamp(0), |same| same.not_before);
        let now = self.now();
        if now < asked {
            return Ok(Some(asked));
        }
        // Nothing but the first presentation is uncertain, and nobody waits for a token that lives.
        if number == 1 || !lives(set, now) {
            return Ok(None);
        }
        if cargo.oauth.quirks.kills_on_reuse && set.access_expires_at.is_some() {
            return Ok(set.access_expires_at);
        }
        let settings = &self.settings.refresh;
        // No flight has ended since the first presentation (design §6f).
        let abandoned = asked <= first_sent_at && now.since(first_sent_at) >= settings.retry_window;
        let wait = self.patience(set, self.jittered(set.failures, settings.backoff.0));
        Ok(abandoned.then(|| now.after(wait)))
    }

    async fn load_cargo(self: &Arc<Self>, live: &Live, set: &TokenSet) -> Result<Cargo> {
        let connector = self
            .entry(&set.team, live.connection.grant.connector.as_str())
            .await?;
        let connector = connector.connector.clone();
        if connector.deleted_at.is_some() {
            return Err(Error::Gone("connector"));
        }
        if self.breaker_is_open(&connector) {
            return Err(Error::ConnectorFault);
        }
        let sealed = set.refresh.as_ref().ok_or(Error::Internal)?;
        let refresh_token = self
            .open_token(&set.team, &set.id, Half::Refresh, sealed)
            .await?;
        let connector = self.enrolled(&connector).await?.into_owned();
        let oauth = self.oauth_client(&connector).await?;
        let oauth = oauth.for_subject(&connector, &live.connection.grant.subject);
        let never = match oauth.is_for(set.servers.as_deref()) {
            false => Some("server_changed"),
            true => is_over(set, self.now()).then_some("refresh_token_expired"),
        };
        if let Some(never) = never {
            return match self.rejected(live, set, 0, never).await? {
                Next::Land(Err(error)) => Err(error),
                // Another flight is in the air, or has brought a newer set.
                _ => Err(unanswered("backing_off", false, Duration::from_secs(1))),
            };
        }
        Ok(Cargo {
            connector,
            oauth,
            refresh_token,
        })
    }

    /// One presentation, and what its outcome means.
    async fn present(
        self: &Arc<Self>,
        live: &Live,
        set: &TokenSet,
        cargo: &Cargo,
        number: u32,
        first_sent_at: Timestamp,
    ) -> Result<Next> {
        let Cargo {
            connector,
            oauth,
            refresh_token,
        } = cargo;
        let client = oauth.presented(self.entropy(), self.now());
        let resources = oauth.resources(&live.connection.grant.resources);
        let request = match client.and_then(|client| Ok((client, resources?))) {
            Ok((client, resources)) => {
                let exchange = Exchange {
                    server: &oauth.server,
                    client: &client,
                    quirks: &oauth.quirks,
                    resources: &resources,
                    details: &live.connection.grant.details,
                };
                exchange
                    .refresh(refresh_token)
                    .map_err(|why| why.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let request = match request {
            Ok(request) => request,
            Err(misconfigured) => {
                let retry = Retry {
                    not_processed: true,
                    release: true,
                    not_before: self.now(),
                };
                self.ports
                    .store
                    .end_attempt(&set.team, &set.id, &self.settings.node, number, &retry)
                    .await?;
                let reason = format!("no refresh request can be built: {misconfigured}");
                return Ok(Next::Land(Err(Error::Unresolvable { reason })));
            }
        };
        let redaction = Redaction::of(&request);
        let result = self.ports.http.send(request).await;
        let error = match token::parse(result, &oauth.quirks, &redaction, self.now()) {
            Ok(tokens) => {
                let kept = Some(refresh_token.clone());
                let pair = Arrived(tokens).pair(connector, oauth, kept, self.now());
                let landed = self
                    .land(
                        connector,
                        &live.connection,
                        set,
                        pair,
                        EventKind::TokenRefreshed,
                    )
                    .await;
                self.was_taken(connector).await;
                return Ok(Next::Land(landed));
            }
            Err(error) => error,
        };
        tracing::info!(
            connection = %live.connection.id, connector = %connector.id, attempt = number,
            outcome = ?error.outcome, code = error.code(), detail = %error.detail, "a refresh brought no token"
        );
        let end = |retry: Retry| async move {
            self.ports
                .store
                .end_attempt(&set.team, &set.id, &self.settings.node, number, &retry)
                .await
        };
        let now = self.now();
        match error.outcome {
            Outcome::NotProcessed { retry_after } => {
                let wait = self.patience(
                    set,
                    retry_after
                        .unwrap_or_else(|| self.jittered(set.failures, Duration::from_secs(1))),
                );
                end(Retry {
                    not_processed: true,
                    release: true,
                    not_before: now.after(wait),
                })
                .await?;
                Ok(Next::Land(Err(unanswered(
                    error.fixed_code(),
                    error.timeout,
                    wait,
                ))))
            }
            Outcome::Unknown => {
                let spares_old_token = oauth.quirks.kills_on_reuse && lives(set, now);
                let young = now.since(first_sent_at) < self.settings.refresh.retry_window;
                if number < PRESENTATIONS_AT_ONCE && young && !spares_old_token {
                    end(Retry {
                        not_processed: false,
                        release: false,
                        not_before: now,
                    })
                    .await?;
                    return Ok(Next::PresentAgain);
                }
                let wait = self.patience(
                    set,
                    self.jittered(set.failures, self.settings.refresh.backoff.0),
                );
                let backoff_ends = now.after(wait);
                let not_before = match set.access_expires_at {
                    Some(expires) if spares_old_token => backoff_ends.max(expires),
                    _ => backoff_ends,
                };
                end(Retry {
                    not_processed: false,
                    release: true,
                    not_before,
                })
                .await?;
                Ok(Next::Land(Err(unanswered(
                    error.fixed_code(),
                    error.timeout,
                    wait,
                ))))
            }
            Outcome::Rejected => self.rejected(live, set, number, error.code()).await,
            Outcome::ClientFault => {
                let fault = self.next_fault(connector, error.code());
                end(Retry {
                    not_processed: true,
                    release: true,
                    not_before: fault.not_before,
                })
                .await?;
                self.note_fault(connector, &fault).await?;
                Ok(Next::Land(Err(Error::ConnectorFault)))
            }
            Outcome::Config => {
                let wait = self.patience(
                    set,
                    self.jittered(set.failures, self.settings.refresh.backoff.0),
                );
                end(Retry {
                    not_processed: true,
                    release: true,
                    not_before: now.after(wait),
                })
                .await?;
                let refused = error.fixed_code() == "destination_refused";
                let error = if refused {
                    Error::DestinationRefused
                } else {
                    unanswered(error.fixed_code(), false, wait)
                };
                Ok(Next::Land(Err(error)))
            }
        }
    }

    /// The provider says that the grant is dead. Whether it is depends on who else presented it.
    async fn rejected(
        self: &Arc<Self>,
        live: &Live,
        set: &TokenSet,
        number: u32,
        code: &str,
    ) -> Result<Next> {
        let event = self
            .system_draft(EventKind::ConnectionNeedsReauth, &set.team)
            .connector(&live.connection.grant.connector)
            .connection(&live.connection.id)
            .with("code", code)
            .done();
        let verdict = self
            .ports
            .store
            .reject(&set.team, &set.id, &self.settings.node, number, &event)
            .await?;
        Ok(match verdict {
            Rejection::Marked { lost_response } => {
                self.caches.lives.invalidate(&live.connection.id);
                let reason = if lost_response {
                    ReconnectReason::LostResponse
                } else {
                    ReconnectReason::Rejected
                };
                Next::Land(Err(reconnect(reason)))
            }
            Rejection::Moved => Next::Land(self.current(live).await),
            Rejection::Held => {
                // A refused presentation has no outcome to come: it must not make the other's loss look lost.
                let retry = Retry {
                    not_processed: true,
                    release: false,
                    not_before: self.now(),
                };
                self.ports
                    .store
                    .end_attempt(&set.team, &set.id, &self.settings.node, number, &retry)
                    .await?;
                Next::WaitForOther
            }
        })
    }

    /// The connection as it is now that its set has moved.
    async fn current(&self, live: &Live) -> Landed {
        let connection = &live.connection;
        self.caches.lives.invalidate(&connection.id);
        let now = self
            .ports
            .store
            .connection(&connection.team, &connection.id)
            .await?;
        let now = now.ok_or_else(|| reconnect(ReconnectReason::Revoked))?;
        match now.connection.state {
            ConnectionState::Active => {
                main_set(&now)?;
                Ok(Arc::new(now))
            }
            ConnectionState::NeedsReauth(reason) => Err(reconnect(reason)),
            ConnectionState::Revoked => Err(reconnect(ReconnectReason::Revoked)),
        }
    }

    /// Notes that the provider refuses the client itself: an alarm, and a breaker that opens for
    /// longer the more often it does (requirement 43). Tokens are kept.
    pub(crate) async fn fault(&self, connector: &Connector, code: &str) -> Result<()> {
        let fault = self.next_fault(connector, code);
        self.note_fault(connector, &fault).await
    }

    fn next_fault(&self, connector: &Connector, code: &str) -> Fault {
        let now = self.now();
        let count = match &connector.fault {
            // What was asked before the pause was known, or without regard to it, says nothing more than the first.
            Some(fault) if fault.code == code => fault.count + u32::from(fault.not_before <= now),
            _ => 1,
        };
        let wait = self.jittered(count - 1, self.settings.refresh.backoff.0);
        Fault {
            code: code.to_owned(),
            count,
            at: now,
            not_before: now.after(wait),
        }
    }

    async fn note_fault(&self, connector: &Connector, fault: &Fault) -> Result<()> {
        let Fault { code, count, .. } = fault;
        let event = self
            .system_draft(EventKind::ConnectorFaulted, &connector.team)
            .connector(&connector.id)
            .with("code", code.as_str())
            .with("count", *count)
            .done();
        tracing::warn!(connector = %connector.id, code, count, "the provider refuses this connector's client");
        self.ports
            .store
            .set_fault(&connector.team, &connector.id, Some(fault), Some(&event))
            .await?;
        self.caches.connectors.invalidate(&connector.id);
        // One refusal may be a mistake; what a server refuses again and again it has forgotten (requirement 26).
        if code == "invalid_client" && *count >= REFUSALS_OF_A_LOST_CLIENT {
            self.lose_client(connector).await?;
        }
        Ok(())
    }

    /// Whether the provider refused the client so lately that it is not asked.
    pub(super) fn breaker_is_open(&self, connector: &Connector) -> bool {
        let fault = connector.fault.as_ref();
        fault.is_some_and(|fault| self.now() < fault.not_before)
    }

    /// While the stored token is valid, flights are at least `spacing` apart.
    pub(super) fn patience(&self, set: &TokenSet, wait: Duration) -> Duration {
        if lives(set, self.now()) {
            wait.max(self.settings.refresh.spacing)
        } else {
            wait
        }
    }

    /// Exponential back-off from `first`, doubled per failure, with full jitter on its upper half.
    pub(super) fn jittered(&self, failures: u32, first: Duration) -> Duration {
        let longest = self.settings.refresh.backoff.1;
        let full = first.saturating_mul(1 << failures.min(16)).min(longest);
        let draw = u16::from_le_bytes(entropy::bytes(self.entropy()));
        let half = full / 2;
        half + half.mul_f64(f64::from(draw) / f64::from(u16::MAX))
    }
}

/// No usable answer came; another try makes sense after `wait`.
pub fn unanswered(code: &'static str, timeout: bool, wait: Duration) -> Error {
    Error::Provider {
        code,
        timeout,
        retry_after: Some(wait),
    }
}

//! What is asked for by who uses a connector, and how what its server answers comes into the row.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::limits::REGISTRATIONS_APART_TIME;
use grantry_core::nouns::{Connector, EventKind, RegisteredClient, Registration};
use grantry_core::{Error, Result, Secret, StoreError, Timestamp};
use grantry_oauth::register::RegistrationError;
use grantry_vault::hash::constant_time_eq;

use super::client::{another_from, doubled};
use super::describe::{moved, news, registered};
use super::keys::keys_of;
use super::{ACCESS_TOKEN, CLIENT_SECRET, Enrolment, Unenrolled, Want, server_url};
use crate::Engine;
use crate::tokens::{PAUSE, TRIES, unanswered};

/// How far apart asking is that brings nothing, at first; no more than [`REGISTRATIONS_APART_TIME`].
const FAILED_APART: Duration = Duration::from_secs(60);

/// Pause between tries while the store takes nothing.
const ROUND: Duration = Duration::from_secs(1);

/// Tries at a store that takes nothing, before what a server answered is given up.
const ROUNDS: u32 = 600;

/// Notes that the server is about to be asked: should nothing come of it, this is for how long nobody asks again.
pub(super) fn note_asking(registration: &mut Registration, now: Timestamp) {
    let wait = doubled(FAILED_APART, registration.failed).min(REGISTRATIONS_APART_TIME);
    registration.not_before = now.after(wait);
    registration.failed = registration.failed.saturating_add(1);
}

impl Engine {
    /// Notes that the server refuses the registered client again and again: it is asked about it, or another one is
    /// registered, when a client is needed and its time has come.
    pub(crate) async fn lose_client(&self, connector: &Connector) -> Result<()> {
        let Some(refused) = registered(connector) else {
            return Ok(());
        };
        let lost = |client: &mut RegisteredClient| {
            let is_it = client.id == refused.id && !client.lost;
            client.lost |= is_it;
            is_it
        };
        self.change_client(connector, lost).await
    }

    /// Gives up telling the server of the client what it does not take.
    async fn stop_telling(&self, connector: &Connector) -> Result<()> {
        let Some(client) = registered(connector) else {
            return Ok(());
        };
        let stop = |stored: &mut RegisteredClient| {
            let is_it = stored == client;
            if is_it {
                (stored.untold, stored.renew_at) = (false, None);
            }
            is_it
        };
        self.change_client(connector, stop).await
    }

    /// Changes what the row says of the client; `change` returns whether there is something to change.
    async fn change_client(
        &self,
        connector: &Connector,
        change: impl Fn(&mut RegisteredClient) -> bool,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let mut row = self.stored_row(connector).await?;
            let read = row.updated_at;
            let registration = row.registration.as_mut();
            let client = registration.and_then(|registration| registration.client.as_mut());
            if !client.is_some_and(&change) {
                return Ok(());
            }
            row.updated_at = self.now().max(Timestamp(read.0 + 1));
            let set = self.ports.store.set_registration(&row, read, None).await;
            self.forget_connector(&row.id);
            match set {
                Err(StoreError::Missing(_)) => self.ports.clock.sleep(PAUSE).await,
                set => return Ok(set?),
            }
        }
        Ok(())
    }

    /// Enrols a connector that is about to be used. A client that can be used is, whatever becomes of what its server is
    /// told.
    pub(super) async fn enrol_once(self: Arc<Self>, connector: Connector) -> Result<Connector> {
        let _turn = self.turn(&connector.id).await?;
        for _ in 0..TRIES {
            let row = self.stored_row(&connector).await?;
            if !self.lacks_enrolment(&row).await? {
                return Ok(row);
            }
            let waits = self.waits(&row);
            let mut asked = row.clone();
            let registration = asked.registration.get_or_insert_default();
            let now = self.now();
            if server_url(&row).is_some() {
                let mut from = registration.not_before;
                if let Some(client) = registered(&row).filter(|client| client.management.is_none())
                    && self.want(&row) == Some(Want::Another)
                {
                    from = from.max(another_from(registration, client, now));
                }
                if waits && now < from {
                    return Err(unanswered("registration_failed", false, from.since(now)));
                }
                if waits || self.want(&row).is_some() {
                    note_asking(registration, now);
                }
            }
            asked.updated_at = now.max(Timestamp(row.updated_at.0 + 1));
            let store = &self.ports.store;
            match store.set_registration(&asked, row.updated_at, None).await {
                // Somebody else changed it, perhaps by registering it.
                Err(StoreError::Missing(_)) => self.ports.clock.sleep(PAUSE).await,
                noted => {
                    noted?;
                    self.forget_connector(&asked.id);
                    return Box::pin(self.enrol_noted(asked, waits)).await;
                }
            }
        }
        Err(unanswered("registration_failed", false, PAUSE))
    }

    /// Whether a connector cannot be used before its server has answered.
    fn waits(&self, row: &Connector) -> bool {
        let bound = row.registration.as_ref();
        let bound = bound.is_some_and(|registration| registration.issuer.is_some());
        let typed = row.data.contains_key("clientId");
        let no_client = !typed && matches!(self.want(row), Some(Want::First | Want::Another));
        let no_key = self.lacks_key(row) && keys_of(row).is_empty();
        no_key || (server_url(row).is_some() && (!bound || no_client))
    }

    async fn enrol_noted(self: &Arc<Self>, asked: Connector, waits: bool) -> Result<Connector> {
        let enrolment = match self.enrol(&asked).await {
            Ok(enrolment) => enrolment,
            Err(why) if !waits => {
                let said = why.is_said();
                let error = why.of_user();
                tracing::warn!(connector = %asked.id, %error, "the server of a registered client could not be told of it");
                if said {
                    self.stop_telling(&asked).await?;
                }
                return Ok(asked);
            }
            Err(why) => {
                let error = why.of_user();
                tracing::warn!(connector = %asked.id, %error, "a connector could not be registered");
                return Err(error);
            }
        };
        let kept = self.keep_enrolment(&asked, enrolment).await?;
        self.end_replaced(&asked, &kept).await;
        let again = kept.registration.as_ref().map(|one| one.not_before);
        match self.waits(&kept) {
            false => Ok(kept),
            true => {
                let wait = again.unwrap_or_default().since(self.now()).max(PAUSE);
                Err(unanswered("registration_failed", false, wait))
            }
        }
    }

    pub(super) async fn stored_row(&self, connector: &Connector) -> Result<Connector> {
        let store = &self.ports.store;
        let row = store
            .connector(&connector.team, connector.id.as_str())
            .await?;
        row.filter(|row| row.deleted_at.is_none())
            .ok_or(Error::Gone("connector"))
    }

    /// Stores an enrolment in the row of `asked`, as whom its server was asked about it, or ends a new client again where
    /// the row has gone another way meanwhile. What a server said of a client that stands is stored in any case: it may
    /// be the only secret, or the only way to manage the registration, that is good from now on. Goes on in the background
    /// while the store takes nothing.
    pub(in crate::connectors) async fn keep_enrolment(
        self: &Arc<Self>,
        asked: &Connector,
        enrolment: Enrolment,
    ) -> Result<Connector> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Box::pin(self.keep_now(asked, &enrolment)).await {
                Err(Error::Unavailable | Error::Full) if tries < TRIES => {
                    self.ports.clock.sleep(PAUSE).await;
                }
                Err(Error::Unavailable | Error::Full) => break,
                done => return done,
            }
        }
        let (engine, asked) = (Arc::clone(self), asked.clone());
        self.tasks.spawn(async move {
            for _ in 0..ROUNDS {
                engine.ports.clock.sleep(ROUND).await;
                let kept = Box::pin(engine.keep_now(&asked, &enrolment)).await;
                if !matches!(kept, Err(Error::Unavailable | Error::Full)) {
                    return;
                }
            }
            tracing::error!(connector = %asked.id, "what a server answered about a registered client could not be stored");
        });
        Err(Error::Unavailable)
    }

    async fn keep_now(&self, asked: &Connector, enrolment: &Enrolment) -> Result<Connector> {
        let Some(client) = enrolment.registration.client.as_ref() else {
            return self.keep_as_asked(asked, enrolment).await;
        };
        loop {
            let row = match self.stored_row(asked).await {
                Ok(row) => row,
                Err(gone @ Error::Gone(_)) => {
                    self.end_client(client, &enrolment.secrets).await;
                    return Err(gone);
                }
                Err(error) => return Err(error),
            };
            let stands = registered(&row).is_some_and(|standing| standing.id == client.id);
            let as_asked = row.registration == asked.registration && !moved(asked, &row);
            let mut said = match (as_asked, stands) {
                (_, true) if self.is_kept(&row, enrolment).await? => return Ok(row),
                (true, _) => enrolment.clone(),
                (false, true) => self.merged(&row, client, enrolment).await?,
                (false, false) => {
                    self.withdraw(enrolment).await;
                    return Ok(row);
                }
            };
            if let Some(client) = &mut said.registration.client {
                client.untold |= news(client, asked, &row).is_some();
            }
            let mut new = row.clone();
            self.enrolled_with(&mut new, &said).await?;
            if self.set_enrolment(&row, &mut new).await? {
                // What the server refused was the client before, or it has taken that back.
                let was = registered(asked);
                let mends = enrolment.fresh || was.is_some_and(|was| was.lost && !client.lost);
                if new.fault.is_some() && mends {
                    self.recovered(&new).await;
                }
                return Ok(new);
            }
            self.ports.clock.sleep(PAUSE).await;
        }
    }

    /// Whether an earlier write of the enrolment went through although it seemed to fail.
    async fn is_kept(&self, row: &Connector, enrolment: &Enrolment) -> Result<bool> {
        if row.registration.as_ref() != Some(&enrolment.registration) {
            return Ok(false);
        }
        let kept = self.registration_secrets(row).await?;
        let said = &enrolment.secrets;
        let same = |(name, secret): (&String, &Secret)| {
            let kept = kept.get(name);
            kept.is_some_and(|kept| {
                constant_time_eq(kept.expose().as_bytes(), secret.expose().as_bytes())
            })
        };
        Ok(kept.len() == said.len() && said.iter().all(same))
    }

    /// What was said of the client of a row that has changed since: the row stands, but for secret and management.
    async fn merged(
        &self,
        row: &Connector,
        client: &RegisteredClient,
        enrolment: &Enrolment,
    ) -> Result<Enrolment> {
        let mut secrets = self.registration_secrets(row).await?;
        for name in [CLIENT_SECRET, ACCESS_TOKEN] {
            secrets.remove(name);
            let said = enrolment.secrets.get(name);
            secrets.extend(said.map(|secret| (name.to_owned(), secret.clone())));
        }
        Ok(Enrolment {
            registration: Registration {
                client: Some(client.clone()),
                failed: enrolment.registration.failed,
                not_before: enrolment.registration.not_before,
                ..row.registration.clone().unwrap_or_default()
            },
            secrets,
            fresh: false,
        })
    }

    /// Stores an enrolment without a client of its own (keys, a bond), unless the row has changed: then the next use
    /// makes it again.
    async fn keep_as_asked(&self, asked: &Connector, enrolment: &Enrolment) -> Result<Connector> {
        let row = self.stored_row(asked).await?;
        if row.registration != asked.registration || moved(asked, &row) {
            return Ok(row);
        }
        let mut new = row.clone();
        self.enrolled_with(&mut new, enrolment).await?;
        match self.set_enrolment(&row, &mut new).await? {
            true => Ok(new),
            false => self.stored_row(asked).await,
        }
    }

    /// Stores the registration of `new` in the row that was read as `row`. Returns false where that has changed.
    async fn set_enrolment(&self, row: &Connector, new: &mut Connector) -> Result<bool> {
        new.updated_at = self.now().max(Timestamp(row.updated_at.0 + 1));
        let registration = new.registration.as_ref();
        let issuer = registration.and_then(|registration| registration.issuer.as_deref());
        let event = self
            .system_draft(EventKind::ConnectorRegistered, &new.team)
            .connector(&new.id)
            .with("issuer", issuer.unwrap_or_default())
            .done();
        let store = &self.ports.store;
        let set = store
            .set_registration(new, row.updated_at, Some(&event))
            .await;
        self.forget_connector(&new.id);
        match set {
            Ok(()) => Ok(true),
            Err(StoreError::Missing(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Unenrolled {
    /// Whether it is what the server says, so that saying it again is no use.
    pub(super) const fn is_said(&self) -> bool {
        matches!(
            self,
            Self::Registration(
                RegistrationError::Refused { .. } | RegistrationError::Unmanaged { sure: true }
            )
        )
    }
}

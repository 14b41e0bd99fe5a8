//! Changing connectors (reference/vercel-connect A8).

use std::collections::HashMap;
use std::sync::Arc;

use grantry_core::ids::TokenSetId;
use grantry_core::limits::AWAITED_REVOCATIONS_MAX;
use grantry_core::nouns::{Connector, ConnectorType, Event, EventKind, Link, TriggerDestination};
use grantry_core::store::RevocationScope;
use grantry_core::{Error, Problem, Result, StoreError, Timestamp};
use serde_json::{Map, Value};

use super::consequences::{Consequences, terms_at};
use super::names::{look_problems, name_complaint, uid_complaint};
use super::provenance::fills_in;
use super::{ConnectorView, data, destinations, enrol, servers_of, types, within};
use crate::catalogue::Catalogue;
use crate::permissions::Act;
use crate::tokens::{BATCH, CLAIM};
use crate::{Caller, Engine};

/// Where Cohere's users register that their provider sends browsers back to (reference/cohere-sequin §1.7).
pub const OAUTH_CALLBACK_OF_COHERE: &str = "/cohere/v1/connectors/oauth/token";

/// How often a change is made again because the row was changed by somebody else meanwhile.
const TRIES: u32 = 3;

/// What of a connector shall change; absent parts stay. Field names in problems are the Vercel dialect's.
#[derive(Clone, Debug, Default)]
pub struct ConnectorChange {
    /// Another uid.
    pub uid: Option<String>,
    /// Another name.
    pub name: Option<String>,
    /// It becomes of this type: all of `data` but its search is new, its secrets are destroyed, its
    /// connections end.
    pub kind: Option<ConnectorType>,
    /// Fields of the type's data; `null` or an empty text takes one away.
    pub data: Option<Map<String, Value>>,
    /// Objects in `data` are changed field by field too, in place of being replaced.
    pub nested: bool,
    /// Where it becomes of another type: as for [`NewConnector`](super::NewConnector).
    pub incomplete: bool,
    /// All annotations.
    pub metadata: Option<Map<String, Value>>,
    /// Take in provider events.
    pub triggers_enabled: Option<bool>,
    /// All events wanted.
    pub events: Option<Vec<String>>,
    /// All places where events go.
    pub trigger_destinations: Option<Vec<TriggerDestination>>,
    /// One of the redirect URIs of [`Engine::redirect_uris`].
    pub redirect_uri: Option<String>,
    /// SHA-1 of an uploaded image, a URL to fetch one from, or none.
    pub icon: Option<Option<String>>,
    /// `#rrggbb`, or none.
    pub background_color: Option<Option<String>>,
    /// `#rrggbb`, or none.
    pub accent_color: Option<Option<String>>,
}

/// A connector that was changed.
pub struct Changed {
    /// As it is now.
    pub view: ConnectorView,
    /// What is left to do.
    pub consequences: Consequences,
}

impl Engine {
    /// [`Engine::change_connector`] for who asks for nothing more.
    pub async fn update_connector(
        self: &Arc<Self>,
        caller: &Caller,
        id_or_uid: &str,
        change: ConnectorChange,
    ) -> Result<ConnectorView> {
        let changed = self.change_connector(caller, id_or_uid, change).await?;
        Ok(changed.view)
    }

    /// Changes a connector. Nothing is stored unless everything is right; a change that makes no
    /// difference is none. Connections keep their tokens; a connector that asks at another server needs its
    /// client secret anew, and connections a new consent once their token has ended.
    ///
    /// # Errors
    /// [`Error::Invalid`] names every wrong field; [`Error::Conflict`] for a uid in use.
    pub async fn change_connector(
        self: &Arc<Self>,
        caller: &Caller,
        id_or_uid: &str,
        change: ConnectorChange,
    ) -> Result<Changed> {
        caller.require(Act::ManageConnectors)?;
        // What a server says of a client must be stored, whatever becomes of the caller.
        let (engine, caller, id) = (Arc::clone(self), caller.clone(), id_or_uid.to_owned());
        self.uncancellable(async move { Box::pin(engine.changed(&caller, &id, change)).await })
            .await
    }

    async fn changed(
        self: &Arc<Self>,
        caller: &Caller,
        id_or_uid: &str,
        change: ConnectorChange,
    ) -> Result<Changed> {
        let entry = self.live_connector(caller, id_or_uid).await?;
        let id = entry.connector.id.clone();
        // Once it is stored nothing may fail any more.
        let catalogue = self.catalogue().await?;
        let mut tries = 0;
        let turn = self.turn(&id).await?;
        let (old, mut new, links, fields) = loop {
            tries += 1;
            let stored = self
                .ports
                .store
                .connector(&caller.team, id.as_str())
                .await?;
            let stored = stored
                .filter(|stored| stored.deleted_at.is_none())
                .ok_or(Error::Gone("connector"))?;
            match Box::pin(self.change(caller, stored, &change, &catalogue)).await {
                Err(Error::NotFound("connector")) if tries < TRIES => continue,
                Err(Error::NotFound("connector")) => {
                    return Err(Error::busy(
                        "the connector is being changed by others: try again",
                    ));
                }
                done => break done?,
            }
        };
        drop(turn);
        let consequences = match fields.is_empty() {
            true => Consequences::default(),
            // It is stored: what cannot be found out now is nobody's failure.
            false => self
                .consequences(caller, &old, &mut new, &fields, &catalogue)
                .await
                .unwrap_or_default(),
        };
        Ok(Changed {
            view: ConnectorView::with(new, links, &catalogue),
            consequences,
        })
    }

    /// The connector and its links before and after, and the fields in which it differs. [`Error::NotFound`] when the
    /// row is not as it was read.
    async fn change(
        self: &Arc<Self>,
        caller: &Caller,
        stored: Connector,
        change: &ConnectorChange,
        catalogue: &Catalogue,
    ) -> Result<(Connector, Connector, Vec<Link>, Vec<String>)> {
        let change = &without_registered(change, &stored);
        let kind = change.kind.unwrap_or(stored.kind);
        let converted = kind != stored.kind;
        // One that was made before all was known may be completed step by step.
        let incomplete = match converted {
            true => change.incomplete,
            false => !self.missing_of(&stored).await?.is_empty(),
        };
        let patched = self
            .checked_change(caller, &stored, change, incomplete)
            .await?;
        let mut connector = stored.clone();
        connector.kind = kind;
        let icon = match &change.icon {
            Some(Some(icon)) => Some(Some(self.settled_icon(caller, icon).await?)),
            unset => unset.clone(),
        };
        let text = |new: &Option<String>, old: &mut String| {
            if let Some(new) = new {
                new.trim().clone_into(old);
            }
        };
        text(&change.uid, &mut connector.uid);
        text(&change.name, &mut connector.name);
        if let Some(patched) = &patched {
            connector.data.clone_from(&patched.public);
        }
        let ConnectorChange {
            metadata,
            triggers_enabled,
            events,
            trigger_destinations,
            redirect_uri,
            background_color,
            accent_color,
            ..
        } = change.clone();
        connector.metadata = metadata.unwrap_or(connector.metadata);
        connector.triggers_enabled = triggers_enabled.unwrap_or(connector.triggers_enabled);
        connector.events = events.unwrap_or(connector.events);
        connector.trigger_destinations =
            trigger_destinations.unwrap_or(connector.trigger_destinations);
        connector.redirect_uri = redirect_uri.unwrap_or(connector.redirect_uri);
        connector.icon = icon.unwrap_or(connector.icon);
        connector.background_color = background_color.unwrap_or(connector.background_color);
        connector.accent_color = accent_color.unwrap_or(connector.accent_color);
        let mut changed = differences(&stored, &connector);
        // One of another type has none of its secrets.
        if let Some(patched) = patched.as_ref().filter(|_| !converted) {
            self.check_move(&stored, &connector, patched, incomplete)
                .await?;
        }
        if converted {
            (connector.secrets, connector.client_secret) = (None, None);
        }
        if let Some(patched) = &patched
            && !(patched.secrets.is_empty() && patched.dropped.is_empty())
        {
            let mut secrets = match converted {
                true => HashMap::new(),
                false => self.connector_secrets(&stored).await?,
            };
            secrets.retain(|name, _| !patched.dropped.contains(name));
            let names = patched
                .secrets
                .iter()
                .map(|(name, _)| name)
                .chain(&patched.dropped);
            changed.extend(names.map(|name| format!("data.{name}")));
            secrets.extend(patched.secrets.iter().cloned());
            let secrets: Vec<_> = secrets.into_iter().collect();
            let client_secret = types::client_secret(&connector).unwrap_or_default();
            if patched.dropped.contains(client_secret) {
                connector.client_secret = None;
            }
            if patched
                .secrets
                .iter()
                .any(|(name, _)| name == client_secret)
            {
                connector.client_secret = Some(self.secret_ref(self.now()));
            }
            connector.secrets = self.seal_secrets(&connector, &secrets).await?;
        }
        let mut links = self.ports.store.links(&caller.team, &stored.id).await?;
        // Two changes of one row never carry the same time: it is what tells them apart.
        let at = self.now().max(Timestamp(stored.updated_at.0 + 1));
        let newly_linked = match &change.trigger_destinations {
            Some(wanted) if !converted => destinations::enabled(&connector, wanted, &links, at),
            _ => Vec::new(),
        };
        if !newly_linked.is_empty() {
            changed.push("links".to_owned());
        }
        if changed.is_empty() {
            return Ok((stored, connector, links, changed));
        }
        if patched.is_some() {
            self.check_server(&connector, incomplete).await?;
            self.probe_change(caller, &stored, &connector).await?;
            // Whether the provider takes the client as it is now will be seen.
            (connector.fault, connector.failed_exchange) = (None, None);
        }
        let enrolment = self.changed_enrolment(&stored, &mut connector, incomplete);
        let enrolment = Box::pin(enrolment).await?;
        let both = [&stored, &connector];
        connector.terms_at = terms_at(both, both.map(|of| catalogue.of(of)), self.now());
        connector.updated_by = caller.actor.clone();
        connector.updated_at = at;
        changed.sort_unstable();
        changed.dedup();
        let event = self
            .draft(EventKind::ConnectorUpdated, caller)
            .connector(&connector.id)
            .with("changed", changed.clone())
            .done();
        if converted {
            let converted = self.convert(caller, &stored, connector, &event).await;
            if let (Err(_), Some(enrolment)) = (&converted, &enrolment) {
                self.withdraw(enrolment).await;
            }
            return Ok((stored, converted?, links, changed));
        }
        let store = &self.ports.store;
        // What the server answered may be in the secrets alone: what manages the registration from now on.
        let client_changed = patched.is_some()
            || enrolment.is_some()
            || connector.registration != stored.registration;
        let updated = store
            .update_connector(
                &connector,
                stored.updated_at,
                client_changed,
                &newly_linked,
                &event,
            )
            .await;
        self.forget_connector(&connector.id);
        match (&updated, enrolment) {
            (Ok(()), _) => self.end_replaced(&stored, &connector).await,
            (Err(_), Some(enrolment)) => {
                let asked = Connector {
                    registration: stored.registration.clone(),
                    ..connector.clone()
                };
                let kept = Box::pin(self.keep_enrolment(&asked, enrolment)).await;
                if let Err(error) = kept {
                    tracing::warn!(connector = %connector.id, %error, "a change was not stored, nor yet what the server said of its client");
                }
            }
            (Err(_), None) => {}
        }
        updated.map_err(|error| changing(error, &connector))?;
        for change in newly_linked {
            let place = links
                .iter_mut()
                .find(|link| link.project == change.link.project);
            match place {
                Some(link) => link.environments = change.link.environments,
                None => links.push(change.link),
            }
        }
        Ok((stored, connector, links, changed))
    }

    /// Stores a connector that becomes of another type. In the same write ends what it was: the consents that it asked
    /// for and its connections, or nothing. Of more connections than one write ends, the oldest end before.
    async fn convert(
        self: &Arc<Self>,
        caller: &Caller,
        stored: &Connector,
        connector: Connector,
        event: &Event,
    ) -> Result<Connector> {
        let scope = RevocationScope::of(connector.id.clone());
        // Afterwards the client that ends tokens at the provider is only here.
        let client = self.revoking_client(stored).await;
        let ended = self
            .draft(EventKind::ConnectionRevoked, caller)
            .connector(&connector.id)
            .done();
        let store = &self.ports.store;
        let mut queued = Vec::new();
        let converted = loop {
            let converted = store
                .convert_connector(&connector, stored.updated_at, CLAIM, BATCH, event, &ended)
                .await;
            if !matches!(converted, Err(StoreError::InUse(_))) {
                break converted;
            }
            let some = self.begin_revocation(caller, &scope, BATCH).await?;
            queued.extend(some.queued);
        };
        self.forget_connector(&connector.id);
        let converted = converted.map(|ended| ended.queued);
        let outcome = converted.map(|ended| {
            for revocation in &ended {
                self.caches.lives.invalidate(&revocation.connection);
            }
            queued.extend(ended);
        });
        let later = queued.split_off(queued.len().min(AWAITED_REVOCATIONS_MAX));
        self.revoke_at_provider(&client, queued).await;
        let (engine, before, now) = (Arc::clone(self), stored.clone(), connector.clone());
        let is_stored = outcome.is_ok();
        self.tasks.spawn(async move {
            engine.revoke_at_provider(&client, later).await;
            // The last that is asked as the client that it was.
            if is_stored {
                engine.end_replaced(&before, &now).await;
            }
        });
        outcome.map_err(|error| changing(error, &connector))?;
        Ok(connector)
    }

    /// Refuses to take stored secrets along to another server: whoever may change the connector must not read
    /// them by that. The tokens that are stored stay bound to where they came from.
    async fn check_move(
        &self,
        stored: &Connector,
        connector: &Connector,
        patched: &data::Patched,
        incomplete: bool,
    ) -> Result<()> {
        if types::of(connector.kind).client.is_none()
            || within(&servers_of(connector), &servers_of(stored))
        {
            return Ok(());
        }
        let known = self.catalogue().await?.of(stored).is_some();
        if incomplete && fills_in(connector, stored, known) {
            return Ok(());
        }
        let given = |name: &String| {
            let mut given = patched.secrets.iter().map(|(given, _)| given);
            patched.dropped.contains(name) || given.any(|given| given == name)
        };
        let kept = self.connector_secrets(stored).await?.into_keys();
        let problems: Vec<_> = kept
            .filter(|name| !given(name))
            .map(|name| {
                let message =
                    "is needed again: the connector is to ask at another server, which the stored one is not for";
                Problem::new(format!("data.{name}"), message)
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(problems))
        }
    }

    /// The changed data, once all that can be checked without asking anybody is right.
    async fn checked_change(
        &self,
        caller: &Caller,
        stored: &Connector,
        change: &ConnectorChange,
        incomplete: bool,
    ) -> Result<Option<data::Patched>> {
        let mut problems = Vec::new();
        let mint = || TokenSetId::mint(self.now(), self.entropy()).to_string();
        let manner = data::Manner {
            incomplete,
            nested: change.nested,
        };
        let kind = change.kind.unwrap_or(stored.kind);
        let none = Map::new();
        let patched = match (kind == stored.kind, &change.data) {
            (true, None) => None,
            (true, Some(data)) => Some(data::patch(kind, &stored.data, data, manner, &mint)),
            (false, data) => {
                let data = data.as_ref().unwrap_or(&none);
                Some(data::convert(kind, &stored.data, data, manner, &mint))
            }
        };
        let patched =
            patched.and_then(|patched| patched.map_err(|found| problems.extend(found)).ok());
        if let Some(patched) = &patched {
            problems.extend(super::server::config_problems(&patched.public).unwrap_or_default());
            problems.extend(self.audience_problem(&patched.public));
        }
        let mut complain = |field: &str, complaint: Option<String>| {
            problems.extend(complaint.map(|message| Problem::new(field, message)));
        };
        if let Some(name) = change.name.as_deref().map(str::trim) {
            complain("name", name_complaint(name));
        }
        if let Some(uid) = change.uid.as_deref().map(str::trim) {
            let empty = uid.is_empty().then(|| "must not be empty".to_owned());
            complain("uid", empty.or_else(|| uid_complaint(uid)));
        }
        if let Some(uri) = &change.redirect_uri {
            let known = self.redirect_uris(caller);
            let wrong = !known.contains(uri);
            complain(
                "redirectUri",
                wrong.then(|| format!("must be one of {}", known.join(", "))),
            );
        }
        look_problems(
            change.icon.as_ref().and_then(Option::as_deref),
            change.background_color.as_ref().and_then(Option::as_deref),
            change.accent_color.as_ref().and_then(Option::as_deref),
            &mut problems,
        );
        let destinations = change.trigger_destinations.as_deref().unwrap_or_default();
        self.destination_problems(caller, destinations, "triggerDestinations", &mut problems)
            .await?;
        if problems.is_empty() {
            Ok(patched)
        } else {
            Err(Error::Invalid(problems))
        }
    }

    /// The redirect URIs that a connector of the caller's team can have: the server's, and the team's own,
    /// by which a provider that sends no `iss` is told apart from other teams' (design §7).
    pub fn redirect_uris(&self, caller: &Caller) -> [String; 3] {
        let mut own = self.settings.public_url.clone();
        if let Ok(mut path) = own.path_segments_mut() {
            path.pop_if_empty()
                .push("callback")
                .push(caller.team.as_str());
        }
        [
            self.settings.url("/callback"),
            own.into(),
            self.settings.url(OAUTH_CALLBACK_OF_COHERE),
        ]
    }
}

/// `change` without the id of the client that Grantry registered: who gives back what was shown says nothing new.
fn without_registered(change: &ConnectorChange, stored: &Connector) -> ConnectorChange {
    let mut change = change.clone();
    if let (Some(data), Some(client)) = (&mut change.data, enrol::registered(stored))
        && data.get("clientId").is_some_and(|id| *id == client.id)
    {
        data.remove("clientId");
    }
    change
}

/// What a changed row was not stored for.
fn changing(error: StoreError, connector: &Connector) -> Error {
    match error {
        StoreError::Taken("connector.uid") => Error::conflict(format!(
            "uid: {} is already used by another connector",
            connector.uid
        )),
        error => error.into(),
    }
}

/// The fields in which the two differ, in the native API's spelling.
pub(super) fn differences(old: &Connector, new: &Connector) -> Vec<String> {
    let fields = [
        ("uid", old.uid != new.uid),
        ("name", old.name != new.name),
        ("type", old.kind != new.kind),
        ("metadata", old.metadata != new.metadata),
        ("triggers", old.triggers_enabled != new.triggers_enabled),
        ("events", old.events != new.events),
        (
            "trigger_destinations",
            old.trigger_destinations != new.trigger_destinations,
        ),
        ("redirect_uri", old.redirect_uri != new.redirect_uri),
        ("icon", old.icon != new.icon),
        (
            "background_color",
            old.background_color != new.background_color,
        ),
        ("accent_color", old.accent_color != new.accent_color),
    ];
    let fields = fields.into_iter().filter(|(_, differs)| *differs);
    let names = old.data.keys().chain(new.data.keys());
    let data = names.filter(|name| old.data.get(*name) != new.data.get(*name));
    fields
        .map(|(name, _)| name.to_owned())
        .chain(data.map(|name| format!("data.{name}")))
        .collect()
}

//! Connections as Sequin's dialect has them: credentials, each with a kind, public properties and
//! annotations, told apart by the account at the provider (docs/sequin.md). The tokens are those of the
//! connection, and everything else that can be done with a connection can be done with these.

use std::collections::HashMap;
use std::sync::Arc;

use grantry_core::error::ReconnectReason;
use grantry_core::ids::{ConnectionId, ConnectorId};
use grantry_core::nouns::{
    Annotation, Connection, ConnectionState, Credential, EventKind, Sealed, Subject,
};
use grantry_core::store::{ConnectionFilter, Page, Stays};
use grantry_core::{Error, Result, Secret, StoreError, ids};
use grantry_vault::envelope::Place;
use grantry_vault::hash::{constant_time_eq, sha256};
use serde_json::{Map, Value};

use crate::connectors::{ConnectorView, Health, HealthStatus, servers_of};
use crate::lists::Import;
use crate::permissions::Act;
use crate::tokens::{AskToken, NewPair, TRIES};
use crate::{Caller, CursorPage, Engine};

/// A credential to be taken in.
pub struct NewCredential {
    /// The app, by id.
    pub connector: String,
    /// A word such as `linear_oauth2`.
    pub kind: String,
    /// The account at the provider, where the kind has a property for it.
    pub account: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Public properties, a mask in place of each secret.
    pub properties: Map<String, Value>,
    /// Annotations; those there are stay when absent.
    pub metadata: Option<Map<String, Value>>,
    /// What gives tokens.
    pub tokens: NewTokens,
}

/// What a credential gives tokens from.
pub enum NewTokens {
    /// These.
    Pair(NewPair),
    /// What a link flow left behind.
    Handle(Secret),
    /// Nothing: its kind is kept, and has no tokens here.
    None,
}

/// A credential as callers may see it.
pub struct CredentialView {
    /// The connection.
    pub connection: Connection,
    /// What its importer said; nothing for connections of other dialects.
    pub kept: Option<Credential>,
    /// Its app.
    pub connector: ConnectorView,
}

/// A live connection that a credential takes the place of.
#[derive(Clone)]
pub struct Standing {
    /// It.
    pub connection: Connection,
    /// What is kept with it.
    pub kept: Option<Credential>,
}

impl Standing {
    fn view(self, connector: ConnectorView) -> CredentialView {
        CredentialView {
            connection: self.connection,
            kept: self.kept,
            connector,
        }
    }
}

impl CredentialView {
    /// How it does.
    pub fn health(&self) -> Health {
        let fault = self.connector.connector.fault.as_ref();
        let (status, notes, at) = match (self.connection.state, fault) {
            (ConnectionState::NeedsReauth(reason), _) => {
                let note = match reason {
                    ReconnectReason::NeverConnected => "No token: this kind gives none here.",
                    ReconnectReason::Expired => {
                        "Its token has expired, and it has no refresh token."
                    }
                    ReconnectReason::LostResponse => {
                        "The provider refuses its refresh token after an answer was lost: link the account again."
                    }
                    ReconnectReason::Revoked | ReconnectReason::Rejected => {
                        "The provider refuses its refresh token, which was probably revoked: link the account again."
                    }
                };
                let at = self.connection.updated_at;
                (HealthStatus::Error, vec![note.to_owned()], at)
            }
            (_, Some(fault)) => {
                let note = format!(
                    "The provider refuses the app's credentials ({}).",
                    fault.code
                );
                (HealthStatus::Warn, vec![note], fault.at)
            }
            (ConnectionState::Active | ConnectionState::Revoked, None) => {
                (HealthStatus::Ok, vec![], self.connection.updated_at)
            }
        };
        Health {
            status,
            missing: vec![],
            notes,
            at,
        }
    }
}

impl Engine {
    /// One page of the caller's live connections as credentials, newest first.
    pub async fn credentials(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<CursorPage<CredentialView>> {
        let filter = ConnectionFilter::default();
        let found = self.connections(caller, &filter, page).await?;
        Ok(CursorPage {
            data: self.viewed(caller, found.data).await?,
            next: found.next,
        })
    }

    /// One of them.
    pub async fn credential(&self, caller: &Caller, id: &str) -> Result<CredentialView> {
        let connection = self.connection(caller, &ConnectionId::from(id)).await?;
        if connection.state == ConnectionState::Revoked {
            return Err(Error::NotFound("credential"));
        }
        self.view(caller, connection).await
    }

    async fn view(&self, caller: &Caller, connection: Connection) -> Result<CredentialView> {
        let viewed = self.viewed(caller, vec![connection]).await?;
        viewed
            .into_iter()
            .next()
            .ok_or(Error::NotFound("credential"))
    }

    /// Connections whose connector was deleted a moment ago are left out: they have ended with it.
    async fn viewed(
        &self,
        caller: &Caller,
        connections: Vec<Connection>,
    ) -> Result<Vec<CredentialView>> {
        let ids: Vec<_> = connections.iter().map(|found| found.id.clone()).collect();
        let kept = self.ports.store.credentials(&caller.team, &ids).await?;
        let mut kept: HashMap<ConnectionId, Credential> = kept
            .into_iter()
            .map(|kept| (kept.connection.clone(), kept))
            .collect();
        let catalogue = self.catalogue().await?;
        let mut viewed = Vec::with_capacity(connections.len());
        for connection in connections {
            let id = connection.grant.connector.as_str();
            let entry = match self.live_connector(caller, id).await {
                Err(Error::Gone(_) | Error::NotFound(_)) => continue,
                entry => entry?,
            };
            viewed.push(CredentialView {
                kept: kept.remove(&connection.id),
                connector: ConnectorView::of(&entry, &catalogue),
                connection,
            });
        }
        Ok(viewed)
    }

    /// Takes a credential in. The same account again is the same credential with its new tokens; the same
    /// secrets again are no news, so that a repetition never brings back what was refreshed meanwhile.
    pub async fn import_credential(
        self: &Arc<Self>,
        caller: &Caller,
        new: NewCredential,
    ) -> Result<CredentialView> {
        caller.require(Act::ImportConnections)?;
        if let NewTokens::Handle(handle) = &new.tokens {
            let handle = handle.clone();
            return self.credential_of_handle(caller, &handle, new).await;
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.put_credential(caller, &new).await {
                // Another import of it was first: this one is a repetition now.
                Err(Error::Conflict { .. }) if tries < TRIES => {}
                put => return put,
            }
        }
    }

    async fn put_credential(
        self: &Arc<Self>,
        caller: &Caller,
        new: &NewCredential,
    ) -> Result<CredentialView> {
        self.keys.ready(&caller.team).await?;
        let entry = self.live_connector(caller, &new.connector).await?;
        let connector = &entry.connector.id;
        // Once it is stored nothing may fail any more.
        let app = ConnectorView::of(&entry, &*self.catalogue().await?);
        let pair = match &new.tokens {
            NewTokens::Pair(pair) => Some(pair),
            _ => None,
        };
        let ids = match (&new.account, pair) {
            (Some(account), _) => vec![Self::credential_id(connector, &new.kind, account)],
            (None, Some(pair)) => self.ids_of_secrets(caller, connector, &new.kind, pair),
            (None, None) => vec![self.uuid().into()],
        };
        let (id, standing) = self.standing_among(caller, ids).await?;
        let digest = pair.map(digest_of);
        let known = match (&standing, &digest) {
            (Some(standing), Some(digest)) => self.was_imported(standing, digest).await?,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if let (Some(standing), true) = (&standing, known) {
            let annotation = Annotation {
                name: new.name.clone(),
                properties: Some(new.properties.clone()),
                metadata: new.metadata.clone(),
            };
            let found = standing.clone().view(app);
            return self.annotate(caller, found, annotation).await;
        }
        let imported = digest
            .as_ref()
            .map(|digest| self.keys.seal(place(caller, &id), digest.as_bytes()))
            .transpose()?;
        let (credential, stays) =
            self.credential_row(caller, &id, new, standing.as_ref(), imported);
        let asked = AskToken {
            subject: Some(Subject::Connection { id: id.to_string() }),
            ..AskToken::default()
        };
        let stood = standing.as_ref().map(|standing| &standing.connection);
        let name = stood.and_then(|stood| stood.name.clone());
        let import = Import {
            id: Some(id.clone()),
            grant: self.grant_of(&caller.as_server(), &entry, asked)?,
            name: new.name.clone().or(name),
            external_subject: new.account.clone(),
            pair: match pair {
                Some(pair) => NewPair {
                    servers: Some(servers_of(&entry.connector)),
                    ..pair.clone()
                },
                // It is not stored.
                None => NewPair {
                    access: Secret::new(""),
                    expires_in: None,
                    refresh: None,
                    refresh_ends: None,
                    scope: None,
                    metadata: Map::new(),
                    servers: None,
                },
            },
        };
        let (mut connection, set, event) = self.prepare_import(caller, import).await?;
        if let Some(stood) = stood {
            connection.created_at = stood.created_at;
        }
        let set = pair.map(|_| &set);
        if set.is_none() {
            connection.state = ConnectionState::NeedsReauth(ReconnectReason::NeverConnected);
        }
        let store = &self.ports.store;
        let put = store
            .put_credential(&connection, set, &credential, stays, &event)
            .await;
        self.caches.lives.invalidate(&id);
        match put {
            Err(StoreError::Taken(_)) => Err(Error::busy(
                "the same credential is being taken in by another request: try again",
            )),
            put => {
                put?;
                Ok(CredentialView {
                    connection,
                    kept: Some(credential),
                    connector: app,
                })
            }
        }
    }

    /// What is kept with a credential that is taken in, and what of one that stands stays as it is.
    pub(crate) fn credential_row(
        &self,
        caller: &Caller,
        id: &ConnectionId,
        new: &NewCredential,
        standing: Option<&Standing>,
        imported: Option<Sealed>,
    ) -> (Credential, Stays) {
        let kept = standing.and_then(|standing| standing.kept.as_ref());
        let metadata = new.metadata.as_ref().or(kept.map(|kept| &kept.metadata));
        let credential = Credential {
            connection: id.clone(),
            team: caller.team.clone(),
            kind: new.kind.clone(),
            properties: new.properties.clone(),
            metadata: metadata.cloned().unwrap_or_default(),
            imported,
            updated_at: self.now(),
        };
        let stays = Stays {
            live: standing.is_some(),
            name: new.name.is_none(),
            metadata: new.metadata.is_none(),
        };
        (credential, stays)
    }

    /// Changes name and annotations of a live connection. What is absent stays.
    pub async fn update_credential(
        &self,
        caller: &Caller,
        id: &str,
        name: Option<String>,
        metadata: Option<Map<String, Value>>,
    ) -> Result<CredentialView> {
        caller.require(Act::ImportConnections)?;
        let found = self.credential(caller, id).await?;
        let annotation = Annotation {
            name,
            properties: None,
            metadata,
        };
        self.annotate(caller, found, annotation).await
    }

    /// Stores another name and other annotations, if they are others. What is not named is not written either: it may
    /// have become another since it was read.
    async fn annotate(
        &self,
        caller: &Caller,
        found: CredentialView,
        annotation: Annotation,
    ) -> Result<CredentialView> {
        let CredentialView {
            mut connection,
            kept,
            connector,
        } = found;
        let mut changed = kept.clone().unwrap_or_else(|| Credential {
            connection: connection.id.clone(),
            team: caller.team.clone(),
            kind: String::new(),
            properties: Map::new(),
            metadata: Map::new(),
            imported: None,
            updated_at: connection.updated_at,
        });
        let before = (connection.name.clone(), changed.clone());
        let Annotation {
            name,
            properties,
            metadata,
        } = annotation.clone();
        connection.name = name.or(connection.name);
        changed.properties = properties.unwrap_or(changed.properties);
        changed.metadata = metadata.unwrap_or(changed.metadata);
        let same = connection.name == before.0
            && changed.properties == before.1.properties
            && changed.metadata == before.1.metadata;
        if same {
            return Ok(CredentialView {
                connection,
                kept,
                connector,
            });
        }
        let event = self
            .draft(EventKind::ConnectionUpdated, caller)
            .connector(&connection.grant.connector)
            .connection(&connection.id)
            .done();
        let store = &self.ports.store;
        let annotated = store
            .annotate_connection(&caller.team, &connection.id, &annotation, &event)
            .await;
        self.caches.lives.invalidate(&connection.id);
        annotated?;
        (connection.updated_at, changed.updated_at) = (event.at, event.at);
        Ok(CredentialView {
            connection,
            kept: Some(changed),
            connector,
        })
    }

    /// The first of these ids that a live connection has, with what is kept with it; else the first, which is none's.
    pub(crate) async fn standing_among(
        &self,
        caller: &Caller,
        ids: Vec<ConnectionId>,
    ) -> Result<(ConnectionId, Option<Standing>)> {
        let store = &self.ports.store;
        for id in &ids {
            let live = store.connection(&caller.team, id).await?;
            let live = live.map(|live| live.connection);
            let Some(connection) = live.filter(|found| found.state != ConnectionState::Revoked)
            else {
                continue;
            };
            let one = std::slice::from_ref(id);
            let kept = store.credentials(&caller.team, one).await?;
            let kept = kept.into_iter().next();
            return Ok((id.clone(), Some(Standing { connection, kept })));
        }
        let first = ids.into_iter().next().ok_or(Error::Internal)?;
        Ok((first, None))
    }

    /// The id of the credential of an account: one for each app, kind and account, so that any number of
    /// imports at once make one row.
    pub(crate) fn credential_id(
        connector: &ConnectorId,
        kind: &str,
        account: &str,
    ) -> ConnectionId {
        let mut parts = vec![b"grantry/credential/v1".as_slice()];
        for part in [connector.as_str(), kind, account] {
            parts.extend([b"\0".as_slice(), part.as_bytes()]);
        }
        ConnectionId::from(ids::of_digest(&sha256(&parts)))
    }

    /// The ids that a credential of these secrets can have, whose kind does not name its account: so that any number
    /// of imports at once make one row, and that an id, which is public, tells nothing of the secrets. The first is
    /// under the team's active key.
    fn ids_of_secrets(
        &self,
        caller: &Caller,
        connector: &ConnectorId,
        kind: &str,
        pair: &NewPair,
    ) -> Vec<ConnectionId> {
        let refresh = pair.refresh.as_ref().map_or("", Secret::expose);
        let parts = [connector.as_str(), kind, pair.access.expose(), refresh].map(str::as_bytes);
        let macs = self.keys.macs(&caller.team, "credential", &parts);
        let id = |mac: &[u8; 32]| ConnectionId::from(ids::of_digest(mac));
        macs.iter().map(id).collect()
    }

    /// Whether the secrets of this digest are the ones that were taken in last.
    async fn was_imported(&self, standing: &Standing, digest: &str) -> Result<bool> {
        let Some(kept) = &standing.kept else {
            return Ok(false);
        };
        let Some(sealed) = &kept.imported else {
            return Ok(false);
        };
        let place = Place {
            team: kept.team.as_str(),
            table: TABLE,
            row: kept.connection.as_str(),
            field: FIELD,
        };
        let stored = self.keys.open_text(place, sealed).await?;
        Ok(constant_time_eq(
            stored.expose().as_bytes(),
            digest.as_bytes(),
        ))
    }
}

const TABLE: &str = "credentials";
const FIELD: &str = "imported";

fn place<'a>(caller: &'a Caller, id: &'a ConnectionId) -> Place<'a> {
    Place {
        team: caller.team.as_str(),
        table: TABLE,
        row: id.as_str(),
        field: FIELD,
    }
}

/// What tells the secrets of one import from those of another.
fn digest_of(pair: &NewPair) -> String {
    let refresh = pair.refresh.as_ref().map_or("", Secret::expose);
    let digest = sha256(&[pair.access.expose().as_bytes(), b"\0", refresh.as_bytes()]);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

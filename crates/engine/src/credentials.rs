//! Connections as Sequin's dialect has them: credentials, each with a kind, public properties and
//! annotations, told apart by the account at the provider (docs/sequin.md). The tokens are those of the
//! connection, and everything else that can be done with a connection can be done with these.

use std::collections::HashMap;
use std::sync::Arc;

use grantry_core::error::ReconnectReason;
use grantry_core::ids::{ConnectionId, ConnectorId};
use grantry_core::nouns::{Connection, ConnectionState, Credential, EventKind, Subject};
use grantry_core::store::{ConnectionFilter, Page};
use grantry_core::{Error, Result, Secret, StoreError, ids};
use grantry_vault::envelope::Place;
use grantry_vault::hash::{constant_time_eq, sha256};
use serde_json::{Map, Value};

use crate::connectors::{ConnectorView, Health, HealthStatus, servers_of};
use crate::lists::Import;
use crate::permissions::Act;
use crate::tokens::{AskToken, NewPair};
use crate::{Caller, CursorPage, Engine};

/// Connections of a connector that are looked at for one with the same secrets, newest first.
const LOOKED_AT: u32 = 500;

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
        Health { status, notes, at }
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
        let entry = self.live_connector(caller, &new.connector).await?;
        let connector = entry.connector.id.clone();
        let connection = match &new.tokens {
            NewTokens::Handle(handle) => {
                let handle = Secret::new(handle.expose());
                self.credential_of_handle(caller, &handle, new).await?
            }
            NewTokens::Pair(_) | NewTokens::None => {
                self.put_credential(caller, &connector, new).await?
            }
        };
        self.view(caller, connection).await
    }

    async fn put_credential(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &ConnectorId,
        new: NewCredential,
    ) -> Result<Connection> {
        self.keys.ready(&caller.team).await?;
        let entry = self.live_connector(caller, connector.as_str()).await?;
        let digest = match &new.tokens {
            NewTokens::Pair(pair) => Some(digest_of(pair)),
            _ => None,
        };
        let id = match (&new.account, &digest) {
            (Some(account), _) => Self::credential_id(connector, &new.kind, account),
            (None, Some(digest)) => {
                let same = self.with_same_secrets(caller, connector, &new.kind, digest);
                same.await?.unwrap_or_else(|| self.uuid().into())
            }
            (None, None) => self.uuid().into(),
        };
        let (standing, kept) = self.standing_credential(caller, &id).await?;
        let known = match (&kept, &digest, &standing) {
            (Some(kept), Some(digest), Some(_)) => self.was_imported(kept, digest).await?,
            (_, None, Some(_)) => true,
            _ => false,
        };
        let imported = digest
            .as_ref()
            .map(|digest| self.keys.seal(place(caller, &id), digest.as_bytes()))
            .transpose()?;
        let credential = Credential {
            connection: id.clone(),
            team: caller.team.clone(),
            kind: new.kind,
            properties: new.properties,
            metadata: match (new.metadata, &kept) {
                (Some(metadata), _) => metadata,
                (None, Some(kept)) => kept.metadata.clone(),
                (None, None) => Map::new(),
            },
            imported: match &kept {
                Some(kept) if known => kept.imported.clone(),
                _ => imported,
            },
            updated_at: self.now(),
        };
        let store = &self.ports.store;
        if let (Some(standing), true) = (&standing, known) {
            let name = new.name.as_ref().or(standing.name.as_ref());
            return self
                .annotate(caller, standing, kept.as_ref(), name.cloned(), credential)
                .await;
        }
        let asked = AskToken {
            subject: Some(Subject::Connection { id: id.to_string() }),
            ..AskToken::default()
        };
        let import = Import {
            id: Some(id.clone()),
            grant: self.grant_of(&caller.as_server(), &entry, asked)?,
            name: new
                .name
                .or_else(|| standing.as_ref().and_then(|found| found.name.clone())),
            external_subject: new.account,
            pair: match new.tokens {
                NewTokens::Pair(pair) => NewPair {
                    servers: Some(servers_of(&entry.connector)),
                    ..pair
                },
                // It is not stored.
                _ => NewPair {
                    access: Secret::new(""),
                    expires_in: None,
                    refresh: None,
                    scope: None,
                    metadata: Map::new(),
                    servers: None,
                },
            },
        };
        let (mut connection, set, event) = self.prepare_import(caller, import).await?;
        if let Some(standing) = &standing {
            connection.created_at = standing.created_at;
        }
        let set = digest.is_some().then_some(&set);
        if set.is_none() {
            connection.state = ConnectionState::NeedsReauth(ReconnectReason::NeverConnected);
        }
        let put = store.put_credential(&connection, set, &credential, &event);
        let put = put.await;
        self.caches.lives.invalidate(&id);
        match put {
            Err(StoreError::Taken(_)) => Err(Error::busy(
                "the same credential is being taken in by another request: try again",
            )),
            put => {
                put?;
                Ok(connection)
            }
        }
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
        let standing = found.connection.clone();
        let changed = Credential {
            updated_at: self.now(),
            metadata: match (metadata, &found.kept) {
                (Some(metadata), _) => metadata,
                (None, Some(kept)) => kept.metadata.clone(),
                (None, None) => Map::new(),
            },
            ..match &found.kept {
                Some(kept) => kept.clone(),
                None => Credential {
                    connection: standing.id.clone(),
                    team: caller.team.clone(),
                    kind: String::new(),
                    properties: Map::new(),
                    metadata: Map::new(),
                    imported: None,
                    updated_at: self.now(),
                },
            }
        };
        let name = name.or_else(|| standing.name.clone());
        let connection = self
            .annotate(caller, &standing, found.kept.as_ref(), name, changed)
            .await?;
        self.view(caller, connection).await
    }

    /// Stores another name and other annotations, if they are others.
    async fn annotate(
        &self,
        caller: &Caller,
        standing: &Connection,
        kept: Option<&Credential>,
        name: Option<String>,
        credential: Credential,
    ) -> Result<Connection> {
        let same = standing.name == name
            && kept.is_some_and(|kept| {
                kept.properties == credential.properties && kept.metadata == credential.metadata
            });
        if same {
            return Ok(standing.clone());
        }
        let event = self
            .draft(EventKind::ConnectionUpdated, caller)
            .connector(&standing.grant.connector)
            .connection(&standing.id)
            .done();
        let store = &self.ports.store;
        let annotated = store
            .annotate_connection(name.as_deref(), &credential, &event)
            .await;
        self.caches.lives.invalidate(&standing.id);
        annotated?;
        Ok(Connection {
            name,
            updated_at: event.at,
            ..standing.clone()
        })
    }

    /// The live connection of this id and what is kept with it.
    pub(crate) async fn standing_credential(
        &self,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<(Option<Connection>, Option<Credential>)> {
        let store = &self.ports.store;
        let live = store.connection(&caller.team, id).await?;
        let standing = live.map(|live| live.connection);
        let standing = standing.filter(|found| found.state != ConnectionState::Revoked);
        let kept = store
            .credentials(&caller.team, std::slice::from_ref(id))
            .await?;
        Ok((standing, kept.into_iter().next()))
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

    /// A live credential of the connector that was taken in with these secrets, for kinds that do not name
    /// their account.
    async fn with_same_secrets(
        &self,
        caller: &Caller,
        connector: &ConnectorId,
        kind: &str,
        digest: &str,
    ) -> Result<Option<ConnectionId>> {
        let filter = ConnectionFilter {
            connector: Some(connector.clone()),
            subject_kind: Some("connection"),
            ..ConnectionFilter::default()
        };
        let store = &self.ports.store;
        let page = Page::first(LOOKED_AT);
        let found = store.connections(&caller.team, &filter, &page).await?;
        let ids: Vec<_> = found.into_iter().map(|found| found.id).collect();
        for kept in store.credentials(&caller.team, &ids).await? {
            if kept.kind == kind && self.was_imported(&kept, digest).await? {
                return Ok(Some(kept.connection));
            }
        }
        Ok(None)
    }

    async fn was_imported(&self, kept: &Credential, digest: &str) -> Result<bool> {
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

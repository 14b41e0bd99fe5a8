//! Tokens that are secrets of their connector, handed out as they are.

use std::sync::Arc;

use grantry_core::ids::TokenSetId;
use grantry_core::nouns::{Connector, Grant, Scopes};
use grantry_core::{Error, Result, Secret, Timestamp};
use serde_json::{Map, Value};

use super::bounds::check_plain;
use super::{ServedToken, value_for};
use crate::connectors::Entry;
use crate::events::Read;
use crate::{Caller, Engine};

impl Engine {
    /// The one secret that a connector keeps for the application, with what belongs beside it.
    pub(super) async fn handed_out(
        &self,
        caller: &Caller,
        entry: Arc<Entry>,
        grant: &Grant,
        secret: &'static str,
        metadata: &[&str],
    ) -> Result<ServedToken> {
        check_plain(grant)?;
        let connector = &entry.connector;
        let token = self.connector_secret(connector, secret).await?;
        let token = token.ok_or_else(|| Error::Unresolvable {
            reason: format!("the connector is not complete: data.{secret} is required"),
        })?;
        let given = Given {
            token,
            token_set: by_change(connector),
            expires_at: None,
            scope: None,
            metadata: beside(connector, metadata),
        };
        self.give(caller, entry, given).await
    }

    /// A value of an `api-key` connector: the first that has not expired and carries the one scope asked for.
    pub(super) async fn stored_value(
        &self,
        caller: &Caller,
        entry: Arc<Entry>,
        grant: &Grant,
    ) -> Result<ServedToken> {
        let now = self.now();
        let wanted = match &grant.scopes {
            Scopes::Default => None,
            Scopes::Exactly(scopes) => Some(scopes.join(" ")),
        };
        let value = value_for(&entry.connector, wanted.as_deref(), now);
        let value = value.ok_or_else(|| Error::Unresolvable {
            reason: "no stored key of this connector has the scope asked for and has not expired"
                .to_owned(),
        })?;
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
        let token = self
            .connector_secret(&entry.connector, id)
            .await?
            .ok_or(Error::Internal)?;
        let given = Given {
            token,
            token_set: TokenSetId::from(id),
            expires_at: value
                .get("expiresAt")
                .and_then(Value::as_i64)
                .map(Timestamp::from_millis),
            scope: value
                .get("scope")
                .and_then(Value::as_str)
                .map(str::to_owned),
            metadata: Map::new(),
        };
        self.give(caller, entry, given).await
    }

    /// Serves a token that is of no connection, once the log has who reads it.
    pub(super) async fn give(
        &self,
        caller: &Caller,
        entry: Arc<Entry>,
        given: Given,
    ) -> Result<ServedToken> {
        self.log_read(&Read {
            caller,
            connector: &entry.connector.id,
            connection: None,
            set: &given.token_set,
        })
        .await?;
        Ok(ServedToken {
            token: given.token,
            token_set: given.token_set,
            expires_at: given.expires_at,
            scope: given.scope,
            metadata: given.metadata,
            claims: Map::new(),
            connection: None,
            tenant: None,
            connector: entry,
        })
    }
}

/// A token that is of no connection.
pub(super) struct Given {
    pub token: Secret,
    pub token_set: TokenSetId,
    pub expires_at: Option<Timestamp>,
    pub scope: Option<String>,
    pub metadata: Map<String, Value>,
}

/// What has no row of its own is known by its connector's latest change.
pub(super) fn by_change(connector: &Connector) -> TokenSetId {
    let named = format!("stk_{}_{}", connector.id, connector.updated_at.0);
    TokenSetId::from(named.as_str())
}

/// The fields of a connector's data that are `named`, as metadata of its token.
pub(super) fn beside(connector: &Connector, named: &[&str]) -> Map<String, Value> {
    let data = &connector.data;
    let named = named.iter();
    named
        .filter_map(|name| Some(((*name).to_owned(), data.get(*name)?.clone())))
        .collect()
}

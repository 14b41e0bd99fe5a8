//! Tokens that are secrets of their connector, handed out as they are.

use std::sync::Arc;

use grantry_core::ids::TokenSetId;
use grantry_core::nouns::{Grant, Scopes};
use grantry_core::{Error, Result, Timestamp};
use serde_json::{Map, Value};

use super::bounds::check_plain;
use super::proof::by_change;
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
        let token_set = by_change(connector);
        self.log_read(&Read {
            caller,
            connector: &connector.id,
            connection: None,
            set: &token_set,
        })
        .await?;
        let data = &connector.data;
        let beside = metadata
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), data.get(*name)?.clone())));
        Ok(ServedToken {
            token,
            token_set,
            expires_at: None,
            scope: None,
            metadata: beside.collect(),
            claims: Map::new(),
            connection: None,
            tenant: None,
            connector: entry,
        })
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
        let token_set = TokenSetId::from(id);
        self.log_read(&Read {
            caller,
            connector: &entry.connector.id,
            connection: None,
            set: &token_set,
        })
        .await?;
        Ok(ServedToken {
            token,
            token_set,
            expires_at: value
                .get("expiresAt")
                .and_then(Value::as_i64)
                .map(Timestamp::from_millis),
            scope: value
                .get("scope")
                .and_then(Value::as_str)
                .map(str::to_owned),
            metadata: Map::new(),
            claims: Map::new(),
            connection: None,
            tenant: None,
            connector: entry,
        })
    }
}

//! Tokens that are secrets of their connector, handed out as they are.

use std::sync::Arc;

use grantry_core::ids::TokenSetId;
use grantry_core::nouns::Grant;
use grantry_core::{Error, Result};

use super::ServedToken;
use super::bounds::check_plain;
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
        // It has no row of its own: it is known by its connector's latest change.
        let named = format!("stk_{}_{}", connector.id, connector.updated_at.0);
        let token_set = TokenSetId::from(named.as_str());
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
            connection: None,
            connector: entry,
        })
    }
}

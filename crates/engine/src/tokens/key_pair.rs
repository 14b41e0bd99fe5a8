//! Tokens that the connector's own key signs. Nobody is asked.

use grantry_core::nouns::{Connector, Grant};
use grantry_core::{Error, Result};
use grantry_oauth::providers::snowflake;
use grantry_vault::jws::SigningKey;
use serde_json::{Map, Value};

use super::bounds::check_plain;
use super::pair::NewPair;
use crate::Engine;
use crate::connectors::servers_of;

impl Engine {
    /// A token of the user whose key a `snowflake` connector has.
    pub(super) async fn sign_token(&self, connector: &Connector, grant: &Grant) -> Result<NewPair> {
        check_plain(grant)?;
        let incomplete = || {
            Error::Unresolvable {
            reason: "the connector is not complete: data.privateKeyPem is required for tokens of data.user"
                .to_owned(),
        }
        };
        let pem = self.connector_secret(connector, "privateKeyPem").await?;
        let key = SigningKey::from_pem(&pem.ok_or_else(incomplete)?).map_err(|_| incomplete())?;
        let text = |name: &str| connector.data.get(name).and_then(Value::as_str);
        let (account, user) = (text("accountIdentifier"), text("user"));
        let (account, user) = account.zip(user).ok_or_else(incomplete)?;
        let token = snowflake::token(account, user, &key, self.now());
        let (access, life) = token.map_err(|_| Error::Internal)?;
        let mut metadata = Map::new();
        // How a request says what it carries (X-Snowflake-Authorization-Token-Type), and the role to begin in.
        metadata.insert("tokenType".to_owned(), "KEYPAIR_JWT".into());
        for name in ["accountIdentifier", "defaultSessionRole"] {
            metadata.extend(text(name).map(|value| (name.to_owned(), value.into())));
        }
        Ok(NewPair {
            access,
            expires_in: Some(life),
            refresh: None,
            scope: None,
            metadata,
            servers: Some(servers_of(connector)),
        })
    }
}

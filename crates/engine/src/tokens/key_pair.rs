//! What a connector's own key signs: a token that nobody is asked for, or what buys one.

use grantry_core::nouns::{Connector, Grant, Subject};
use grantry_core::{Error, Result, Secret};
use grantry_oauth::assertion::Assertion;
use grantry_oauth::providers::{salesforce, snowflake};
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
        let key = self.connectors_key(connector, "data.user").await?;
        let text = |name: &str| connector.data.get(name).and_then(Value::as_str);
        let (account, user) = (text("accountIdentifier"), text("user"));
        let (account, user) = account.zip(user).ok_or(Error::Internal)?;
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
            refresh_ends: None,
            scope: None,
            metadata,
            servers: Some(servers_of(connector)),
        })
    }
    /// What a `salesforce` connector says about a user: the one it acts as (`data.username`), or whom `subject` names.
    pub(super) async fn bearer_assertion(
        &self,
        connector: &Connector,
        subject: &Subject,
    ) -> Result<Secret> {
        let text = |name: &str| connector.data.get(name).and_then(Value::as_str);
        let (user, named) = match subject {
            Subject::JwtBearer { sub, .. } => (sub.as_deref(), "subject.sub"),
            _ => (text("username"), "data.username"),
        };
        let key = self.connectors_key(connector, named).await?;
        let assertion = Assertion {
            issuer: text("consumerKey").unwrap_or_default(),
            subject: user.unwrap_or_default(),
            audience: salesforce::audience(text("loginHost").unwrap_or_default()),
            lifetime: salesforce::ASSERTION_LIFE,
            extra: &Map::new(),
        };
        let signed = assertion.sign(&key, self.entropy(), self.now());
        signed.map_err(|_| Error::Internal)
    }

    /// The key that a connector signs with for the user in the field `of`.
    async fn connectors_key(&self, connector: &Connector, of: &str) -> Result<SigningKey> {
        let incomplete = || Error::Unresolvable {
            reason: format!(
                "the connector is not complete: data.privateKeyPem is required for tokens of {of}"
            ),
        };
        let pem = self.connector_secret(connector, "privateKeyPem").await?;
        SigningKey::from_pem(&pem.ok_or_else(incomplete)?).map_err(|_| incomplete())
    }
}

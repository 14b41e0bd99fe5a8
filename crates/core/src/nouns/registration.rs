//! How a connector's client is known to its authorization server, as far as Grantry itself saw to that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// What a connector that was given no more than a URL is bound to. Its secrets (the registered client's, the
/// registration's access token, private keys) lie beside it, sealed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// The issuer of the authorization server: what was given out by it is presented to nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The protected resource (RFC 9728) that tokens are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<BoundResource>,
    /// The client, where no client id was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<RegisteredClient>,
    /// Keys that sign its assertions, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ClientKey>,
    /// How often a client took the place of one that was lost, less one for each week that one did well: how far apart
    /// new clients are follows from it (requirement 26).
    pub asked: u32,
    /// How often in a row asking the server brought nothing.
    pub failed: u32,
    /// The server is not asked for or about a client before this instant.
    pub not_before: Timestamp,
}

/// A protected resource, by its own metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundResource {
    /// Its identifier, sent as resource indicator (RFC 8707).
    pub id: String,
    /// The scopes that it publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// A client that was made without anybody typing its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredClient {
    /// `client_id`
    pub id: String,
    /// How it came about.
    pub means: Means,
    /// Its authentication method, by the registered name.
    pub auth: String,
    /// Where the registration is managed (RFC 7592).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<String>,
    /// When its secret ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_at: Option<Timestamp>,
    /// When it was made.
    pub registered_at: Timestamp,
    /// When its secret is renewed, ahead of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<Timestamp>,
    /// The redirect URI that the server was told; the connector's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// The connector describes it otherwise by now, and the server has not taken that yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untold: bool,
    /// The server refuses it again and again: what manages it tells whether it is known there, else another one is made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lost: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// How a client without a given id came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// Dynamic registration (RFC 7591).
    Dynamic,
    /// Its id is the URL of a document that this server serves (client id metadata document).
    Document,
}

impl Means {
    /// From the word on the wire.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Dynamic, Self::Document];
        all.into_iter().find(|means| means.as_str() == word)
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Document => "document",
        }
    }
}

/// A key of a client, its private half sealed elsewhere. What it is for follows from its times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientKey {
    /// Key id.
    pub kid: String,
    /// The public half (RFC 7517).
    pub jwk: Value,
    /// From when on it signs; it is published before.
    pub signs_from: Timestamp,
}

//! Who did it, as rows and events remember it.

use serde::{Deserialize, Serialize};

use super::Environment;

/// The author of a row or an event. A snapshot: it stays true when the key or the user is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// The operator, over the control socket or a server-level key.
    Server,
    /// A key of an account or a team that belongs to no person.
    Key {
        /// Key id.
        id: String,
    },
    /// A person, through a key of theirs.
    User {
        /// User id.
        id: String,
    },
    /// A workload.
    Project {
        /// Project id.
        id: String,
        /// Where it runs.
        environment: Environment,
        /// Who it is at the issuer of its token, where that is not this server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<OutsideIdentity>,
    },
    /// The end user in front of the consent page.
    EndUser,
    /// Grantry itself: sweeps, keep-alive, retries.
    System,
}

/// Whom an outside issuer's token names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutsideIdentity {
    /// `iss`
    pub issuer: String,
    /// `sub`, at most 255 visible characters.
    pub subject: String,
}

//! Connectors that somebody asked for, and that a person has yet to register at their service.

use serde::{Deserialize, Serialize};

use super::{Actor, ConnectorType, Digest, Environment, TriggerDestination};
use crate::Timestamp;
use crate::ids::{AuthorizationId, ConnectorId, SetupId, TeamId};

/// One connector to be registered, once. Its id is the link, and all that it takes to use it: it is logged nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Id; also the link.
    pub id: SetupId,
    /// Its team.
    pub team: TeamId,
    /// The id that the connector will have: what is registered elsewhere may name it before it is there.
    pub connector: ConnectorId,
    /// Hash of the handle under which the requester polls for the result, where it chose one.
    pub code: Option<Digest>,
    /// What was asked for.
    pub ask: SetupAsk,
    /// Who asked: the connector's maker.
    pub requested_by: Actor,
    /// Hash of the credential that asked: the link ends with it. All zero for the operator at the control socket.
    pub credential: Digest,
    /// How the requester is called on the page: the project's or the team's name.
    pub requester: String,
    /// How far it has come.
    pub state: SetupState,
    /// What installs the application, where that was begun.
    pub install: Option<AuthorizationId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// From when on it cannot be used.
    pub expires_at: Timestamp,
}

/// What is known of the connector before it is registered; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetupAsk {
    /// Its type.
    pub kind: ConnectorType,
    /// Catalogue id or URL of the third party.
    pub service: String,
    /// By which of the service's ways; none for a service that is known by its URL.
    pub connection_method: Option<String>,
    /// Origin of the service's server where the team runs its own: GitHub Enterprise Server.
    #[serde(default)]
    pub host: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// The project to be linked, by id.
    pub project: Option<String>,
    /// The link's environments; the three built-in ones when absent.
    pub environments: Option<Vec<Environment>>,
    /// Take in provider events.
    pub triggers: bool,
    /// Events wanted.
    pub events: Vec<String>,
    /// Where events go.
    pub trigger_destination: Option<TriggerDestination>,
    /// SHA-1 of an uploaded image.
    pub icon: Option<String>,
    /// `#rrggbb`
    pub background_color: Option<String>,
    /// `#rrggbb`
    pub accent_color: Option<String>,
    /// It is done when its application is installed, too.
    pub autoinstall: bool,
}

/// How far a setup has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// Nobody has registered it yet.
    Pending,
    /// The connector is there; its application may have to be installed.
    Created,
    /// The connector is there, and nobody is waiting for more.
    Finished,
    /// Somebody said no.
    Canceled,
}

impl Setup {
    /// Pending and in time.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == SetupState::Pending && now < self.expires_at
    }
}

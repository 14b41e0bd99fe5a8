//! Installations: app-level grants in provider tenants.

use super::Actor;
use crate::Timestamp;
use crate::ids::{ConnectorId, InstallationId, TeamId};

/// A connector's application as installed in one provider tenant (a Slack workspace, a GitHub
/// organisation). Token requests name it by `external_id`, as the grants of its connections do.
#[derive(Clone, Debug, PartialEq)]
pub struct Installation {
    /// Id of the row.
    pub id: InstallationId,
    /// Its team.
    pub team: TeamId,
    /// Its connector.
    pub connector: ConnectorId,
    /// The provider's id of it; unique among the connector's.
    pub external_id: String,
    /// The provider's id of the tenant, where that is another one.
    pub tenant: Option<String>,
    /// For people: the tenant's name.
    pub name: Option<String>,
    /// Whether tokens are given out for it.
    pub status: InstallationStatus,
    /// Its connector's `terms_at` when it was installed last: since a later one it has to be installed again.
    pub terms_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Whether tokens are given out for an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallationStatus {
    /// Yes.
    Active,
    /// No, until it is active again; its connections stay.
    Suspended,
    /// No: its provider says that it is suspended there. Active again once the provider gives a token.
    SuspendedThere,
    /// No: its provider does not know it any more. Active again once the provider gives a token.
    Removed,
}

impl InstallationStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::SuspendedThere => "suspended_by_provider",
            Self::Removed => "removed",
        }
    }

    /// Whether it is what a provider said, and changes by itself.
    pub const fn is_theirs(self) -> bool {
        matches!(self, Self::SuspendedThere | Self::Removed)
    }
}

//! Secrets and installations.

use grantry_core::nouns::NamedSecret;
use grantry_engine::InstallationView;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Actor, Time};

/// A named secret. Its value is never given back.
#[derive(Serialize, ToSchema)]
pub struct Secret<'a> {
    id: &'a str,
    name: &'a str,
    created_at: Time,
    /// When its name or value was changed last.
    updated_at: Time,
}

impl<'a> From<&'a NamedSecret> for Secret<'a> {
    fn from(row: &'a NamedSecret) -> Self {
        Self {
            id: row.id.as_str(),
            name: &row.name,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

/// A connector's application in one provider tenant.
#[derive(Serialize, ToSchema)]
pub struct Installation<'a> {
    id: &'a str,
    connector: &'a str,
    /// What requests name it by.
    external_id: &'a str,
    tenant: Option<&'a str>,
    name: Option<&'a str>,
    /// `active`; `suspended`: no tokens are given out for it; `suspended_by_provider` and `removed`: the provider gives
    /// none, which is tried again every ten minutes for who asks.
    status: &'static str,
    /// Whether it is used where a request names none.
    default: bool,
    /// Whether it has to be installed again, because it does not cover what its connector asks for.
    outdated: bool,
    created_by: Actor<'a>,
    created_at: Time,
    updated_at: Time,
}

impl<'a> From<&'a InstallationView> for Installation<'a> {
    fn from(view: &'a InstallationView) -> Self {
        let row = &view.installation;
        Self {
            id: row.id.as_str(),
            connector: row.connector.as_str(),
            external_id: &row.external_id,
            tenant: row.tenant.as_deref(),
            name: row.name.as_deref(),
            status: row.status.as_str(),
            default: view.default,
            outdated: view.outdated,
            created_by: Actor::from(&row.created_by),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}

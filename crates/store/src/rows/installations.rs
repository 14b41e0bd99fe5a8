//! Installations.

use grantry_core::nouns::{Installation, InstallationStatus};

use super::Noun;
use super::values::{json, params, words};
use crate::backend::{Bad, Row, Value};

words!(InstallationStatus {
    Active = "active",
    Suspended = "suspended",
    SuspendedThere = "suspended_by_provider",
    Removed = "removed",
});

impl Noun for Installation {
    const TABLE: &'static str = "installations";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "connector",
        "external_id",
        "tenant",
        "name",
        "status",
        "terms_at",
        "created_by",
        "created_at",
        "updated_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.connector,
            &self.external_id,
            self.tenant.as_ref(),
            self.name.as_ref(),
            self.status,
            self.terms_at,
            json(&self.created_by),
            self.created_at,
            self.updated_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            connector: row.get("connector")?,
            external_id: row.get("external_id")?,
            tenant: row.get("tenant")?,
            name: row.get("name")?,
            status: row.get("status")?,
            terms_at: row.get("terms_at")?,
            created_by: row.json("created_by")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

//! What it means when a unique index refuses a row.

use grantry_core::StoreError;

/// Every unique index that a write can run into: its columns as SQLite's error lists them, and the
/// word for what they keep unique. Those that only an `ON CONFLICT` meets are absent.
const UNIQUE: &[(&str, &str)] = &[
    ("data_keys.id", "data_key.id"),
    ("signing_keys.kid", "signing_key.kid"),
    ("events.id", "event.id"),
    ("teams.slug", "team.slug"),
    ("users.account, users.email", "user.email"),
    ("projects.team, projects.name", "project.name"),
    ("keys.id", "key.id"),
    ("connectors.id", "connector.id"),
    ("connectors.team, connectors.uid", "connector.uid"),
    ("links.connector, links.project", "link"),
    ("authorizations.id", "authorization.id"),
    ("authorizations.verifier", "authorization.verifier"),
    ("flows.state", "flow.state"),
    (
        "connections.team, connections.connector, connections.grant_key",
        "connection.grant",
    ),
    ("token_sets.set_id", "token_set.id"),
    ("token_sets.connection, token_sets.kind", "token_set.kind"),
    ("revocations.set_id", "revocation.set"),
    ("schema_migrations.version", "migration"),
];

/// The error for a violated index.
pub(crate) fn taken(columns: &str) -> Option<StoreError> {
    let (_, word) = UNIQUE.iter().find(|(known, _)| *known == columns)?;
    Some(StoreError::Taken(word))
}

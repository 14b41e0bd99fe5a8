//! What it means when a unique index refuses a row.

use grantry_core::StoreError;

/// One unique index.
struct Unique {
    /// Its columns, as SQLite's error lists them.
    columns: &'static str,
    /// Its name, which PostgreSQL's error gives.
    index: &'static str,
    /// What it keeps unique.
    word: &'static str,
}

const fn unique(columns: &'static str, index: &'static str, word: &'static str) -> Unique {
    Unique {
        columns,
        index,
        word,
    }
}

/// Every unique index that a write can run into. Those that only an `ON CONFLICT` meets are absent.
const UNIQUE: &[Unique] = &[
    unique("data_keys.id", "data_keys_pkey", "data_key.id"),
    unique("signing_keys.kid", "signing_keys_pkey", "signing_key.kid"),
    unique("events.id", "events_pkey", "event.id"),
    unique("teams.slug", "teams_slug", "team.slug"),
    unique("users.account, users.email", "users_email", "user.email"),
    unique(
        "projects.team, projects.name",
        "projects_name",
        "project.name",
    ),
    unique("keys.id", "keys_pkey", "key.id"),
    unique("connectors.id", "connectors_pkey", "connector.id"),
    unique(
        "connectors.team, connectors.uid",
        "connectors_uid",
        "connector.uid",
    ),
    unique("secrets.team, secrets.name", "secrets_name", "secret.name"),
    unique("links.connector, links.project", "links_pkey", "link"),
    unique(
        "authorizations.id",
        "authorizations_pkey",
        "authorization.id",
    ),
    unique(
        "authorizations.verifier",
        "authorizations_verifier",
        "authorization.verifier",
    ),
    unique(
        "held_consents.authorization_id",
        "held_consents_pkey",
        "held_consent",
    ),
    unique(
        "link_flows.authorization_id",
        "link_flows_pkey",
        "link_flow",
    ),
    unique("setups.id", "setups_pkey", "setup.id"),
    unique("setups.code", "setups_code", "setup.code"),
    unique("installations.id", "installations_pkey", "installation.id"),
    unique(
        "installations.connector, installations.external_id",
        "installations_external_id",
        "installation.external_id",
    ),
    unique(
        "webhook_secrets.team",
        "webhook_secrets_pkey",
        "webhook_secret",
    ),
    unique("flows.state", "flows_pkey", "flow.state"),
    unique("sign_ins.id", "sign_ins_pkey", "sign_in.id"),
    unique(
        "sign_ins.authorization_id",
        "sign_ins_authorization",
        "sign_in.authorization",
    ),
    unique(
        "sign_in_grants.hash",
        "sign_in_grants_pkey",
        "sign_in_grant.hash",
    ),
    unique(
        "connections.team, connections.connector, connections.grant_key",
        "connections_grant",
        "connection.grant",
    ),
    unique("token_sets.set_id", "token_sets_pkey", "token_set.id"),
    unique(
        "token_sets.connection, token_sets.kind",
        "token_sets_kind",
        "token_set.kind",
    ),
    unique("revocations.set_id", "revocations_pkey", "revocation.set"),
    unique(
        "schema_migrations.version",
        "schema_migrations_pkey",
        "migration",
    ),
];

/// The error for a violated index, by its columns.
pub(crate) fn taken(columns: &str) -> Option<StoreError> {
    let found = UNIQUE.iter().find(|unique| unique.columns == columns)?;
    Some(StoreError::Taken(found.word))
}

/// The error for a violated index, by its name.
pub(crate) fn taken_index(index: &str) -> Option<StoreError> {
    let found = UNIQUE.iter().find(|unique| unique.index == index)?;
    Some(StoreError::Taken(found.word))
}

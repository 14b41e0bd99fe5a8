//! The end of a team and of all that is in it. What may be many, its connections, ends after it
//! (`endings`).

use std::time::Duration;

use grantry_core::ids::TeamId;
use grantry_core::nouns::Event;
use grantry_core::store::ChangeKind;
use grantry_core::{StoreError, Timestamp};

use crate::backend::{Statement, Write};
use crate::connect::queue_held;
use crate::endings;
use crate::keys::revoke_keys;
use crate::rows::{change, insert, json, params};
use crate::tenancy::team_exists;

/// Everything of the team, in an order in which each statement still finds what it ends by an index.
pub(crate) fn of(
    team: &TeamId,
    force: bool,
    at: Timestamp,
    claim: Duration,
    event: &Event,
) -> Write {
    let mut write = vec![team_exists(team)];
    if !force {
        write.push(
            Statement::new(
                "SELECT 1 FROM connectors WHERE team = ?1 AND deleted_at IS NULL LIMIT 1",
                params![team],
            )
            .none_or(StoreError::InUse("team.connectors")),
        );
    }
    let live = "WHERE team = {} AND deleted_at IS NULL";
    write.push(endings::begin(live, params![team], at, claim, event));
    let held = "connector IN (SELECT id FROM connectors WHERE team = {} AND deleted_at IS NULL)";
    write.push(queue_held(at, at, held, params![team]));
    let of_connectors =
        "connector IN (SELECT id FROM connectors WHERE team = ?1 AND deleted_at IS NULL)";
    write.extend([
        Statement::new(
            format!(
                "UPDATE authorizations SET state = 'canceled', over_at = ?2,
                 webhook_due = NULL WHERE id IN
                 (SELECT authorization_id FROM held_consents WHERE {of_connectors})"
            ),
            params![team, at],
        ),
        // Nobody could sign what they would say.
        Statement::new(
            "UPDATE authorizations SET webhook_due = NULL WHERE team = ?1 AND webhook_due IS NOT NULL",
            params![team],
        ),
        Statement::new(
            format!("DELETE FROM held_consents WHERE {of_connectors}"),
            params![team],
        ),
        Statement::new(
            format!(
                "UPDATE authorizations SET state = 'canceled', over_at = ?2,
                 webhook_due = NULL
                 WHERE {of_connectors} AND state = 'pending'"
            ),
            params![team, at],
        ),
        Statement::new(
            format!("DELETE FROM links WHERE {of_connectors}"),
            params![team],
        ),
        told(
            ChangeKind::Connector,
            "id",
            "connectors WHERE team = ?1 AND deleted_at IS NULL",
            team,
        ),
        Statement::new(
            "UPDATE connectors SET deleted_at = ?2, updated_at = ?2, updated_by = ?3,
             client_secret_id = NULL, client_secret_at = NULL
             WHERE team = ?1 AND deleted_at IS NULL",
            params![team, at, json(&event.actor)],
        ),
        told(ChangeKind::Project, "id", "projects WHERE team = ?1", team),
        told(
            ChangeKind::User,
            "user_id",
            "memberships WHERE team = ?1",
            team,
        ),
    ]);
    write.extend(revoke_keys("team = ?2", at, params![team]));
    for table in [
        "installations",
        "credentials",
        "link_flows",
        "sign_in_grants",
        "sign_ins",
        "setups",
        "projects",
        "memberships",
        "secrets",
        "invites",
        "mcp_servers",
        "icons",
        "tombstones",
        "webhook_secrets",
    ] {
        let sql = format!("DELETE FROM {table} WHERE team = ?1");
        write.push(Statement::new(sql, params![team]));
    }
    write.extend([
        Statement::new("DELETE FROM teams WHERE id = ?1", params![team])
            .one_or(StoreError::Missing("team")),
        insert(event),
        change(ChangeKind::Team, team),
    ]);
    write
}

/// Tells the caches of the rows that are found, by `column`.
fn told(kind: ChangeKind, column: &str, found: &str, team: &TeamId) -> Statement {
    Statement::new(
        format!("INSERT INTO changes (kind, key, at) SELECT ?2, {column}, now_us() FROM {found}"),
        params![team, kind],
    )
}

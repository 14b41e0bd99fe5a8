//! The end of a team and of all that is in it, as one write.

use std::ops::Range;
use std::time::Duration;

use grantry_core::ids::{EventId, TeamId};
use grantry_core::nouns::{Event, EventKind};
use grantry_core::store::ChangeKind;
use grantry_core::{StoreError, Timestamp};

use crate::backend::{Statement, Write};
use crate::connect::queue_held;
use crate::connections::Ending;
use crate::keys::revoke_keys;
use crate::rows::{change, insert, json, params};
use crate::tenancy::team_exists;

/// A write, and which of its statements return the queued revocations.
pub(crate) struct End {
    pub(crate) write: Write,
    pub(crate) queued: Range<usize>,
}

/// Everything of the team, in an order in which each statement still finds what it ends by an index.
pub(crate) fn of(team: &TeamId, force: bool, at: Timestamp, claim: Duration, event: &Event) -> End {
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
    // One event can only be one line of the log: those of the connections are numbered after it.
    let each = Event {
        id: EventId::from(format!("{}.c", event.id)),
        kind: EventKind::ConnectionRevoked,
        ..event.clone()
    };
    let connections = Ending::of_team(team);
    let queued = write.len()..write.len() + 2;
    write.push(connections.queue(at, claim));
    let held = "connector IN (SELECT id FROM connectors WHERE team = {} AND deleted_at IS NULL)";
    write.push(queue_held(at, at.after(claim), held, params![team]));
    write.extend(connections.statements(at, &each));
    let of_connectors =
        "connector IN (SELECT id FROM connectors WHERE team = ?1 AND deleted_at IS NULL)";
    write.extend([
        Statement::new(
            format!(
                "UPDATE authorizations SET state = 'canceled', over_at = ?2 WHERE id IN
                 (SELECT authorization_id FROM held_consents WHERE {of_connectors})"
            ),
            params![team, at],
        ),
        Statement::new(
            format!("DELETE FROM held_consents WHERE {of_connectors}"),
            params![team],
        ),
        Statement::new(
            format!(
                "UPDATE authorizations SET state = 'canceled', over_at = ?2
                 WHERE {of_connectors} AND state = 'pending'"
            ),
            params![team, at],
        ),
        Statement::new(format!("DELETE FROM links WHERE {of_connectors}"), params![team]),
        told(
            ChangeKind::Connector,
            "id",
            "connectors WHERE team = ?1 AND deleted_at IS NULL",
            team,
        ),
        Statement::new(
            "UPDATE connectors SET deleted_at = ?2, updated_at = ?2, updated_by = ?3, secrets = NULL
             WHERE team = ?1 AND deleted_at IS NULL",
            params![team, at, json(&event.actor)],
        ),
        told(ChangeKind::Project, "id", "projects WHERE team = ?1", team),
        told(ChangeKind::User, "user_id", "memberships WHERE team = ?1", team),
    ]);
    write.extend(revoke_keys("team = ?2", at, params![team]));
    for table in [
        "installations",
        "projects",
        "memberships",
        "secrets",
        "invites",
        "mcp_servers",
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
    End { write, queued }
}

/// Tells the caches of the rows that are found, by `column`.
fn told(kind: ChangeKind, column: &str, found: &str, team: &TeamId) -> Statement {
    Statement::new(
        format!("INSERT INTO changes (kind, key, at) SELECT ?2, {column}, now_us() FROM {found}"),
        params![team, kind],
    )
}

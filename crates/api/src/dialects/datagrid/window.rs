//! What a connection's page tells the window that it stands in, or that opened it (reference/datagrid §2.4).

use grantry_core::nouns::{AuthorizationState, Connection, ConnectionState};
use grantry_engine::ConsentResult;
use serde_json::{Value, json};

use super::wire;

/// The message for how a consent ended; `connection` is what it made, with its service.
pub fn ended(result: &ConsentResult, connection: Option<(Connection, String)>) -> Option<Value> {
    let failed = |message: &str| {
        json!({
            "type": "datagrid-api/error",
            "payload": { "message": message, "error": null },
        })
    };
    match &result.state {
        AuthorizationState::Success { .. } => {
            let standing = |row: &Connection| row.state != ConnectionState::Revoked;
            // Whoever looks again later is told of what is there then.
            let Some((row, service)) = connection.filter(|(row, _)| standing(row)) else {
                return Some(failed("The connection has been ended."));
            };
            let renewed = row.created_at < result.asked_at;
            let kind = match renewed {
                true => "datagrid-api/connection-updated",
                false => "datagrid-api/connection-created",
            };
            let shown = serde_json::to_value(wire::Linked::of(row, service)).ok()?;
            Some(json!({ "type": kind, "payload": shown }))
        }
        AuthorizationState::Canceled => Some(failed("The user did not connect the account.")),
        AuthorizationState::Error { .. } => Some(failed("The account could not be connected.")),
        AuthorizationState::Pending | AuthorizationState::Unconfirmed => None,
    }
}

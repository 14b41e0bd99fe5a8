//! How a connector does, from what happened last.

use grantry_core::ids::ConnectorId;
use grantry_core::nouns::Connector;
use grantry_core::store::Usage;
use grantry_core::{Error, Result, Timestamp};

use crate::permissions::Act;
use crate::{Caller, Engine};

/// How well a connector works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// Nothing is known to be wrong.
    Ok,
    /// Some of its connections do not work, or it cannot be used yet.
    Warn,
    /// It does not work for anybody.
    Error,
}

/// How a connector does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How well.
    pub status: HealthStatus,
    /// Why, for people.
    pub notes: Vec<String>,
    /// When what the status rests on happened.
    pub at: Timestamp,
}

impl Engine {
    /// How a connector of the caller's team does: from the provider's last verdict on its client and from its
    /// newest connections. Nothing is probed.
    pub async fn health(&self, caller: &Caller, connector: &Connector) -> Result<Health> {
        let healths = self
            .healths(caller, std::slice::from_ref(connector))
            .await?;
        healths.into_iter().next().ok_or(Error::Internal)
    }

    /// [`Engine::health`] of many connectors, in their order.
    pub async fn healths(&self, caller: &Caller, connectors: &[Connector]) -> Result<Vec<Health>> {
        caller.require(Act::ReadConnector)?;
        let ids: Vec<ConnectorId> = connectors.iter().map(|row| row.id.clone()).collect();
        let usages = self.ports.store.usages(&caller.team, &ids).await?;
        let mut healths = Vec::with_capacity(connectors.len());
        for (connector, usage) in connectors.iter().zip(&usages) {
            let missing = self.missing_of(connector).await?;
            let missing = missing
                .into_iter()
                .map(|problem| format!("{} {}", problem.field, problem.message))
                .collect();
            healths.push(of(connector, usage, missing));
        }
        Ok(healths)
    }
}

fn of(connector: &Connector, usage: &Usage, missing: Vec<String>) -> Health {
    let last_change = connector.updated_at;
    if let Some(fault) = &connector.fault {
        return Health {
            status: HealthStatus::Error,
            notes: vec![format!(
                "The provider refuses the client's credentials ({}, {} in a row). Check client id and secret.",
                fault.code,
                times(fault.count)
            )],
            at: fault.at,
        };
    }
    let seen = usage.last_received;
    if !missing.is_empty() {
        return Health {
            status: HealthStatus::Warn,
            notes: missing,
            at: last_change,
        };
    }
    let mut notes = Vec::new();
    let mut of_live = |count: u64, what: &str| {
        if count > 0 {
            notes.push(format!(
                "{count} of the {} newest connections {what}.",
                usage.live
            ));
        }
    };
    of_live(
        usage.needs_reauth,
        "need a new consent: the provider refused their refresh",
    );
    of_live(
        usage.unanswered,
        "were not refreshed: the provider did not answer",
    );
    let all_fail = usage.live > 0 && usage.needs_reauth.max(usage.unanswered) == usage.live;
    let status = match (notes.is_empty(), all_fail) {
        (true, _) => HealthStatus::Ok,
        (false, false) => HealthStatus::Warn,
        (false, true) => HealthStatus::Error,
    };
    if seen.is_none() {
        notes.push("Never used: nobody has connected yet.".to_owned());
    }
    Health {
        status,
        notes,
        at: seen.unwrap_or(last_change),
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::nouns::{Actor, ConnectorType, Fault};
    use serde_json::Map;

    use super::*;

    const MADE: Timestamp = Timestamp(1_000_000);
    const USED: Timestamp = Timestamp(2_000_000);

    fn connector(fault: Option<Fault>) -> Connector {
        Connector {
            id: "scl_1".into(),
            team: "team_1".into(),
            uid: "x/y".to_owned(),
            name: "X".to_owned(),
            kind: ConnectorType::Oauth,
            service: "x".to_owned(),
            data: Map::new(),
            secrets: None,
            client_secret: None,
            metadata: Map::new(),
            redirect_uri: String::new(),
            default_installation: None,
            triggers_enabled: false,
            events: vec![],
            trigger_destinations: vec![],
            icon: None,
            background_color: None,
            accent_color: None,
            fault,
            created_by: Actor::Server,
            updated_by: Actor::Server,
            created_at: MADE,
            updated_at: MADE,
            deleted_at: None,
        }
    }

    fn told(
        fault: Option<Fault>,
        usage: Usage,
        missing: &[&str],
    ) -> (HealthStatus, String, Timestamp) {
        let missing = missing.iter().map(|text| (*text).to_owned()).collect();
        let health = of(&connector(fault), &usage, missing);
        (health.status, health.notes.join(" "), health.at)
    }

    #[test]
    fn what_happened_last_decides() {
        let used = |live, needs_reauth, unanswered| Usage {
            live,
            needs_reauth,
            unanswered,
            last_received: Some(USED),
        };
        let fault = Fault {
            code: "invalid_client".to_owned(),
            count: 2,
            at: USED,
            not_before: USED,
        };
        use HealthStatus::{Error, Ok, Warn};
        for (fault, usage, missing, status, words, at) in [
            (None, Usage::default(), &[][..], Ok, "Never used", MADE),
            (None, used(3, 0, 0), &[], Ok, "", USED),
            (None, used(3, 1, 0), &[], Warn, "1 of the 3", USED),
            (None, used(3, 0, 2), &[], Warn, "did not answer", USED),
            (None, used(3, 3, 0), &[], Error, "3 of the 3", USED),
            (
                None,
                Usage::default(),
                &["data.clientId is required"],
                Warn,
                "clientId",
                MADE,
            ),
            (
                Some(fault),
                used(3, 0, 0),
                &[],
                Error,
                "invalid_client, 2 times",
                USED,
            ),
        ] {
            let (told_status, notes, told_at) = told(fault, usage, missing);
            assert_eq!((told_status, told_at), (status, at), "{notes}");
            assert!(notes.contains(words), "{notes}");
        }
    }
}

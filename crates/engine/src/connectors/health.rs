//! How a connector does, from what happened last.

use std::sync::Arc;

use grantry_core::ids::ConnectorId;
use grantry_core::nouns::Connector;
use grantry_core::store::Usage;
use grantry_core::{Error, Problem, Result, Timestamp};

use super::provenance::left_behind;
use crate::catalogue::Catalogue;
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
    /// What it lacks before it can be used, by the names of the fields.
    pub missing: Vec<Problem>,
    /// Why else, for people.
    pub notes: Vec<String>,
    /// When what the status rests on happened.
    pub at: Timestamp,
}

/// What a connector's health rests on beside its own row. It is read before that row is written: once it is stored
/// nothing may fail any more.
pub struct HealthBasis {
    usage: Usage,
    catalogue: Arc<Catalogue>,
}

impl HealthBasis {
    /// How the connector does that is stored as this now.
    pub fn of(&self, connector: &Connector) -> Health {
        let missing = missing(connector, &self.catalogue);
        let row = self.catalogue.of(connector);
        of(
            connector,
            &self.usage,
            missing,
            &left_behind(connector, row),
        )
    }
}

impl Engine {
    /// How a connector of the caller's team does: from the provider's last verdict on its client, from its last code
    /// exchange and from its newest connections. Nothing is probed.
    pub async fn health(&self, caller: &Caller, connector: &Connector) -> Result<Health> {
        let healths = self.healths(caller, &[connector]).await?;
        healths.into_iter().next().ok_or(Error::Internal)
    }

    /// What the health of a connector will rest on, by its id or uid, that is about to be changed; of a new one, which
    /// nobody can have used, when absent.
    pub async fn health_basis(&self, caller: &Caller, id: Option<&str>) -> Result<HealthBasis> {
        let usage = match id {
            None => Usage::default(),
            Some(id) => {
                let entry = self.live_connector(caller, id).await?;
                let one = std::slice::from_ref(&entry.connector.id);
                let usages = self.ports.store.usages(&caller.team, one).await?;
                usages.into_iter().next().unwrap_or_default()
            }
        };
        Ok(HealthBasis {
            usage,
            catalogue: self.catalogue().await?,
        })
    }

    /// [`Engine::health`] of many connectors, in their order.
    pub async fn healths(&self, caller: &Caller, connectors: &[&Connector]) -> Result<Vec<Health>> {
        caller.require(Act::ReadConnector)?;
        let ids: Vec<ConnectorId> = connectors.iter().map(|row| row.id.clone()).collect();
        let usages = self.ports.store.usages(&caller.team, &ids).await?;
        let catalogue = self.catalogue().await?;
        let healths = connectors.iter().copied().zip(&usages);
        let health = |(connector, usage)| {
            let left = left_behind(connector, catalogue.of(connector));
            of(connector, usage, missing(connector, &catalogue), &left)
        };
        Ok(healths.map(health).collect())
    }
}

/// What a connector still lacks. One whose stored data cannot be read lacks nothing that could be named.
fn missing(connector: &Connector, catalogue: &Catalogue) -> Vec<Problem> {
    super::server::missing(connector, catalogue).unwrap_or_default()
}

/// `left` are the members of `serverConfig` that the connector had better say ([`left_behind`]).
fn of(connector: &Connector, usage: &Usage, missing: Vec<Problem>, left: &[&str]) -> Health {
    let last_change = connector.updated_at;
    if let Some(fault) = &connector.fault {
        return Health {
            status: HealthStatus::Error,
            missing: vec![],
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
            missing,
            notes: vec![],
            at: last_change,
        };
    }
    let failed = connector.failed_exchange.as_ref();
    let failure = failed.map(|failed| {
        let code = &failed.code;
        format!("The last consent failed: the provider gave no token for its code ({code}).")
    });
    let mut notes = Vec::from_iter(failure);
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
    // With no connection that works, a consent that fails is all that there is.
    let all_fail = (usage.live > 0 || failed.is_some())
        && usage.needs_reauth.max(usage.unanswered) == usage.live;
    let status = match (notes.is_empty(), all_fail) {
        (true, _) => HealthStatus::Ok,
        (false, false) => HealthStatus::Warn,
        (false, true) => HealthStatus::Error,
    };
    if seen.is_none() {
        notes.push("Never used: nobody has connected yet.".to_owned());
    }
    if !left.is_empty() {
        notes.push(format!(
            "Its token endpoint is at another server than the catalogue's, which is shown no token of it: say in data.serverConfig where its {} is, or it is not used.",
            left.join(" and ")
        ));
    }
    let at = failed.map(|failed| failed.at).max(seen);
    Health {
        status,
        missing,
        notes,
        at: at.unwrap_or(last_change),
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use grantry_core::nouns::{Actor, ConnectorType, FailedExchange, Fault};
    use serde_json::Map;

    use super::*;

    const MADE: Timestamp = Timestamp(1_000_000);
    const USED: Timestamp = Timestamp(2_000_000);

    pub(in crate::connectors) fn connector(fault: Option<Fault>) -> Connector {
        Connector {
            id: "scl_1".into(),
            team: "team_1".into(),
            uid: "x/y".to_owned(),
            name: "X".to_owned(),
            kind: ConnectorType::Oauth,
            service: "x".to_owned(),
            connection_method: None,
            target: None,
            data: Map::new(),
            secrets: None,
            client_secret: None,
            registration: None,
            registration_secrets: None,
            metadata: Map::new(),
            redirect_uri: String::new(),
            default_installation: None,
            terms_at: None,
            reinstall_at: None,
            triggers_enabled: false,
            events: vec![],
            trigger_destinations: vec![],
            icon: None,
            background_color: None,
            accent_color: None,
            fault,
            failed_exchange: None,
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
        let missing = missing
            .iter()
            .map(|field| Problem::new(*field, "is required"));
        let health = of(&connector(fault), &usage, missing.collect(), &[]);
        let lacks = health.missing.into_iter().map(|problem| problem.field);
        let notes: Vec<String> = lacks.chain(health.notes).collect();
        (health.status, notes.join(" "), health.at)
    }

    #[test]
    fn a_consent_that_failed_counts_until_one_succeeds() {
        let used = |live, needs_reauth| Usage {
            live,
            needs_reauth,
            unanswered: 0,
            last_received: Some(USED),
        };
        let later = Timestamp(3_000_000);
        for (usage, status) in [
            (Usage::default(), HealthStatus::Error),
            (used(3, 1), HealthStatus::Warn),
            (used(3, 3), HealthStatus::Error),
        ] {
            let mut connector = connector(None);
            connector.failed_exchange = Some(FailedExchange {
                code: "server_error".to_owned(),
                at: later,
            });
            let health = of(&connector, &usage, vec![], &[]);
            assert_eq!((health.status, health.at), (status, later), "{usage:?}");
            assert!(
                health.notes[0].contains("server_error"),
                "{:?}",
                health.notes
            );
        }
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
                &["data.clientId"],
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

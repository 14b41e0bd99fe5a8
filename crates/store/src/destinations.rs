//! Places that events go to end with the project or the environment that they are in. A connector has its list in one
//! column, as JSON, which the databases take apart in ways of their own: so it is read, cut here, and written only where
//! it still is as it was read.

use grantry_core::StoreError;
use grantry_core::Timestamp;
use grantry_core::ids::{ProjectId, TeamId};
use grantry_core::nouns::{Environment, TriggerDestination};
use grantry_core::store::{ChangeKind, Stored};

use crate::Db;
use crate::backend::{Backend, Bad, Query, Statement, Value, Write};
use crate::db::and_not_in;
use crate::rows::{change, json, params};

/// What a write fails with when somebody changed a list meanwhile.
const CHANGED: StoreError = StoreError::Missing("destinations as they were read");

/// How often such a write is made anew before that is given up.
const TRIES: usize = 16;

/// What ends.
pub(crate) struct Gone<'a> {
    pub(crate) team: &'a TeamId,
    pub(crate) project: &'a ProjectId,
    /// Only in these; the whole project when there are none.
    pub(crate) environments: &'a [Environment],
}

impl Gone<'_> {
    fn ends(&self, destination: &TriggerDestination) -> bool {
        let custom = destination.custom_environment_id.as_deref();
        let named = |environment: &Environment| custom == Some(environment.as_str());
        destination.project_id == *self.project
            && (self.environments.is_empty() || self.environments.iter().any(named))
    }

    /// The team's connectors whose text names what ends. A quotation mark within a value is escaped, so nothing else
    /// than a member can look like one.
    fn naming(&self, columns: &str) -> Query {
        let member =
            |name: &str, value: &str| format!("\"{name}\":{}", serde_json::Value::from(value));
        let mut query = Query::new(
            format!(
                "SELECT {columns} FROM connectors WHERE team = ?1 AND deleted_at IS NULL
                 AND replace(trigger_destinations, ?2, '') <> trigger_destinations"
            ),
            params![self.team, member("projectId", self.project.as_str())],
        );
        let any: Vec<&str> = self
            .environments
            .iter()
            .map(|_| "replace(trigger_destinations, {}, '') <> trigger_destinations")
            .collect();
        if !any.is_empty() {
            let environments = self.environments.iter();
            let members = environments
                .flat_map(|one| params![member("customEnvironmentId", one.as_str())])
                .collect();
            query.push(&format!(" AND ({})", any.join(" OR ")), members);
        }
        query
    }
}

impl<B: Backend> Db<B> {
    /// Runs `write` together with what ends the destinations in what is `gone`.
    pub(crate) async fn run_without_destinations(
        &self,
        gone: &Gone<'_>,
        at: Timestamp,
        write: Write,
    ) -> Stored<()> {
        for _ in 0..TRIES {
            let mut all = write.clone();
            all.extend(self.ending(gone, at).await?);
            match self.run(all).await {
                Err(error) if error == CHANGED => {}
                done => return done,
            }
        }
        Err(StoreError::Unavailable)
    }

    async fn ending(&self, gone: &Gone<'_>, at: Timestamp) -> Stored<Write> {
        let mut write = Vec::new();
        let mut read = Vec::new();
        let rows = self
            .backend
            .read(gone.naming("id, trigger_destinations"))
            .await?;
        for row in &rows {
            let inconsistent = |column: Bad| StoreError::Inconsistent {
                table: "connectors",
                column: column.0,
                row: row.get::<String>("id").unwrap_or_default(),
            };
            let id: String = row.get("id").map_err(inconsistent)?;
            let old: String = row.get("trigger_destinations").map_err(inconsistent)?;
            let mut left: Vec<TriggerDestination> =
                row.json("trigger_destinations").map_err(inconsistent)?;
            left.retain(|destination| !gone.ends(destination));
            // Whoever changes a connector does so as it was at some time: it is another one now.
            write.push(
                Statement::new(
                    "UPDATE connectors SET trigger_destinations = ?4,
                     updated_at = CASE WHEN trigger_destinations = ?4 THEN updated_at
                         WHEN updated_at < ?5 THEN CAST(?5 AS BIGINT) ELSE updated_at + 1 END
                     WHERE id = ?1 AND team = ?2 AND trigger_destinations = ?3",
                    params![&id, gone.team, &old, json(&left), at],
                )
                .one_or(CHANGED),
            );
            if json(&left) != Value::Text(old) {
                write.push(change(ChangeKind::Connector, &id));
            }
            read.push(id);
        }
        let mut more = gone.naming("1");
        and_not_in(
            &mut more,
            "id",
            read.iter().flat_map(|id| params![id]).collect(),
        );
        write.push(Statement::from(more).none_or(CHANGED));
        Ok(write)
    }
}

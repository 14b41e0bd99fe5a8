//! Tokens by which a service elsewhere knows a workload (workload identity federation): it trusts our issuer, and nothing
//! is kept for it.

use std::sync::Arc;

use grantry_core::nouns::Grant;
use grantry_core::{Error, Problem, Result};
use serde_json::{Map, Value};

use super::ServedToken;
use super::bounds::check_proof;
use super::kept::{Given, beside, by_change};
use crate::connectors::Entry;
use crate::connectors::types::Proof;
use crate::{Caller, Engine};

impl Engine {
    /// What proves to the connector's service which project asks, and where that runs. Signed anew for each read.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] to whoever is no workload, for a connector that lacks what the service needs beside it, and
    /// for one whose audience is this server.
    pub(super) async fn proven(
        &self,
        caller: &Caller,
        entry: Arc<Entry>,
        grant: &Grant,
        proof: &Proof,
    ) -> Result<ServedToken> {
        check_proof(grant)?;
        let connector = &entry.connector;
        let refused = |reason: String| Error::Unresolvable { reason };
        let text = |name: &str| connector.data.get(name).and_then(Value::as_str);
        if text(proof.needs).is_none() {
            let needs = proof.needs;
            let reason = format!("the connector is not complete: data.{needs} is required");
            return Err(refused(reason));
        }
        // The public URL may be another one than when it was stored.
        if let Some(wrong) = self.audience_problem(&connector.data) {
            return Err(refused(format!("{} {}", wrong.field, wrong.message)));
        }
        let Some(project) = caller.project() else {
            let reason = "the token says which project asks: only a workload has one (a workload token, or a project's key)";
            return Err(refused(reason.to_owned()));
        };
        let audience = text(AUDIENCE).unwrap_or(proof.audience);
        let minted = self
            .prove_elsewhere(caller, project, &grant.environment, audience)
            .await?;
        let given = Given {
            token: minted.token,
            token_set: by_change(connector),
            expires_at: Some(minted.expires_at),
            scope: None,
            metadata: beside(connector, &[proof.needs, proof.beside]),
        };
        self.give(caller, entry, given).await
    }

    /// What is wrong with `data.audience`: what proves a workload to this server is never a connector's to hand out.
    pub(crate) fn audience_problem(&self, data: &Map<String, Value>) -> Option<Problem> {
        let audience = data.get(AUDIENCE)?.as_str()?;
        self.settings.is_own(audience).then(|| {
            let message = "must name the service that the token is for: this server is none";
            Problem::new(format!("data.{AUDIENCE}"), message)
        })
    }
}

/// Field of `data` that names the service as it knows itself.
const AUDIENCE: &str = "audience";

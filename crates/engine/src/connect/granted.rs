//! What was granted, beside what was asked for.

use grantry_core::nouns::{Authorization, TokenSet};
use grantry_oauth::scope::{Difference, difference};

use super::page::asked_scopes;
use crate::Engine;
use crate::events::Draft;

impl Engine {
    /// `event` with the scopes that were asked for and not granted, and those that were granted unasked (requirement
    /// 20). A server that names none granted what was asked for (RFC 6749 §5.1).
    pub(super) async fn with_scopes(
        &self,
        event: Draft,
        authorization: &Authorization,
        set: &TokenSet,
    ) -> Draft {
        let Some(granted) = &set.scope else {
            return event;
        };
        let known = (
            self.connector_of(authorization).await,
            self.catalogue().await,
        );
        // The code is spent: what cannot be told now is no reason to lose what it bought.
        let (Ok(Some(connector)), Ok(catalogue)) = known else {
            return event;
        };
        let asked = asked_scopes(&connector, catalogue.of(&connector), authorization);
        let granted: Vec<String> = granted.split(' ').map(str::to_owned).collect();
        let Difference { missing, added } = difference(&asked, &granted);
        let told =
            |event: Draft, name, scopes: Vec<String>| match scopes.is_empty() || asked.is_empty() {
                true => event,
                false => event.with(name, scopes),
            };
        let event = told(event, "missing_scopes", missing);
        told(event, "added_scopes", added)
    }
}

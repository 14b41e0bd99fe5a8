//! Slack apps (docs.slack.dev/authentication/installing-with-oauth, …/using-token-rotation): one code may buy two sets
//! of tokens, the bot's in a workspace or organisation and the person's own, which rotate and end each by itself.

use std::collections::HashMap;

use grantry_core::Timestamp;

use super::{CODE_TTL, Grant, Issued, Mint, Model};

/// What somebody allowed an app.
#[derive(Clone)]
pub(crate) struct Consent {
    pub client_id: String,
    pub redirect_uri: String,
    /// Who allowed it.
    pub person: String,
    /// `T…` for a workspace, `E…` for a whole organisation.
    pub tenant: String,
    /// Scopes of the bot, space-separated; empty for none.
    pub bot: String,
    /// Scopes of the person's own token.
    pub user: String,
}

/// What a code bought.
pub(crate) struct Bought {
    pub consent: Consent,
    pub bot: Option<Issued>,
    pub user: Option<Issued>,
}

#[derive(Default)]
pub(crate) struct Codes(HashMap<String, Waiting>);

struct Waiting {
    consent: Consent,
    expires_at: Timestamp,
    used: bool,
}

impl Model {
    /// A code for what was allowed.
    pub(crate) fn slack_code(&mut self, mint: &Mint<'_>, consent: Consent) -> String {
        let code = mint.token("slack_");
        let expires_at = mint.now.after(CODE_TTL);
        let used = false;
        self.slack.0.insert(
            code.clone(),
            Waiting {
                consent,
                expires_at,
                used,
            },
        );
        code
    }

    /// Redeems a code, in Slack's words where it cannot be.
    pub(crate) fn slack_redeem(
        &mut self,
        mint: &Mint<'_>,
        client_id: &str,
        code: &str,
        redirect_uri: Option<&str>,
    ) -> Result<Bought, &'static str> {
        let waiting = self.slack.0.get_mut(code).ok_or("invalid_code")?;
        if waiting.consent.client_id != client_id || waiting.expires_at <= mint.now {
            return Err("invalid_code");
        }
        if waiting.used {
            return Err("code_already_used");
        }
        if redirect_uri != Some(waiting.consent.redirect_uri.as_str()) {
            return Err("bad_redirect_uri");
        }
        waiting.used = true;
        let consent = waiting.consent.clone();
        let mut begin = |scope: &str, user: Option<String>| {
            let grant = Grant {
                client_id: client_id.to_owned(),
                user,
                scope: scope.to_owned(),
                resources: vec![],
                nonce: None,
                workspace: Some(consent.tenant.clone()),
            };
            (!scope.is_empty()).then(|| self.begin(mint, grant))
        };
        let bot = begin(&consent.bot, None);
        let user = begin(&consent.user, Some(consent.person.clone()));
        Ok(Bought { consent, bot, user })
    }

    /// Ends a token and what it is of (`auth.revoke`); false for one that opens nothing.
    pub(crate) fn slack_revoke(&mut self, now: Timestamp, token: &str) -> bool {
        let family = self.access(now, token).and_then(|access| access.family);
        let family = family.and_then(|id| self.families.get_mut(&id));
        let found = family.is_some();
        if let Some(family) = family {
            family.alive = false;
        }
        found
    }
}

//! A requester who made the verifier of the result before anything was asked for, and sends its hash (a `request_code`,
//! reference/vercel-connect E3, E4): a program that printed a link of its own making.

use std::sync::Arc;

use grantry_core::nouns::{Digest, Grant, Install};
use grantry_core::{Error, Result};

use super::ask::AskConsent;
use super::page::is_open;
use crate::tokens::AskToken;
use crate::{Caller, Engine};

/// The refusal of a code that stands for something else.
pub(crate) fn code_taken() -> Error {
    Error::conflict("request_code: something else was asked for with it")
}

/// The refusal of a code whose request is over.
pub(crate) fn code_ended() -> Error {
    Error::conflict("request_code: what was asked for with it has ended; use another one")
}

impl Engine {
    /// The link of a consent to `token`, or of an installation, whose result is polled with the verifier that `code` is
    /// the SHA-256 of. The same again with the same code is the same link while that is open.
    ///
    /// # Errors
    /// As [`Engine::authorize`]; [`Error::Conflict`] for a code that stands for something else, or has ended.
    #[tracing::instrument(target = "grantry_spans", name = "authorize", skip_all)]
    pub async fn authorize_with_code(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        token: AskToken,
        install: Option<Install>,
        code: Digest,
    ) -> Result<String> {
        let mut ask = AskConsent {
            token,
            install: install.clone(),
            ..AskConsent::default()
        };
        let (entry, grant) = self.asked_for(caller, connector, &mut ask).await?;
        let standing = || self.standing_link(caller, &grant, install.as_ref(), &code);
        if let Some(link) = standing().await? {
            return Ok(link);
        }
        let stored = self.store_request(caller, &entry, grant.clone(), ask, None, code);
        match stored.await {
            Ok(request) => Ok(self.consent_url(&request)),
            // The same asked at the same time was faster.
            Err(refused @ Error::Conflict { .. }) => standing().await?.ok_or(refused),
            Err(error) => Err(error),
        }
    }

    /// The link that was made with `code` before.
    async fn standing_link(
        &self,
        caller: &Caller,
        grant: &Grant,
        install: Option<&Install>,
        code: &Digest,
    ) -> Result<Option<String>> {
        let store = &self.ports.store;
        let Some(standing) = store.authorization_by_verifier(code).await? else {
            // The results of both are polled in one place.
            return match store.setup_by_code(code).await? {
                Some(_) => Err(code_taken()),
                None => Ok(None),
            };
        };
        let same = standing.team == caller.team
            && standing.requested_by == caller.actor
            && standing.grant == *grant
            && standing.install.as_ref() == install;
        match same {
            false => Err(code_taken()),
            true if is_open(&standing, self.now()) => Ok(Some(self.consent_url(&standing))),
            true => Err(code_ended()),
        }
    }
}

//! One visit to a provider: what is kept of it until the browser comes back.

use grantry_core::nouns::{Authorization, Flow, Sealed};
use grantry_core::{Error, Result, Secret, Timestamp};
use grantry_oauth::server::Server;
use grantry_vault::envelope::Place;
use grantry_vault::hash::{Handle, HandleKind, s256};

use crate::Engine;

/// What a flow is made of.
pub(super) struct NewFlow<'a> {
    /// By which its answer is known.
    pub state: &'a Secret,
    /// PKCE.
    pub verifier: &'a Secret,
    /// Handle of the browser's cookie.
    pub browser: [u8; 32],
    /// Frozen with it.
    pub server: &'a Server,
    /// Where the answer arrives.
    pub redirect_uri: &'a str,
    /// [`Flow::replaces`]
    pub replaces: bool,
    /// [`Flow::terms_at`]
    pub terms_at: Option<Timestamp>,
}

impl Engine {
    /// A flow of `authorization` that is not stored yet.
    pub(super) fn new_flow(
        &self,
        authorization: &Authorization,
        new: &NewFlow<'_>,
    ) -> Result<Flow> {
        let handle = *Handle::of(HandleKind::State, new.state.expose()).as_bytes();
        let now = self.now();
        Ok(Flow {
            state: handle,
            team: authorization.team.clone(),
            authorization: authorization.id.clone(),
            browser: new.browser,
            verifier: self.seal_verifier(authorization, &handle, new.verifier)?,
            server: serde_json::to_value(new.server).map_err(|_| Error::Internal)?,
            redirect_uri: new.redirect_uri.to_owned(),
            replaces: new.replaces,
            terms_at: new.terms_at,
            created_at: now,
            expires_at: now.after(self.settings.limits.flow_time_max),
            used_at: None,
        })
    }

    fn seal_verifier(
        &self,
        authorization: &Authorization,
        state: &[u8; 32],
        verifier: &Secret,
    ) -> Result<Sealed> {
        let row = flow_row(state);
        self.keys.seal(
            verifier_place(authorization.team.as_str(), &row),
            verifier.expose().as_bytes(),
        )
    }
}

/// The row id of a flow, as text.
pub fn flow_row(state: &[u8; 32]) -> String {
    state.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a flow's verifier is sealed.
pub const fn verifier_place<'a>(team: &'a str, row: &'a str) -> Place<'a> {
    Place {
        team,
        table: "flows",
        row,
        field: "verifier",
    }
}

/// The nonce of a flow: bound to its verifier, so nothing further has to be kept.
pub fn nonce_of(verifier: &Secret) -> String {
    s256(&format!("nonce:{}", verifier.expose()))
}

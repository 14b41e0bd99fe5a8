//! From a caller's question to a token.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use grantry_core::error::{Reconnect, ReconnectReason};
use grantry_core::ids::TokenSetId;
use grantry_core::meter::{SPANS, Seen};
use grantry_core::nouns::{Connector, Environment, EventKind, Grant, Scopes, Subject};
use grantry_core::store::{Live, Page};
use grantry_core::{Error, Result, Secret, Timestamp};
use serde_json::{Map, Value};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::bounds::{check, check_mintable};
use super::decide::{Decision, Facts, decide, lives};
use super::flights::Flight;
use super::installed::{AHEAD, narrowed};
use super::lives::main_set;
use super::pair::{CLAIMS, Half, REFRESH_ENDS, forwarded_claims};
use crate::connectors::types::{self, AppTokens};
use crate::connectors::{
    Entry, install_page, installing, jwt_bearer_enabled, mints, resource_problem,
};
use crate::events::Read;
use crate::permissions::Act;
use crate::{Caller, Engine};

/// Projects read at once in search of an environment.
const PROJECTS_AT_ONCE: u32 = 1000;

/// What token is asked for.
#[derive(Clone, Default)]
pub struct AskToken {
    /// Whose; the connector's natural subject when absent.
    pub subject: Option<Subject>,
    /// With [`Subject::Token`]: the token that names whose.
    pub subject_token: Option<Secret>,
    /// The caller's own environment when absent; a workload cannot choose another.
    pub environment: Option<Environment>,
    /// Provider tenant. It partitions a subject's connections: a user or an import can have one in each. An app token of
    /// one is what its installation brought, or is minted there, as the connector's type has it.
    pub installation: Option<String>,
    /// Scopes.
    pub scopes: Scopes,
    /// `audience`: one at most.
    pub audience: Vec<String>,
    /// Resource indicators.
    pub resources: Vec<String>,
    /// Rich authorization details.
    pub details: Vec<Value>,
    /// The token shall live at least this long; cut to half its lifetime.
    pub validity_buffer: Duration,
}

/// A token on its way to its caller.
pub struct ServedToken {
    /// The token.
    pub token: Secret,
    /// Names the stored pair.
    pub token_set: TokenSetId,
    /// When it ends, where known.
    pub expires_at: Option<Timestamp>,
    /// The connector it came from.
    pub connector: Arc<Entry>,
    /// The connection it came from; none for a connector's stored API key.
    pub connection: Option<Arc<Live>>,
    /// The provider's id of the tenant that the connection's installation is in, where that is another one.
    pub tenant: Option<String>,
    /// What was granted, where the provider said so.
    pub scope: Option<String>,
    /// Public facts of the token response.
    pub metadata: Map<String, Value>,
    /// What the connector forwards of the ID token (`forwardedClaims`).
    pub claims: Map<String, Value>,
}

impl Engine {
    /// Serves a token (reference/vercel-connect D1, design §6a).
    pub async fn token(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        ask: AskToken,
    ) -> Result<ServedToken> {
        let span = tracing::info_span!(target: SPANS, "token", outcome = Empty);
        let mut renewed = false;
        let read = self.read_token(caller, connector, ask, &mut renewed);
        let read = read.instrument(span.clone()).await;
        let outcome = match &read {
            Ok(_) if renewed => "renewed",
            Ok(_) => "served",
            Err(error) => outcome(error),
        };
        self.ports.meter.note(Seen::TokenRead { outcome });
        span.record("outcome", outcome);
        read
    }

    /// The same; `renewed` tells whether a flight had to bring the token.
    async fn read_token(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &str,
        ask: AskToken,
        renewed: &mut bool,
    ) -> Result<ServedToken> {
        caller.require(Act::ReadToken)?;
        let entry = self.usable_connector(caller, connector).await?;
        let buffer = ask.validity_buffer;
        let subject_token = ask.subject_token.clone();
        let grant = self.grant_of(caller, &entry, ask)?;
        self.require_environment(caller, &grant.environment).await?;
        if grant.subject == Subject::Token {
            let token =
                subject_token.ok_or_else(|| Error::invalid("subject.token", "is required"))?;
            *renewed = true;
            return self.exchanged(caller, entry, &grant, &token).await;
        }
        let read = self.read_grant(caller, &entry, &grant, buffer, renewed);
        match read.await {
            Err(Error::AuthorizationRequired(why)) => {
                Err(self.offered(caller, &entry, grant, why).await)
            }
            read => read,
        }
    }

    async fn read_grant(
        self: &Arc<Self>,
        caller: &Caller,
        entry: &Arc<Entry>,
        grant: &Grant,
        buffer: Duration,
        renewed: &mut bool,
    ) -> Result<ServedToken> {
        let app = types::app_tokens(&entry.connector);
        match app.filter(|_| grant.subject == Subject::App) {
            Some(AppTokens::Stored) => {
                return self.stored_value(caller, Arc::clone(entry), grant).await;
            }
            Some(AppTokens::Kept { secret, metadata }) => {
                let entry = Arc::clone(entry);
                return self
                    .handed_out(caller, entry, grant, secret, metadata)
                    .await;
            }
            Some(AppTokens::Proof(proof)) => {
                return self.proven(caller, Arc::clone(entry), grant, &proof).await;
            }
            _ => {}
        }
        let live = match self.own_or_default(caller, entry, grant).await? {
            // Of a connection that is named by its id, nothing said before whose installation it is of.
            Some(live) => {
                entry.require_active(live.connection.grant.installation.as_deref())?;
                live
            }
            // What is installed by a consent has the tokens that the consent brought, and no others.
            None if grant.subject == Subject::App
                && installing(&entry.connector).is_some()
                && !mints(&entry.connector, grant.installation.as_deref()) =>
            {
                return Err(reconnect(ReconnectReason::NeverConnected));
            }
            None if grant.subject.is_minted() => {
                check_mintable(grant, &entry.connector)?;
                *renewed = true;
                let flight = self.mint(entry, grant, None);
                self.board(flight, None).await?
            }
            None => return Err(reconnect(ReconnectReason::NeverConnected)),
        };
        let fresh = self.renewed(entry, Arc::clone(&live), buffer).await?;
        *renewed |= !Arc::ptr_eq(&live, &fresh);
        self.serve(caller, Arc::clone(entry), fresh).await
    }

    /// The live connection of a grant. Where a user connected is their own choice and not the connector's: whoever names no
    /// installation has what was connected without one, and only else what is of the default installation. So the first
    /// installation, or another default, parts nobody from a connection.
    async fn own_or_default(
        &self,
        caller: &Caller,
        entry: &Entry,
        grant: &Grant,
    ) -> Result<Option<Arc<Live>>> {
        let live = match self.live(caller, grant).await? {
            None => self.live_elsewhere(caller, &entry.connector, grant).await?,
            live => live,
        };
        let default = &entry.connector.default_installation;
        let of_user = matches!(grant.subject, Subject::User { .. });
        if live.is_some() || default.is_none() || !of_user || grant.installation.is_some() {
            return Ok(live);
        }
        let by_default = Grant {
            installation: default.clone(),
            ..grant.clone()
        };
        self.live(caller, &by_default).await
    }

    /// The grant that `ask` names; refuses subjects that this connector or this caller cannot have.
    pub(crate) fn grant_of(&self, caller: &Caller, entry: &Entry, ask: AskToken) -> Result<Grant> {
        let connector = &entry.connector;
        let installs = installing(connector).is_some();
        if types::has_no_tokens(connector) && !types::speaks_oauth(connector) {
            let reason = "this connector has no tokens: it is registered without credentials";
            return Err(Error::Unresolvable {
                reason: reason.to_owned(),
            });
        }
        let user = types::user_tokens(connector).is_some();
        let app = types::app_tokens(connector).is_some() || installs;
        let subject = match ask.subject {
            Some(subject) => subject,
            None => match (&caller.actor, user, app) {
                (grantry_core::nouns::Actor::User { id }, true, _) => Subject::User {
                    id: id.clone(),
                    issuer: None,
                },
                (_, _, true) => Subject::App,
                _ => {
                    return Err(Error::invalid(
                        "subject",
                        "is required: {\"type\":\"user\",\"id\":…}",
                    ));
                }
            },
        };
        caller.require_subject(&subject)?;
        let served = match &subject {
            Subject::User { id, .. } if id.is_empty() || id.len() > 512 => {
                return Err(Error::invalid("subject.id", "must be 1 to 512 bytes"));
            }
            Subject::User { .. } => user,
            Subject::App => app,
            Subject::JwtBearer { sub, .. } => {
                let default = connector
                    .data
                    .get("jwtBearer")
                    .and_then(|own| own.get("sub"));
                if jwt_bearer_enabled(&connector.data) && sub.is_none() && default.is_none() {
                    let message = "is required: the connector's jwtBearer names none";
                    return Err(Error::invalid("subject.sub", message));
                }
                types::speaks_oauth(connector) && jwt_bearer_enabled(&connector.data)
            }
            Subject::Token => types::speaks_oauth(connector),
            Subject::Connection { .. } => true,
        };
        if !served {
            let reason = format!(
                "this connector has no tokens for the subject type {}",
                subject.kind()
            );
            return Err(Error::Unresolvable { reason });
        }
        let environment = match ask.environment {
            Some(asked) if caller.project().is_some() && asked != caller.environment() => {
                return Err(Error::Forbidden(
                    grantry_core::error::Forbidden::OtherEnvironment,
                ));
            }
            Some(asked) => asked,
            None => caller.environment(),
        };
        // Users have their own: see `own_or_default`.
        let default = connector
            .default_installation
            .as_ref()
            .filter(|_| subject == Subject::App);
        // A default that was stored under another rule is none of the caller's.
        if let Some(id) = &ask.installation
            && subject == Subject::App
            && let Some(page) = install_page(connector)
            && !page.is_id(id)
        {
            return Err(Error::invalid("installationId", page.id_rule()));
        }
        let grant = Grant {
            connector: connector.id.clone(),
            subject,
            environment,
            installation: ask.installation.or_else(|| default.cloned()),
            scopes: ask.scopes,
            audience: ask.audience,
            resources: ask.resources,
            details: ask.details,
        };
        check(&grant, connector.kind)?;
        let grant = match types::app_tokens(connector) {
            Some(AppTokens::Installation) if grant.subject == Subject::App => narrowed(grant)?,
            _ => grant,
        };
        if let Some(problem) = resource_problem(connector, &grant.resources) {
            return Err(Error::Invalid(vec![problem]));
        }
        // A connection's own installation counts, which is not known yet, and not the connector's default.
        if !matches!(grant.subject, Subject::Connection { .. }) {
            entry.require_active(grant.installation.as_deref())?;
        }
        Ok(grant)
    }

    /// Refuses an environment that no workload of the team can ever act in: what is neither built in
    /// nor one of its projects' own. A workload's own was checked when it was authenticated.
    pub(crate) async fn require_environment(
        &self,
        caller: &Caller,
        environment: &Environment,
    ) -> Result<()> {
        let known = Environment::BUILT_IN.contains(&environment.as_str());
        if known || caller.project().is_some() {
            return Ok(());
        }
        let mut page = Page::first(PROJECTS_AT_ONCE);
        loop {
            let projects = self.ports.store.projects(&caller.team, None, &page).await?;
            if projects
                .iter()
                .any(|project| project.has_environment(environment))
            {
                return Ok(());
            }
            match projects.last() {
                Some(last) if projects.len() > PROJECTS_AT_ONCE as usize => {
                    page.after = Some((last.name.clone(), last.id.to_string()));
                }
                _ => break,
            }
        }
        Err(Error::invalid(
            "environment",
            format!(
                "must be {}, or the id of a custom environment of one of the team's projects",
                Environment::BUILT_IN.join(", ")
            ),
        ))
    }

    /// `live` with a token that will do, renewed where necessary.
    async fn renewed(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        live: Arc<Live>,
        buffer: Duration,
    ) -> Result<Arc<Live>> {
        let set = main_set(&live)?;
        // Not the one that was asked for: that may only name the connection.
        let grant = &live.connection.grant;
        let may_mint = match grant.subject {
            Subject::App => mints(&entry.connector, grant.installation.as_deref()),
            Subject::JwtBearer { .. } => jwt_bearer_enabled(&entry.connector.data),
            _ => false,
        };
        let mints = may_mint && set.refresh.is_none();
        // What costs nothing but a request is renewed in time.
        let installed = mints
            && grant.subject == Subject::App
            && types::app_tokens(&entry.connector) == Some(AppTokens::Installation);
        let decision = decide(&Facts {
            now: self.now(),
            buffer: if installed { buffer.max(AHEAD) } else { buffer },
            state: live.connection.state,
            set,
            renewable: set.refresh.is_some() || mints,
            spacing: self.settings.refresh.spacing,
        });
        let over = installed && entry.is_over_there(grant.installation.as_deref());
        let flight = match decision {
            Decision::Serve if over => self.mint(entry, grant, Some(Arc::clone(&live))),
            Decision::Serve => return Ok(live),
            Decision::Reconnect(reason) => return Err(reconnect(reason)),
            Decision::Later(_) if self.breaker_is_open(&entry.connector) => {
                return Err(Error::ConnectorFault);
            }
            Decision::Later(wait) => {
                return Err(Error::Provider {
                    code: "backing_off",
                    timeout: false,
                    retry_after: Some(wait),
                });
            }
            Decision::Renew { .. } if mints => self.mint(entry, grant, Some(Arc::clone(&live))),
            Decision::Renew { .. } => self.refresh(Arc::clone(&live)),
        };
        match self.board(flight, Some(&set.id)).await {
            Ok(renewed) => Ok(renewed),
            Err(error) if !over && lives(set, self.now()) && spares_old_token(&error) => {
                tracing::debug!(connection = %live.connection.id, %error, "serving the old token after a failed flight");
                Ok(live)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for a flight as long as a caller may wait. The flight goes on. Where the provider has answered
    /// it for `presented`, and the answer can be kept nowhere, that is what the caller hears.
    async fn board(&self, flight: Flight, presented: Option<&TokenSetId>) -> Result<Arc<Live>> {
        let stranded = || presented.and_then(|set| self.flights.stranded(set));
        if let Some(why) = stranded() {
            return Err(why);
        }
        match select(flight, self.ports.clock.sleep(self.settings.refresh.wait)).await {
            Either::Left((landed, _)) => landed,
            Either::Right(_) => Err(stranded().unwrap_or(Error::Provider {
                code: "timeout",
                timeout: true,
                retry_after: Some(Duration::from_secs(1)),
            })),
        }
    }

    async fn serve(
        &self,
        caller: &Caller,
        connector: Arc<Entry>,
        live: Arc<Live>,
    ) -> Result<ServedToken> {
        let set = main_set(&live)?;
        let token = self
            .open_token(&caller.team, &set.id, Half::Access, &set.access)
            .await?;
        let tenant = self.tenant(&connector, &live.connection).await?;
        self.log_read(&Read {
            caller,
            connector: &connector.connector.id,
            connection: Some(&live.connection.id),
            set: &set.id,
        })
        .await?;
        Ok(ServedToken {
            token,
            token_set: set.id.clone(),
            expires_at: set.access_expires_at,
            tenant,
            scope: set.scope.clone(),
            claims: match set.metadata.get(CLAIMS) {
                // What the connector forwards now, not what it did when the claims came.
                Some(Value::Object(claims)) => forwarded_claims(&connector.connector, claims),
                _ => Map::new(),
            },
            metadata: {
                let mut metadata = set.metadata.clone();
                metadata.remove(CLAIMS);
                metadata.remove(REFRESH_ENDS);
                metadata
            },
            connector,
            connection: Some(live),
        })
    }

    /// Commits the event of a reader's first read in a minute before the answer; no event, no token (requirement 90).
    pub(super) async fn log_read(&self, read: &Read<'_>) -> Result<()> {
        if self.reads.count(read, self.now()) {
            return Ok(());
        }
        let mut draft = self
            .draft(EventKind::TokenRead, read.caller)
            .connector(read.connector)
            .with("token_set", read.set.as_str());
        if let Some(connection) = read.connection {
            draft = draft.connection(connection);
        }
        let event = draft.done();
        self.ports
            .store
            .append_events(std::slice::from_ref(&event))
            .await?;
        let earlier = self.reads.committed(read, event.at);
        if let Err(error) = self.write_counts(earlier).await {
            tracing::warn!(%error, "earlier reads could not be logged; they will be");
        }
        Ok(())
    }
}

/// An operator's word for why there is no token.
pub fn outcome(error: &Error) -> &'static str {
    match error {
        Error::AuthorizationRequired(why) => match why.reason {
            ReconnectReason::NeverConnected => "needs_consent",
            ReconnectReason::Revoked => "revoked",
            ReconnectReason::Rejected => "rejected",
            ReconnectReason::LostResponse => "lost_response",
            ReconnectReason::Expired => "expired",
        },
        Error::InstallationRequired(_) => "needs_installation",
        Error::Unauthenticated | Error::Forbidden(_) => "forbidden",
        Error::NotFound(_) | Error::Gone(_) => "not_found",
        Error::Invalid(_) | Error::Body(_) | Error::MethodNotAllowed | Error::Conflict { .. } => {
            "invalid"
        }
        Error::Unresolvable { .. } => "unresolvable",
        Error::DestinationRefused => "destination_refused",
        Error::Provider { timeout: true, .. } => "provider_timeout",
        Error::Provider { .. } => "provider_error",
        Error::ConnectorFault => "connector_fault",
        Error::RateLimited { .. } | Error::Busy { .. } => "rate_limited",
        Error::Unavailable | Error::Full => "unavailable",
        Error::Internal => "internal",
    }
}

/// The value of an `api-key` connector that is served: the first that has not expired and carries the one scope that
/// is wanted, if one is.
pub fn value_for<'a>(
    connector: &'a Connector,
    wanted: Option<&str>,
    now: Timestamp,
) -> Option<&'a Value> {
    let values = connector.data.get("values").and_then(Value::as_array);
    values.into_iter().flatten().find(|value| {
        let expires = value
            .get("expiresAt")
            .and_then(Value::as_i64)
            .map(Timestamp::from_millis);
        let scope = value.get("scope").and_then(Value::as_str);
        expires.is_none_or(|expires| now < expires) && (wanted.is_none() || wanted == scope)
    })
}

/// The subject has to connect, for `reason`.
pub fn reconnect(reason: ReconnectReason) -> Error {
    Error::AuthorizationRequired(Box::new(Reconnect {
        reason,
        url: None,
        expires_at: None,
    }))
}

/// Whether a flight that ended so leaves the old token as good as it was: nobody could be asked, or
/// the provider refused the refresh, which [`decide`] too serves what lives after. A revocation, a
/// deleted connector and a defect of ours end it at once.
fn spares_old_token(error: &Error) -> bool {
    match error {
        Error::Provider { .. }
        | Error::ConnectorFault
        | Error::Unavailable
        | Error::Full
        | Error::DestinationRefused => true,
        Error::AuthorizationRequired(why) => matches!(
            why.reason,
            ReconnectReason::Rejected | ReconnectReason::LostResponse
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_to_renew_serves_the_old_token() {
        let provider = Error::Provider {
            code: "timeout",
            timeout: true,
            retry_after: None,
        };
        for (error, spares) in [
            (provider, true),
            (Error::ConnectorFault, true),
            (Error::Unavailable, true),
            (Error::Full, true),
            (Error::DestinationRefused, true),
            (reconnect(ReconnectReason::Rejected), true),
            (reconnect(ReconnectReason::LostResponse), true),
            (reconnect(ReconnectReason::Revoked), false),
            (Error::Gone("connector"), false),
            (Error::NotFound("connector"), false),
            (Error::Internal, false),
            (Error::Unauthenticated, false),
        ] {
            assert_eq!(spares_old_token(&error), spares, "{error:?}");
        }
    }
}

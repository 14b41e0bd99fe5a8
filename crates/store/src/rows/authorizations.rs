//! Authorizations and flows.

use grantry_core::Timestamp;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, Flow, HeldConsent, TokenSet, WebhookSecret,
};

use super::Noun;
use super::grants::{grant, grant_columns};
use super::values::{json, params};
use crate::backend::{Bad, Row, Value};

/// The values of `state` and `state_detail`.
pub(crate) fn state_columns(state: &AuthorizationState) -> Vec<Value> {
    match state {
        AuthorizationState::Pending => params!["pending", Value::Null],
        AuthorizationState::Unconfirmed => params!["unconfirmed", Value::Null],
        AuthorizationState::Success { connection } => params!["success", connection],
        AuthorizationState::Error { code } => params!["error", code],
        AuthorizationState::Canceled => params!["canceled", Value::Null],
    }
}

fn state(row: &Row) -> Result<AuthorizationState, Bad> {
    let word: String = row.get("state")?;
    match word.as_str() {
        "pending" => Ok(AuthorizationState::Pending),
        "unconfirmed" => Ok(AuthorizationState::Unconfirmed),
        "success" => Ok(AuthorizationState::Success {
            connection: row.get("state_detail")?,
        }),
        "error" => Ok(AuthorizationState::Error {
            code: row.get("state_detail")?,
        }),
        "canceled" => Ok(AuthorizationState::Canceled),
        _ => Err(Bad("state")),
    }
}

impl Noun for Authorization {
    const TABLE: &'static str = "authorizations";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "connector",
        "subject_type",
        "subject_id",
        "subject_issuer",
        "environment",
        "installation",
        "scopes",
        "audience",
        "resources",
        "details",
        "requested_by",
        "requester",
        "verifier",
        "device_code",
        "return_url",
        "prompt",
        "additional_params",
        "confirm",
        "embed",
        "webhook",
        "webhook_due",
        "webhook_tries",
        "install",
        "state",
        "state_detail",
        "created_at",
        "expires_at",
        "over_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        let mut row = params![&self.id, &self.team];
        row.extend(grant_columns(&self.grant));
        row.extend(params![
            json(&self.requested_by),
            &self.requester,
            &self.verifier,
            self.device_code.as_ref(),
            self.return_url.as_ref(),
            self.prompt.as_ref(),
            json(&self.additional_params),
            self.confirm,
            self.embed.as_ref().map_or(Value::Null, json),
            self.webhook.as_ref(),
            // At the latest it ends by running out.
            self.webhook.as_ref().map(|_| self.expires_at),
            0_u32,
            self.install.as_ref().map_or(Value::Null, json),
        ]);
        row.extend(state_columns(&self.state));
        row.extend(params![self.created_at, self.expires_at, self.expires_at]);
        row
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            grant: grant(row)?,
            requested_by: row.json("requested_by")?,
            requester: row.get("requester")?,
            verifier: row.get("verifier")?,
            device_code: row.get("device_code")?,
            return_url: row.get("return_url")?,
            prompt: row.get("prompt")?,
            additional_params: row.json("additional_params")?,
            confirm: row.get("confirm")?,
            embed: match row.value("embed") {
                Some(Value::Null) => None,
                _ => Some(row.json("embed")?),
            },
            webhook: row.get("webhook")?,
            install: match row.value("install") {
                Some(Value::Null) => None,
                _ => Some(row.json("install")?),
            },
            state: state(row)?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        })
    }
}

impl Noun for WebhookSecret {
    const TABLE: &'static str = "webhook_secrets";
    const COLUMNS: &'static [&'static str] =
        &["team", "secret", "previous", "previous_until", "made_at"];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.team,
            &self.secret,
            self.previous.as_ref(),
            self.previous_until,
            self.made_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            team: row.get("team")?,
            secret: row.get("secret")?,
            previous: row.get("previous")?,
            previous_until: row.get("previous_until")?,
            made_at: row.get("made_at")?,
        })
    }
}

impl Noun for HeldConsent {
    const TABLE: &'static str = "held_consents";
    const COLUMNS: &'static [&'static str] = &[
        "authorization_id",
        "team",
        "connector",
        "code",
        "name",
        "external_subject",
        "replaces",
        "set_id",
        "connection",
        "kind",
        "access",
        "access_expires_at",
        "refresh",
        "scope",
        "metadata",
        "servers",
        "received_at",
        "expires_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.authorization,
            &self.team,
            &self.connector,
            &self.code,
            self.name.as_ref(),
            self.external_subject.as_ref(),
            self.replaces,
            &self.set.id,
            &self.set.connection,
            &self.set.kind,
            &self.set.access,
            self.set.access_expires_at,
            self.set.refresh.as_ref(),
            self.set.scope.as_ref(),
            json(&self.set.metadata),
            self.set.servers.as_ref(),
            self.set.received_at,
            self.expires_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        let team: TeamId = row.get("team")?;
        Ok(Self {
            authorization: row.get("authorization_id")?,
            connector: row.get("connector")?,
            code: row.get("code")?,
            name: row.get("name")?,
            external_subject: row.get("external_subject")?,
            replaces: row.get("replaces")?,
            set: TokenSet {
                id: row.get("set_id")?,
                team: team.clone(),
                connection: row.get("connection")?,
                kind: row.get("kind")?,
                access: row.get("access")?,
                access_expires_at: row.get("access_expires_at")?,
                refresh: row.get("refresh")?,
                scope: row.get("scope")?,
                metadata: row.json("metadata")?,
                servers: row.get("servers")?,
                received_at: row.get("received_at")?,
                // Nothing has been presented yet.
                failures: 0,
                not_before: Timestamp(0),
            },
            team,
            expires_at: row.get("expires_at")?,
        })
    }
}

impl Noun for Flow {
    const TABLE: &'static str = "flows";
    const COLUMNS: &'static [&'static str] = &[
        "state",
        "team",
        "authorization_id",
        "browser",
        "verifier",
        "server",
        "redirect_uri",
        "replaces",
        "terms_at",
        "created_at",
        "expires_at",
        "used_at",
        "over_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.state,
            &self.team,
            &self.authorization,
            &self.browser,
            &self.verifier,
            json(&self.server),
            &self.redirect_uri,
            self.replaces,
            self.terms_at,
            self.created_at,
            self.expires_at,
            self.used_at,
            self.used_at.unwrap_or(self.expires_at),
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            state: row.get("state")?,
            team: row.get("team")?,
            authorization: row.get("authorization_id")?,
            browser: row.get("browser")?,
            verifier: row.get("verifier")?,
            server: row.json("server")?,
            redirect_uri: row.get("redirect_uri")?,
            replaces: row.get("replaces")?,
            terms_at: row.get("terms_at")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            used_at: row.get("used_at")?,
        })
    }
}

//! Connectors and links.

use grantry_core::nouns::{
    Connector, ConnectorType, FailedExchange, Fault, Link, Registration, SecretRef,
};

use super::Noun;
use super::values::{json, params};
use crate::backend::{Bad, FromValue, Row, Value};

impl From<ConnectorType> for Value {
    fn from(kind: ConnectorType) -> Self {
        Self::from(kind.as_str())
    }
}

impl FromValue for ConnectorType {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(word) => Self::from_word(word),
            _ => None,
        }
    }
}

/// The values of the four `fault_…` columns.
pub(crate) fn fault_columns(fault: Option<&Fault>) -> Vec<Value> {
    params![
        fault.map(|fault| &fault.code),
        fault.map(|fault| fault.count),
        fault.map(|fault| fault.at),
        fault.map(|fault| fault.not_before),
    ]
}

fn fault(row: &Row) -> Result<Option<Fault>, Bad> {
    let Some(code) = row.get("fault_code")? else {
        return Ok(None);
    };
    Ok(Some(Fault {
        code,
        count: row.get("fault_count")?,
        at: row.get("fault_at")?,
        not_before: row.get("fault_not_before")?,
    }))
}

/// The values of the two `exchange_…` columns.
pub(crate) fn exchange_columns(failed: Option<&FailedExchange>) -> Vec<Value> {
    params![
        failed.map(|failed| &failed.code),
        failed.map(|failed| failed.at)
    ]
}

fn failed_exchange(row: &Row) -> Result<Option<FailedExchange>, Bad> {
    let Some(code) = row.get("exchange_code")? else {
        return Ok(None);
    };
    Ok(Some(FailedExchange {
        code,
        at: row.get("exchange_at")?,
    }))
}

fn client_secret(row: &Row) -> Result<Option<SecretRef>, Bad> {
    let Some(id) = row.get("client_secret_id")? else {
        return Ok(None);
    };
    Ok(Some(SecretRef {
        id,
        at: row.get("client_secret_at")?,
    }))
}

fn registration(row: &Row) -> Result<Option<Registration>, Bad> {
    match row.get::<Option<String>>("registration")? {
        Some(_) => row.json("registration").map(Some),
        None => Ok(None),
    }
}

impl Noun for Connector {
    const TABLE: &'static str = "connectors";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "uid",
        "name",
        "kind",
        "service",
        "connection_method",
        "target",
        "data",
        "secrets",
        "client_secret_id",
        "client_secret_at",
        "registration",
        "registration_secrets",
        "metadata",
        "redirect_uri",
        "default_installation",
        "terms_at",
        "reinstall_at",
        "triggers_enabled",
        "events",
        "trigger_destinations",
        "icon",
        "background_color",
        "accent_color",
        "created_by",
        "updated_by",
        "created_at",
        "updated_at",
        "deleted_at",
        "search",
        "first_expiry",
        "fault_code",
        "fault_count",
        "fault_at",
        "fault_not_before",
        "exchange_code",
        "exchange_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        let search = format!("{}\n{}\n{}", self.name, self.uid, self.service).to_ascii_lowercase();
        let mut row = params![
            &self.id,
            &self.team,
            &self.uid,
            &self.name,
            self.kind,
            &self.service,
            self.connection_method.as_ref(),
            self.target.as_ref(),
            json(&self.data),
            self.secrets.as_ref(),
            self.client_secret.as_ref().map(|secret| &secret.id),
            self.client_secret.as_ref().map(|secret| secret.at),
            self.registration.as_ref().map(json),
            self.registration_secrets.as_ref(),
            json(&self.metadata),
            &self.redirect_uri,
            self.default_installation.as_ref(),
            self.terms_at,
            self.reinstall_at,
            self.triggers_enabled,
            json(&self.events),
            json(&self.trigger_destinations),
            self.icon.as_ref(),
            self.background_color.as_ref(),
            self.accent_color.as_ref(),
            json(&self.created_by),
            json(&self.updated_by),
            self.created_at,
            self.updated_at,
            self.deleted_at,
            search,
            self.first_expiry(),
        ];
        row.extend(fault_columns(self.fault.as_ref()));
        row.extend(exchange_columns(self.failed_exchange.as_ref()));
        row
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            uid: row.get("uid")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            service: row.get("service")?,
            connection_method: row.get("connection_method")?,
            target: row.get("target")?,
            data: row.json("data")?,
            secrets: row.get("secrets")?,
            client_secret: client_secret(row)?,
            registration: registration(row)?,
            registration_secrets: row.get("registration_secrets")?,
            metadata: row.json("metadata")?,
            redirect_uri: row.get("redirect_uri")?,
            default_installation: row.get("default_installation")?,
            terms_at: row.get("terms_at")?,
            reinstall_at: row.get("reinstall_at")?,
            triggers_enabled: row.get("triggers_enabled")?,
            events: row.json("events")?,
            trigger_destinations: row.json("trigger_destinations")?,
            icon: row.get("icon")?,
            background_color: row.get("background_color")?,
            accent_color: row.get("accent_color")?,
            fault: fault(row)?,
            failed_exchange: failed_exchange(row)?,
            created_by: row.json("created_by")?,
            updated_by: row.json("updated_by")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            deleted_at: row.get("deleted_at")?,
        })
    }
}

impl Noun for Link {
    const TABLE: &'static str = "links";
    const COLUMNS: &'static [&'static str] = &[
        "connector",
        "project",
        "team",
        "environments",
        "created_at",
        "updated_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.connector,
            &self.project,
            &self.team,
            json(&self.environments),
            self.created_at,
            self.updated_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            connector: row.get("connector")?,
            project: row.get("project")?,
            team: row.get("team")?,
            environments: row.json("environments")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

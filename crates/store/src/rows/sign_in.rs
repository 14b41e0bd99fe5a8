//! Sign-ins, their codes and refresh tokens.

use grantry_core::nouns::{Session, SignIn, SignInGrant};

use super::Noun;
use super::values::{json, params};
use crate::backend::{Bad, Row, Value};

impl Noun for SignIn {
    const TABLE: &'static str = "sign_ins";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "connector",
        "authorization_id",
        "asked",
        "identity",
        "project",
        "environment",
        "connection",
        "created_at",
        "expires_at",
        "ended_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        let session = self.session.as_ref();
        params![
            &self.id,
            &self.team,
            &self.connector,
            &self.authorization,
            json(&self.asked),
            self.identity.as_ref(),
            session.map(|session| &session.project),
            session.map(|session| session.environment.as_str()),
            session.map(|session| &session.connection),
            self.created_at,
            self.expires_at,
            self.ended_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        let project = row.get::<Option<_>>("project")?;
        let session = match project {
            None => None,
            Some(project) => Some(Session {
                project,
                environment: row.get("environment")?,
                connection: row.get("connection")?,
            }),
        };
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            connector: row.get("connector")?,
            authorization: row.get("authorization_id")?,
            asked: row.json("asked")?,
            identity: row.get("identity")?,
            session,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            ended_at: row.get("ended_at")?,
        })
    }
}

impl Noun for SignInGrant {
    const TABLE: &'static str = "sign_in_grants";
    const COLUMNS: &'static [&'static str] = &[
        "hash",
        "sign_in",
        "team",
        "refresh",
        "expires_at",
        "used_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.hash,
            &self.sign_in,
            &self.team,
            self.refresh,
            self.expires_at,
            self.used_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            hash: row.get("hash")?,
            sign_in: row.get("sign_in")?,
            team: row.get("team")?,
            refresh: row.get("refresh")?,
            expires_at: row.get("expires_at")?,
            used_at: row.get("used_at")?,
        })
    }
}

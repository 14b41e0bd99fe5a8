//! Secrets, invitations, MCP servers, icons.

use grantry_core::nouns::{Icon, Invite, McpServer, NamedSecret};

use super::Noun;
use super::values::{json, params};
use crate::backend::{Bad, Row, Value};

impl Noun for NamedSecret {
    const TABLE: &'static str = "secrets";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "name",
        "label",
        "owner",
        "value",
        "created_at",
        "updated_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.name,
            self.label.as_ref(),
            self.owner.as_ref(),
            &self.value,
            self.created_at,
            self.updated_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            name: row.get("name")?,
            label: row.get("label")?,
            owner: row.get("owner")?,
            value: row.get("value")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl Noun for Invite {
    const TABLE: &'static str = "invites";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "email",
        "role",
        "words",
        "created_by",
        "created_at",
        "expires_at",
        "accepted_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.email,
            self.role,
            json(&self.words),
            json(&self.created_by),
            self.created_at,
            self.expires_at,
            self.accepted_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            email: row.get("email")?,
            role: row.get("role")?,
            words: row.json("words")?,
            created_by: row.json("created_by")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            accepted_at: row.get("accepted_at")?,
        })
    }
}

impl Noun for McpServer {
    const TABLE: &'static str = "mcp_servers";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "name",
        "base_url",
        "data",
        "created_at",
        "updated_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.name,
            &self.base_url,
            json(&self.data),
            self.created_at,
            self.updated_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            name: row.get("name")?,
            base_url: row.get("base_url")?,
            data: row.json("data")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl Noun for Icon {
    const TABLE: &'static str = "icons";
    const COLUMNS: &'static [&'static str] =
        &["digest", "team", "media_type", "content", "created_at"];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.digest,
            &self.team,
            &self.media_type,
            &self.content[..],
            self.created_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            digest: row.get("digest")?,
            team: row.get("team")?,
            media_type: row.get("media_type")?,
            content: row.get("content")?,
            created_at: row.get("created_at")?,
        })
    }
}

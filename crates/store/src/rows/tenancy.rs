//! Accounts, teams, people, projects, keys, catalogue overlays.

use grantry_core::nouns::{Account, Key, KeyLevel, Membership, Project, Role, Service, Team, User};

use grantry_core::store::Member;

use super::Noun;
use super::values::{json, params, words};
use crate::backend::{Bad, Row, Value};

words!(Role { Owner = "owner", Admin = "admin", Member = "member", TokenOnly = "token-only" });
words!(KeyLevel { Server = "server", Account = "account", Team = "team" });

impl Noun for Account {
    const TABLE: &'static str = "accounts";
    const COLUMNS: &'static [&'static str] = &["id", "name", "created_at"];

    fn to_row(&self) -> Vec<Value> {
        params![&self.id, &self.name, self.created_at]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Noun for Team {
    const TABLE: &'static str = "teams";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "account",
        "slug",
        "name",
        "return_origins",
        "words",
        "created_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.account,
            &self.slug,
            &self.name,
            json(&self.return_origins),
            json(&self.words),
            self.created_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            account: row.get("account")?,
            slug: row.get("slug")?,
            name: row.get("name")?,
            return_origins: row.json("return_origins")?,
            words: row.json("words")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Noun for User {
    const TABLE: &'static str = "users";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "account",
        "email",
        "first_name",
        "last_name",
        "created_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.account,
            &self.email,
            &self.first_name,
            &self.last_name,
            self.created_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            account: row.get("account")?,
            email: row.get("email")?,
            first_name: row.get("first_name")?,
            last_name: row.get("last_name")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Noun for Membership {
    const TABLE: &'static str = "memberships";
    const COLUMNS: &'static [&'static str] = &["user_id", "team", "role", "words"];

    fn to_row(&self) -> Vec<Value> {
        params![&self.user, &self.team, self.role, json(&self.words)]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            user: row.get("user_id")?,
            team: row.get("team")?,
            role: row.get("role")?,
            words: row.json("words")?,
        })
    }
}

/// Only read, from a join of both tables.
impl Noun for Member {
    const TABLE: &'static str = "memberships";
    const COLUMNS: &'static [&'static str] = User::COLUMNS;

    fn to_row(&self) -> Vec<Value> {
        self.user.to_row()
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            user: User::from_row(row)?,
            role: row.get("role")?,
            words: row.json("words")?,
        })
    }
}

impl Noun for Project {
    const TABLE: &'static str = "projects";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "team",
        "name",
        "custom_environments",
        "base_urls",
        "provisions",
        "sign_in_uris",
        "created_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.team,
            &self.name,
            json(&self.custom_environments),
            json(&self.base_urls),
            self.provisions,
            json(&self.sign_in_uris),
            self.created_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            team: row.get("team")?,
            name: row.get("name")?,
            custom_environments: row.json("custom_environments")?,
            base_urls: row.json("base_urls")?,
            provisions: row.get("provisions")?,
            sign_in_uris: row.json("sign_in_uris")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Noun for Key {
    const TABLE: &'static str = "keys";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "hash",
        "hint",
        "name",
        "level",
        "account",
        "team",
        "user_id",
        "project",
        "environment",
        "role",
        "created_at",
        "expires_at",
        "revoked_at",
    ];

    fn to_row(&self) -> Vec<Value> {
        params![
            &self.id,
            &self.hash,
            &self.hint,
            &self.name,
            self.level,
            self.account.as_ref(),
            self.team.as_ref(),
            self.user.as_ref(),
            self.project.as_ref(),
            self.environment.as_ref(),
            self.role,
            self.created_at,
            self.expires_at,
            self.revoked_at,
        ]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        let key = Self {
            id: row.get("id")?,
            hash: row.get("hash")?,
            hint: row.get("hint")?,
            name: row.get("name")?,
            level: row.get("level")?,
            account: row.get("account")?,
            team: row.get("team")?,
            user: row.get("user_id")?,
            project: row.get("project")?,
            environment: row.get("environment")?,
            role: row.get("role")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            revoked_at: row.get("revoked_at")?,
        };
        // A key that reaches further, or for somebody else, than its level says must not authenticate.
        let (account, team) = match key.level {
            KeyLevel::Server => (false, false),
            KeyLevel::Account => (true, false),
            KeyLevel::Team => (true, true),
        };
        match () {
            () if key.account.is_some() != account => Err(Bad("account")),
            () if key.team.is_some() != team => Err(Bad("team")),
            () if key.user.is_some() && key.project.is_some() => Err(Bad("user_id")),
            () if key.project.is_some() != key.environment.is_some() => Err(Bad("environment")),
            () => Ok(key),
        }
    }
}

impl Noun for Service {
    const TABLE: &'static str = "services";
    const COLUMNS: &'static [&'static str] = &["id", "data"];

    fn to_row(&self) -> Vec<Value> {
        params![&self.id, json(&self.data)]
    }

    fn from_row(row: &Row) -> Result<Self, Bad> {
        Ok(Self {
            id: row.get("id")?,
            data: row.json("data")?,
        })
    }
}

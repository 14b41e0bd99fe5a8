//! What a check came to.

use grantry_core::StoreError;
use serde::Serialize;

/// Teams that are looked at.
pub const TEAMS_MAX: u32 = 100;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and will hurt one day.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

impl Level {
    /// The word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable word; one of [`CODES`].
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// How to mend it: a command that can be pasted where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Level::Ok, message, None)
    }

    /// It works, and will hurt one day.
    pub fn warn(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(code, Level::Warn, message, Some(fix.into()))
    }

    /// It does not work, or is not safe.
    pub fn fail(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(code, Level::Fail, message, Some(fix.into()))
    }

    /// What the check needs could not be read, so it has found nothing out.
    pub fn unread(code: &'static str, error: &StoreError) -> Self {
        let message = format!("what is stored could not be read: {error}");
        Self::warn(code, message, "What the database checks say comes first.")
    }

    fn new(
        code: &'static str,
        level: Level,
        message: impl Into<String>,
        fix: Option<String>,
    ) -> Self {
        debug_assert!(CODES.contains(&code), "{code} is not in the list");
        Self {
            code,
            level,
            message: message.into(),
            fix,
        }
    }
}

/// Every code. They are an interface: monitoring relies on them.
pub const CODES: &[&str] = &[
    "config.file",
    "config.public_url",
    "config.redirect_uri",
    "server.running",
    "server.ready",
    "server.version",
    "listen.address",
    "metrics.address",
    "tls.files",
    "data.directory",
    "data.disk",
    "data.first_key",
    "key.present",
    "key.right",
    "key.apart",
    "database.reachable",
    "database.schema",
    "database.integrity",
    "database.wal",
    "database.version",
    "database.writable",
    "database.durable",
    "database.isolation",
    "database.connections",
    "database.tls",
    "egress.setup",
    "egress.proxy",
    "egress.policy",
    "egress.dns",
    "egress.reach",
    "clock.wall",
    "clock.boot",
    "clock.data",
    "clock.database",
    "clock.provider",
    "spool.directory",
    "spool.disk",
    "spool.waiting",
    "limits.files",
    "process.core_dumps",
];

#[cfg(test)]
mod tests {
    use super::CODES;

    #[test]
    fn every_code_is_documented() {
        let document = include_str!("../../../../../docs/cli.md");
        for code in CODES {
            assert!(document.contains(&format!("`{code}`")), "{code}");
        }
    }
}

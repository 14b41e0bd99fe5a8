//! The server that holds the data, if one runs.

use std::path::Path;

use grantry_core::http::Method;

use super::finding::Finding;
use crate::client::{Client, Content};
use crate::config::Config;
use crate::control;
use crate::data_dir::{CONTROL_SOCKET, LOCK};
use crate::listen;

/// What is known of the server.
pub struct Running {
    client: Option<Client>,
    pid: Option<u32>,
}

impl Running {
    /// The server that holds `directory`.
    pub async fn at(directory: &Path) -> Self {
        let up = control::answers(&directory.join(CONTROL_SOCKET));
        let client = match up {
            true => Client::at_socket(directory, None).ok().flatten(),
            false => None,
        };
        let pid = std::fs::read_to_string(directory.join(LOCK));
        let pid = pid.ok().and_then(|text| text.trim().parse().ok());
        Self {
            pid: pid.filter(|_| client.is_some()),
            client,
        }
    }

    /// Whether it answers.
    pub const fn is_up(&self) -> bool {
        self.client.is_some()
    }

    /// Its process.
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether it serves, and whether its address is to be had where it does not run.
    pub async fn findings(&self, config: &Config) -> Vec<Finding> {
        let Some(client) = &self.client else {
            let start = "grantry serve, with the flags that you gave to doctor";
            return vec![
                Finding::warn("server.running", "no server runs on this data", start),
                address(config).await,
            ];
        };
        let process = self.pid.map(|pid| format!(" (process {pid})"));
        let process = process.unwrap_or_default();
        let mut findings = vec![
            Finding::ok(
                "server.running",
                format!("a server runs on this data{process}"),
            ),
            Finding::ok(
                "listen.address",
                format!("{} is the running server's", config.listen),
            ),
        ];
        findings.push(match client.ready().await {
            Ok(()) => Finding::ok("server.ready", "the server can serve requests"),
            Err(failure) => Finding::fail(
                "server.ready",
                format!("the server cannot serve requests: {}", failure.message),
                "Its log says why; what the database checks below say is the most likely reason.",
            ),
        });
        let document = client.call(Method::Get, "/openapi.json", &[], Content::None);
        if let Ok(Ok(document)) = document.await
            && let Some(version) = document.pointer("/info/version").and_then(|it| it.as_str())
        {
            let ours = env!("CARGO_PKG_VERSION");
            findings.push(if version == ours {
                Finding::ok(
                    "server.version",
                    format!("it is version {version}, as this program is"),
                )
            } else {
                Finding::warn(
                    "server.version",
                    format!("it is version {version}, and this program is {ours}"),
                    "Restart the server to run what is installed.",
                )
            });
        }
        findings
    }
}

/// Whether a server could listen where the configuration says.
async fn address(config: &Config) -> Finding {
    match listen::tcp(config.listen).await {
        Ok(_) => Finding::ok("listen.address", format!("{} is free", config.listen)),
        Err(failure) => Finding::fail(
            "listen.address",
            failure.message,
            failure
                .hint
                .unwrap_or_else(|| "Give --listen another address.".to_owned()),
        ),
    }
}

//! The server that holds the data, if one runs.

use std::net::SocketAddr;
use std::path::Path;

use grantry_core::http::Method;

use super::finding::Finding;
use crate::client::{Client, Content};
use crate::config::Config;
use crate::control;
use crate::data_dir::{CONTROL_SOCKET, LOCK};
use crate::listen;
use crate::port::{holder_of, is_listened_at};

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
            let mut findings = vec![
                Finding::warn("server.running", "no server runs on this data", start),
                address("listen.address", "--listen", config.listen).await,
            ];
            findings.extend(match config.metrics_listen {
                Some(metrics) if metrics == config.listen => Some(one_for_both(metrics)),
                Some(metrics) => {
                    Some(address("metrics.address", "--metrics-listen", metrics).await)
                }
                None => None,
            });
            return findings;
        };
        let process = self.pid.map(|pid| format!(" (process {pid})"));
        let process = process.unwrap_or_default();
        let mut findings = vec![
            Finding::ok(
                "server.running",
                format!("a server runs on this data{process}"),
            ),
            theirs("listen.address", config.listen, self.pid),
        ];
        findings.extend(
            config
                .metrics_listen
                .map(|metrics| theirs("metrics.address", metrics, self.pid)),
        );
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

/// Whether the running server listens where the configuration says, as far as this user may see.
fn theirs(code: &'static str, address: SocketAddr, pid: Option<u32>) -> Finding {
    if address.port() == 0 {
        return Finding::ok(code, "any free port is the server's");
    }
    let process = pid.map(|pid| format!("(process {pid})"));
    match (holder_of(address.port()), process) {
        (Some(holder), Some(process)) if holder.ends_with(&process) => {
            Finding::ok(code, format!("{address} is the running server's"))
        }
        (Some(holder), _) => Finding::fail(
            code,
            format!("{address} is {holder}'s, and not the running server's"),
            "Restart the server with this configuration, or give doctor the server's own.",
        ),
        (None, _) if !is_listened_at(address.port()) => Finding::warn(
            code,
            format!("the running server does not listen at {address}"),
            "Restart the server with this configuration, or give doctor the server's own.",
        ),
        (None, _) => Finding::ok(
            code,
            format!(
                "somebody listens at {address}; whether it is the running server only its own user sees"
            ),
        ),
    }
}

fn one_for_both(address: SocketAddr) -> Finding {
    Finding::fail(
        "metrics.address",
        format!("{address} is the server's own address: it cannot serve metrics there too"),
        "Give --metrics-listen another port.",
    )
}

/// Whether a server could listen where the configuration says.
async fn address(code: &'static str, flag: &str, at: SocketAddr) -> Finding {
    match listen::tcp(at).await {
        Ok(_) => Finding::ok(code, format!("{at} is free")),
        Err(failure) => Finding::fail(
            code,
            failure.message,
            failure
                .hint
                .unwrap_or_else(|| format!("Give {flag} another address.")),
        ),
    }
}

//! The public URL, and the data directory.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use grantry_core::StoreError;
use grantry_core::store::{ConnectorFilter, Page, Store, TeamFilter};
use rustix::fs::statvfs;
use url::Host;

use super::finding::{Finding, TEAMS_MAX};
use crate::config::Config;
use crate::data_dir::{DATABASE, FIRST_KEY};

/// Free bytes below which writes are about to fail.
const DISK_LOW: u64 = 512 * 1024 * 1024;
/// Free bytes below which they may fail now.
const DISK_FULL: u64 = 64 * 1024 * 1024;

/// Whether users and providers reach the server by the URL that it calls itself.
pub fn public_url(config: &Config) -> Vec<Finding> {
    let Ok(url) = config.public_url(config.listen) else {
        return Vec::new();
    };
    let shown = url.as_str().trim_end_matches('/');
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    vec![if here && config.listen.ip().is_loopback() {
        Finding::ok(
            "config.public_url",
            format!(
                "{shown} is for this machine alone; --public-url https://HOST opens it to others"
            ),
        )
    } else if here {
        Finding::warn(
            "config.public_url",
            format!(
                "the server listens at {} and calls itself {shown}: links lead others to their own machine",
                config.listen
            ),
            "Give --public-url https://HOST, the address that browsers and workloads use.",
        )
    } else {
        Finding::ok("config.public_url", format!("{shown} is https"))
    }]
}

/// Whether several teams share one redirect URI (design §7).
pub async fn redirect_uris(store: &Arc<dyn Store>) -> Vec<Finding> {
    let mut shared = BTreeSet::new();
    let mut teams = BTreeSet::new();
    let looked = async {
        let (everything, page) = (TeamFilter::default(), Page::first(TEAMS_MAX));
        for team in store.teams(&everything, &page).await? {
            let filter = ConnectorFilter::default();
            for row in store.connectors(&team.id, &filter, &page).await? {
                if row.redirect_uri.ends_with("/callback") {
                    shared.insert(row.redirect_uri);
                    teams.insert(team.id.to_string());
                }
            }
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = looked.await {
        return vec![Finding::unread("config.redirect_uri", &error)];
    }
    vec![match shared.first() {
        Some(uri) if teams.len() > 1 => Finding::warn(
            "config.redirect_uri",
            format!(
                "connectors of {} teams share the redirect URI {uri}: a provider that sends no `iss` is told apart by nothing else",
                teams.len()
            ),
            format!(
                "Register {uri}/TEAM at the providers, with each team's slug, and give new connectors that redirect URI."
            ),
        ),
        _ => Finding::ok("config.redirect_uri", "no two teams share a redirect URI"),
    }]
}

/// Who may read and write the data directory, and whether there is room.
pub fn directory(config: &Config) -> Vec<Finding> {
    let path = &config.data_dir;
    let shown = path.display();
    let Ok(metadata) = fs::metadata(path) else {
        return vec![Finding::warn(
            "data.directory",
            format!("there is no data directory {shown} yet"),
            format!("`grantry serve --data-dir {shown}` makes it; --data-dir names another."),
        )];
    };
    let mode = metadata.permissions().mode() & 0o777;
    let mut findings = vec![if mode & 0o022 != 0 {
        Finding::fail(
            "data.directory",
            format!(
                "other users may write to {shown} (mode {mode:04o}): the server refuses to start"
            ),
            format!("chmod 700 {shown}"),
        )
    } else if let Some(open) = open_to_others(path) {
        Finding::fail(
            "data.directory",
            format!("{} may be read by other users", path.join(open).display()),
            format!("chmod 600 {}", path.join(open).display()),
        )
    } else {
        Finding::ok("data.directory", format!("{shown} is its owner's alone"))
    }];
    findings.push(disk(path));
    let first = path.join(FIRST_KEY);
    if first.exists() {
        findings.push(Finding::warn(
            "data.first_key",
            format!(
                "{} still holds the first server key, which may do everything",
                first.display()
            ),
            format!(
                "Keep the key where secrets are kept, then: rm {}",
                first.display()
            ),
        ));
    }
    findings
}

fn open_to_others(path: &Path) -> Option<&'static str> {
    let open = |name: &&str| {
        let metadata = fs::metadata(path.join(name));
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    };
    // A key that is open to others is the key checks' finding.
    [DATABASE, FIRST_KEY].into_iter().find(open)
}

fn disk(path: &Path) -> Finding {
    let free = match statvfs(path) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            return Finding::fail(
                "data.disk",
                format!("the disk of {} does not answer: {error}", path.display()),
                "Look at `dmesg` and `df`.",
            );
        }
    };
    let message = format!("{} MiB are free for {}", free >> 20, path.display());
    let mend = format!(
        "Make room: df -h {0}; du -sh {0}/*. Full, the server refuses writes and serves what it has.",
        path.display()
    );
    match free {
        ..DISK_FULL => Finding::fail("data.disk", format!("only {message}"), mend),
        DISK_FULL..DISK_LOW => Finding::warn("data.disk", format!("only {message}"), mend),
        _ => Finding::ok("data.disk", message),
    }
}

//! What the operating system allows the server's process.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::config::Config;

/// Open files beside those of clients: the database, its log, connections to providers.
const OTHER_FILES: u64 = 256;

/// Whether every client that may connect can have its open file.
pub fn open_files(config: &Config, pid: Option<u32>) -> Vec<Finding> {
    let needed = config.limits.connections_max as u64 + OTHER_FILES;
    // A server raises its soft limit to the hard one, so that one counts.
    let allowed = match pid.and_then(|pid| limit_of(pid, "Max open files")) {
        Some(limit) => limit,
        None => getrlimit(Resource::Nofile).maximum,
    };
    vec![match allowed {
        Some(allowed) if allowed < needed => Finding::warn(
            "limits.files",
            format!(
                "{allowed} files may be open, and limits.connections_max is {}: {needed} would be needed",
                config.limits.connections_max
            ),
            format!(
                "ulimit -Hn {needed}, or LimitNOFILE={needed} in the systemd unit; or set limits.connections_max lower"
            ),
        ),
        Some(allowed) => Finding::ok(
            "limits.files",
            format!("{allowed} files may be open; {needed} are needed at most"),
        ),
        None => Finding::ok("limits.files", "any number of files may be open"),
    }]
}

/// Whether the memory of a running server could end up in a file.
pub fn core_dumps(pid: Option<u32>) -> Vec<Finding> {
    vec![
        match pid.and_then(|pid| limit_of(pid, "Max core file size")) {
            None => Finding::ok(
                "process.core_dumps",
                "the server turns core dumps off when it starts",
            ),
            Some(Some(0)) => Finding::ok(
                "process.core_dumps",
                "the running server leaves no core dump",
            ),
            Some(_) => Finding::fail(
                "process.core_dumps",
                "the running server may leave its memory, with every secret in it, in a core dump",
                "Restart it with this release, or put LimitCORE=0 into its systemd unit.",
            ),
        },
    ]
}

/// A row of `/proc/PID/limits`: the hard limit, the inner `None` when there is none.
fn limit_of(pid: u32, name: &str) -> Option<Option<u64>> {
    read_limit(
        &fs::read_to_string(format!("/proc/{pid}/limits")).ok()?,
        name,
    )
}

fn read_limit(table: &str, name: &str) -> Option<Option<u64>> {
    let row = table.lines().find_map(|line| line.strip_prefix(name))?;
    let hard = row.split_whitespace().nth(1)?;
    match hard {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let table = "\
Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    unlimited            bytes
Max open files            1024                 524288               files";
        assert_eq!(read_limit(table, "Max open files"), Some(Some(524_288)));
        assert_eq!(read_limit(table, "Max core file size"), Some(None));
        assert_eq!(read_limit(table, "Max locked memory"), None);
    }
}

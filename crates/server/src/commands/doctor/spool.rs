//! The emergency spool: pairs that the database could not take.

use std::fs;
use std::path::Path;
use std::time::Duration;

use grantry_core::{Clock as _, Timestamp};
use rustix::fs::statfs;

use super::finding::Finding;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data_dir::SPOOL;

/// File systems that end with the machine, by their number in `statfs(2)`.
const FLEETING: [(u64, &str); 3] = [
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs, a container's own layer"),
];

/// A pair that still waits after this while a server runs is one that the database refuses.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at the directory and what waits in it.
pub fn look(config: &Config, server_is_up: bool) -> Vec<Finding> {
    let path = config.data_dir.join(SPOOL);
    let shown = path.display();
    if !path.exists() {
        return vec![if config.data_dir.exists() && server_is_up {
            Finding::fail(
                "spool.directory",
                format!("there is no {shown}: a pair that the database cannot take would be lost"),
                format!("mkdir -m 700 {shown}"),
            )
        } else {
            Finding::ok(
                "spool.directory",
                format!("{shown} is made with the first start"),
            )
        }];
    }
    let entries = match waiting(&path) {
        Ok(entries) => entries,
        Err(error) => {
            return vec![Finding::fail(
                "spool.directory",
                format!("{shown} cannot be read: {error}"),
                format!("chown the server's user {shown}; chmod 700 {shown}"),
            )];
        }
    };
    vec![
        Finding::ok("spool.directory", format!("{shown} can be read")),
        disk(&path),
        queue(&entries, server_is_up),
    ]
}

fn disk(path: &Path) -> Finding {
    // What the number of a file system is called differs between platforms; its bits do not.
    let kind = statfs(path).map(|disk| disk.f_type as u64 & 0xffff_ffff);
    let fleeting = kind.ok().and_then(|kind| {
        let found = FLEETING.iter().find(|(number, _)| *number == kind);
        found.map(|(_, name)| *name)
    });
    match fleeting {
        Some(name) => Finding::warn(
            "spool.disk",
            format!(
                "{} is on {name}: what waits there is lost with the machine",
                path.display()
            ),
            "Put --data-dir on a disk that outlives restarts (a volume, in a container).",
        ),
        None => Finding::ok(
            "spool.disk",
            format!("{} is on a disk that outlives restarts", path.display()),
        ),
    }
}

/// When each pair was put there.
fn waiting(path: &Path) -> std::io::Result<Vec<Timestamp>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|kind| kind == "json") {
            let modified = entry.metadata()?.modified()?;
            let since = modified.duration_since(std::time::UNIX_EPOCH);
            entries.push(Timestamp::default().after(since.unwrap_or_default()));
        }
    }
    Ok(entries)
}

fn queue(entries: &[Timestamp], server_is_up: bool) -> Finding {
    let Some(oldest) = entries.iter().min() else {
        return Finding::ok("spool.waiting", "nothing waits to be stored");
    };
    let age = SystemClock.now().since(*oldest);
    let message = format!(
        "{} token pairs wait to be stored, the oldest for {} s",
        entries.len(),
        age.as_secs()
    );
    if !server_is_up {
        Finding::warn(
            "spool.waiting",
            message,
            "Start the server: it stores them before it listens. Delete nothing.",
        )
    } else if age > PATIENCE {
        Finding::fail(
            "spool.waiting",
            message,
            "The database does not take them: mend what its checks say, then restart the server. Delete nothing.",
        )
    } else {
        Finding::ok("spool.waiting", message)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn what_waits_is_judged_by_its_age_and_by_who_could_store_it() {
        let now = SystemClock.now();
        let old = now.before(PATIENCE * 2);
        for (entries, up, level) in [
            (&[][..], true, Level::Ok),
            (&[now], true, Level::Ok),
            (&[now, old], true, Level::Fail),
            (&[now], false, Level::Warn),
        ] {
            assert_eq!(queue(entries, up).level, level, "{entries:?} {up}");
        }
    }
}

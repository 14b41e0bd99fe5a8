//! The database: there, of this program's schema, sound, and fit to keep a promise.

use std::path::Path;
use std::sync::Arc;

use grantry_core::meter::Unmetered;
use grantry_core::{Clock, Meter, Store};
use grantry_store::inspect::{self, Schema, Server};
use grantry_store::postgres;

use super::finding::Finding;
use super::{Opened, clock};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data_dir::DATABASE;
use crate::failure::chain;
use crate::house;

/// A write-ahead log larger than this is not written back: something holds a reader open.
const WAL_BYTES_USUAL: u64 = 256 * 1024 * 1024;
/// PostgreSQL before 13 is not tried any more; `server_version_num`.
const VERSION_MIN: i64 = 130_000;

/// Looks at the database of `config`; the store, where its rows can be read.
pub async fn look(config: &Config, findings: &mut Vec<Finding>) -> Opened {
    match &config.database_url {
        Some(url) => remote(url.expose(), config, findings).await,
        None => embedded(&config.data_dir.join(DATABASE), findings).await,
    }
}

async fn embedded(path: &Path, findings: &mut Vec<Finding>) -> Opened {
    let shown = path.display();
    if !path.exists() {
        findings.push(Finding::warn(
            "database.reachable",
            format!("there is no database {shown} yet"),
            "`grantry serve` makes it.",
        ));
        return None;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let restore = format!(
        "Stop the server, keep {shown} and what lies beside it, and restore the newest backup."
    );
    let db = match inspect::sqlite(path, &clock) {
        Ok(db) => db,
        Err(error) => {
            let message = format!("{shown}: {}", chain(&error));
            findings.push(Finding::fail("database.reachable", message, restore));
            return None;
        }
    };
    findings.push(Finding::ok(
        "database.reachable",
        format!("{shown} can be read"),
    ));
    let readable = schema(db.schema().await, findings);
    findings.push(match db.complaints().await {
        Ok(complaints) if complaints.is_empty() => {
            Finding::ok("database.integrity", "the quick check finds the file sound")
        }
        Ok(complaints) => Finding::fail(
            "database.integrity",
            format!("the file is damaged: {}", complaints.join("; ")),
            restore,
        ),
        Err(_) => Finding::fail(
            "database.integrity",
            "the file is damaged: it cannot be read whole",
            restore,
        ),
    });
    findings.push(log(path));
    readable.then(|| -> Arc<dyn Store> { Arc::new(db) })
}

fn log(path: &Path) -> Finding {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let bytes = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
    let message = format!("the write-ahead log is {} KiB", bytes >> 10);
    if bytes > WAL_BYTES_USUAL {
        Finding::warn(
            "database.wal",
            format!("{message}: it is not written back"),
            "Look for a program that keeps the database open (a shell, a backup): fuser -v on the file.",
        )
    } else {
        Finding::ok("database.wal", message)
    }
}

/// Whether the rows can be read by this program.
fn schema(found: Result<Schema, grantry_core::StoreError>, findings: &mut Vec<Finding>) -> bool {
    let finding = match found {
        Err(_) => Finding::warn(
            "database.schema",
            "it holds no schema of this program yet",
            "Is it the right database? A new, empty one is filled by the first start of `grantry serve`.",
        ),
        Ok(Schema {
            version,
            min_binary,
            binary,
        }) if min_binary > binary => Finding::fail(
            "database.schema",
            format!(
                "its schema {version} needs a program of schema {min_binary} or newer; this one has {binary}"
            ),
            "Run the newer release.",
        ),
        Ok(Schema {
            version, binary, ..
        }) if version < binary => Finding::warn(
            "database.schema",
            format!("it has schema {version}, and this program has {binary}"),
            "The next start of `grantry serve` migrates it, forward only: make a backup before.",
        ),
        Ok(Schema { version, .. }) => {
            findings.push(Finding::ok(
                "database.schema",
                format!("it has schema {version}"),
            ));
            return true;
        }
    };
    findings.push(finding);
    false
}

async fn remote(url: &str, config: &Config, findings: &mut Vec<Finding>) -> Opened {
    let node = config.limits.database_connections_max;
    // As the server connects, but for how often.
    let meter: Arc<dyn Meter> = Arc::new(Unmetered);
    let options = postgres::Options {
        connections: 2,
        notify: false,
        ..house::postgres_options(config, &meter)
    };
    let db = match inspect::postgres(url, Arc::new(SystemClock), options).await {
        Ok(db) => db,
        Err(error) => {
            findings.push(Finding::fail(
                "database.reachable",
                chain(&error),
                "Is it up, and do host, port, user, password and database hold? psql \"$GRANTRY_DATABASE_URL\" -c 'SELECT 1' says more.",
            ));
            return None;
        }
    };
    findings.push(Finding::ok("database.reachable", "PostgreSQL answers"));
    let readable = schema(db.schema().await, findings);
    let before = SystemClock.now();
    match db.server().await {
        Ok(server) => {
            let ours = before.after(SystemClock.now().since(before) / 2);
            findings.push(clock::of_database(server.now, ours));
            findings.extend(fit(&server, node));
            findings.push(way(url, &server));
        }
        Err(error) => findings.push(Finding::fail(
            "database.version",
            format!("it does not say what it is: {error}"),
            "Is it PostgreSQL? GRANTRY_LOG=debug grantry serve shows what it refuses.",
        )),
    }
    readable.then(|| -> Arc<dyn Store> { Arc::new(db) })
}

/// Whether what it promises is enough for a node that opens `node` connections.
fn fit(server: &Server, node: usize) -> Vec<Finding> {
    let release = format!(
        "PostgreSQL {}.{}",
        server.version / 10_000,
        server.version % 10_000
    );
    let version = if server.version < VERSION_MIN {
        Finding::warn(
            "database.version",
            format!("{release} is too old to be tried with"),
            "Move to PostgreSQL 15 or newer.",
        )
    } else {
        Finding::ok("database.version", release)
    };
    let writable = if server.standby {
        Finding::fail(
            "database.writable",
            "it is a standby and takes no writes",
            "Name the primary in --database-url, or add target_session_attrs=read-write to it.",
        )
    } else if server.read_only {
        Finding::fail(
            "database.writable",
            "default_transaction_read_only is on: it takes no writes",
            "ALTER DATABASE … RESET default_transaction_read_only; ALTER ROLE … RESET default_transaction_read_only;",
        )
    } else {
        Finding::ok("database.writable", "it takes writes")
    };
    let durable = if server.fsync {
        Finding::ok("database.durable", "fsync is on")
    } else {
        Finding::fail(
            "database.durable",
            "fsync is off: a refreshed token pair may be lost with the machine, and its connection with it",
            "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();",
        )
    };
    let isolation = if server.isolation == "serializable" {
        Finding::ok("database.isolation", "writes are serializable")
    } else {
        Finding::fail(
            "database.isolation",
            format!(
                "a write that asks for serializable isolation gets {}",
                server.isolation
            ),
            "Connect to PostgreSQL itself, or through a pooler in session mode.",
        )
    };
    let connections = if server.connections_max < 2 * i64::try_from(node).unwrap_or(i64::MAX / 2) {
        Finding::warn(
            "database.connections",
            format!(
                "it takes {} connections, and a node opens {node}",
                server.connections_max
            ),
            "ALTER SYSTEM SET max_connections = 100; then restart PostgreSQL.",
        )
    } else {
        Finding::ok(
            "database.connections",
            format!(
                "it takes {} connections; a node opens {node}",
                server.connections_max
            ),
        )
    };
    vec![version, writable, durable, isolation, connections]
}

/// Whether somebody on the way can read along.
fn way(url: &str, server: &Server) -> Finding {
    if server.encrypted {
        Finding::ok("database.tls", "the way to the database is encrypted")
    } else if postgres::leaves_the_machine(url) {
        Finding::warn(
            "database.tls",
            "the way to the database is not encrypted, and leaves this machine",
            "Add sslmode=verify-full (at least require) to the URL, once PostgreSQL has ssl = on.",
        )
    } else {
        Finding::ok(
            "database.tls",
            "the way to the database does not leave this machine",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn sound() -> Server {
        Server {
            version: 150_004,
            now: SystemClock.now(),
            standby: false,
            read_only: false,
            fsync: true,
            connections_max: 100,
            encrypted: false,
            isolation: "serializable".to_owned(),
        }
    }

    fn worst(server: &Server) -> (&'static str, Level) {
        let findings = fit(server, 16);
        let worst = findings.iter().max_by_key(|finding| finding.level).unwrap();
        (worst.code, worst.level)
    }

    #[test]
    fn what_would_break_a_promise_is_found() {
        assert_eq!(worst(&sound()).1, Level::Ok);
        for (server, code, level) in [
            (
                Server {
                    version: 120_001,
                    ..sound()
                },
                "database.version",
                Level::Warn,
            ),
            (
                Server {
                    standby: true,
                    ..sound()
                },
                "database.writable",
                Level::Fail,
            ),
            (
                Server {
                    read_only: true,
                    ..sound()
                },
                "database.writable",
                Level::Fail,
            ),
            (
                Server {
                    fsync: false,
                    ..sound()
                },
                "database.durable",
                Level::Fail,
            ),
            (
                Server {
                    isolation: "read committed".to_owned(),
                    ..sound()
                },
                "database.isolation",
                Level::Fail,
            ),
            (
                Server {
                    connections_max: 20,
                    ..sound()
                },
                "database.connections",
                Level::Warn,
            ),
        ] {
            assert_eq!(worst(&server), (code, level));
        }
        assert_eq!(
            way("postgres://u@db.example/db", &sound()).level,
            Level::Warn
        );
        assert_eq!(way("postgres://u@localhost/db", &sound()).level, Level::Ok);
    }

    #[test]
    fn a_schema_is_read_only_by_who_knows_it() {
        let known = |version, min_binary| {
            let mut findings = Vec::new();
            let readable = schema(
                Ok(Schema {
                    version,
                    min_binary,
                    binary: 5,
                }),
                &mut findings,
            );
            (readable, findings[0].level)
        };
        assert_eq!(known(5, 1), (true, Level::Ok));
        assert_eq!(known(6, 5), (true, Level::Ok));
        assert_eq!(known(6, 6), (false, Level::Fail));
        assert_eq!(known(4, 1), (false, Level::Warn));
    }
}

//! Whether the way to the database is encrypted.

use std::net::IpAddr;
use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::OpenError;

/// What makes connections: encrypted as the URL's `sslmode` says and `tls` allows.
pub(super) fn manager(
    config: Config,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> Result<Manager, OpenError> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    match (config.get_ssl_mode(), tls) {
        (SslMode::Disable, _) => Ok(Manager::from_config(config, NoTls, recycling)),
        (SslMode::Prefer, None) => {
            if leaves_the_machine(&config) {
                tracing::warn!(
                    "the way to the database is not encrypted; write sslmode=disable into its URL if that is meant"
                );
            }
            Ok(Manager::from_config(config, NoTls, recycling))
        }
        (_, Some(tls)) => {
            let connect = MakeRustlsConnect::new((*tls).clone());
            Ok(Manager::from_config(config, connect, recycling))
        }
        (_, None) => Err(OpenError::Database(
            "the database URL asks for TLS, and no TLS settings were given".to_owned(),
        )),
    }
}

/// Whether any of the servers is reached over a network.
pub(super) fn leaves_the_machine(config: &Config) -> bool {
    let remote = |host: &Host| match host {
        Host::Tcp(name) => {
            name != "localhost"
                && !name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Host::Unix(_) => false,
    };
    // An address, where one is given, is what is connected to; the name is then only verified.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().any(remote),
        addresses => addresses.iter().any(|address| !address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_told_from_one_here() {
        for (url, elsewhere) in [
            ("postgres://u@localhost/db", false),
            ("postgres://u@127.0.0.1/db", false),
            ("postgres://u@[::1]/db", false),
            ("host=/run/postgresql user=u", false),
            ("host=db.example hostaddr=127.0.0.1 user=u", false),
            ("postgres://u@db.example/db", true),
            ("postgres://u@10.0.0.1/db", true),
            ("postgres://u@localhost,db.example/db", true),
            ("host=localhost hostaddr=10.0.0.1 user=u", true),
        ] {
            assert_eq!(
                leaves_the_machine(&url.parse().unwrap()),
                elsewhere,
                "{url}"
            );
        }
    }

    #[test]
    fn tls_that_is_asked_for_and_cannot_be_had_is_refused() {
        let config = |mode: &str| format!("host=db.example user=u sslmode={mode}");
        for (mode, opened) in [("disable", true), ("prefer", true), ("require", false)] {
            let made = manager(config(mode).parse().unwrap(), None);
            assert_eq!(made.is_ok(), opened, "{mode}");
        }
    }
}

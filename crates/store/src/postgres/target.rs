//! What a database URL asks for.
//!
//! `tokio-postgres` reads all of it but what libpq says about certificates, which is taken out here
//! first: `sslmode` (it knows three of the five), `sslrootcert`, `sslcert`, `sslkey`.

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

use super::chain;
use super::tls::{Mode, Wish};
use crate::OpenError;

/// A connection that has been silent for so long is asked whether it is there still; otherwise a server that
/// vanished without a word would be waited for until the write's deadline.
const SILENCE: Duration = Duration::from_secs(30);

/// Where the database is and how its certificate is to be looked at.
pub(super) struct Target {
    /// Everything but TLS.
    pub config: Config,
    /// TLS.
    pub tls: Wish,
}

impl Target {
    /// Reads `postgres://…`, or libpq's `key=value` form.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let (rest, taken) =
            match text.starts_with("postgres://") || text.starts_with("postgresql://") {
                true => split_url(text),
                false => split_words(text),
            };
        let mut tls = Wish::default();
        for (name, value) in taken {
            match name {
                "sslmode" => tls.mode = Some(Mode::parse(&value)?),
                "sslrootcert" => tls.root = Some(value),
                "sslcert" => tls.certificate = Some(value),
                _ => tls.key = Some(value),
            }
        }
        let mut config: Config = rest
            .parse()
            .map_err(|error| OpenError::Database(format!("the database URL: {}", chain(&error))))?;
        config.application_name("grantry").keepalives_idle(SILENCE);
        // Of several hosts the one that takes writes: a standby would answer reads, with what was.
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self { config, tls })
    }
}

const TAKEN: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

type Taken = Vec<(&'static str, String)>;

fn taken(name: &str) -> Option<&'static str> {
    TAKEN.into_iter().find(|known| *known == name)
}

/// A URL without the parameters that are taken, and those.
fn split_url(text: &str) -> (Cow<'_, str>, Taken) {
    // What is before the first @ is a user and a password, as `tokio-postgres` reads it too.
    let host = text.find('@').unwrap_or(0);
    let Some(mark) = text[host..].find('?').map(|at| host + at) else {
        return (text.into(), Taken::new());
    };
    let (mut kept, mut found) = (Vec::new(), Taken::new());
    for pair in text[mark + 1..].split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match taken(name) {
            Some(name) => found.push((name, percent_decode_str(value).decode_utf8_lossy().into())),
            None => kept.push(pair),
        }
    }
    let base = &text[..mark];
    let rest = match kept.is_empty() {
        true => base.to_owned(),
        false => format!("{base}?{}", kept.join("&")),
    };
    (rest.into(), found)
}

/// The same for `key = 'value' …`: a value is quoted or ends at a space, and a backslash frees what follows it.
fn split_words(text: &str) -> (Cow<'_, str>, Taken) {
    let (mut rest, mut found) = (String::new(), Taken::new());
    let mut left = text;
    while let Some(equals) = left.find('=') {
        let name = left[..equals].trim();
        let spaced = &left[equals + 1..];
        let value_at = equals + 1 + (spaced.len() - spaced.trim_start().len());
        let (value, length) = word(&left[value_at..]);
        let end = value_at + length;
        match taken(name) {
            Some(name) => found.push((name, value)),
            None => rest.push_str(&left[..end]),
        }
        left = &left[end..];
    }
    rest.push_str(left);
    (rest.into(), found)
}

/// The value that `text` begins with, and its length with quotes and backslashes.
fn word(text: &str) -> (String, usize) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, freed)| freed)),
            '\'' if quoted => return (value, at + 1),
            space if !quoted && space.is_whitespace() => return (value, at),
            letter => value.push(letter),
        }
    }
    (value, text.len())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn what_is_said_of_certificates_is_taken_out_and_the_rest_stays() {
        for (text, root) in [
            (
                "postgres://u:p%20w@db.example:5433/d?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fmy%20ca.pem",
                Some("/etc/my ca.pem"),
            ),
            (
                "postgresql://u:p w@db.example:5433/d?connect_timeout=3&sslmode=verify-full",
                None,
            ),
            (
                "host=db.example port = 5433 user=u password='p w' dbname=d connect_timeout=3 sslmode = verify-full sslrootcert='/etc/my ca.pem'",
                Some("/etc/my ca.pem"),
            ),
            (
                r"sslrootcert=/etc/my\ ca.pem sslmode='verify-full' host=db.example port=5433 user=u password=p\ w dbname=d connect_timeout=3",
                Some("/etc/my ca.pem"),
            ),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.tls.mode, Some(Mode::VerifyFull), "{text}");
            assert_eq!(target.tls.root.as_deref(), root, "{text}");
            let config = target.config;
            assert_eq!(
                config.get_hosts(),
                [Host::Tcp("db.example".into())],
                "{text}"
            );
            assert_eq!(config.get_ports(), [5433], "{text}");
            assert_eq!(config.get_password(), Some(&b"p w"[..]), "{text}");
            assert_eq!(config.get_dbname(), Some("d"), "{text}");
            let time = Duration::from_secs(3);
            assert_eq!(config.get_connect_timeout(), Some(&time), "{text}");
        }
    }

    #[test]
    fn a_password_that_looks_like_a_setting_stays_one() {
        let target = Target::parse("host=h user=u password='a sslmode=disable b'").unwrap();
        assert_eq!(target.tls.mode, None);
        assert_eq!(
            target.config.get_password(),
            Some(&b"a sslmode=disable b"[..])
        );
        let target = Target::parse("postgres://u:a?sslmode=disable@h/d").unwrap();
        assert_eq!(target.tls.mode, None);
        assert_eq!(
            target.config.get_password(),
            Some(&b"a?sslmode=disable"[..])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("postgres://h/d?sslmode=verify_full", "\"verify_full\""),
            ("postgres://h/d?sslmod=require", "sslmod"),
            ("host=h nonsense", "unexpected EOF"),
        ] {
            let error = Target::parse(text).err().map(|error| chain(&error));
            assert!(
                error.clone().unwrap_or_default().contains(words),
                "{text}: {error:?}"
            );
        }
    }
}

//! The certificate that the server would show.

use grantry_core::{Clock as _, Timestamp};

use super::finding::Finding;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::out::when;
use crate::tls::{Files, Tls, WARN_BEFORE};

/// Whether the files can be served with, and for how long.
pub fn look(config: &Config) -> Option<Finding> {
    config
        .tls
        .as_ref()
        .map(|files| judge(files, SystemClock.now()))
}

fn judge(files: &Files, now: Timestamp) -> Finding {
    const CODE: &str = "tls.files";
    let renew =
        "Put a new certificate and its key in their place; the server takes them within seconds.";
    let tls = match Tls::load(files) {
        Ok(tls) => tls,
        Err(failure) => {
            let fix = failure.hint.unwrap_or_else(|| renew.to_owned());
            return Finding::fail(CODE, failure.message, fix);
        }
    };
    let shown = files.cert.display();
    let Some(end) = tls.ends_at() else {
        let message = format!("{shown}: when the certificate ends cannot be read");
        return Finding::warn(CODE, message, renew);
    };
    let until = when::to_the_second(&end.to_string());
    if end <= now {
        let message = format!("{shown} ended on {until}: clients refuse it");
        Finding::fail(CODE, message, renew)
    } else if end <= now.after(WARN_BEFORE) {
        Finding::warn(CODE, format!("{shown} ends on {until}"), renew)
    } else {
        let message = format!("{shown} and its key can be served with, until {until}");
        Finding::ok(CODE, message)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Level;
    use super::*;
    use crate::tls::testing::pair;

    #[test]
    fn a_certificate_that_ends_or_cannot_be_used_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let files = pair(folder.path(), 2030);
        let end = Tls::load(&files).unwrap().ends_at().unwrap();
        let day = Duration::from_secs(24 * 3600);
        for (now, level) in [
            (end.before(15 * day), Level::Ok),
            (end.before(13 * day), Level::Warn),
            (end, Level::Fail),
        ] {
            assert_eq!(judge(&files, now).level, level, "{now}");
        }
        std::fs::remove_file(&files.key).unwrap();
        let finding = judge(&files, end.before(15 * day));
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.message.contains("tls.key_file"), "{finding:?}");
    }
}

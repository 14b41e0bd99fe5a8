//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use grantry_core::limits;
use grantry_core::{Timestamp, http::Response};

/// Shortest wait that is taken from a server (requirement 45).
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// The three spellings of an HTTP date that a recipient must take (RFC 9110 §5.6.7).
const DATE_FORMATS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// How long the server asks to wait, from [`RETRY_AFTER_MIN`] to [`limits::RETRY_AFTER_MAX`]; `None` when it does not say
/// or says it in no known form.
pub fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.header("retry-after")?.trim();
    let wait = seconds(text).or_else(|| date(text).map(|date| date.since(now)))?;
    Some(wait.clamp(RETRY_AFTER_MIN, limits::RETRY_AFTER_MAX))
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A number too large for u64 is still a number.
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

fn date(text: &str) -> Option<Timestamp> {
    DATE_FORMATS.iter().find_map(|format| {
        let civil = jiff::civil::DateTime::strptime(format, text).ok()?;
        let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
        Some(Timestamp(instant.as_microsecond()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{NOW, answer};

    fn wait(value: &str) -> Option<u64> {
        let mut response = answer(429, "application/json", "");
        response.headers.push(("retry-after".into(), value.into()));
        retry_after(&response, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn every_spelling_is_read_and_clamped() {
        // NOW is 2026-11-23T12:00:00Z, a Monday.
        let cases = [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(1)),
            ("1000000000", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Mon, 23 Nov 2026 12:01:30 GMT", Some(90)),
            ("Monday, 23-Nov-26 12:01:30 GMT", Some(90)),
            ("Mon Nov 23 12:01:30 2026", Some(90)),
            ("Sun, 22 Nov 2026 12:00:00 GMT", Some(1)),
            ("Thu, 31 Dec 9998 23:59:59 GMT", Some(3600)),
            ("1e9", None),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("1.5", None),
            ("Mon, 23 Nov 2026 12:01:30 +0100", None),
        ];
        for (value, expected) in cases {
            assert_eq!(wait(value), expected, "{value:?}");
        }
        assert_eq!(retry_after(&answer(429, "text/plain", ""), NOW), None);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_outside_its_bounds(value in "[0-9]{0,30}|[ -~]{0,40}") {
            if let Some(seconds) = wait(&value) {
                prop_assert!((1..=3600).contains(&seconds));
            }
        }
    }
}

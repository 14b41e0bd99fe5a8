//! Times, as people read them.

use std::time::Duration;

use grantry_core::Timestamp;

/// The instant of an RFC 3339 text.
pub fn parse(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(instant.as_microsecond()))
}

/// A length of time: 30s, 15m, 2h, 3d.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.len().checked_sub(1)?;
    let (number, unit) = text.split_at_checked(split)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// An RFC 3339 time without its fraction; any other text as it is.
pub fn to_the_second(text: &str) -> String {
    match (parse(text), text.split_once('.')) {
        (Some(_), Some((whole, _))) => format!("{whole}Z"),
        _ => text.to_owned(),
    }
}

/// How long before or after `now` the time `at` is; a date when that is more than a month.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let apart = Duration::from_micros(at.0.abs_diff(now.0));
    let (number, unit) = match apart.as_secs() {
        0..=1 => return "now".to_owned(),
        seconds @ 2..=119 => (seconds, "s"),
        seconds @ 120..=7_199 => (seconds / 60, "min"),
        seconds @ 7_200..=172_799 => (seconds / 3_600, "h"),
        seconds @ 172_800..=2_591_999 => (seconds / 86_400, "days"),
        _ => return at.to_string().chars().take("2026-01-01".len()).collect(),
    };
    if at > now {
        format!("in {number} {unit}")
    } else {
        format!("{number} {unit} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_to_the_second() {
        for (text, shown) in [
            ("2026-11-23T15:34:45.698717Z", "2026-11-23T15:34:45Z"),
            ("2026-11-23T15:34:45Z", "2026-11-23T15:34:45Z"),
            ("v1.2", "v1.2"),
        ] {
            assert_eq!(to_the_second(text), shown);
        }
    }

    #[test]
    fn a_time_is_told_from_here() {
        let now = parse("2026-11-23T12:00:00Z").unwrap();
        for (text, words) in [
            ("2026-11-23T12:00:00.9Z", "now"),
            ("2026-11-23T11:59:00Z", "60 s ago"),
            ("2026-11-23T11:50:00Z", "10 min ago"),
            ("2026-11-23T12:10:00Z", "in 10 min"),
            ("2026-11-23T07:00:00Z", "5 h ago"),
            ("2026-11-20T12:00:00Z", "3 days ago"),
            ("2026-01-20T12:00:00Z", "2026-01-20"),
            ("2027-01-20T12:00:00Z", "2027-01-20"),
        ] {
            assert_eq!(relative(parse(text).unwrap(), now), words, "{text}");
        }
        assert!(parse("yesterday").is_none());
    }
}

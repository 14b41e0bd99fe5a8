//! Clocks: this machine's, the database's, the providers'.

use std::sync::Arc;
use std::time::Duration;

use grantry_core::store::{EventFilter, Page, Store, TeamFilter};
use grantry_core::{Clock as _, StoreError, Timestamp};

use super::finding::{Finding, TEAMS_MAX};
use crate::clock::SystemClock;
use crate::out::when;

/// No release of this program is older: 2026-01-01T00:00:00Z.
const FLOOR: Timestamp = Timestamp(1_767_225_600_000_000);

/// Clocks this far apart are to be looked at: codes and assertions live for a minute.
const APART_WARN: Duration = Duration::from_secs(5);
/// Clocks this far apart break sign-ins: what one side made is not yet, or no longer, valid.
const APART_FAIL: Duration = Duration::from_secs(60);

const MEND: &str = "timedatectl set-ntp true, or start chronyd; timedatectl shows what it came to.";

/// The wall clock and the boot clock.
pub fn of_this_machine() -> Vec<Finding> {
    let now = SystemClock.now();
    let shown = when::to_the_second(&now.to_string());
    let wall = if now < FLOOR {
        let message = format!("the clock says {shown}, before this program was made");
        Finding::fail("clock.wall", message, MEND)
    } else {
        Finding::ok("clock.wall", format!("the clock says {shown}"))
    };
    let boot = SystemClock.boot();
    let boot = if boot.is_zero() {
        Finding::fail(
            "clock.boot",
            "the clock that counts from the machine's start (CLOCK_BOOTTIME) stands still",
            "Allow clock_gettime(CLOCK_BOOTTIME) in the sandbox that the server runs in.",
        )
    } else {
        let message = format!("the machine has been up for {} s", boot.as_secs());
        Finding::ok("clock.boot", message)
    };
    vec![wall, boot]
}

/// Whether the clock was behind what it wrote before.
pub async fn of_data(store: &Arc<dyn Store>) -> Vec<Finding> {
    let (everything, last) = (EventFilter::default(), Page::first(1));
    let newest = async {
        let mut newest = None;
        let (teams, page) = (TeamFilter::default(), Page::first(TEAMS_MAX));
        for team in store.teams(&teams, &page).await? {
            let found = store.events(&team.id, &everything, &last).await?;
            newest = newest.max(found.first().map(|event| event.at));
        }
        Ok::<_, StoreError>(newest)
    };
    let newest = match newest.await {
        Ok(newest) => newest,
        Err(error) => return vec![Finding::unread("clock.data", &error)],
    };
    let now = SystemClock.now();
    vec![match newest {
        Some(newest) if newest.since(now) > APART_WARN => Finding::fail(
            "clock.data",
            format!(
                "the newest event is of {}, {} s ahead of the clock: the clock has been set back, and tokens that have ended pass for fresh",
                when::to_the_second(&newest.to_string()),
                newest.since(now).as_secs()
            ),
            MEND,
        ),
        _ => Finding::ok("clock.data", "nothing that is stored is ahead of the clock"),
    }]
}

/// The database's clock beside this machine's.
pub fn of_database(theirs: Timestamp, ours: Timestamp) -> Finding {
    beside("clock.database", "the database's clock", theirs, ours)
}

/// A provider's clock (an HTTP date: whole seconds) beside this machine's.
pub fn of_provider(host: &str, date: &str, ours: Timestamp) -> Option<Finding> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let theirs = Timestamp(theirs.as_microsecond());
    Some(beside(
        "clock.provider",
        &format!("the clock of {host}"),
        theirs,
        ours,
    ))
}

fn beside(code: &'static str, whose: &str, theirs: Timestamp, ours: Timestamp) -> Finding {
    let apart = Duration::from_micros(theirs.0.abs_diff(ours.0));
    let side = if theirs > ours { "ahead of" } else { "behind" };
    let message = format!("{whose} is {} s {side} this machine's", apart.as_secs());
    match apart {
        apart if apart >= APART_FAIL => Finding::fail(code, message, MEND),
        apart if apart >= APART_WARN => Finding::warn(code, message, MEND),
        _ => Finding::ok(code, format!("{whose} and this machine's agree")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told_by_how_far() {
        let ours = FLOOR.after(Duration::from_secs(1_000_000));
        for (seconds, level) in [
            (0, Level::Ok),
            (4, Level::Ok),
            (5, Level::Warn),
            (60, Level::Fail),
        ] {
            let apart = Duration::from_secs(seconds);
            for theirs in [ours.after(apart), ours.before(apart)] {
                assert_eq!(of_database(theirs, ours).level, level, "{seconds}");
            }
        }
        let late = of_provider("idp.example", "Thu, 01 Jan 2026 00:00:00 GMT", ours).unwrap();
        assert_eq!(late.level, Level::Fail);
        assert!(
            late.message.contains("idp.example is 1000000 s behind"),
            "{late:?}"
        );
        assert!(of_provider("idp.example", "yesterday", ours).is_none());
    }
}

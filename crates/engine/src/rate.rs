//! How often a team may ask (`limits.team_requests_per_minute`), counted by each node for itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use grantry_core::ids::TeamId;
use grantry_core::{Error, Result};

const WINDOW: Duration = Duration::from_secs(60);

/// Teams that are looked after before those that have been silent are forgotten.
const TEAMS_KEPT: usize = 10_000;

/// A window's worth at once, then evenly: each request moves the instant at which its team's allowance is
/// whole again, and is refused while that lies more than a window ahead (the generic cell rate algorithm).
#[derive(Default)]
pub struct Rates(Mutex<HashMap<TeamId, Duration>>);

impl Rates {
    /// Counts a request of `team` at `now` (boot time). 0 is no limit.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub fn admit(&self, team: &TeamId, limit: usize, now: Duration) -> Result<()> {
        let limit = match u32::try_from(limit) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(limit) => limit,
        };
        let step = WINDOW / limit;
        // Nothing panics while it is held.
        let mut teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if teams.len() >= TEAMS_KEPT && !teams.contains_key(team) {
            teams.retain(|_, whole| *whole > now);
        }
        let whole = teams.entry(team.clone()).or_insert(now);
        let next = (*whole).max(now) + step;
        let early = next.saturating_sub(now + WINDOW);
        if early > Duration::ZERO {
            return Err(Error::RateLimited {
                limit,
                window: WINDOW,
                retry_after: early,
            });
        }
        *whole = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_at_once_then_evenly_and_each_team_for_itself() {
        let rates = Rates::default();
        let (team, other) = (TeamId::from("team_1"), TeamId::from("team_2"));
        let at = Duration::from_secs;
        for _ in 0..6 {
            assert_eq!(rates.admit(&team, 6, at(100)), Ok(()));
        }
        let refused = rates.admit(&team, 6, at(104));
        let Err(Error::RateLimited {
            limit, retry_after, ..
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((limit, retry_after), (6, at(6)));
        assert_eq!(rates.admit(&other, 6, at(104)), Ok(()));
        assert_eq!(rates.admit(&team, 6, at(110)), Ok(()));
        assert!(rates.admit(&team, 6, at(110)).is_err());
        assert_eq!(rates.admit(&team, 0, at(110)), Ok(()));
        // A refused request costs nothing.
        assert_eq!(rates.admit(&team, 6, at(120)), Ok(()));
    }

    #[test]
    fn silent_teams_are_forgotten() {
        let rates = Rates::default();
        for number in 0..2 * TEAMS_KEPT as u64 {
            let team = TeamId::from(number.to_string().as_str());
            rates
                .admit(&team, 60, Duration::from_secs(10 * number))
                .unwrap();
        }
        assert!(rates.0.lock().unwrap().len() <= TEAMS_KEPT);
    }
}

//! How often a team may ask (`limits.team_requests_per_minute`), and a stranger begin a sign-in
//! (`limits.sign_ins_per_minute`), counted by each node for itself.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_core::ids::TeamId;
use grantry_core::limits::COUNTED_ENDPOINTS_MAX;
use grantry_core::{Error, Result, Timestamp};

const WINDOW: Duration = Duration::from_secs(60);

/// Askers that are looked after before those whose allowance is whole again are forgotten.
const ASKERS_KEPT: usize = 10_000;

/// A window's worth at once, then evenly: each request moves the instant at which its asker's allowance is
/// whole again, and is refused while that lies more than a window ahead (the generic cell rate algorithm).
pub struct Rates<K>(Mutex<HashMap<K, Duration>>);

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Rates<K> {
    /// Counts a request of `asker` at `now` (boot time). 0 is no limit.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub fn admit(&self, asker: &K, limit: usize, now: Duration) -> Result<()> {
        let limit = match u32::try_from(limit) {
            Ok(0) | Err(_) => return Ok(()),
            Ok(limit) => limit,
        };
        let step = WINDOW / limit;
        // Nothing panics while it is held.
        let mut askers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() >= ASKERS_KEPT && !askers.contains_key(asker) {
            askers.retain(|_, whole| *whole > now);
        }
        let whole = askers.entry(asker.clone()).or_insert(now);
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

/// Whom requests without a credential are counted for: an address, and of IPv6 the /64 that one host has to itself.
pub fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

/// What teams have at work.
#[derive(Default)]
pub struct AtWork(Mutex<HashMap<TeamId, usize>>);

/// Counts one as at work, until it is dropped.
pub struct Working {
    among: Arc<AtWork>,
    team: TeamId,
}

impl AtWork {
    /// Lets one more of `team` begin, if fewer than `limit` are at work.
    pub fn begin(self: &Arc<Self>, team: &TeamId, limit: usize) -> Option<Working> {
        // Nothing panics while it is held.
        let mut teams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = teams.entry(team.clone()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Working {
            among: Arc::clone(self),
            team: team.clone(),
        })
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut teams = self.among.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = teams.get_mut(&self.team) {
            *count -= 1;
            if *count == 0 {
                teams.remove(&self.team);
            }
        }
    }
}

/// Whose requests to an endpoint are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// A team's.
    Team(TeamId),
    /// Those of a credential that acts in no team, by its actor's kind and id.
    Actor(String),
}

/// How a request stands with its endpoint's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Requests in any window.
    pub limit: usize,
    /// How many more would be let through now.
    pub remaining: usize,
    /// When the oldest request that counts leaves the window.
    pub reset: Timestamp,
    /// How long that is from now.
    pub wait: Duration,
    /// Whether this one is let through.
    pub admitted: bool,
}

impl Verdict {
    /// What an endpoint says of itself while nobody is counted.
    pub fn untouched(limit: usize, now: Timestamp) -> Self {
        Self {
            limit,
            remaining: limit,
            reset: now.after(WINDOW),
            wait: WINDOW,
            admitted: true,
        }
    }

    /// The refusal of a request that was not let through.
    pub fn refusal(&self) -> Error {
        Error::RateLimited {
            limit: u32::try_from(self.limit).unwrap_or(u32::MAX),
            window: WINDOW,
            retry_after: self.wait,
        }
    }
}

/// The requests of a bucket to an endpoint in the last window, the oldest first, by boot time.
type Log = VecDeque<Duration>;

/// A sliding window per bucket and endpoint: every request that was let through counts for 60 s.
#[derive(Default)]
pub struct Endpoints(Mutex<HashMap<(Bucket, &'static str), Log>>);

impl Endpoints {
    /// Counts a request at `now` (boot time; `clock` is the same instant on the wall). A limit of 0 is none. One that
    /// is refused does not count.
    pub fn admit(
        &self,
        bucket: &Bucket,
        endpoint: &'static str,
        limit: usize,
        now: Duration,
        clock: Timestamp,
    ) -> Option<Verdict> {
        if limit == 0 {
            return None;
        }
        // Nothing panics while it is held.
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.len() >= COUNTED_ENDPOINTS_MAX {
            logs.retain(|_, log| log.back().is_some_and(|last| *last + WINDOW > now));
        }
        let log = logs.entry((bucket.clone(), endpoint)).or_default();
        while log.front().is_some_and(|first| *first + WINDOW <= now) {
            log.pop_front();
        }
        let admitted = log.len() < limit;
        if admitted {
            log.push_back(now);
        }
        let oldest = log.front().copied().unwrap_or(now);
        let wait = (oldest + WINDOW).saturating_sub(now);
        Some(Verdict {
            limit,
            remaining: limit.saturating_sub(log.len()),
            reset: clock.after(wait),
            wait,
            admitted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_and_each_team_and_endpoint_has_its_own() {
        let endpoints = Endpoints::default();
        let team = |name: &str| Bucket::Team(TeamId::from(name));
        let clock = |at: u64| Timestamp::from_millis(1_000_000 + 1_000 * at as i64);
        let ask = |team: &Bucket, endpoint, at| {
            let verdict = endpoints.admit(team, endpoint, 3, Duration::from_secs(at), clock(at));
            let verdict = verdict.unwrap();
            (verdict.admitted, verdict.remaining, verdict.wait.as_secs())
        };
        let ours = team("team_1");
        assert_eq!(ask(&ours, "GET /a", 100), (true, 2, 60));
        assert_eq!(ask(&ours, "GET /a", 130), (true, 1, 30));
        assert_eq!(ask(&ours, "GET /a", 140), (true, 0, 20));
        assert_eq!(ask(&ours, "GET /a", 141), (false, 0, 19));
        assert_eq!(ask(&ours, "POST /a", 141), (true, 2, 60));
        assert_eq!(ask(&team("team_2"), "GET /a", 141), (true, 2, 60));
        assert_eq!(ask(&ours, "GET /a", 159), (false, 0, 1));
        // The first one has left; the next to leave is the second.
        assert_eq!(ask(&ours, "GET /a", 160), (true, 0, 30));
        assert_eq!(ask(&ours, "GET /a", 161), (false, 0, 29));
        let verdict = endpoints.admit(&ours, "GET /a", 3, Duration::from_secs(161), clock(161));
        assert_eq!(verdict.unwrap().reset, clock(190));
        let unlimited = endpoints.admit(&ours, "GET /a", 0, Duration::from_secs(161), clock(161));
        assert_eq!(unlimited, None);
    }

    #[test]
    fn silent_endpoints_are_forgotten() {
        let endpoints = Endpoints::default();
        for number in 0..COUNTED_ENDPOINTS_MAX as u64 + 100 {
            let bucket = Bucket::Actor(number.to_string());
            let at = Duration::from_secs(number);
            endpoints.admit(&bucket, "GET /a", 5, at, Timestamp(0));
        }
        assert!(endpoints.0.lock().unwrap().len() < 200);
    }

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
    fn each_team_has_its_own_at_work_and_who_has_none_is_forgotten() {
        let at_work = Arc::new(AtWork::default());
        let (team, other) = (TeamId::from("team_1"), TeamId::from("team_2"));
        let first = at_work.begin(&team, 2).unwrap();
        let second = at_work.begin(&team, 2).unwrap();
        assert!(at_work.begin(&team, 2).is_none());
        drop(at_work.begin(&other, 2).unwrap());
        drop(second);
        assert!(at_work.begin(&team, 2).is_some());
        drop(first);
        assert!(at_work.0.lock().unwrap().is_empty());
    }

    #[test]
    fn silent_teams_are_forgotten() {
        let rates = Rates::default();
        for number in 0..2 * ASKERS_KEPT as u64 {
            let team = TeamId::from(number.to_string().as_str());
            rates
                .admit(&team, 60, Duration::from_secs(10 * number))
                .unwrap();
        }
        assert!(rates.0.lock().unwrap().len() <= ASKERS_KEPT);
    }

    #[test]
    fn a_host_is_an_address_or_a_network_of_its_own() {
        for (address, host) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3:3:4:5:6", "2001:db8:1:3::"),
        ] {
            let host: IpAddr = host.parse().unwrap();
            assert_eq!(host_of(address.parse().unwrap()), host, "{address}");
        }
    }
}

//! The checker for race tests (requirements A.3): reads the provider's log and says where a client
//! presented a refresh token that it should not have presented.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::{Entry, Outcome};

/// What a client may do while the outcome of a presentation is unknown (design §6d).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Presentations of one generation allowed within `burst` of the first. Default: 3.
    pub burst_max: usize,
    /// Default: 5 s.
    pub burst: Duration,
    /// Shortest distance between later presentations. Default: 1 s, the least of any back-off.
    pub step_min: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            burst_max: 3,
            burst: Duration::from_secs(5),
            step_min: Duration::from_secs(1),
        }
    }
}

/// A broken promise: what, and where in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub kind: Kind,
    /// The family of the refresh token.
    pub family: u64,
    /// Its generation.
    pub generation: u64,
    /// [`Entry::seq`] of the presentation that broke it.
    pub seq: u64,
}

/// Kinds of [`Violation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Presented more than once though an earlier presentation was answered.
    ///
    /// A client killed between the answer and its own disk looks the same from here: a test that
    /// kills allows one of these per kill.
    AfterAnswer,
    /// More presentations at once than a lost answer explains.
    Burst,
    /// Presented again before the least back-off had passed.
    NoBackoff,
    /// Presented after its family was refused with `invalid_grant`.
    AfterInvalidGrant,
}

/// Checks `log` under the default [`Rules`].
pub fn check(log: &[Entry]) -> Vec<Violation> {
    Rules::default().check(log)
}

impl Rules {
    /// All violations in `log`, in the order of the log within a generation.
    pub fn check(&self, log: &[Entry]) -> Vec<Violation> {
        let mut generations: BTreeMap<(u64, u64), Vec<&Entry>> = BTreeMap::new();
        let mut refused: BTreeMap<u64, &Entry> = BTreeMap::new();
        let mut violations = Vec::new();
        for entry in log {
            let Some(place) = presented(entry) else {
                continue;
            };
            if refused
                .get(&place.family)
                .is_some_and(|refusal| refusal.answered_at < Some(entry.at))
            {
                violations.push(violation(Kind::AfterInvalidGrant, entry, place));
            } else if !told_untouched(entry) {
                let key = (place.family, place.generation);
                generations.entry(key).or_default().push(entry);
            }
            if entry.error.as_deref() == Some("invalid_grant") && entry.answered_at.is_some() {
                refused.entry(place.family).or_insert(entry);
            }
        }
        for presentations in generations.values() {
            self.check_generation(presentations, &mut violations);
        }
        violations
    }

    fn check_generation(&self, presentations: &[&Entry], violations: &mut Vec<Violation>) {
        let Some(first) = presentations.first() else {
            return;
        };
        let mut answered = false;
        let mut in_burst = 0;
        let mut previous = first.at;
        for entry in presentations {
            let Some(place) = presented(entry) else {
                continue;
            };
            let kind = if answered {
                Some(Kind::AfterAnswer)
            } else if entry.at.since(first.at) < self.burst {
                in_burst += 1;
                (in_burst > self.burst_max).then_some(Kind::Burst)
            } else {
                (entry.at.since(previous) < self.step_min).then_some(Kind::NoBackoff)
            };
            violations.extend(kind.map(|kind| violation(kind, entry, place)));
            answered |= entry.answered_at.is_some();
            previous = entry.at;
        }
    }
}

/// The refresh token that `entry` presented at the token endpoint.
fn presented(entry: &Entry) -> Option<crate::Place> {
    entry
        .refresh
        .filter(|_| entry.grant_type.as_deref() == Some("refresh_token"))
}

/// The answer said that the request was not processed: the next presentation is the first again.
fn told_untouched(entry: &Entry) -> bool {
    let refusal = entry.status == 503 || (400..500).contains(&entry.status) && entry.status != 408;
    entry.outcome == Outcome::Skipped && refusal && entry.error.as_deref() != Some("invalid_grant")
}

fn violation(kind: Kind, entry: &Entry, place: crate::Place) -> Violation {
    Violation {
        kind,
        family: place.family,
        generation: place.generation,
        seq: entry.seq,
    }
}

#[cfg(test)]
mod tests {
    use grantry_core::Timestamp;

    use super::*;
    use crate::faults::Endpoint;
    use crate::{Outcome, Place};

    /// (milliseconds, family, generation, answered, error) of each presentation.
    type Row = (i64, u64, u64, bool, Option<&'static str>);

    fn kinds(rows: &[Row]) -> Vec<(Kind, u64)> {
        let entry = |(seq, &(ms, family, generation, answered, error)): (usize, &Row)| Entry {
            seq: seq as u64,
            at: Timestamp::from_millis(ms),
            endpoint: Endpoint::Token,
            client_id: Some("demo".into()),
            grant_type: Some("refresh_token".into()),
            refresh: Some(Place {
                family,
                generation,
                current: true,
            }),
            faults: vec![],
            outcome: Outcome::Done,
            status: 200,
            error: error.map(str::to_owned),
            answered_at: answered.then_some(Timestamp::from_millis(ms + 10)),
        };
        let log: Vec<_> = rows.iter().enumerate().map(entry).collect();
        check(&log).iter().map(|v| (v.kind, v.seq)).collect()
    }

    #[test]
    fn honest_histories_pass() {
        for rows in [
            &[][..],
            &[(0, 0, 0, true, None), (50, 0, 1, true, None)],
            // Lost twice, then answered.
            &[
                (0, 0, 0, false, None),
                (9, 0, 0, false, None),
                (20, 0, 0, true, None),
            ],
            // Lost three times, then one try per step.
            &[
                (0, 0, 0, false, None),
                (1, 0, 0, false, None),
                (2, 0, 0, false, None),
                (30_000, 0, 0, false, None),
                (90_000, 0, 0, true, None),
            ],
            // Another family may go on after one was refused.
            &[
                (0, 0, 0, true, Some("invalid_grant")),
                (50, 1, 0, true, None),
            ],
        ] {
            assert_eq!(kinds(rows), [], "{rows:?}");
        }
    }

    #[test]
    fn a_presentation_that_was_told_to_be_untouched_starts_no_burst() {
        let log = |status| {
            let entry = |seq: u64, ms, status| Entry {
                seq,
                at: Timestamp::from_millis(ms),
                endpoint: Endpoint::Token,
                client_id: None,
                grant_type: Some("refresh_token".into()),
                refresh: Some(Place {
                    family: 0,
                    generation: 0,
                    current: true,
                }),
                faults: vec![],
                outcome: Outcome::Skipped,
                status,
                error: None,
                answered_at: None,
            };
            [
                entry(0, 0, status),
                entry(1, 30_000, 500),
                entry(2, 30_001, 500),
            ]
        };
        assert_eq!(check(&log(429)), []);
        assert_eq!(check(&log(500)).len(), 1, "an outcome that is unknown does");
    }

    #[test]
    fn each_kind_of_violation_is_found_where_it_happened() {
        for (rows, wanted) in [
            (
                &[(0, 0, 0, true, None), (5, 0, 0, true, None)][..],
                &[(Kind::AfterAnswer, 1)][..],
            ),
            (
                &[
                    (0, 0, 0, false, None),
                    (1, 0, 0, false, None),
                    (2, 0, 0, false, None),
                    (3, 0, 0, false, None),
                ],
                &[(Kind::Burst, 3)],
            ),
            (
                &[
                    (0, 0, 0, false, None),
                    (6_000, 0, 0, false, None),
                    (6_500, 0, 0, true, None),
                ],
                &[(Kind::NoBackoff, 2)],
            ),
            (
                &[
                    (0, 0, 0, true, Some("invalid_grant")),
                    (50, 0, 1, true, None),
                ],
                &[(Kind::AfterInvalidGrant, 1)],
            ),
        ] {
            assert_eq!(kinds(rows), wanted, "{rows:?}");
        }
    }
}

//! What has been heard of the change feed.
//!
//! Positions are given out before they are committed, so where several nodes write, a position may
//! turn up after a higher one (design §8). One that was jumped over is a hole, and is asked for again
//! until its write cannot be under way any more: then it was rolled back, and there is nothing to hear.

use std::collections::BTreeMap;
use std::time::Duration;

/// How much later than a higher position one may be committed. The store breaks off an attempt of a
/// write after 10 s.
const LATE: Duration = Duration::from_secs(15);

/// Writes that may be under way where the feed is joined: holes are looked for this far back.
const LOOK_BACK: i64 = 1000;

/// A gap that no writes under way explain: the positions were swept, or the sequence was moved.
const GAP_MAX: i64 = 10_000;

/// Everything up to `newest` is heard, but for the holes, each with when it was first jumped over.
pub struct Feed {
    newest: i64,
    holes: BTreeMap<i64, Duration>,
}

/// What a position is to one who has heard the feed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing new.
    Before,
    /// This change.
    News,
    /// So much was missed that only forgetting everything helps.
    Gap,
}

impl Feed {
    /// Joins the feed whose newest committed position is `newest`.
    pub fn join(newest: i64) -> Self {
        Self {
            newest: (newest - LOOK_BACK).max(0),
            holes: BTreeMap::new(),
        }
    }

    /// The position to ask from.
    pub fn since(&self) -> i64 {
        self.holes
            .first_key_value()
            .map_or(self.newest, |(first, _)| first - 1)
    }

    /// Takes note of `seq`, which was seen at `now`.
    pub fn hear(&mut self, seq: i64, now: Duration) -> Heard {
        if seq <= self.newest {
            return match self.holes.remove(&seq) {
                Some(_) => Heard::News,
                None => Heard::Before,
            };
        }
        let heard = if seq - self.newest > GAP_MAX {
            *self = Self::join(seq);
            Heard::Gap
        } else {
            Heard::News
        };
        self.holes
            .extend((self.newest + 1..seq).map(|hole| (hole, now)));
        self.newest = seq;
        heard
    }

    /// Gives up on holes that nothing can fill any more.
    pub fn settle(&mut self, now: Duration) {
        self.holes
            .retain(|_, since| now.saturating_sub(*since) <= LATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// One that has heard everything up to `newest`, which is less than it looks back.
    fn heard_up_to(newest: i64) -> Feed {
        let mut feed = Feed::join(newest);
        for seq in 1..=newest {
            assert_eq!(feed.hear(seq, at(0)), Heard::News);
        }
        feed
    }

    #[test]
    fn a_change_that_was_committed_late_is_heard_once() {
        let mut feed = heard_up_to(10);
        assert_eq!(feed.hear(12, at(1)), Heard::News);
        assert_eq!(feed.since(), 10, "11 may still come");
        assert_eq!(feed.hear(12, at(2)), Heard::Before);
        assert_eq!(feed.hear(11, at(2)), Heard::News);
        assert_eq!(feed.hear(11, at(2)), Heard::Before);
        assert_eq!(feed.since(), 12);
    }

    #[test]
    fn a_hole_that_nobody_fills_is_given_up() {
        let mut feed = heard_up_to(10);
        assert_eq!(feed.hear(12, at(1)), Heard::News);
        feed.settle(at(16));
        assert_eq!(feed.since(), 10);
        feed.settle(at(17));
        assert_eq!(feed.since(), 12);
    }

    #[test]
    fn a_write_that_was_under_way_when_the_feed_was_joined_is_heard() {
        let mut feed = Feed::join(5000);
        assert_eq!(feed.since(), 4000);
        for seq in (4001..=5000).filter(|seq| *seq != 4999) {
            feed.hear(seq, at(0));
        }
        assert_eq!(feed.since(), 4998);
        assert_eq!(feed.hear(4999, at(1)), Heard::News);
        assert_eq!(feed.since(), 5000);
    }

    #[test]
    fn a_jump_of_the_sequence_is_no_million_of_holes() {
        let mut feed = heard_up_to(10);
        assert_eq!(feed.hear(10 + GAP_MAX, at(1)), Heard::News);
        let far = i64::MAX / 2;
        assert_eq!(feed.hear(far, at(1)), Heard::Gap);
        assert_eq!(
            feed.since(),
            far - LOOK_BACK,
            "those just before it may still come"
        );
        assert_eq!(feed.hear(far - 1, at(2)), Heard::News);
        feed.settle(at(17));
        assert_eq!(feed.since(), far);
    }
}

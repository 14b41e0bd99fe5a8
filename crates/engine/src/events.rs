//! Lines of the event log, and the log of token reads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grantry_core::ids::{ConnectionId, ConnectorId, EventId, TeamId, TokenSetId};
use grantry_core::nouns::{Actor, Digest, Event, EventKind};
use grantry_core::{Entropy, Timestamp};
use serde_json::{Map, Value};

use crate::principal::Caller;

/// Builds one event.
pub struct Draft(Event);

impl Draft {
    /// An event of `kind` by `actor` in the log of `team`.
    pub fn new(
        kind: EventKind,
        team: Option<&TeamId>,
        actor: Actor,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        Self(Event {
            id: EventId::mint(now, entropy),
            team: team.cloned(),
            at: now,
            kind,
            actor,
            connector: None,
            connection: None,
            data: Map::new(),
        })
    }

    /// It is about this connector.
    #[must_use]
    pub fn connector(mut self, id: &ConnectorId) -> Self {
        self.0.connector = Some(id.clone());
        self
    }

    /// It is about this connection.
    #[must_use]
    pub fn connection(mut self, id: &ConnectionId) -> Self {
        self.0.connection = Some(id.clone());
        self
    }

    /// A detail. Ids, numbers and fixed words only.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.data.insert(name.to_owned(), value.into());
        self
    }

    /// The event.
    pub fn done(self) -> Event {
        self.0
    }
}

/// Who read which token pair.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Reader {
    credential: Digest,
    set: TokenSetId,
}

/// Reads of one reader in one minute that no event tells of yet.
struct Tally {
    minute: i64,
    further: u64,
    team: TeamId,
    actor: Actor,
    connector: ConnectorId,
    connection: Option<ConnectionId>,
}

const SHARDS: usize = 64;

/// Which token reads were logged this minute (design §8): the first one commits its event before
/// the answer, further ones add to a count that is written at the minute's end.
pub struct ReadLog {
    shards: Box<[Mutex<HashMap<Reader, Tally>>]>,
    hasher: RandomState,
}

/// A read to be logged.
pub struct Read<'a> {
    /// Who asked.
    pub caller: &'a Caller,
    /// For what.
    pub connector: &'a ConnectorId,
    /// From which connection; none for a connector's stored API key.
    pub connection: Option<&'a ConnectionId>,
    /// Which pair.
    pub set: &'a TokenSetId,
}

impl Default for ReadLog {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl ReadLog {
    /// Counts a read if its reader's first one this minute has been committed; false when this is the first.
    pub fn count(&self, read: &Read<'_>, now: Timestamp) -> bool {
        let reader = Reader {
            credential: read.caller.credential,
            set: read.set.clone(),
        };
        match self.shard(&reader).get_mut(&reader) {
            Some(tally) if tally.minute == minute(now) => {
                tally.further += 1;
                true
            }
            _ => false,
        }
    }

    /// Notes that the event of a reader's first read has been committed. Takes out the count of its
    /// earlier minute.
    pub fn committed(&self, read: &Read<'_>, now: Timestamp) -> Counts {
        let reader = Reader {
            credential: read.caller.credential,
            set: read.set.clone(),
        };
        let tally = Tally {
            minute: minute(now),
            further: 0,
            team: read.caller.team.clone(),
            actor: read.caller.actor.clone(),
            connector: read.connector.clone(),
            connection: read.connection.cloned(),
        };
        let earlier = self.shard(&reader).insert(reader.clone(), tally);
        let earlier = earlier.filter(|tally| tally.further > 0);
        Counts(earlier.map(|tally| (reader, tally)).into_iter().collect())
    }

    /// Takes out the counts of minutes that are over. With `all`, the running minute's too.
    pub fn take(&self, now: Timestamp, all: bool) -> Counts {
        let over = |tally: &Tally| all || tally.minute != minute(now);
        let mut counts = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            counts.extend(shard.extract_if(|_, tally| over(tally)));
        }
        counts.retain(|(_, tally)| tally.further > 0);
        Counts(counts)
    }

    /// Puts back counts that could not be written: they are told with a later minute's.
    pub fn put_back(&self, counts: Counts) {
        for (reader, tally) in counts.0 {
            match self.shard(&reader).entry(reader) {
                Entry::Occupied(running) => running.into_mut().further += tally.further,
                Entry::Vacant(place) => {
                    place.insert(tally);
                }
            }
        }
    }

    fn shard(&self, reader: &Reader) -> MutexGuard<'_, HashMap<Reader, Tally>> {
        let index = usize::try_from(self.hasher.hash_one(reader) % SHARDS as u64).unwrap_or(0);
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts that were taken out to be written.
#[must_use]
pub struct Counts(Vec<(Reader, Tally)>);

impl Counts {
    /// The events that tell of them.
    pub fn events(&self, now: Timestamp, entropy: &dyn Entropy) -> Vec<Event> {
        let counts = self.0.iter();
        counts
            .map(|(reader, tally)| tally.event(reader, now, entropy))
            .collect()
    }
}

impl Tally {
    fn event(&self, reader: &Reader, now: Timestamp, entropy: &dyn Entropy) -> Event {
        let mut draft = Draft::new(
            EventKind::TokenRead,
            Some(&self.team),
            self.actor.clone(),
            now,
            entropy,
        )
        .connector(&self.connector)
        .with("token_set", reader.set.as_str())
        .with("count", self.further);
        if let Some(connection) = &self.connection {
            draft = draft.connection(connection);
        }
        draft.done()
    }
}

fn minute(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use grantry_core::nouns::Role;
    use grantry_core::testing::SeededEntropy;

    use super::*;
    use crate::permissions::Standing;

    #[test]
    fn the_first_read_of_a_minute_is_an_event_and_further_ones_are_counted() {
        let (log, entropy) = (ReadLog::default(), SeededEntropy::new(1));
        let caller = Caller {
            team: "team_1".into(),
            standing: Standing::Role(Role::TokenOnly),
            actor: Actor::Key {
                id: "key_1".to_owned(),
            },
            credential: [7; 32],
            until: None,
        };
        let (connector, set) = ("scl_1".into(), "stk_1".into());
        let read = Read {
            caller: &caller,
            connector: &connector,
            connection: None,
            set: &set,
        };
        let start = Timestamp(0);

        assert!(!log.count(&read, start), "nothing was committed yet");
        let told = |counts: &Counts| -> Vec<Value> {
            let events = counts.events(start, &entropy);
            events
                .iter()
                .map(|event| event.data["count"].clone())
                .collect()
        };
        assert!(told(&log.committed(&read, start)).is_empty());
        assert!(log.count(&read, start) && log.count(&read, start));
        assert!(
            told(&log.take(start, false)).is_empty(),
            "the minute is not over"
        );

        let next_minute = start.after(Duration::from_secs(60));
        assert!(
            !log.count(&read, next_minute),
            "a new minute starts with an event of its own"
        );
        let earlier = log.committed(&read, next_minute);
        assert_eq!(told(&earlier), [2]);
        assert_eq!(
            earlier.events(next_minute, &entropy)[0].kind,
            EventKind::TokenRead
        );

        assert!(log.count(&read, next_minute));
        log.put_back(earlier);
        let all = log.take(next_minute, true);
        assert_eq!(told(&all), [3], "what was put back is told with the next");
        assert!(
            told(&log.take(next_minute, true)).is_empty(),
            "counts are told once"
        );
        log.put_back(all);
        assert_eq!(told(&log.take(next_minute, true)), [3]);
    }
}

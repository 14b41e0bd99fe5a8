//! The suite that every backend has to pass, and that says what the traits' words mean.
//!
//! A case is a function over a [`World`]; [`contract_tests!`](crate::contract_tests) makes a test of
//! each, on a new database every time.

mod fixtures;

pub mod connectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use grantry_core::ids::TeamId;
use grantry_core::nouns::{Connection, Connector, Event, EventKind, TokenSet};
use grantry_core::store::{EventFilter, Page, Store};
use grantry_core::testing::ManualClock;

use crate::rows::Noun;

/// A database with two teams in two accounts, `ours` and `theirs`, and a project in each.
pub struct World {
    /// The store under test.
    pub store: Arc<dyn Store>,
    /// The clock of its database.
    pub clock: ManualClock,
    ours: TeamId,
    theirs: TeamId,
    events: AtomicU32,
}

impl World {
    /// Fills an empty store, whose database's clock is `clock`.
    pub async fn new(store: Arc<dyn Store>, clock: ManualClock) -> Self {
        let world = Self {
            store,
            clock,
            ours: "team_ours".into(),
            theirs: "team_theirs".into(),
            events: AtomicU32::new(0),
        };
        for side in ["ours", "theirs"] {
            let account = fixtures::account(&format!("acc_{side}"));
            let team = fixtures::team(&format!("team_{side}"), account.id.as_str());
            let project = fixtures::project(&format!("prj_{side}"), &team.id);
            let event = || world.event(EventKind::Applied);
            let store = &world.store;
            assert_eq!(store.put_account(&account, &event()).await, Ok(true));
            assert_eq!(store.put_team(&team, &event()).await, Ok(true));
            assert_eq!(store.put_project(&project, &event()).await, Ok(true));
        }
        world
    }

    /// A new event of our team.
    fn event(&self, kind: EventKind) -> Event {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        fixtures::event(&format!("evt_{number:06}"), &self.ours, kind)
    }

    /// A stored connector of our team.
    async fn connector(&self, id: &str) -> Connector {
        let connector = fixtures::connector(id, &self.ours);
        let event = self.event(EventKind::ConnectorCreated);
        let created = self.store.create_connector(&connector, &[], &event).await;
        assert_eq!(created, Ok(()));
        connector
    }

    /// A stored connection of our team, for the user of the same name, with one set: `{id} set`.
    async fn connection(&self, connector: &Connector, id: &str) -> (Connection, TokenSet) {
        let grant = fixtures::grant(&connector.id, id);
        let connection = fixtures::connection(id, &connector.team, grant);
        let set = fixtures::token_set(&format!("{id} set"), &connection, "main");
        let event = self.event(EventKind::ConnectionImported);
        let sets = std::slice::from_ref(&set);
        let imported = self
            .store
            .import_connection(&connection, sets, &event)
            .await;
        assert_eq!(imported, Ok(true));
        (connection, set)
    }

    /// How many lines of our team's log are of this kind.
    async fn events_of(&self, kind: EventKind) -> usize {
        let filter = EventFilter {
            kind: Some(kind),
            ..EventFilter::default()
        };
        let events = self
            .store
            .events(&self.ours, &filter, &Page::first(1000))
            .await;
        events.map_or(0, |events| events.len())
    }
}

/// A row, so that nouns that cannot be compared or printed can be.
fn row<N: Noun>(noun: &N) -> Vec<crate::backend::Value> {
    noun.to_row()
}

fn rows<N: Noun>(nouns: &[N]) -> Vec<Vec<crate::backend::Value>> {
    nouns.iter().map(row).collect()
}

/// Makes a test of every case. `$open` is an async function from a [`ManualClock`] to an empty
/// `Arc<dyn Store>` whose database's clock it is.
#[macro_export]
macro_rules! contract_tests {
    ($open:path) => {
        $crate::contract_tests! { $open;
            connectors: [
                a_connector_reads_back_as_it_was_written,
            ]
        }
    };
    ($open:path; $($module:ident: [$($case:ident,)*])*) => {$(
        mod $module {
            #[expect(unused_imports, reason = "`$open` may be a path from the caller's module")]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let clock = grantry_core::testing::ManualClock::default();
                    let store = $open(clock.clone()).await;
                    let world = $crate::contract::World::new(store, clock).await;
                    $crate::contract::$module::$case(&world).await;
                }
            )*
        }
    )*};
}

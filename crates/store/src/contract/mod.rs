//! The suite that every backend has to pass, and that says what the traits' words mean.
//!
//! A case is a function over a [`World`]; [`contract_tests!`](crate::contract_tests) makes a test of
//! each, on a new database every time. `tests.rs` sees to it that every method of the traits is
//! called here and every case is in the list.
#![expect(missing_docs, reason = "a case is named by the behaviour it shows")]
#![expect(
    clippy::unwrap_used,
    reason = "the suite is test code, for the tests of several crates"
)]

pub(crate) mod fixtures;

pub mod atomicity;
pub mod batch;
pub mod belongings;
pub mod changes;
pub mod confirm;
pub mod connect;
pub mod connections;
pub mod connectors;
pub mod conversions;
pub mod credentials;
pub mod datagrid;
pub mod departures;
pub mod feed;
pub mod flows;
pub mod installations;
pub mod keys;
pub mod links;
pub mod lists;
pub mod refresh;
pub mod registrations;
pub mod rejections;
pub mod repeats;
pub mod revocations;
pub mod setups;
pub mod sign_ins;
pub mod system;
pub mod tenancy;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantry_core::Timestamp;
use grantry_core::ids::TeamId;
use grantry_core::nouns::{Authorization, Connection, Connector, Event, EventKind, TokenSet};
use grantry_core::store::{Begin, EventFilter, Live, Page, RevocationScope, Store};
pub use grantry_core::testing::ManualClock;

use crate::backend::Value;
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
        self.connector_of(id, &self.ours).await
    }

    async fn connector_of(&self, id: &str, team: &TeamId) -> Connector {
        let connector = fixtures::connector(id, team);
        let event = self.event(EventKind::ConnectorCreated);
        let created = self.store.create_connector(&connector, &[], &event).await;
        assert_eq!(created, Ok(()));
        connector
    }

    async fn delete(&self, connector: &Connector, at: Timestamp) {
        let event = self.event(EventKind::ConnectorDeleted);
        let Connector { team, id, .. } = connector;
        let claim = fixtures::MINUTE;
        let deleted = self.store.delete_connector(team, id, at, claim, &event);
        assert!(deleted.await.is_ok());
    }

    /// A stored pending authorization of the connector.
    async fn authorization(&self, connector: &Connector, id: &str) -> Authorization {
        let authorization = fixtures::authorization(id, &connector.team, &connector.id);
        let event = self.event(EventKind::AuthorizationRequested);
        let created = self
            .store
            .create_authorization(&authorization, &event)
            .await;
        assert_eq!(created, Ok(()));
        authorization
    }

    /// A stored connection, for the user of the same name, with one set: `{id} set`.
    async fn connection(&self, connector: &Connector, id: &str) -> (Connection, TokenSet) {
        let grant = fixtures::grant(&connector.id, id);
        let connection = fixtures::connection(id, &connector.team, grant);
        let set = fixtures::token_set(&format!("{id} set"), &connection, "main");
        self.import(&connection, std::slice::from_ref(&set)).await;
        (connection, set)
    }

    async fn import(&self, connection: &Connection, sets: &[TokenSet]) {
        let event = self.event(EventKind::ConnectionImported);
        let imported = self.store.import_connection(connection, sets, &event).await;
        assert_eq!(imported, Ok(true));
    }

    async fn revoke(&self, connection: &Connection) {
        let scope = RevocationScope {
            connection: Some(connection.id.clone()),
            ..scope(connection)
        };
        let event = self.event(EventKind::ConnectionRevoked);
        let ended = self
            .store
            .revoke(
                &connection.team,
                &scope,
                fixtures::NOW,
                fixtures::MINUTE,
                fixtures::ALL,
                &event,
            )
            .await;
        assert_eq!(ended.map(|ended| ended.queued.len()), Ok(1));
    }

    async fn live(&self, connection: &Connection) -> Live {
        let found = self
            .store
            .connection(&connection.team, &connection.id)
            .await;
        found.unwrap().unwrap()
    }

    /// The next attempt of `set`, with a lease of one minute.
    async fn begin(&self, set: &TokenSet, node: &str) -> Begin {
        let begun = self
            .store
            .begin_attempt(&set.team, &set.id, node, fixtures::MINUTE);
        begun.await.unwrap()
    }

    /// Lets time pass for the database.
    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// How many lines of our team's log are of this kind.
    async fn events_of(&self, kind: EventKind) -> usize {
        self.log(kind).await.len()
    }

    async fn log(&self, kind: EventKind) -> Vec<Event> {
        let filter = EventFilter {
            kinds: vec![kind],
            ..EventFilter::default()
        };
        let events = self
            .store
            .events(&self.ours, &filter, &Page::first(1000))
            .await;
        events.unwrap()
    }
}

/// Every live connection of the connection's connector.
fn scope(connection: &Connection) -> RevocationScope {
    RevocationScope {
        connector: connection.grant.connector.clone(),
        connection: None,
        subject: None,
        environment: None,
        installation: None,
    }
}

/// A row, so that nouns that cannot be compared or printed can be.
fn row<N: Noun>(noun: &N) -> Vec<Value> {
    noun.to_row()
}

fn rows<N: Noun>(nouns: &[N]) -> Vec<Vec<Value>> {
    nouns.iter().map(row).collect()
}

/// Runs `count` of a call at the same time; the answers, in the calls' order.
async fn parallel<T, F>(
    count: usize,
    call: impl Fn(Arc<dyn Store>, usize) -> F,
    world: &World,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let calls: Vec<_> = (0..count)
        .map(|number| tokio::spawn(call(Arc::clone(&world.store), number)))
        .collect();
    let mut answers = Vec::with_capacity(count);
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// Makes a test of every case. `$open` is an async function from a [`ManualClock`] to an empty
/// `Arc<dyn Store>` whose database's clock it is.
#[macro_export]
macro_rules! contract_tests {
    ($open:path) => {
        $crate::contract_tests! { $open;
            atomicity: [
                a_failing_write_takes_nothing_but_itself_along,
                a_failed_write_leaves_no_trace,
            ]
            sign_ins: [
                a_sign_in_is_found_by_its_consent_and_by_its_team,
                connectors_are_found_by_what_they_are_called_in_any_team,
                a_code_is_redeemed_once_and_its_refresh_token_rotates,
                nothing_of_an_ended_sign_in_works,
                a_session_ends_with_whatever_it_rests_on,
                a_sign_in_that_nobody_redeems_leaves_nothing,
            ]
            system: [
                the_database_answers,
                the_first_key_check_stands,
                a_team_has_one_active_data_key,
                one_of_many_signing_keys_is_added_behind_the_newest,
                signing_keys_of_one_purpose_are_none_of_another,
                a_signing_key_is_retired_once_and_its_private_half_destroyed,
                a_wrong_clock_puts_no_signing_key_far_ahead_and_ends_none_too_early,
                events_are_kept_once_and_read_back,
                events_are_filtered,
                a_lease_is_held_renewed_and_taken_over,
                a_sweep_takes_only_what_nothing_can_need_again,
                a_sweep_takes_its_time,
            ]
            feed: [
                every_write_that_caches_must_hear_of_is_in_the_feed,
                a_change_wakes_who_polls_for_it,
                a_position_never_falls_back,
            ]
            tenancy: [
                a_row_is_put_once_and_changed_once,
                a_put_that_changes_nothing_writes_no_event,
                a_team_keeps_its_account_and_its_slug_is_unique,
                an_id_beats_a_slug_and_a_name,
                people_are_unique_by_email_within_their_account,
                a_membership_needs_a_team_and_a_person_of_its_account,
                projects_belong_to_one_team,
                accounts_are_listed_and_searched,
            ]
            changes: [
                a_row_is_changed_from_what_it_is_and_never_brought_back,
                an_account_goes_with_its_people_and_keys_but_not_with_teams,
                a_team_goes_with_everything_in_it_at_once,
                teams_are_filtered,
                people_are_found_listed_and_searched,
                a_person_goes_with_memberships_and_keys,
                a_team_keeps_an_owner,
                members_are_listed_and_searched,
                projects_are_searched,
                an_overlay_is_removed_once,
            ]
            departures: [
                an_environment_goes_with_what_works_only_there,
                a_project_goes_with_links_and_keys,
                no_connector_sends_events_to_what_is_gone,
            ]
            flows: [
                connectors_are_found_before_their_keys_run_out,
                a_webhook_is_due_when_its_request_ends_and_is_taken_once,
                a_webhook_secret_takes_the_place_of_the_one_that_was_read,
                an_installation_comes_with_its_tokens_and_is_the_first_default,
            ]
            keys: [
                a_key_is_known_by_its_hash,
                keys_are_listed_by_how_far_they_reach,
                keys_are_filtered_by_whom_they_are_for,
                a_key_is_changed_from_what_it_is,
                a_key_is_revoked_once_and_can_come_back,
            ]
            batch: [
                a_batch_puts_all_its_rows_or_none,
                a_batch_does_what_its_rows_own_methods_do,
            ]
            belongings: [
                a_secret_is_put_when_it_differs_and_found_by_id_or_name,
                an_icon_stays_while_a_connector_shows_it,
                a_secret_is_changed_as_it_was_read_and_not_brought_back,
                an_invite_is_put_and_found_by_address,
                an_mcp_server_is_put_when_it_differs,
                a_belonging_is_its_teams_alone_and_is_deleted_once,
                belongings_are_listed_in_pages,
            ]
            connectors: [
                a_connector_reads_back_as_it_was_written,
                an_id_is_taken_for_ever_and_a_uid_while_it_lives,
                an_update_needs_the_row_it_was_made_from,
                a_declared_connector_is_put_when_it_differs,
                a_declared_connector_comes_back_after_its_deletion,
                an_id_beats_a_uid,
                a_deletion_ends_at_once_what_is_little_and_notes_the_rest,
                a_deleted_connector_keeps_its_secrets_until_its_last_token_is_revoked,
                a_fault_is_set_and_cleared,
            ]
            conversions: [
                a_connector_of_another_type_keeps_no_consent_and_no_connection,
                how_a_code_exchange_went_is_kept_beside_the_row,
            ]
            datagrid: [
                a_row_keeps_its_place_in_its_list_when_it_is_gone,
                a_client_secret_is_known_by_its_id_while_its_connector_lives,
                an_mcp_servers_own_secret_comes_changes_and_goes_with_it,
                an_accepted_invite_makes_a_member_and_never_demotes_one,
                an_invitation_is_accepted_with_its_address,
                a_role_is_set_in_every_team_of_the_account_but_where_one_owns_it,
            ]
            links: [
                a_link_needs_a_project_of_the_team,
                a_link_changes_if_it_is_as_read,
                links_change_with_their_connector_if_they_are_as_read,
                a_link_is_put_and_removed,
            ]
            lists: [
                connectors_are_filtered,
                connectors_are_sorted,
                connections_are_filtered,
                pages_are_complete_while_rows_go,
                every_list_continues_after_its_last_row,
                a_forged_cursor_finds_nothing,
                what_no_text_can_be_finds_nothing,
            ]
            connect: [
                an_authorization_needs_a_live_connector,
                a_flow_needs_a_pending_authorization,
                a_flow_is_taken_once,
                a_flow_is_not_taken_when_it_has_expired,
                an_authorization_ends_once,
                a_consent_makes_a_connection,
                a_second_consent_renews_the_connection,
                a_consent_is_not_completed_twice_or_for_a_deleted_connector,
                a_consent_never_takes_over_another_connection,
            ]
            confirm: [
                a_consent_is_held_until_it_is_confirmed,
                a_held_consent_is_dropped_and_its_pair_queued,
                a_held_pair_is_not_revoked_where_its_account_stays_connected,
                a_deleted_connector_takes_what_is_held_along,
                a_deleted_team_takes_what_is_held_along,
                authorizations_are_filtered,
            ]
            credentials: [
                a_credential_is_put_renewed_and_annotated,
                what_is_not_named_stays_whoever_writes_meanwhile,
                a_link_flow_is_started_once_and_its_code_exchanged_once,
                what_a_link_flow_brought_becomes_a_credential_or_is_handed_out,
            ]
            installations: [
                an_installation_is_kept_changed_and_removed,
                a_default_installation_is_set_and_goes_with_it,
                other_terms_ask_for_each_installation_again,
            ]
            connections: [
                a_connection_is_found_by_grant_and_by_id,
                an_import_never_overwrites,
                an_import_needs_a_connector_and_a_free_id,
                a_revoked_connection_can_be_imported_again,
                a_connection_is_renamed_while_it_lives,
                an_old_flight_never_overwrites_what_was_made_anew,
                the_newest_connections_tell_how_a_connector_does,
            ]
            revocations: [
                minted_tokens_of_a_scope_are_expired_and_no_others,
                connections_are_found_by_what_their_tokens_were_told,
                a_scope_ends_its_connections_and_no_others,
                an_end_moves_the_sets_into_the_queue,
                each_end_is_a_line_of_the_log,
                what_waits_is_counted,
                many_connections_are_ended_in_batches,
                a_due_revocation_is_claimed_by_one,
                a_late_pair_is_queued_once_and_finished_once,
            ]
            refresh: [
                attempts_are_counted_under_a_lease,
                one_of_many_nodes_begins,
                a_set_that_moved_is_not_presented,
                an_attempt_without_a_verdict_is_kept_or_deleted,
                a_new_pair_replaces_the_presented_one,
                one_of_many_pairs_is_stored,
                a_pair_for_a_revoked_connection_is_dead,
                a_pair_and_a_revocation_never_both_win,
                idle_sets_are_those_that_can_be_refreshed_now,
            ]
            registrations: [
                a_public_client_is_found_by_id_until_it_is_deleted,
                a_registration_is_set_on_the_row_that_was_read,
            ]
            repeats: [
                one_of_many_reserves_a_request,
                a_request_is_answered_once_and_the_answer_stands_until_it_expires,
                a_released_request_can_be_reserved_again,
                expired_requests_are_swept,
            ]
            setups: [
                a_setup_is_found_by_its_id_and_its_code_and_both_are_one_s_own,
                a_team_has_so_many_open_setups_and_no_more,
                a_setup_is_completed_once_in_time_with_its_own_connector,
                a_created_setup_knows_its_installation_until_it_is_finished,
                open_setups_are_listed_by_their_connectors_and_each_team_s_apart,
                setups_that_are_over_are_swept,
            ]
            rejections: [
                a_rejection_is_marked_once,
                a_rejection_after_an_unknown_attempt_means_a_lost_response,
                a_rejection_waits_for_another_node_and_yields_to_a_new_pair,
                a_late_success_clears_a_rejection,
            ]
        }
    };
    ($open:path; $($module:ident: [$($case:ident,)*])*) => {$(
        mod $module {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let clock = $crate::contract::ManualClock::default();
                    let store = $open(clock.clone()).await;
                    let world = $crate::contract::World::new(store, clock).await;
                    $crate::contract::$module::$case(&world).await;
                }
            )*
        }
    )*};
}

#[cfg(test)]
mod tests;

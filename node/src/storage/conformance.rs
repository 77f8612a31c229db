//! What every store must do, run on the real one and on the one in memory.

use super::{MemoryStore, Store};

mod entries;
pub(super) mod fixture;
mod posts;
mod state;
mod views;

/// Runs each case on a fresh store of either kind.
macro_rules! conformance {
    ($($part:ident: $($case:ident),+;)+) => {
        mod memory {
            use super::*;
            $($(#[test] fn $case() { super::$part::$case(&mut MemoryStore::new()); })+)+
        }
        mod sqlite {
            use super::*;
            $($(#[test] fn $case() {
                let (folder, mut store) = fixture::home();
                super::$part::$case(&mut store);
                // As it was, after a new start.
                drop(store);
                fixture::unlock(&folder);
            })+)+
        }
        /// Every case takes a store as what it is used as.
        const _: &[fn(&mut dyn Store)] = &[$($($part::$case),+),+];
    };
}

conformance! {
    entries:
        an_entry_comes_back_as_it_was_written,
        s4_writing_twice_is_writing_once,
        a_later_write_adds_what_was_missing,
        l7_control_payloads_are_always_served_and_never_erased,
        c5_what_was_erased_is_gone_and_does_not_come_back,
        an_evicted_entry_is_gone_with_its_payload,
        a_write_about_an_entry_that_is_not_held_does_nothing,
        entries_of_a_document_are_loaded_with_their_envelopes,
        newest_first_orders_by_the_claimed_time,
        entries_are_found_by_the_beginning_of_their_id;
    state:
        groups_are_added_once_and_kept_apart,
        a_forgotten_group_leaves_nothing,
        a_snapshot_has_all_that_a_replica_is_opened_with,
        a_snapshot_orders_entries_by_device_and_sequence,
        s4_a_document_is_stale_until_its_row_is_written,
        k7_a_forgotten_epoch_is_gone,
        m1_what_is_known_of_a_keeper_comes_back_and_is_forgotten,
        settings_are_replaced_and_kept_per_group;
    posts:
        a_post_comes_back_as_it_was_written,
        a_row_replaces_the_one_before,
        a_thread_reads_from_its_title_on_in_order,
        a_list_of_threads_counts_posts_and_what_is_new,
        unread_is_what_others_wrote_since_the_last_mark,
        a_row_that_is_gone_is_gone_from_every_view,
        posts_are_found_by_the_beginning_of_their_id,
        search_finds_shown_posts_by_all_of_the_words,
        search_follows_edits_hides_and_erasures,
        no_search_is_an_error;
    views:
        the_latest_response_of_each_member_counts,
        the_latest_profile_of_each_member_counts,
        the_agreement_is_the_latest,
        acts_are_read_oldest_first,
        requests_wait_until_they_are_answered;
}

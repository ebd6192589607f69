//! The contract of the port `RegistryStore`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::registry_store_suite::run_all(async || Box::new(MyStore::empty())).await;
//! ```
//!
//! Each behaviour is shown on a store of its own, which is empty when it begins. A broken promise is a panic that says
//! which sentence of the port's page it breaks.

use futures_util::future::BoxFuture;
use layer0_domain::port::registry_store::RegistryStore;

mod blobs;
mod collect;
mod content;
mod manifests;
mod places;
mod repositories;
mod retention;
pub mod sample;
mod tags;
mod upkeep;

pub use blobs::*;
pub use collect::*;
pub use content::*;
pub use manifests::*;
pub use places::*;
pub use repositories::*;
pub use retention::*;
pub use tags::*;
pub use upkeep::*;

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it on an empty store; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn RegistryStore) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |store| Box::pin($name(store)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    a_repository_is_made_once,
    a_repository_is_made_along_with_a_push,
    a_repository_is_opened_and_closed,
    repositories_are_listed_in_byte_order_by_owner_and_page,
    a_repository_that_holds_manifests_goes_only_when_insisted,
    a_deleted_repository_takes_all_along_and_names_the_blobs_left_over,
    a_blob_is_in_the_repositories_it_was_linked_to,
    a_blob_is_linked_to_no_repository_that_is_not_there,
    the_last_to_unlink_a_blob_is_told,
    holders_are_listed_in_byte_order_up_to_a_hundred,
    the_same_bytes_under_two_algorithms_are_two_blobs,
    sums_are_kept_with_the_blob,
    sums_that_do_not_fit_are_none,
    a_damaged_blob_counts_as_missing_until_it_is_whole_again,
    only_a_blob_that_is_held_is_proven_or_condemned,
    what_is_known_of_a_blob_goes_with_its_last_link,
    a_manifest_is_read_back_as_it_was_put,
    a_manifest_is_put_only_where_all_it_names_is,
    a_manifest_put_again_moves_the_tags,
    a_manifest_put_again_replaces_its_bytes,
    a_deleted_manifest_takes_its_tags_along,
    manifests_of_two_repositories_are_two,
    referrers_are_listed_in_order_of_digest_by_type,
    referrers_come_in_pages_by_their_weight,
    tags_are_listed_in_byte_order_by_page,
    a_deleted_tag_leaves_the_manifest,
    blobs_are_listed_once_in_order_by_page,
    blobs_that_nobody_holds_are_told_apart,
    manifests_are_listed_in_order_by_page,
    users_are_found_up_to_their_tags,
    a_blob_lies_where_it_was_pushed_to_last,
    a_blob_is_mounted_only_from_where_it_lies,
    a_place_is_one_blobs,
    the_place_of_a_blob_goes_with_its_last_link,
    a_mount_and_the_last_unlink_never_both_win,
    blobs_that_no_manifest_names_are_listed_when_they_are_old,
    only_what_is_unneeded_is_collected,
    a_collected_blob_is_free_when_no_repository_holds_it,
    of_a_manifest_and_a_collection_never_both_win,
    images_are_seen_with_what_retention_needs,
    only_images_go_that_nothing_needs_any_more,
    many_images_go_at_once,
    the_blobs_of_images_that_go_are_kept_for_a_while,
    a_tag_that_is_about_an_image_goes_after_it,
    of_many_creates_one_makes_the_repository,
    of_many_unlinks_one_is_told_that_nobody_is_left,
];

/// Shows every behaviour, each on a store that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn RegistryStore>) {
    for behaviour in ALL {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
}

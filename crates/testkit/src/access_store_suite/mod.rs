//! The contract of the port `AccessStore`, one function for each behaviour, and of what it decides in the two other ports:
//! whose something is, what an owner may hold, which tags stay. Whatever fulfils the ports runs them all; a store without
//! repositories runs [`ALL`]:
//!
//! ```ignore
//! layer0_testkit::access_store_suite::run_all(async || Box::new(MyStore::empty())).await;
//! ```
//!
//! Each behaviour is shown on a store of its own, which is empty when it begins.

use futures_util::future::BoxFuture;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_domain::port::store::Store;

mod audit;
mod grants;
mod immutable;
mod owners;
mod people;
pub mod sample;
mod tokens;
mod trusts;
mod users;

pub use audit::*;
pub use grants::*;
pub use immutable::*;
pub use owners::*;
pub use people::*;
pub use tokens::*;
pub use trusts::*;
pub use users::*;

/// The two ports on one store.
pub trait AccessPorts: AccessStore + Store {}

impl<T: AccessStore + Store> AccessPorts for T {}

/// All of these ports on one store.
pub trait Ports: AccessPorts + RegistryStore + PublicStore {}

impl<T: AccessPorts + RegistryStore + PublicStore> Ports for T {}

/// One behaviour of a store that keeps no repositories, or does.
#[derive(Clone, Copy)]
pub struct Behaviour<P: ?Sized + 'static = dyn AccessPorts> {
    /// What is promised.
    pub name: &'static str,
    /// Shows it on an empty store; panics when the promise is broken.
    pub show: for<'a> fn(&'a P) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |store| Box::pin($name(store)) }),+]
    };
}

/// What every store of users and owners does.
pub const ALL: &[Behaviour] = behaviours![
    a_user_is_made_once_and_read_with_its_places,
    a_user_is_changed_only_where_it_is_said,
    a_deleted_user_takes_tokens_and_places_along,
    a_person_is_found_by_what_the_provider_says,
    a_person_has_one_user_and_a_name_one_person,
    a_person_whose_user_was_deleted_is_remembered,
    an_admin_by_a_group_is_told_from_one_by_hand,
    an_admin_by_a_group_is_no_way_in,
    tokens_of_people_are_forgotten_after_their_end,
    a_user_with_much_goes_with_all_of_it,
    the_last_way_in_for_an_admin_stays,
    of_the_last_two_ways_in_one_stays,
    an_owner_is_made_once_and_changed,
    an_owner_goes_only_when_it_has_nothing,
    nothing_comes_to_an_owner_that_goes,
    a_member_is_changed_and_taken_away,
    what_is_new_needs_an_owner_that_is_there,
    a_deploys_name_has_one_owner,
    rules_are_replaced_and_taken_away,
    tokens_are_found_by_hash_and_id_until_deleted,
    a_token_needs_its_subject,
    a_token_is_made_once_for_a_setting,
    a_rotated_token_opens_with_its_new_secret_only,
    whoever_may_be_shut_out_is_counted,
    a_trust_is_made_once_and_read_as_it_was_made,
    a_trusts_tokens_end_with_it,
    an_owner_takes_its_trusts_along,
    what_trusts_gave_is_forgotten_after_its_end,
    grants_are_kept_in_order_with_what_became_of_them,
    a_grant_is_written_only_over_the_one_that_was_read,
    a_grant_needs_the_owner_it_is_about,
    of_many_who_write_a_grant_one_wins,
    the_audit_log_is_read_in_both_directions,
    the_audit_log_forgets_what_is_old,
    many_records_at_once_are_kept_in_one_order,
];

/// What a store does besides that keeps repositories too.
pub const WITH_REPOSITORIES: &[Behaviour<dyn Ports>] = behaviours![
    an_owner_comes_with_its_first_repository,
    what_becomes_private_is_counted,
    an_owner_with_a_repository_stays,
    an_owner_counts_each_blob_once,
    a_quota_is_kept_by_the_write,
    an_immutable_tag_is_neither_moved_nor_deleted,
    what_an_immutable_tag_leads_to_stays,
    retention_rules_are_kept_and_stand_below_immutable_tags,
    a_record_goes_along_with_a_push_or_not_at_all,
    records_go_along_with_images_that_go,
    each_version_changes_with_what_it_is_about,
];

/// Shows every behaviour, each on a store that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn Ports>) {
    for behaviour in ALL {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
    for behaviour in WITH_REPOSITORIES {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
}

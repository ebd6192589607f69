//! The contract of the port `Store`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::store_suite::run_all(async || Box::new(MyStore::empty())).await;
//! ```
//!
//! Each behaviour is shown on a store of its own, which is empty when it begins. A broken promise is a panic that says
//! which sentence of the port's page it breaks.

use futures_util::future::BoxFuture;
use layer0_domain::port::store::Store;

mod deletes;
mod deploys;
mod entities;
mod leases;
mod operations;
mod races;
pub mod sample;
mod values;

pub use deletes::*;
pub use deploys::*;
pub use entities::*;
pub use leases::*;
pub use operations::*;
pub use races::*;
pub use values::*;

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it on an empty store; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn Store) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |store| Box::pin($name(store)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    a_new_entity_is_there_whole_with_its_operation,
    a_name_is_unique_in_its_environment,
    a_name_of_an_environment_is_unique_in_the_instance,
    an_id_is_given_once,
    nothing_is_made_in_an_environment_that_is_not_there_to_stay,
    a_service_needs_a_load_balancer_of_its_environment_for_itself,
    a_link_needs_an_environment_that_is_there_to_stay,
    an_update_replaces_the_entity_and_counts_its_generation,
    an_update_of_another_generation_is_refused_whole,
    an_update_supersedes_what_runs_on_the_entity,
    entities_are_listed_by_kind_in_order_of_id,
    summaries_are_listed_in_order_of_name,
    a_write_changes_the_version,
    an_environment_is_not_deleted_while_it_is_in_use,
    a_load_balancer_is_not_deleted_while_it_serves,
    holders_are_told_without_a_delete,
    a_name_stays_taken_until_its_entity_is_gone,
    a_purge_takes_the_users_tags_along,
    deploys_are_numbered_from_one_and_no_number_comes_twice,
    a_deploy_is_kept_as_it_was_given,
    deploys_are_listed_by_name_then_version,
    operations_are_listed_newest_first,
    running_operations_are_listed_oldest_first,
    progress_writes_state_cause_and_end_and_nothing_else,
    events_are_numbered_without_holes,
    an_ended_operation_stays_as_it_is,
    progress_changes_the_entity_alongside_or_nothing,
    progress_of_what_is_gone_is_refused,
    a_log_shows_the_newest_events_of_all_operations_or_of_an_environment,
    of_many_updates_one_wins_each_generation,
    of_many_creates_one_gets_the_name,
    of_many_services_one_gets_the_load_balancer,
    nothing_comes_into_an_environment_that_goes,
    no_service_comes_behind_a_load_balancer_that_goes,
    all_deploys_of_a_name_get_numbers_of_their_own,
    all_who_ask_for_a_setting_agree,
    of_all_who_replace_a_setting_one_wins,
    tags_are_kept_by_entity_type_and_key,
    the_map_is_replaced_only_by_who_has_read_it,
    a_setting_keeps_its_first_value,
    a_setting_is_replaced_only_as_it_was_read,
    a_lease_is_taken_over_only_when_it_has_run_out,
    a_lease_is_renewed_only_by_its_holder,
    a_released_lease_is_free,
    fences_grow_over_days,
    of_many_who_ask_for_a_lease_one_gets_it,
    a_renewal_and_a_takeover_exclude_each_other,
];

/// Shows every behaviour, each on a store that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn Store>) {
    for behaviour in ALL {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
}

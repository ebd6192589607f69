//! The contract of the port `AccessStore`, one function for each behaviour, and of what it decides in the two other ports:
//! whose something is, what an owner may hold, which tags stay. Whatever fulfils the ports runs them all:
//!
//! ```ignore
//! layer0_testkit::access_store_suite::run_all(async || Box::new(MyStore::empty())).await;
//! ```
//!
//! Each behaviour is shown on a store of its own, which is empty when it begins.

use futures_util::future::BoxFuture;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_domain::port::store::Store;

mod audit;
mod owners;
pub mod sample;
mod tokens;
mod users;

pub use audit::*;
pub use owners::*;
pub use tokens::*;
pub use users::*;

/// The three ports on one store.
pub trait Ports: AccessStore + Store + RegistryStore {}

impl<T: AccessStore + Store + RegistryStore> Ports for T {}

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it on an empty store; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn Ports) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |store| Box::pin($name(store)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    a_user_is_made_once_and_read_with_its_places,
    a_user_is_changed_only_where_it_is_said,
    a_deleted_user_takes_tokens_and_places_along,
    the_last_way_in_for_an_admin_stays,
    of_the_last_two_ways_in_one_stays,
    an_owner_is_made_once_and_comes_with_its_first_repository,
    an_owner_goes_only_when_it_has_nothing,
    a_member_is_changed_and_taken_away,
    what_is_new_needs_an_owner_that_is_there,
    a_deploys_name_has_one_owner,
    an_owner_counts_each_blob_once,
    a_quota_is_kept_by_the_write,
    an_immutable_tag_is_neither_moved_nor_deleted,
    rules_are_replaced_and_taken_away,
    tokens_are_found_by_hash_and_id_until_deleted,
    a_token_needs_its_subject,
    a_rotated_token_opens_with_its_new_secret_only,
    the_audit_log_is_read_in_both_directions,
    the_audit_log_forgets_what_is_old,
];

/// Shows every behaviour, each on a store that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn Ports>) {
    for behaviour in ALL {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
}

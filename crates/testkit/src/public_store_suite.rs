//! The contract of the port `PublicStore`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::public_store_suite::run_all(async || Box::new(MyStore::empty())).await;
//! ```
//!
//! Each behaviour is shown on a store of its own, which is empty when it begins.

use futures_util::future::BoxFuture;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::public_store::PublicStore;

const READS: &str = "a read succeeds";
const WRITES: &str = "a write succeeds";

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it on an empty store; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn PublicStore) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |store| Box::pin($name(store)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    what_nobody_named_is_private,
    a_repository_is_what_it_was_last_said_to_be,
    all_that_are_public_are_listed_in_byte_order,
];

/// Shows every behaviour, each on a store that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn PublicStore>) {
    for behaviour in ALL {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("samples are written with legal words only")
}

async fn what_nobody_named_is_private(store: &dyn PublicStore) {
    store.visibility_put(&name("team/app"), Visibility::Public).await.expect(WRITES);
    for other in ["team/ap", "team/app/x", "team/app2", "other/app"] {
        assert_eq!(store.visibility_get(&name(other)).await.expect(READS), Visibility::Private, "{other}");
    }
}

async fn a_repository_is_what_it_was_last_said_to_be(store: &dyn PublicStore) {
    let app = name("team/app");
    for visibility in [
        Visibility::Private,
        Visibility::Public,
        Visibility::Public,
        Visibility::Private,
        Visibility::Private,
        Visibility::Public,
    ] {
        store.visibility_put(&app, visibility).await.expect(WRITES);
        assert_eq!(store.visibility_get(&app).await.expect(READS), visibility);
    }
}

async fn all_that_are_public_are_listed_in_byte_order(store: &dyn PublicStore) {
    assert_eq!(store.public_list().await.expect(READS), Vec::new());
    for one in ["team/b", "team/a-1", "team/a", "other/z", "team/a/b"] {
        store.visibility_put(&name(one), Visibility::Public).await.expect(WRITES);
    }
    store.visibility_put(&name("team/b"), Visibility::Private).await.expect(WRITES);
    let listed = store.public_list().await.expect(READS);
    assert_eq!(
        listed.iter().map(RepositoryName::as_str).collect::<Vec<_>>(),
        ["other/z", "team/a", "team/a-1", "team/a/b"]
    );
}

//! The contract of the port `HomeStore`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::home_store_suite::run_all(async || Box::new(MyStore::empty())).await;
//! ```
//!
//! Each behaviour is shown on a store of its own, which is empty when it begins.

use futures_util::future::{BoxFuture, join_all};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::home::{Home, Migration, Problem, Source, Stage, Tally};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::home_store::HomeStore;

const READS: &str = "a read succeeds";
const WRITES: &str = "a write succeeds";

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it on an empty store; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn HomeStore) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |store| Box::pin($name(store)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    rows_are_kept_in_order_with_what_became_of_them,
    a_row_is_written_only_over_the_one_that_was_read,
    each_change_is_counted,
    of_many_who_write_one_wins,
];

/// Shows every behaviour, each on a store that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn HomeStore>) {
    for behaviour in ALL {
        let store = fresh().await;
        (behaviour.show)(store.as_ref()).await;
    }
}

fn backing(text: &str) -> BackingName {
    BackingName::parse(text).expect("samples are written with legal words only")
}

/// A repository whose move to `west` was just asked for.
#[must_use]
pub fn moving(name: &str) -> Home {
    let (from, to) = (BackingName::local(), backing("west"));
    Home {
        repository: RepositoryName::parse(name).expect("samples are written with legal words only"),
        backing: from.clone(),
        migration: Migration::new(from, to, Source::Keep, Timestamp(10)),
        generation: Generation(77),
    }
}

fn at(home: &Home, generation: u64) -> Home {
    Home { generation: Generation(generation), ..home.clone() }
}

/// `home_list`, `home_get`: as they were given but for the generation, which counts on.
pub async fn rows_are_kept_in_order_with_what_became_of_them(store: &dyn HomeStore) {
    assert_eq!(store.home_list().await.expect(READS), []);
    let (app, deep, other) = (moving("team/app"), moving("team/app/deep"), moving("a-team/x"));
    for one in [&deep, &other, &app] {
        assert_eq!(store.home_get(&one.repository).await.expect(READS), None);
        assert_eq!(store.home_put(one, None).await.expect(WRITES), Some(Generation(1)));
    }
    assert_eq!(store.home_list().await.expect(READS), [&other, &app, &deep].map(|one| at(one, 1)));

    let mut moved = app.clone();
    moved.backing = backing("west");
    moved.migration.stage = Stage::Closing(Timestamp(99));
    moved.migration.tally =
        Tally { manifests: 3, verified: 2, bytes_copied: u64::from(u32::MAX) * 7, ..Tally::default() };
    moved.migration.trouble = Some("it rains".to_owned());
    moved.migration.kept = vec![backing("east")];
    let problem = Problem { digest: Digest::sha256_of(b"x"), tags: vec!["v1".to_owned()], why: "because".to_owned() };
    moved.migration = moved.migration.with_problems(vec![problem]);
    assert_eq!(store.home_put(&moved, Some(Generation(1))).await.expect(WRITES), Some(Generation(2)));
    assert_eq!(store.home_get(&app.repository).await.expect(READS), Some(at(&moved, 2)));
}

/// `home_put`, `home_delete`: compare and set on the generation.
pub async fn a_row_is_written_only_over_the_one_that_was_read(store: &dyn HomeStore) {
    let one = moving("team/app");
    assert_eq!(store.home_put(&one, Some(Generation(1))).await.expect(WRITES), None, "there is none");
    assert_eq!(store.home_put(&one, None).await.expect(WRITES), Some(Generation(1)));
    assert_eq!(store.home_put(&one, None).await.expect(WRITES), None, "there is one");
    assert_eq!(store.home_put(&one, Some(Generation(2))).await.expect(WRITES), None, "it is another");
    assert_eq!(store.home_put(&one, Some(Generation(1))).await.expect(WRITES), Some(Generation(2)));
    assert!(!store.home_delete(&one.repository, Generation(1)).await.expect(WRITES), "it is another");
    assert!(store.home_delete(&one.repository, Generation(2)).await.expect(WRITES));
    assert!(!store.home_delete(&one.repository, Generation(2)).await.expect(WRITES), "it is gone");
    assert_eq!(store.home_list().await.expect(READS), []);
    assert_eq!(store.home_put(&one, None).await.expect(WRITES), Some(Generation(1)), "and may come again");
}

/// `home_count`: what was written, and nothing else.
pub async fn each_change_is_counted(store: &dyn HomeStore) {
    let one = moving("team/app");
    let count = async || store.home_count().await.expect(READS);
    assert_eq!(count().await, 0);
    store.home_put(&one, None).await.expect(WRITES);
    assert_eq!(count().await, 1);
    store.home_put(&one, None).await.expect(WRITES);
    store.home_delete(&one.repository, Generation(7)).await.expect(WRITES);
    assert_eq!(count().await, 1, "nothing was written");
    store.home_put(&one, Some(Generation(1))).await.expect(WRITES);
    assert_eq!(count().await, 2);
    store.home_delete(&one.repository, Generation(2)).await.expect(WRITES);
    assert_eq!(count().await, 3);
}

/// `home_put`: of many who have read the same generation one comes through.
pub async fn of_many_who_write_one_wins(store: &dyn HomeStore) {
    let one = moving("team/app");
    for (read, next) in [(None, 1), (Some(Generation(1)), 2)] {
        let answers = join_all((0..8).map(|_| store.home_put(&one, read))).await;
        let answers: Vec<_> = answers.into_iter().filter_map(|answer| answer.expect(WRITES)).collect();
        assert_eq!(answers, [Generation(next)]);
    }
    assert_eq!(store.home_count().await.expect(READS), 2);
}

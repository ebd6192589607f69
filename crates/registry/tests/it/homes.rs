//! Which repositories were moved, as a server remembers it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::home::Home;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::home_store::{HomeStore, HomeStoreError};
use layer0_registry::{BEHIND_MAX, Homes, Moved as _, Writers};
use layer0_testkit::home_store_suite::{self as suite, moving};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::common::name;

/// A store that waits for nothing, and counts what it is asked.
#[derive(Default)]
struct Counting {
    rows: Mutex<BTreeMap<RepositoryName, Home>>,
    changes: AtomicUsize,
    counts: AtomicUsize,
    lists: AtomicUsize,
    is_away: AtomicBool,
    is_silent: AtomicBool,
    /// The next row that is read waits for this before it is answered.
    slow: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Counting {
    async fn answers(&self) -> Result<(), HomeStoreError> {
        if self.is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.is_away.load(Ordering::SeqCst) {
            return Err(HomeStoreError::Failed { source: "it is away".into() });
        }
        Ok(())
    }

    /// Small reads, and lists.
    fn asked(&self) -> (usize, usize) {
        (self.counts.load(Ordering::SeqCst), self.lists.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl HomeStore for Counting {
    async fn home_list(&self) -> Result<Vec<Home>, HomeStoreError> {
        self.answers().await?;
        self.lists.fetch_add(1, Ordering::SeqCst);
        Ok(self.rows.lock().unwrap().values().cloned().collect())
    }

    async fn home_get(&self, repository: &RepositoryName) -> Result<Option<Home>, HomeStoreError> {
        self.answers().await?;
        let row = self.rows.lock().unwrap().get(repository).cloned();
        let slow = self.slow.lock().unwrap().take();
        if let Some(slow) = slow {
            slow.await.unwrap();
        }
        Ok(row)
    }

    async fn home_put(&self, home: &Home, read: Option<Generation>) -> Result<Option<Generation>, HomeStoreError> {
        self.answers().await?;
        let mut rows = self.rows.lock().unwrap();
        if rows.get(&home.repository).map(|it| it.generation) != read {
            return Ok(None);
        }
        let generation = read.unwrap_or_default().next();
        rows.insert(home.repository.clone(), Home { generation, ..home.clone() });
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(Some(generation))
    }

    async fn home_delete(&self, repository: &RepositoryName, read: Generation) -> Result<bool, HomeStoreError> {
        self.answers().await?;
        let mut rows = self.rows.lock().unwrap();
        if rows.get(repository).map(|it| it.generation) != Some(read) {
            return Ok(false);
        }
        rows.remove(repository);
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }

    async fn home_count(&self) -> Result<u64, HomeStoreError> {
        self.answers().await?;
        self.counts.fetch_add(1, Ordering::SeqCst);
        Ok(self.changes.load(Ordering::SeqCst) as u64)
    }
}

fn homes(writers: Writers) -> (Arc<Counting>, Homes) {
    let store = Arc::new(Counting::default());
    (Arc::clone(&store), Homes::new(store, writers))
}

#[tokio::test(start_paused = true)]
async fn the_suite_holds_of_the_store_and_of_what_remembers_it() {
    suite::run_all(async || Box::new(Counting::default()) as Box<dyn HomeStore>).await;
    suite::run_all(async || Box::new(homes(Writers::Several).1) as Box<dyn HomeStore>).await;
}

/// A thousand pulls in a second cost one small read; that nothing has changed costs no list.
#[tokio::test(start_paused = true)]
async fn pulls_cost_one_small_read_a_second() {
    let (store, homes) = homes(Writers::Several);
    for _ in 0..10 {
        for _ in 0..1_000 {
            assert_eq!(homes.moved_to(&name("team/app")).await.unwrap(), None);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(store.asked(), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_alone_asks_once() {
    let (store, homes) = homes(Writers::Alone);
    let moving = moving("team/app");
    homes.home_put(&moving, None).await.unwrap();
    for _ in 0..10 {
        let backing = homes.moved_to(&name("team/app")).await.unwrap();
        assert_eq!(backing, Some(moving.backing.clone()), "what it wrote itself");
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert_eq!(store.asked(), (1, 1));
    assert!(homes.home_delete(&moving.repository, Generation(1)).await.unwrap());
    assert_eq!(homes.moved_to(&name("team/app")).await.unwrap(), None);
}

/// As for a right that was taken away, whoever wrote the row.
#[tokio::test(start_paused = true)]
async fn no_server_is_behind_for_longer_than_it_may() {
    let (store, homes) = homes(Writers::Several);
    assert!(homes.of(&name("team/app")).await.unwrap().is_none());
    store.home_put(&moving("team/app"), None).await.unwrap();
    let written = Instant::now();
    while homes.of(&name("team/app")).await.unwrap().is_none() {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(written.elapsed() < BEHIND_MAX, "{:?}", written.elapsed());
    // What must be right to the moment is.
    assert!(store.home_delete(&name("team/app"), Generation(1)).await.unwrap());
    assert!(homes.now(&name("team/app")).await.unwrap().is_none());
    assert!(homes.of(&name("team/app")).await.unwrap().is_none());
}

/// A store that does not answer stops no pull, but for the first: nobody knows anything then.
#[tokio::test(start_paused = true)]
async fn pulls_go_on_while_the_store_is_away() {
    for silent in [false, true] {
        let (store, homes) = homes(Writers::Several);
        let away = |is: bool| if silent { &store.is_silent } else { &store.is_away }.store(is, Ordering::SeqCst);
        away(true);
        assert!(homes.of(&name("team/app")).await.is_err());
        away(false);
        homes.home_put(&moving("team/app"), None).await.unwrap();
        assert!(homes.of(&name("team/app")).await.unwrap().is_some());
        away(true);
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(homes.of(&name("team/app")).await.unwrap().is_some());
        }
    }
}

/// Whoever writes by what is out of date may write where nobody looks any more.
#[tokio::test(start_paused = true)]
async fn writes_do_not_go_by_what_is_out_of_date() {
    for silent in [false, true] {
        let (store, homes) = homes(Writers::Several);
        let row = moving("team/app");
        homes.home_put(&row, None).await.unwrap();
        assert!(homes.of(&row.repository).await.unwrap().is_some());
        if silent { &store.is_silent } else { &store.is_away }.store(true, Ordering::SeqCst);
        assert!(homes.for_writes(&row.repository).await.unwrap().is_some(), "it was true a moment ago");
        tokio::time::advance(2 * BEHIND_MAX).await;
        assert!(homes.of(&row.repository).await.unwrap().is_some());
        let refused = tokio::time::timeout(Duration::from_secs(60), homes.for_writes(&row.repository)).await;
        assert!(!matches!(refused, Ok(Ok(_))), "{silent}");
    }
}

/// An answer that takes long may be older than what became known meanwhile.
#[tokio::test(start_paused = true)]
async fn a_late_answer_is_not_remembered() {
    for writers in [Writers::Alone, Writers::Several] {
        let (store, homes) = homes(writers);
        let team = name("team/app");
        homes.home_put(&moving("team/app"), None).await.unwrap();
        assert!(homes.of(&team).await.unwrap().is_some());
        let (answer, slow) = oneshot::channel();
        *store.slow.lock().unwrap() = Some(slow);
        let gone = async {
            match writers {
                Writers::Alone => assert!(homes.home_delete(&team, Generation(1)).await.unwrap()),
                // By another server, which this one has heard of.
                Writers::Several => {
                    assert!(store.home_delete(&team, Generation(1)).await.unwrap());
                    tokio::time::advance(Duration::from_secs(1)).await;
                }
            }
            assert!(homes.of(&team).await.unwrap().is_none());
            answer.send(()).unwrap();
        };
        let (late, ()) = tokio::join!(homes.now(&team), gone);
        assert!(late.unwrap().is_some(), "it was there when it was asked for");
        for _ in 0..5 {
            assert!(homes.of(&team).await.unwrap().is_none(), "{writers:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}

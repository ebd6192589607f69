//! Which repositories were moved, remembered so that a pull costs nothing: the rows of the port `HomeStore` as they were a
//! second ago at most, however many ask.
//!
//! Where several servers share a store, each asks once a second at most, and only while somebody asks it, whether a row has
//! changed, and reads the rows when one has. So no server is ever behind by more than [`BEHIND_MAX`]. What must be right to the moment asks
//! [`Homes::now`].

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::home::Home;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::BoxError;
use layer0_domain::port::home_store::{HomeStore, HomeStoreError};
use tokio::time::Instant;

use crate::whereabouts::Moved;

/// How long what is remembered is taken for true.
const TRUE_FOR: Duration = Duration::from_secs(1);

/// By how much a server may be behind: what is remembered, and the time that a look takes, which is given up after as long. The
/// same as for rights that were taken away.
pub const BEHIND_MAX: Duration = Duration::from_secs(2);

/// Who writes to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// This process alone: what it wrote itself is all that changes.
    Alone,
    /// Others too.
    Several,
}

#[derive(Default)]
struct Known {
    rows: BTreeMap<RepositoryName, Arc<Home>>,
    /// The number of changes that they were read at.
    count: u64,
    /// When that was last looked at; `None` before the first look.
    looked: Option<Instant>,
    /// When that was last found to be so: a look that fails leaves what is remembered as it is.
    found: Option<Instant>,
    /// Counts what was remembered one by one.
    kept: u64,
}

impl Known {
    /// Another one when something else has been remembered.
    fn mark(&self) -> (u64, u64) {
        (self.kept, self.count)
    }

    /// Remembers a row by itself, unless a newer one is known.
    fn keep(&mut self, repository: &RepositoryName, row: Option<Arc<Home>>) {
        self.kept += 1;
        match row {
            Some(row) => {
                let is_older = self.rows.get(repository).is_some_and(|it| it.generation > row.generation);
                if !is_older {
                    self.rows.insert(repository.clone(), row);
                }
            }
            None => drop(self.rows.remove(repository)),
        }
    }
}

/// The repositories that were moved.
pub struct Homes {
    store: Arc<dyn HomeStore>,
    writers: Writers,
    known: RwLock<Known>,
    /// One looks at a time; the others wait for what it finds.
    turn: tokio::sync::Mutex<()>,
}

impl Homes {
    /// On this store.
    #[must_use]
    pub fn new(store: Arc<dyn HomeStore>, writers: Writers) -> Self {
        Self { store, writers, known: RwLock::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Who writes to the store.
    #[must_use]
    pub fn writers(&self) -> Writers {
        self.writers
    }

    /// A repository's row, as it was [`BEHIND_MAX`] ago or later.
    ///
    /// # Errors
    /// The store was never read, and can't be now.
    pub async fn of(&self, repository: &RepositoryName) -> Result<Option<Arc<Home>>, HomeStoreError> {
        if !self.is_fresh() {
            self.look().await?;
        }
        Ok(self.known().rows.get(repository).cloned())
    }

    /// A repository's row for whoever writes: as [`Homes::of`], but for a store that does not answer. Then what is remembered may be older,
    /// and a write that goes by it may go where nobody looks any more.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn for_writes(&self, repository: &RepositoryName) -> Result<Option<Arc<Home>>, HomeStoreError> {
        let row = self.of(repository).await?;
        let is_late = self.known().found.is_none_or(|found| found.elapsed() > BEHIND_MAX);
        if self.writers == Writers::Several && is_late { self.now(repository).await } else { Ok(row) }
    }

    /// A repository's row as it is.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn now(&self, repository: &RepositoryName) -> Result<Option<Arc<Home>>, HomeStoreError> {
        let before = self.known().mark();
        let row = self.store.home_get(repository).await?.map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // What was remembered since it was asked for may be newer: that a row is gone has no generation, and one that is made anew
        // begins with the first.
        if known.mark() == before {
            known.keep(repository, row.clone());
        }
        Ok(row)
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self) -> bool {
        match (self.known().looked, self.writers) {
            (None, _) => false,
            (Some(_), Writers::Alone) => true,
            (Some(looked), Writers::Several) => looked.elapsed() < TRUE_FOR,
        }
    }

    /// Remembers a row as it was written.
    fn keep(&self, repository: &RepositoryName, row: Option<Arc<Home>>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).keep(repository, row);
    }

    /// Finds out whether a row has changed, and reads them if so.
    async fn look(&self) -> Result<(), HomeStoreError> {
        let _turn = self.turn.lock().await;
        if self.is_fresh() {
            return Ok(());
        }
        let (before, kept, asked) = {
            let known = self.known();
            (known.looked.map(|_| known.count), known.kept, Instant::now())
        };
        let found = match tokio::time::timeout(BEHIND_MAX - TRUE_FOR, self.read(before)).await {
            Ok(found) => found,
            Err(_) => Err(HomeStoreError::Failed { source: "the store did not answer in time".into() }),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(Some((count, rows))) if known.kept == kept => {
                *known = Known { rows, count, looked: Some(asked), found: Some(asked), kept };
                Ok(())
            }
            // What was written meanwhile may be newer than what was read. The next look is at once, and reads it again.
            Ok(Some((_, rows))) => {
                for (repository, row) in rows {
                    let is_newer = known.rows.get(&repository).is_none_or(|it| it.generation < row.generation);
                    if is_newer {
                        known.rows.insert(repository, row);
                    }
                }
                Ok(())
            }
            Ok(None) => {
                (known.looked, known.found) = (Some(asked), Some(asked));
                Ok(())
            }
            // What was true a second ago is the best that there is: pulls go on while a store is away for a moment.
            Err(error) if before.is_some() => {
                tracing::warn!(error = %error, "it could not be looked up whether a repository was moved");
                known.looked = Some(asked);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The rows and their number of changes, when that is another one than `before`.
    async fn read(
        &self,
        before: Option<u64>,
    ) -> Result<Option<(u64, BTreeMap<RepositoryName, Arc<Home>>)>, HomeStoreError> {
        // Counted first: a row that changes in between is read again next time.
        let count = self.store.home_count().await?;
        if before == Some(count) {
            return Ok(None);
        }
        let rows = self.store.home_list().await?;
        Ok(Some((count, rows.into_iter().map(|row| (row.repository.clone(), Arc::new(row))).collect())))
    }
}

/// The store itself, of which this server knows at once what it writes.
#[async_trait]
impl HomeStore for Homes {
    async fn home_list(&self) -> Result<Vec<Home>, HomeStoreError> {
        self.store.home_list().await
    }

    async fn home_get(&self, repository: &RepositoryName) -> Result<Option<Home>, HomeStoreError> {
        Ok(self.now(repository).await?.map(|row| row.as_ref().clone()))
    }

    async fn home_put(&self, home: &Home, read: Option<Generation>) -> Result<Option<Generation>, HomeStoreError> {
        let generation = self.store.home_put(home, read).await?;
        if let Some(generation) = generation {
            self.keep(&home.repository, Some(Arc::new(Home { generation, ..home.clone() })));
        }
        Ok(generation)
    }

    async fn home_delete(&self, repository: &RepositoryName, read: Generation) -> Result<bool, HomeStoreError> {
        let is_gone = self.store.home_delete(repository, read).await?;
        if is_gone {
            self.keep(repository, None);
        }
        Ok(is_gone)
    }

    async fn home_count(&self) -> Result<u64, HomeStoreError> {
        self.store.home_count().await
    }
}

#[async_trait]
impl Moved for Homes {
    async fn moved_to(&self, repository: &RepositoryName) -> Result<Option<BackingName>, BoxError> {
        Ok(self.of(repository).await?.map(|home| home.backing.clone()))
    }
}

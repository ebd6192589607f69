//! One repository on its way from one backing to another.
//!
//! The order of things is what keeps every image that somebody was told is there:
//! 1. The row says that the repository is on the move. From then on whoever writes looks at the row again after the write.
//! 2. Passes copy until one finds nothing. All servers know by then, which takes [`MigrationTimes::known`](super::MigrationTimes).
//! 3. The row says that it is closed: who is about to write waits. A write that is under way looks at the row when it ends: while
//!    the row says that it is closed, it waits for what comes of that, and is made in the new backing too if that answers then.
//! 4. A pass that finds nothing. One write of the row makes the new backing the one that answers.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::access::Caller;
use layer0_domain::model::home::{Home, Migration, Source, Stage, Target};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::ops::OpsError;
use layer0_domain::ops::copy::{Copier, CopyError, Counters};
use layer0_domain::ops::image::image_holders_in;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::home_store::{HomeStore as _, HomeStoreError};
use layer0_domain::port::image_end::{EndError, ImageEnd};
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_registry::{Homes, Writers};
use tokio::time::Instant;
use tracing::{info, warn};

use super::MigrationTimes;
use crate::app::App;
use crate::reconcile::Nudge;

/// Passes before a repository is closed though the last one found something: somebody keeps pushing.
const OPEN_PASSES: u32 = 5;

/// How many strangers are named.
const STRANGERS_NAMED: usize = 5;

/// How many of those who run an image are named.
const HOLDERS_NAMED: usize = 5;

/// Where repositories lie and can lie.
#[async_trait]
pub(crate) trait Places: Send + Sync {
    /// A repository in one of them; `None` for a backing that there is none of.
    fn end(&self, backing: &BackingName, repository: &RepositoryName) -> Option<Arc<dyn ImageEnd>>;

    /// Who may pull from it where it lies now; `None` when it isn't there.
    async fn visibility(&self, repository: &RepositoryName) -> Result<Option<Visibility>, RegistryStoreError>;

    /// It has just come to lie where it does: gives it what else it needs there.
    async fn arrived(&self, repository: &RepositoryName) -> Result<(), RegistryStoreError>;

    /// Who runs an image of it from a backing, in words: a copy that must be started again is pulled from there again.
    async fn holders(&self, repository: &RepositoryName, backing: &BackingName) -> Result<Vec<String>, OpsError>;
}

#[async_trait]
impl Places for App {
    fn end(&self, backing: &BackingName, repository: &RepositoryName) -> Option<Arc<dyn ImageEnd>> {
        self.registry.end(backing, repository)
    }

    async fn visibility(&self, repository: &RepositoryName) -> Result<Option<Visibility>, RegistryStoreError> {
        Ok(self.registry.repository_get(repository).await?.map(|it| it.visibility))
    }

    async fn arrived(&self, repository: &RepositoryName) -> Result<(), RegistryStoreError> {
        self.registry.repository_arrived(repository).await
    }

    async fn holders(&self, repository: &RepositoryName, backing: &BackingName) -> Result<Vec<String>, OpsError> {
        let place = self.identity.registry.places.get(backing);
        // It asks for itself, and what it hears is for admins.
        let nobody = Caller::anonymous();
        let holders = image_holders_in(&self.ctx(&nobody), repository, place).await?;
        Ok(holders.iter().map(|it| format!("{} `{}`", it.entity.kind(), it.name)).collect())
    }
}

/// What came of a mover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    /// There is nothing left to do.
    Ended,
    /// It can't go on now.
    Later,
}

/// Why a step is left.
enum Stop {
    /// Somebody else wrote the row: what it says now is to be done.
    Changed,
    /// Something does not answer, in words.
    Trouble(String),
}

impl From<HomeStoreError> for Stop {
    fn from(error: HomeStoreError) -> Self {
        Stop::Trouble(crate::error::chain(&error))
    }
}

/// Moves one repository.
pub(crate) struct Mover<'a> {
    pub(crate) places: &'a dyn Places,
    pub(crate) homes: &'a Homes,
    pub(crate) clock: &'a dyn Clock,
    /// Tells whoever watches that the row has changed.
    pub(crate) nudge: &'a Nudge,
    pub(crate) times: MigrationTimes,
    /// The row as it was last read or written.
    pub(crate) home: Home,
}

impl Mover<'_> {
    /// Does what the row says, from wherever it stands, until nothing is left or it can't go on.
    pub(crate) async fn go_on(mut self) -> Went {
        loop {
            let outcome = match self.home.migration.stage {
                Stage::Copying | Stage::Closing(_) => self.copy().await,
                Stage::Clearing => self.clear().await,
                Stage::Cancelling => self.cancel().await,
                Stage::Moved | Stage::Cleared | Stage::Failed | Stage::Refused | Stage::Cancelled => {
                    return Went::Ended;
                }
            };
            match outcome {
                Ok(()) => {}
                Err(Stop::Changed) => match self.homes.now(&self.home.repository).await {
                    Ok(Some(row)) => self.home = row.as_ref().clone(),
                    Ok(None) => return Went::Ended,
                    Err(_) => return Went::Later,
                },
                Err(Stop::Trouble(why)) => {
                    warn!(repository.name = %self.home.repository, error = why, "the move of {} waits", self.home.repository);
                    // A row that can't be written says so later.
                    let waits = |migration: &mut Migration| {
                        migration.trouble = Some(why);
                        if let Stage::Closing(_) = migration.stage {
                            migration.stage = Stage::Copying;
                        }
                    };
                    let _ = self.put(waits).await;
                    return Went::Later;
                }
            }
        }
    }

    async fn put(&mut self, change: impl FnOnce(&mut Migration)) -> Result<(), Stop> {
        let mut next = self.home.clone();
        change(&mut next.migration);
        self.put_home(next).await
    }

    async fn put_home(&mut self, next: Home) -> Result<(), Stop> {
        match self.homes.home_put(&next, Some(self.home.generation)).await? {
            Some(generation) => {
                self.home = Home { generation, ..next };
                self.nudge.nudge();
                Ok(())
            }
            None => Err(Stop::Changed),
        }
    }

    /// A stage, and that nothing is waited for.
    async fn enter(&mut self, stage: Stage) -> Result<(), Stop> {
        self.put(|migration| {
            migration.stage = stage;
            migration.trouble = None;
        })
        .await
    }

    fn end(&self, backing: &BackingName) -> Result<Arc<dyn ImageEnd>, Stop> {
        let end = self.places.end(backing, &self.home.repository);
        end.ok_or_else(|| Stop::Trouble(format!("the configuration has no registry `{backing}`")))
    }

    /// Copies all, and makes the new backing the one that answers.
    async fn copy(&mut self) -> Result<(), Stop> {
        let began = Instant::now();
        if let Stage::Closing(_) = self.home.migration.stage {
            self.enter(Stage::Copying).await?;
        }
        let (from, to) = (self.end(&self.home.migration.from)?, self.end(&self.home.migration.to)?);
        let counters = Counters::default();
        let mut copier = Copier::new(from.as_ref(), to.as_ref(), &counters);
        let problems = match self.watched(&counters, copier.survey()).await? {
            Ok(problems) => problems,
            Err(why) => return self.give_up(Stage::Failed, why).await,
        };
        if !problems.is_empty() {
            let (home, stage) = (self.home.clone(), self.refused());
            let migration = Migration { stage, trouble: None, ..home.migration.with_problems(problems) };
            return self.put_home(Home { migration, ..home }).await;
        }
        if !self.make_room(to.as_ref(), &copier).await? {
            return Ok(());
        }
        let mut passes = 0;
        loop {
            let Some(found_nothing) = self.pass(&counters, &mut copier).await? else { return Ok(()) };
            passes += 1;
            if !found_nothing && passes < OPEN_PASSES {
                continue;
            }
            if self.homes.writers() == Writers::Several {
                tokio::time::sleep_until(began + self.times.known).await;
            }
            match self.close(&counters, &mut copier).await? {
                Closed::Switched | Closed::GaveUp => return Ok(()),
                // Too much came in meanwhile.
                Closed::Reopened => passes = 0,
            }
        }
    }

    /// Sees to it that there is a repository in the new backing, with nothing in it that the move could not have brought.
    /// `false` when there can't be.
    async fn make_room(&mut self, to: &dyn ImageEnd, copier: &Copier<'_>) -> Result<bool, Stop> {
        if self.home.migration.target == Target::Unknown {
            match to.entries(None).await {
                Err(EndError::NoRepository) => self.put(|migration| migration.target = Target::Made).await?,
                Err(error) => return Err(away(&error)),
                Ok(_) => {
                    let strange = copier.strange().await.map_err(|error| away(&error))?;
                    if !strange.is_empty() && !self.home.migration.kept.contains(&self.home.migration.to) {
                        let named = strange[..strange.len().min(STRANGERS_NAMED)].join(", ");
                        let to = &self.home.migration.to;
                        let why = format!("a repository of that name in {to} holds other images: {named}");
                        self.give_up(Stage::Refused, why).await?;
                        return Ok(false);
                    }
                    self.put(|migration| migration.target = Target::Found).await?;
                }
            }
        }
        let visibility = self.places.visibility(&self.home.repository).await;
        let visibility = visibility.map_err(|error| Stop::Trouble(crate::error::chain(&error)))?;
        match to.prepare(visibility.unwrap_or_default()).await {
            Ok(_) => Ok(true),
            Err(EndError::Refused { why }) => {
                // It may have been made before it was refused, and may have been made by a try before this.
                if let Err(EndError::NoRepository) = to.entries(None).await {
                    self.put(|migration| migration.target = Target::Unknown).await?;
                }
                self.give_up(self.refused(), why).await?;
                Ok(false)
            }
            Err(error) => Err(away(&error)),
        }
    }

    /// How a move ends that can't begin: what an earlier try has copied is kept until the move is called off, so that the row
    /// must not say that there is nothing.
    fn refused(&self) -> Stage {
        match self.home.migration.target {
            Target::Made => Stage::Failed,
            Target::Unknown | Target::Found => Stage::Refused,
        }
    }

    /// One pass. Answers whether it found nothing to do; `None` when some images can't be moved, which is the end.
    async fn pass(&mut self, counters: &Counters, copier: &mut Copier<'_>) -> Result<Option<bool>, Stop> {
        let pass = match self.watched(counters, copier.pass()).await? {
            Ok(pass) => pass,
            Err(why) => {
                self.give_up(Stage::Failed, why).await?;
                return Ok(None);
            }
        };
        if pass.problems.is_empty() {
            return Ok(Some(pass.found_nothing));
        }
        let home = self.home.clone();
        let migration = home.migration.with_problems(pass.problems);
        let migration = Migration { stage: Stage::Failed, trouble: None, tally: counters.tally(), ..migration };
        self.put_home(Home { migration, ..home }).await?;
        Ok(None)
    }

    /// Lets writes wait, copies what came last, and switches.
    async fn close(&mut self, counters: &Counters, copier: &mut Copier<'_>) -> Result<Closed, Stop> {
        let length = i64::try_from(self.times.closed.as_millis()).unwrap_or(i64::MAX);
        let closed = Instant::now();
        self.enter(Stage::Closing(self.clock.now().plus_ms(length))).await?;
        // Clocks may differ by a fifth of it.
        let good_until = closed + self.times.closed * 4 / 5;
        loop {
            let pass = tokio::time::timeout_at(good_until, self.pass(counters, copier)).await;
            match pass {
                Ok(Ok(Some(true))) if Instant::now() < good_until => break,
                Ok(Ok(Some(false))) if Instant::now() < good_until => {}
                Ok(Ok(None)) => return Ok(Closed::GaveUp),
                Ok(Err(stop)) => return Err(stop),
                Ok(Ok(Some(_))) | Err(_) => {
                    self.enter(Stage::Copying).await?;
                    return Ok(Closed::Reopened);
                }
            }
        }
        let Migration { to, from, source, .. } = self.home.migration.clone();
        let mut next = self.home.clone();
        next.backing = to.clone();
        next.migration.tally = counters.tally();
        next.migration.trouble = None;
        next.migration.stage = match source {
            Source::Keep => Stage::Moved,
            Source::Delete => Stage::Clearing,
        };
        next.migration.kept.retain(|kept| *kept != to);
        self.put_home(next).await?;
        let name = &self.home.repository;
        info!(repository.name = %name, "moved {name} from {from} to {to}");
        // The policies follow where it lies, so that can't be done before. What fails here is mended by the next look at what is
        // granted; where nothing is, by an import (docs/migrate.md).
        if let Err(error) = self.places.arrived(name).await {
            warn!(repository.name = %name, error = crate::error::chain(&error), "{name} has moved, and its policy is still to come");
        }
        Ok(Closed::Switched)
    }

    /// Deletes the images in the old backing.
    async fn clear(&mut self) -> Result<(), Stop> {
        let from = self.end(&self.home.migration.from)?;
        // Servers that are behind still send pulls there, and pulls that have begun come to their end.
        tokio::time::sleep(self.times.ending).await;
        // Whoever was deployed while images were copied pulls from there; since the new backing answers nobody comes to it.
        let Home { repository, migration: Migration { from: backing, .. }, .. } = &self.home;
        let holders = self.places.holders(repository, backing).await.map_err(|error| away(&error))?;
        if !holders.is_empty() {
            let (named, more) = holders.split_at(holders.len().min(HOLDERS_NAMED));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            let named = named.join(", ");
            let why = format!("in use by {named}{more}; deploy these anew, and ask for the deletion again");
            return self.give_up(Stage::Moved, why).await;
        }
        match from.remove().await {
            Ok(()) => self.enter(Stage::Cleared).await,
            Err(EndError::Refused { why } | EndError::Damaged { what: why }) => self.give_up(Stage::Moved, why).await,
            Err(error) => Err(away(&error)),
        }
    }

    /// Deletes what was copied.
    async fn cancel(&mut self) -> Result<(), Stop> {
        if self.home.migration.target == Target::Made {
            let to = self.end(&self.home.migration.to)?;
            match to.remove().await {
                Ok(()) => {}
                Err(EndError::Refused { why } | EndError::Damaged { what: why }) => {
                    let what = format!("what was copied is still there: {why}");
                    return self.give_up(Stage::Cancelled, what).await;
                }
                Err(error) => return Err(away(&error)),
            }
        }
        self.enter(Stage::Cancelled).await
    }

    async fn give_up(&mut self, stage: Stage, why: String) -> Result<(), Stop> {
        self.put(|migration| {
            migration.stage = stage;
            migration.trouble = None;
            migration.why = Some(why);
        })
        .await
    }

    /// Does some work, and writes down how far it is while it goes on. An inner error is why the repository can't be moved at
    /// all, in words.
    async fn watched<T>(
        &mut self,
        counters: &Counters,
        work: impl Future<Output = Result<T, CopyError>>,
    ) -> Result<Result<T, String>, Stop> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return match done {
                    Ok(done) => Ok(Ok(done)),
                    Err(CopyError::SourceGone) => Ok(Err("the repository is gone".to_owned())),
                    Err(error @ CopyError::End(..)) => Err(away(&error)),
                },
                () = tokio::time::sleep(self.times.tell) => {
                    let tally = counters.tally();
                    self.put(|migration| {
                        migration.tally = tally;
                        migration.trouble = None;
                    })
                    .await?;
                }
            }
        }
    }
}

/// What came of closing a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// The new backing answers.
    Switched,
    /// It can't be moved.
    GaveUp,
    /// It was not done in time, and is open again.
    Reopened,
}

fn away(error: &(dyn std::error::Error + 'static)) -> Stop {
    Stop::Trouble(crate::error::chain(error))
}

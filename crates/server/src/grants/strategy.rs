//! The strategy of the grants: kept in the store, and changed step by step.
//!
//! A server that starts with a strategy writes it down as what is wished, the last one counting. Whoever holds the lease goes
//! on from what is written there, so a change survives the server that began it, and a server that was started with another
//! strategy carries out the newest.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::pin::pin;
use std::sync::Arc;

use layer0_domain::model::grant::{GrantPlace, GrantScope, GrantStrategy, KeptStrategy, StrategyPhase};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies as _};
use layer0_domain::port::store::{Store, StoreError};
use tracing::{info, warn};

use super::keeper::{Keeper, Look, LookError};
use super::pass::{Pass, words};
use super::report::TELL;

/// What the store keeps for one registry.
pub(super) struct Strategies {
    store: Arc<dyn Store>,
    key: String,
}

/// A strategy as it was read.
pub(super) struct Read {
    pub(super) strategy: KeptStrategy,
    raw: Option<Vec<u8>>,
}

impl Strategies {
    pub(super) fn new(store: Arc<dyn Store>, registry: &EcrHost) -> Self {
        Self { store, key: key(registry) }
    }

    pub(super) async fn read(&self) -> Result<Read, StoreError> {
        let raw = self.store.setting_get(&self.key).await?;
        Ok(Read { strategy: parsed(raw.as_deref())?, raw })
    }

    /// Writes over what was read; `None` when somebody else was quicker.
    async fn write(&self, read: &Read, strategy: KeptStrategy) -> Result<Option<Read>, StoreError> {
        let raw = serde_json::to_vec(&strategy).map_err(|why| StoreError::Failed { source: why.into() })?;
        let is_written = self.store.setting_replace(&self.key, read.raw.as_deref(), &raw).await?;
        Ok(is_written.then_some(Read { strategy, raw: Some(raw) }))
    }
}

/// The setting that has it.
fn key(registry: &EcrHost) -> String {
    format!("account_grants.{}.{}", registry.account, registry.region)
}

fn parsed(raw: Option<&[u8]>) -> Result<KeptStrategy, StoreError> {
    let Some(raw) = raw else { return Ok(KeptStrategy::default()) };
    serde_json::from_slice(raw).map_err(|why| StoreError::Failed { source: why.into() })
}

/// The strategy that is kept for a registry.
#[cfg(any(feature = "aws", test))]
pub(super) async fn strategy_of(store: &dyn Store, registry: &EcrHost) -> Result<KeptStrategy, StoreError> {
    parsed(store.setting_get(&key(registry)).await?.as_deref())
}

/// What a step of a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// There is nothing to change.
    Nothing,
    /// It goes on at once.
    On,
    /// Something keeps it from going on; the strategy's report says what.
    Waits,
}

impl Keeper {
    /// The strategy, and how far a change of it is.
    pub(crate) async fn strategy(&self) -> Result<KeptStrategy, StoreError> {
        Ok(self.strategies.read().await?.strategy)
    }

    /// Writes down which strategy is wished.
    pub(crate) async fn wish(&self, wish: GrantStrategy) -> Result<(), StoreError> {
        loop {
            let read = self.strategies.read().await?;
            let wished = read.strategy.wished(wish, self.clock.now());
            if wished == read.strategy {
                return Ok(());
            }
            let was = read.strategy.wish;
            if self.strategies.write(&read, wished).await?.is_some() {
                info!("account grants: the strategy changes from `{was}` to `{wish}`");
                return Ok(());
            }
        }
    }

    /// One step of a change: a round over the documents that it is about. A round that finds all of them as they should be and
    /// writes none has read back what the ones before have written, and leads to the next phase.
    ///
    /// # Errors
    /// The store, or a list that can't be read: then the change says what it waits for.
    pub(crate) async fn change(&self) -> Result<Changed, LookError> {
        let mut read = self.strategies.read().await?;
        let strategy = read.strategy.clone();
        let about = match (strategy.phase, strategy.wish.place()) {
            (StrategyPhase::Settled, _) => return Ok(Changed::Nothing),
            (StrategyPhase::Spreading, place) => place,
            (StrategyPhase::Clearing, GrantPlace::Repositories) => GrantPlace::Registry,
            (StrategyPhase::Clearing, GrantPlace::Registry) => GrantPlace::Repositories,
        };
        let all = self.access.grant_list().await?;
        let mut pass = Pass::new(self, Look::Change, strategy.clone(), &all, Vec::new());
        pass.registry().await;
        // What stood is taken away only while what was wished is true.
        let is_blocked = strategy.phase == StrategyPhase::Clearing && pass.tally().wrong_count > 0;
        if about == GrantPlace::Repositories && !is_blocked {
            let mut walk = pin!(self.walk(&pass));
            loop {
                tokio::select! {
                    () = &mut walk => break,
                    () = tokio::time::sleep(TELL) => {
                        let report = pass.tally().clone();
                        match self.strategies.write(&read, KeptStrategy { report, ..strategy.clone() }).await? {
                            Some(written) => read = written,
                            None => return Ok(Changed::On),
                        }
                    }
                }
            }
        }
        let report = pass.tally().clone();
        let waits = report.wrong_count > 0;
        let next = match strategy.phase {
            _ if waits || report.changed > 0 || pass.is_overtaken() => KeptStrategy { report, ..strategy.clone() },
            StrategyPhase::Spreading => strategy.is_true_everywhere(),
            StrategyPhase::Settled | StrategyPhase::Clearing => strategy.is_clear_everywhere(),
        };
        let phase = next.phase;
        if waits {
            warn!("account grants: the change to strategy `{}`: {}", next.wish, next.progress());
        } else if phase != strategy.phase {
            info!("account grants: strategy `{}`: {}", next.wish, next.progress());
        }
        if next != read.strategy && self.strategies.write(&read, next).await?.is_none() {
            // Another wish; the next step is for that.
            return Ok(Changed::On);
        }
        self.nudge.nudge();
        Ok(match phase {
            _ if waits => Changed::Waits,
            StrategyPhase::Settled => Changed::Nothing,
            StrategyPhase::Spreading | StrategyPhase::Clearing => Changed::On,
        })
    }

    /// Looks at all repositories, and at the end whether there are others by now.
    async fn walk(&self, pass: &Pass<'_>) {
        let walked = match self.through(pass, &[GrantScope::Instance]).await {
            Ok(()) => self.names_mark().await.map(|now| pass.overtaken_unless(now)),
            Err(why) => Err(why),
        };
        if let Err(why) = walked {
            pass.tally().note_wrong(None, &format!("the repositories can't be listed: {}", words(&why)));
        }
    }

    /// The mark of all repositories that there are.
    async fn names_mark(&self) -> Result<NamesMark, PolicyError> {
        let (mut mark, mut next) = (NamesMark::default(), None::<String>);
        loop {
            let page = self.policies.repository_page(next.as_deref()).await?;
            page.names.iter().for_each(|name| mark.add(name));
            next = page.next;
            if next.is_none() {
                return Ok(mark);
            }
        }
    }
}

/// Which repositories were met, in whichever order, in constant memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct NamesMark {
    count: u64,
    sum: u64,
}

impl NamesMark {
    pub(super) fn add(&mut self, name: &RepositoryName) {
        let mut hasher = DefaultHasher::new();
        name.as_str().hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

//! An instance goes, and leaves nothing but what it was told to.

use std::collections::BTreeMap;

use super::cause::cause;
use super::plan::stuck_error;
use super::{Failure, News, Setup, SetupError};
use crate::account::{Kind, Remain};

/// How many looks a thing may outlast after it was told to go: at four seconds each more than servers need, which the load balancer
/// lets go after two minutes, and which then may end their requests for two more.
const LOOKS_MAX: u32 = 120;

/// What is left of an instance that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Data that was to be kept.
    pub kept: Vec<Remain>,
    /// What bears the instance's tag, and that only a person can judge.
    pub others: Vec<Remain>,
}

/// What goes, of what there is.
#[must_use]
pub fn leaves(remains: &[Remain], with_data: bool) -> Vec<Remain> {
    remains
        .iter()
        .filter(|remain| remain.kind != Kind::Other && (with_data || !remain.kind.is_data()))
        .cloned()
        .collect()
}

/// Data that stays, of what there is.
#[must_use]
pub fn kept(remains: &[Remain], with_data: bool) -> Vec<Remain> {
    remains.iter().filter(|remain| !with_data && remain.kind.is_data()).cloned().collect()
}

impl Setup<'_> {
    /// All that is in the account for an instance, in the order in which it can go.
    ///
    /// # Errors
    /// `Foreign`, `Account`.
    pub async fn remains(&self, stack: &str, instance: &str) -> Result<Vec<Remain>, SetupError> {
        self.stack(stack, instance).await?;
        let mut remains = self.patiently(|| self.account.remains(instance)).await?;
        remains.sort();
        remains.dedup();
        Ok(remains)
    }

    /// Takes everything away, what others stand on last, and looks until it is gone.
    ///
    /// # Errors
    /// `Foreign`; `Failed` when a stack can't be deleted, with the cause; `Left` for what does not go; `Account`, `Late`.
    pub async fn destroy(&self, stack: &str, instance: &str, with_data: bool) -> Result<Gone, SetupError> {
        let mut looks: BTreeMap<Remain, u32> = BTreeMap::new();
        loop {
            let remains = self.remains(stack, instance).await?;
            let going = leaves(&remains, with_data);
            let Some(kind) = going.iter().map(|remain| remain.kind).min() else {
                let others = remains.iter().filter(|remain| remain.kind == Kind::Other).cloned().collect();
                return Ok(Gone { kept: kept(&remains, with_data), others });
            };
            let mut last = None;
            let now: Vec<Remain> = going.into_iter().filter(|remain| remain.kind == kind).collect();
            for remain in &now {
                let looked = looks.entry(remain.clone()).or_default();
                *looked += 1;
                if *looked == 1 {
                    self.watch.hear(News::Leaves(remain));
                }
                if kind == Kind::Stack {
                    self.own_stack_goes(stack, instance).await?;
                } else if let Err(why) = self.account.remove(remain).await {
                    if !why.trouble.passes() {
                        return Err(why.into());
                    }
                    last = Some(why.words);
                }
            }
            let stubborn: Vec<Remain> =
                now.into_iter().filter(|remain| looks.get(remain).is_some_and(|looked| *looked > LOOKS_MAX)).collect();
            if !stubborn.is_empty() {
                return Err(SetupError::Left(stubborn, last));
            }
            self.pause("what is being taken away").await?;
        }
    }

    /// The instance's own stack is followed while it goes.
    async fn own_stack_goes(&self, name: &str, instance: &str) -> Result<(), SetupError> {
        let Some(stack) = self.settled(name, instance).await? else { return Ok(()) };
        let (left, events) = self.stack_gone(&stack).await?;
        match (left, cause(&events)) {
            (None, _) => Ok(()),
            (Some(left), Some(why)) => {
                Err(SetupError::Failed(Box::new(Failure { status: left.status, cause: Some(why), undone: Vec::new() })))
            }
            (Some(left), None) => Err(stuck_error(&left)),
        }
    }
}

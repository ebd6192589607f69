//! What a person can ask of setup. Each goes on where the one before was interrupted: what stands in the account decides what is
//! left to do, and nothing is remembered elsewhere.

mod apply;
mod cause;
mod destroy;
mod doctor;
mod error;
mod look;
mod plan;
mod stack;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;

pub use self::apply::{Applied, Run};
pub use self::cause::{Cause, cause, undone};
pub use self::destroy::{Gone, kept, leaves};
pub use self::doctor::{Finding, Health, Known};
pub use self::error::{Failure, SetupError};
pub use self::plan::{Planned, Wanted};
pub use self::stack::{Standing, standing};

use crate::account::{Account, AccountError, Event, Remain, Servers, StoppedServer};

/// How long something in AWS is waited for before the command ends; what is under way there goes on.
const WAIT_MAX: Duration = Duration::from_secs(2 * 3600);
/// How many times in a row AWS may be out of reach.
const LOST_MAX: u32 = 40;

/// Who hears of what happens, and knows the time.
#[async_trait]
pub trait Watch: Send + Sync {
    /// Something happened.
    fn hear(&self, news: News<'_>);

    /// Waits until it is worth to look again.
    async fn pause(&self);

    /// How long this has gone on.
    fn elapsed(&self) -> Duration;
}

/// Something that happened.
#[derive(Debug)]
pub enum News<'a> {
    /// We do something.
    Step(&'a str),
    /// CloudFormation did something.
    Event(&'a Event),
    /// A server stopped that should run.
    Stopped(&'a StoppedServer),
    /// A thing is being taken away.
    Leaves(&'a Remain),
    /// AWS could not be reached, and is asked again.
    Lost(&'a AccountError),
}

/// Whether the servers answer.
#[async_trait]
pub trait Door: Send + Sync {
    /// The version that answers at an endpoint, where that can be known.
    ///
    /// # Errors
    /// Why nobody does, in words.
    async fn health(&self, endpoint: &str) -> Result<Option<String>, String>;
}

/// An account, and who watches.
pub struct Setup<'a> {
    account: &'a dyn Account,
    watch: &'a dyn Watch,
}

impl<'a> Setup<'a> {
    /// For an account.
    #[must_use]
    pub fn new(account: &'a dyn Account, watch: &'a dyn Watch) -> Self {
        Self { account, watch }
    }

    /// The servers of an instance, by its stack.
    ///
    /// # Errors
    /// `Account`.
    pub async fn servers(&self, stack: &str) -> Result<Option<Servers>, SetupError> {
        self.patiently(|| self.account.servers(stack)).await
    }

    /// Waits before the next look.
    async fn pause(&self, what: &str) -> Result<(), SetupError> {
        if self.watch.elapsed() > WAIT_MAX {
            return Err(SetupError::Late { what: what.to_owned() });
        }
        self.watch.pause().await;
        Ok(())
    }

    /// Makes a call that only looks, or may be repeated, until AWS answers.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, SetupError>
    where
        F: Future<Output = Result<T, AccountError>>,
    {
        let mut lost = 0;
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(why) if why.trouble.passes() && lost < LOST_MAX => {
                    if lost == 0 {
                        self.watch.hear(News::Lost(&why));
                    }
                    lost += 1;
                    self.pause(&why.action).await?;
                }
                Err(why) => return Err(why.into()),
            }
        }
    }
}

//! A store with faults. Each write is two steps: the commit, and the answer that tells of it.
//!
//! What SQLite promises is taken from its documentation and not shown here: a commit that was answered survives
//! everything, one that was not is there or not, as a whole. So the store under this one is a real one in memory, which
//! survives the registry, and a fault falls before a commit or between it and its answer.

use layer0_domain::port::registry_store::RegistryStoreError;

use super::faults::{Faults, Kind, Outcome};
use crate::around::{Around, Result};

fn failed(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Go => Ok(()),
        Outcome::Refused(error) if error.kind() == std::io::ErrorKind::StorageFull => Err(RegistryStoreError::Full),
        Outcome::Refused(error) => Err(RegistryStoreError::Failed { source: error.into() }),
        Outcome::Dies | Outcome::Dead => Err(RegistryStoreError::Failed { source: "the process has ended".into() }),
    }
}

impl Around for Faults {
    async fn change<T: Send>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        failed(self.step(Kind::Change, true, format!("commit {call}")))?;
        let done = work.await?;
        failed(self.step(Kind::Answer, false, format!("answer {call}")))?;
        Ok(done)
    }

    async fn look<T: Send>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        failed(self.step(Kind::Look, false, call))?;
        work.await
    }
}

//! A stage that is asked before and after every call of the store.

use std::sync::Arc;

use layer0_domain::port::registry_store::RegistryStoreError;

use super::{Stage, Step, When};
use crate::around::{Around, Result};

pub(super) struct Staged(pub(super) Arc<dyn Stage>);

impl Staged {
    async fn ask(&self, call: &'static str, when: When) -> Result<()> {
        let asked = self.0.store(Step::Store(call, when)).await;
        asked.map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => RegistryStoreError::Full,
            _ => RegistryStoreError::Failed { source: error.into() },
        })
    }
}

impl Around for Staged {
    async fn change<T: Send>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.ask(call, When::Before).await?;
        let done = work.await;
        self.ask(call, When::After).await?;
        done
    }

    /// A look is a step like any other.
    async fn look<T: Send>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.change(call, work).await
    }
}

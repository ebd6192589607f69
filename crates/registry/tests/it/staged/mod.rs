//! A registry whose every step, on the disk and in the store, is asked of the test first: to make it wait there
//! ([`order`]), or to let it fail (`reads.rs`).

mod disk;
pub(crate) mod order;
mod store;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::port::registry_store::RegistryStore;

use self::disk::StagedDisk;
use self::store::Staged;
use crate::around::StoreAround;
use crate::common::{Doors, Ground, TestRegistry};

/// On which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// What comes next.
#[derive(Debug, Clone)]
pub(crate) enum Step<'a> {
    /// This is done to a file or directory.
    Disk(&'static str, &'a Path),
    /// An open file is read, from here to there or less.
    Read(&'a Path, Range<u64>),
    /// The store is called, or has done what it was called for and tells of it.
    Store(&'static str, When),
}

/// Hears of every step. An error is the step's.
#[async_trait]
pub(crate) trait Stage: Send + Sync + 'static {
    /// A step of the disk, on a thread that may block.
    fn disk(&self, step: Step<'_>) -> io::Result<()>;

    /// A step of the store.
    async fn store(&self, step: Step<'_>) -> io::Result<()>;
}

/// A registry with this stage, on what is there.
pub(crate) async fn registry_on(ground: Ground, stage: Arc<dyn Stage>) -> TestRegistry {
    let inner = Arc::clone(&ground.store) as Arc<dyn RegistryStore>;
    let store = StoreAround { inner, around: Staged(Arc::clone(&stage)) };
    let disk = Arc::new(StagedDisk(stage));
    TestRegistry::on(Doors::Open, |_| {}, ground, Arc::new(store), disk).await.expect("a writable directory")
}

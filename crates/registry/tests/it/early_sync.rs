//! When the disk is told to begin with what is written, and when it is waited for.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use layer0_testkit::clock::RunningClock;

use crate::client::{Client, noise};
use crate::common::Ground;
use crate::staged::{Stage, Step, registry_on};

/// Writes down what is done to files that are written.
#[derive(Default)]
struct Written(Mutex<Vec<&'static str>>);

impl Written {
    /// What was done, the same in a row as one.
    fn take(&self) -> Vec<&'static str> {
        let mut steps = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        steps.dedup();
        steps
    }
}

#[async_trait]
impl Stage for Written {
    fn disk(&self, step: Step<'_>) -> io::Result<()> {
        if let Step::Disk(verb @ ("write" | "begin sync" | "sync"), _) = step {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(verb);
        }
        Ok(())
    }

    async fn store(&self, _step: Step<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The disk has something to do while a large blob comes; what makes it durable is the sync, after all of it, as before.
#[tokio::test]
async fn a_large_blob_is_on_its_way_to_the_disk_before_its_end() {
    let written = Arc::new(Written::default());
    let ground = Ground::new(Arc::new(RunningClock::default())).with_repositories(&["team/app"]).await;
    let registry = registry_on(ground, Arc::clone(&written) as _).await;
    let client = Client::of(&registry);
    written.take();
    let small = noise(1 << 20);
    client.push("team/app", small).await;
    assert_eq!(written.take(), ["write", "sync"]);
    let large = noise(20 << 20);
    let digest = client.push("team/app", large.clone()).await;
    assert_eq!(written.take(), ["write", "begin sync", "write", "begin sync", "write", "sync"]);
    let got = client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
    assert!(got.body == large, "the bytes differ");
}

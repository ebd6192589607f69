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

/// Writes down which directories are waited for, by their last name.
#[derive(Default)]
struct Waited(Mutex<Vec<String>>);

#[async_trait]
impl Stage for Waited {
    fn disk(&self, step: Step<'_>) -> io::Result<()> {
        if let Step::Disk("sync directory", path) = step {
            let name = path.file_name().expect("none is the root").to_string_lossy().into_owned();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        }
        Ok(())
    }

    async fn store(&self, _step: Step<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The directories are there after the first start, whether their names are on the disk or not: only the mark says so.
#[tokio::test]
async fn a_start_waits_for_the_names_of_directories_until_one_has_done_so() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let data = directory.path().file_name().expect("it has a name").to_string_lossy().into_owned();
    let root = directory.path().join("registry");
    let start = async || {
        let waited = Arc::new(Waited::default());
        let ground = Ground::new(Arc::new(RunningClock::default()));
        let ground = Ground { directory: Arc::clone(&directory), ..ground };
        drop(registry_on(ground, Arc::clone(&waited) as _).await);
        std::mem::take(&mut *waited.0.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let all = [data.as_str(), "registry", "blobs"];
    assert_eq!(start().await, all);
    assert_eq!(start().await, [""; 0]);
    // As a start leaves them that was killed right before the last thing it does.
    std::fs::remove_file(root.join("synced-2")).unwrap();
    assert_eq!(start().await, all);
    std::fs::remove_dir(root.join("blobs/sha512")).unwrap();
    assert_eq!(start().await, all, "one had to be made");
    assert_eq!(start().await, [""; 0]);
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

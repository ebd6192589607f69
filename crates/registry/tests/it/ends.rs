//! The port `ImageEnd` on the embedded registry.

use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::placement::BackingName;
use layer0_domain::port::image_end::ImageEnd;
use layer0_testkit::image_end_suite::{self as suite, Stage, sample};

use crate::common::{TestRegistry, name};
use crate::damage::rot;

struct OnDisk {
    end: Arc<dyn ImageEnd>,
    _registry: TestRegistry,
}

#[async_trait]
impl Stage for OnDisk {
    fn end(&self) -> &dyn ImageEnd {
        self.end.as_ref()
    }
}

async fn on_disk(repository: &str) -> OnDisk {
    let registry = TestRegistry::start().await;
    let end = registry.registry.end(&BackingName::local(), &name(repository)).unwrap();
    OnDisk { end, _registry: registry }
}

#[tokio::test]
async fn the_suite_holds() {
    suite::run_all(async || Box::new(on_disk("suite/app").await) as Box<dyn Stage>).await;
}

/// More manifests and tags than a page has.
#[tokio::test]
async fn all_pages_are_listed() {
    let stage = on_disk("team/app").await;
    let one = sample::image("one");
    one.push(stage.end(), &[]).await;
    let tags: Vec<String> = (0..1_203).map(|number| format!("v{number:04}")).collect();
    for tag in &tags {
        stage.end().manifest_write(&one.manifest, Some(tag), None).await.unwrap();
    }
    let found = suite::entries(stage.end()).await;
    let listed: Vec<String> = found.iter().filter_map(|entry| entry.tag.clone()).collect();
    assert_eq!(listed, tags);
    assert!(found.iter().all(|entry| entry.digest == one.digest()));
}

/// What rots on the disk is not handed out as if it were whole.
#[tokio::test]
async fn a_damaged_blob_is_not_there() {
    let registry = TestRegistry::start().await;
    let end = registry.registry.end(&BackingName::local(), &name("team/app")).unwrap();
    let one = sample::image("one");
    one.push(end.as_ref(), &["v1"]).await;
    let layer = Digest::sha256_of(b"base");
    rot(&registry, &layer, 1);
    assert!(end.blob_read(&layer).await.unwrap().is_none());
}

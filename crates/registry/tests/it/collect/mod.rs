//! Collecting what no manifest names, while clients push, mount, delete and pull.

mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::{RegistryStore, RegistryStoreError};
use layer0_registry::{Collected, Collection, Haste, Told, Unfinished};
use layer0_testkit::clock::{FixedClock, RunningClock};

use crate::around::{Around, Result, StoreAround};
use crate::client::{Client, image};
use crate::common::{Doors, Ground, TestRegistry, Wrap};

pub(super) const HOUR: i64 = 60 * 60 * 1000;

/// A registry with a clock that stands.
async fn standing() -> (TestRegistry, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
    let ground = Ground::new(clock.clone()).with_repositories(&["team/app", "team/other"]).await;
    (TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await, clock)
}

/// As somebody does who waits for it; one that rests finds as much, and counts nothing that waits.
async fn collect(registry: &TestRegistry, collection: Collection) -> (Collected, Vec<String>) {
    if collection == Collection::DryRun {
        let gentle = registry.registry.collect(collection, Haste::Gentle, |_, _| {}).await.unwrap();
        let now = registry.registry.collect(collection, Haste::Now, |_, _| {}).await.unwrap();
        assert_eq!(gentle, Collected { waiting: 0, waiting_bytes: 0, ..now });
    }
    let mut told = Vec::new();
    let all = registry.registry.collect(collection, Haste::Now, |name, it| {
        told.push(match it {
            Told::Lost(it) => format!("{name}: {} {}", it.blobs, it.freed),
            Told::PassedOver => format!("{name}: passed over"),
        });
    });
    (all.await.unwrap(), told)
}

#[tokio::test]
async fn what_a_deleted_image_and_an_abandoned_push_left_goes_after_the_grace() {
    let (registry, clock) = standing().await;
    let client = Client::of(&registry);
    let (_, kept) = client.push_image("team/app", "1", "kept").await;
    let (_, gone) = client.push_image("team/app", "2", "of the deleted one").await;
    client.delete(&format!("/v2/team/app/manifests/{gone}")).await.expect(202);
    let abandoned = client.push("team/other", "abandoned").await;
    client.post(&format!("/v2/team/app/blobs/uploads/?mount={abandoned}&from=team/other")).await.expect(201);
    clock.advance_ms(24 * HOUR - 1);
    let waiting = Collected { waiting: 3, waiting_bytes: 18 + 9 + 9, ..Collected::default() };
    for collection in [Collection::DryRun, Collection::Take] {
        assert_eq!(collect(&registry, collection).await, (waiting, vec![]));
    }
    clock.advance_ms(1);
    // A young one among the old ones.
    client.push("team/app", "young").await;
    let before = registry.blob_files();
    let (waiting, waiting_bytes) = (1, 5);
    let want = Collected { blobs: 3, bytes: 18 + 9 + 9, freed: 18 + 9, waiting, waiting_bytes };
    let told = vec!["team/app: 2 18".to_owned(), "team/other: 1 9".to_owned()];
    assert_eq!(collect(&registry, Collection::DryRun).await, (want, told.clone()));
    assert_eq!(registry.blob_files(), before, "a dry run takes nothing");
    assert_eq!(collect(&registry, Collection::Take).await, (want, told));
    let left = Collected { waiting, waiting_bytes, ..Collected::default() };
    assert_eq!(collect(&registry, Collection::Take).await, (left, vec![]));
    assert_eq!(registry.blob_files().len(), before.len() - 2);
    client.get(&format!("/v2/team/app/manifests/{kept}")).await.expect(200);
    client.get(&format!("/v2/team/app/blobs/{abandoned}")).await.expect(404);
}

/// Those that nobody goes on with are ended, and no others.
#[tokio::test]
async fn an_upload_is_left_when_its_last_byte_is_as_old_as_the_expiry() {
    let (registry, clock) = standing().await;
    let client = Client::of(&registry);
    let mut uploads = Vec::new();
    for chunk in ["one", "three"] {
        let place = client.begin("team/app").await;
        client.ask(Method::PATCH, &place, &[], chunk).await.expect(202);
        uploads.push(place);
        clock.advance_ms(HOUR);
    }
    let sums = |unfinished: Unfinished| [unfinished.left, unfinished.open].map(|sum| (sum.uploads, sum.bytes));
    let look = async |collection| sums(registry.registry.unfinished(collection).await.unwrap());
    assert_eq!(look(Collection::Take).await, [(0, 0), (2, 8)]);
    clock.advance_ms(22 * HOUR);
    for collection in [Collection::DryRun, Collection::Take] {
        assert_eq!(look(collection).await, [(1, 3), (1, 5)]);
    }
    assert_eq!(look(Collection::Take).await, [(0, 0), (1, 5)]);
    client.get(&uploads[0]).await.expect(404);
    client.get(&uploads[1]).await.expect(204);
}

/// More repositories than a store names when it is asked who holds a blob.
#[tokio::test]
async fn a_dry_run_counts_a_blob_that_very_many_hold_once_and_as_the_run_does() {
    let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
    let names: Vec<String> = (0..101).map(|number| format!("team/r{number:03}")).collect();
    let ground = Ground::new(clock.clone());
    let ground = ground.with_repositories(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let client = Client::of(&registry);
    let digest = client.push(&names[0], "shared").await;
    for name in &names[1..] {
        client.post(&format!("/v2/{name}/blobs/uploads/?mount={digest}&from={}", names[0])).await.expect(201);
    }
    clock.advance_ms(24 * HOUR);
    let want = Collected { blobs: 101, bytes: 101 * 6, freed: 6, ..Collected::default() };
    let dry = collect(&registry, Collection::DryRun).await;
    assert_eq!(dry.0, want);
    assert_eq!(collect(&registry, Collection::Take).await, dry);
}

/// A store of which one call fails, once.
struct FailsOnce(&'static str, AtomicBool);

impl Around for FailsOnce {
    async fn change<T: Send>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.look(call, work).await
    }

    async fn look<T: Send>(&self, call: &'static str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        if call == self.0 && !self.1.swap(true, Ordering::AcqRel) {
            return Err(RegistryStoreError::Failed { source: "it was told to fail".into() });
        }
        work.await
    }
}

fn failing(inner: Arc<dyn RegistryStore>, call: &'static str) -> Arc<dyn RegistryStore> {
    Arc::new(StoreAround { inner, around: FailsOnce(call, AtomicBool::new(false)) })
}

#[tokio::test]
async fn a_repository_that_fails_holds_up_no_other() {
    let wraps: [Wrap; 2] = [|inner| failing(inner, "blob_unneeded"), |inner| failing(inner, "blob_collect")];
    for wrap in wraps {
        let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
        let ground = Ground::new(clock.clone()).with_repositories(&["team/app", "team/other"]).await;
        let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, wrap).await;
        let client = Client::of(&registry);
        for repository in ["team/app", "team/other"] {
            client.push(repository, format!("nobody needs it in {repository}")).await;
        }
        clock.advance_ms(24 * HOUR);
        let (all, told) = collect(&registry, Collection::Take).await;
        assert_eq!((all.blobs, told), (1, vec!["team/app: passed over".to_owned(), "team/other: 1 29".to_owned()]));
        let (all, told) = collect(&registry, Collection::Take).await;
        assert_eq!((all.blobs, told), (1, vec!["team/app: 1 27".to_owned()]), "the next run finds it");
    }
}

#[tokio::test]
async fn a_client_that_is_told_of_a_blob_has_half_of_the_grace_for_its_manifest() {
    let (registry, clock) = standing().await;
    let client = Client::of(&registry);
    let config = "{}";
    for content in [config, "told of", "forgotten"] {
        client.push("team/app", content).await;
    }
    clock.advance_ms(24 * HOUR - 1);
    for content in [config, "told of"] {
        let digest = layer0_domain::model::digest::Digest::sha256_of(content.as_bytes());
        client.head(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
    }
    clock.advance_ms(12 * HOUR - 1);
    assert_eq!(collect(&registry, Collection::Take).await.0.blobs, 1);
    client.put_manifest("team/app", "1", &image(config, &["told of"])).await.expect(201);
    let refused = client.put_manifest("team/app", "2", &image(config, &["forgotten"])).await;
    assert_eq!(refused.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    clock.advance_ms(1000 * HOUR);
    assert_eq!(collect(&registry, Collection::Take).await.0, Collected::default());
}

#[tokio::test]
async fn a_pull_goes_on_while_its_blob_is_collected() {
    use http_body_util::BodyExt as _;
    let (registry, clock) = standing().await;
    let client = Client::of(&registry);
    let content = crate::client::noise(8 << 20);
    let digest = client.push("team/app", content.clone()).await;
    clock.advance_ms(24 * HOUR);
    let pull = client.begin_get(&format!("/v2/team/app/blobs/{digest}")).await;
    assert_eq!(pull.status(), 200);
    assert_eq!(collect(&registry, Collection::Take).await.0.freed, 8 << 20);
    assert_eq!(registry.blob_files(), [""; 0]);
    let got = pull.into_body().collect().await.unwrap().to_bytes();
    assert!(got == content, "the pull that had begun gets all of it");
    client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
}

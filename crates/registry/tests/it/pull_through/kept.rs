//! What is kept, beside what is pushed, and through collection, deletion and death.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_source::{ImageSource as _, SourceAnswer};
use layer0_domain::port::registry_store::Along;
use layer0_registry::{Collection, Haste, MirrorError, MirrorSettings, UpstreamUrl};
use layer0_testkit::clock::{FixedClock, RunningClock};
use layer0_testkit::until::until_true;
use serde_json::json;

use super::Stage;
use super::upstream::FakeUpstream;
use crate::client::{Client, OCI_INDEX, OCI_MANIFEST, image, noise};
use crate::common::{Doors, Ground, TestRegistry};
use crate::damage::rot;

const DAY: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn two_mirrors_stand_beside_what_is_pushed() {
    let (one, two) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let [first, ..] = one.image("team/base", "1", b"of one");
    let [second, ..] = two.image("team/base", "1", b"of two");
    let stage = Stage::with(vec![one.mirror("hub"), two.mirror("other/quay")]).await;
    let client = &stage.client;
    let get = async |path: &str| client.get(path).await.expect(200).header("docker-content-digest").to_owned();
    assert_eq!(get("/v2/hub/team/base/manifests/1").await, first.to_string());
    assert_eq!(get("/v2/other/quay/team/base/manifests/1").await, second.to_string());
    let (_, pushed) = client.push_image("team/app", "1", "pushed").await;
    assert_eq!(get("/v2/team/app/manifests/1").await, pushed.to_string());
    assert_eq!((one.lines().len(), two.lines().len()), (1, 1));
    let names = client.get("/v2/_catalog").await.json();
    assert_eq!(names["repositories"], json!(["hub/team/base", "other/quay/team/base", "team/app"]));
}

#[tokio::test]
async fn nothing_is_pushed_to_a_mirror() {
    let upstream = FakeUpstream::start().await;
    let stage = Stage::of(&upstream).await;
    let digest = stage.client.push("team/app", "content").await;
    let uploads = "/v2/hub/team/base/blobs/uploads/";
    let mount = format!("{uploads}?mount={digest}&from=team/app");
    for (method, path) in [
        (Method::POST, uploads),
        (Method::POST, mount.as_str()),
        (Method::PATCH, "/v2/hub/team/base/blobs/uploads/1"),
        (Method::PUT, "/v2/hub/team/base/manifests/1"),
    ] {
        let answer =
            stage.client.ask(method, path, &[("content-type", OCI_MANIFEST)], image("{}", &[]).to_string()).await;
        assert_eq!(answer.error(), (403, "DENIED".to_owned()), "{path}");
        let want = format!("hub/team/base mirrors http://{}: what is there is pulled from there", upstream.address);
        assert!(answer.message().starts_with(&want), "{}", answer.message());
    }
    assert_eq!(upstream.lines(), [""; 0]);
    // From a mirror into a repository of one's own is a mount as any other.
    let base = upstream.blob("team/base", "base layer");
    stage.client.get(&format!("/v2/hub/team/base/blobs/{base}")).await.expect(200);
    stage.registry.until_kept("hub/team/base", &base).await;
    stage.client.post(&format!("/v2/team/app/blobs/uploads/?mount={base}&from=hub/team/base")).await.expect(201);
}

#[tokio::test]
async fn what_was_pulled_outlives_the_collection_and_what_nobody_named_does_not() {
    let upstream = FakeUpstream::start().await;
    let [child, config, layer] = upstream.image("team/base", "amd64", b"layer");
    let [absent, ..] = upstream.image("team/base", "arm64", b"layer of another platform");
    let entry = |digest: &Digest| json!({ "mediaType": OCI_MANIFEST, "digest": digest.to_string(), "size": 400 });
    upstream.manifest(
        "team/base",
        "1",
        &json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(&child), entry(&absent)] }),
    );
    let stage = Stage::of(&upstream).await;
    let get = async |path: String| stage.client.get(&format!("/v2/hub/team/base/{path}")).await.expect(200);
    let stray = upstream.blob("team/base", "no manifest names it");
    // As docker pulls: the index, the manifest of its platform, config and layers.
    for path in [
        "manifests/1".to_owned(),
        format!("manifests/{child}"),
        format!("blobs/{config}"),
        format!("blobs/{layer}"),
        format!("blobs/{stray}"),
    ] {
        get(path).await;
    }
    for blob in [&config, &layer, &stray] {
        stage.registry.until_kept("hub/team/base", blob).await;
    }
    let named = async || {
        let reference = layer0_domain::model::registry::ManifestRef::Digest(child.clone());
        let kept = stage.registry.ground().store;
        let name = crate::common::name("hub/team/base");
        let found = layer0_domain::port::registry_store::RegistryStore::manifest_get(kept.as_ref(), &name, &reference);
        found.await.unwrap().is_some_and(|it| it.blobs.len() == 2)
    };
    until_true("the manifest is kept with its blobs", named).await;
    upstream.came();
    stage.clock.advance_ms(2 * DAY);
    stage.registry.registry.collect(Collection::Take, Haste::Gentle, |_, _| {}).await.unwrap();
    assert_eq!(stage.registry.blob_files().len(), 2, "the stray is gone");
    get(format!("blobs/{config}")).await;
    get(format!("blobs/{layer}")).await;
    assert_eq!(upstream.lines(), [""; 0]);
    // And comes again when somebody wants it.
    get(format!("blobs/{stray}")).await;
    assert_eq!(upstream.lines().len(), 1);
}

#[tokio::test]
async fn what_a_dead_server_did_not_note_is_noted_with_the_next_pull() {
    let upstream = FakeUpstream::start().await;
    let [manifest, config, layer] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/manifests/{manifest}");
    stage.client.get(&path).await.expect(200);
    for blob in [&config, &layer] {
        stage.client.get(&format!("/v2/hub/team/base/blobs/{blob}")).await.expect(200);
        stage.registry.until_kept("hub/team/base", blob).await;
    }
    let (name, store) = (crate::common::name("hub/team/base"), stage.registry.ground().store);
    let reference = layer0_domain::model::registry::ManifestRef::Digest(manifest.clone());
    use layer0_domain::port::registry_store::RegistryStore as _;
    until_true("noted", || async { store.manifest_get(&name, &reference).await.unwrap().unwrap().blobs.len() == 2 })
        .await;
    let by_tag = "/v2/hub/team/base/manifests/1".to_owned();
    stage.client.get(&by_tag).await.expect(200);
    let mut registry = stage.registry;
    for path in [path, by_tag] {
        // As it was before the blobs came.
        let mut kept = store.manifest_get(&name, &reference).await.unwrap().unwrap();
        kept.blobs.clear();
        store.manifest_put(&name, &kept, &[], &Along::NOTHING).await.unwrap();
        registry = registry.restart().await;
        Client::of(&registry).get(&path).await.expect(200);
        assert_eq!(store.manifest_get(&name, &reference).await.unwrap().unwrap().blobs.len(), 2, "{path}");
    }
}

/// One blob goes and another one comes: as many are named as before, and not the same.
#[tokio::test]
async fn what_has_come_is_named_though_something_else_has_gone() {
    let upstream = FakeUpstream::start().await;
    let [manifest, config, layer] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    stage.client.get(&format!("/v2/hub/team/base/manifests/{manifest}")).await.expect(200);
    let (name, store) = (crate::common::name("hub/team/base"), stage.registry.ground().store);
    let reference = layer0_domain::model::registry::ManifestRef::Digest(manifest);
    use layer0_domain::port::registry_store::RegistryStore as _;
    let is_named = async |blob: &Digest| {
        let kept = store.manifest_get(&name, &reference).await.unwrap().unwrap();
        kept.blobs.iter().map(|(digest, _)| digest).eq([blob])
    };
    let pull = async |blob: &Digest| {
        stage.client.get(&format!("/v2/hub/team/base/blobs/{blob}")).await.expect(200);
        until_true("it is named, and it alone", || is_named(blob)).await;
    };
    pull(&config).await;
    stage.client.delete(&format!("/v2/hub/team/base/blobs/{config}")).await.expect(202);
    pull(&layer).await;
}

#[tokio::test]
async fn what_is_deleted_comes_again() {
    let upstream = FakeUpstream::start().await;
    let [manifest, ..] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/manifests/{manifest}");
    stage.client.get(&path).await.expect(200);
    stage.client.delete(&path).await.expect(202);
    stage.client.get(&path).await.expect(200);
    assert_eq!(upstream.lines().len(), 2);
}

#[tokio::test]
async fn a_damaged_blob_is_fetched_again() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", noise(100_000));
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    stage.client.get(&path).await.expect(200);
    stage.registry.until_kept("hub/team/base", &digest).await;
    rot(&stage.registry, &digest, 70_000);
    // Whoever comes before the first fill has ended may have what that still knows.
    until_true("it is fetched again", || async {
        assert!(stage.client.get(&path).await.expect(200).body == noise(100_000));
        upstream.lines().len() == 2
    })
    .await;
}

/// A server that dies in the middle of a fill: the runtime that everything of it runs in ends.
#[test]
fn a_server_that_dies_in_a_fill_leaves_nothing_that_is_wrong() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let others = runtime();
    let (upstream, digest) = others.block_on(async {
        let upstream = FakeUpstream::start().await;
        let digest = upstream.blob("team/base", noise(3 << 20));
        (upstream, digest)
    });
    upstream.gate(false);
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
    let first = runtime();
    let (ground, registry) = first.block_on(async {
        let mut ground = Ground::new(clock.clone());
        ground.mirrors = vec![upstream.mirror("hub")];
        let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
        let answer = Client::of(&registry).begin_get(&path).await;
        assert_eq!(answer.status(), 200);
        until_true("half is here", || async { upstream.sent() >= 1 << 20 }).await;
        let begun = answer.into_body().frame().await;
        assert!(begun.is_some_and(|frame| frame.is_ok()));
        (registry.ground(), registry)
    });
    drop(registry);
    first.shutdown_background();

    others.block_on(async {
        let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
        assert_eq!(registry.blob_files(), [""; 0]);
        assert_eq!(std::fs::read_dir(registry.root().join("spool")).unwrap().count(), 0);
        upstream.gate(true);
        let client = Client::of(&registry);
        assert!(client.get(&path).await.expect(200).body == noise(3 << 20));
        registry.until_kept("hub/team/base", &digest).await;
        assert_eq!(registry.blob_files(), [digest.hex()]);
        // The upload that was cut off goes as every one that nobody goes on with.
        clock.advance_ms(2 * DAY);
        registry.registry.sweep().await.unwrap();
        until_true("no upload is left", || async { registry.staged().is_empty() }).await;
    });
}

#[tokio::test]
async fn mirrors_that_contradict_are_refused() {
    let registry = TestRegistry::start().await;
    let here = registry.address.to_string();
    let mirror = |prefix: &str, url: &str| {
        MirrorSettings::new(RepositoryPrefix::parse(prefix).unwrap(), UpstreamUrl::parse(url).unwrap())
    };
    let open = |mirrors: Vec<MirrorSettings>| {
        let clock: Arc<dyn Clock> = Arc::new(RunningClock::default());
        let directory = tempfile::tempdir().unwrap();
        let mut config = layer0_registry::RegistryConfig::new(directory.path());
        config.registry_hosts = vec![here.clone()];
        let store = registry.ground().store;
        let ports = layer0_registry::RegistryPorts {
            store,
            clock,
            gate: Arc::new(crate::common::Open),
            minter: Arc::new(crate::common::Minter),
        };
        layer0_registry::Registry::open(config, ports).unwrap().with_mirrors(mirrors).err()
    };
    assert!(open(vec![mirror("hub", "https://docker.io"), mirror("hubble", "https://quay.io")]).is_none());
    let overlap = open(vec![mirror("hub/a", "https://docker.io"), mirror("hub", "https://quay.io")]);
    assert!(matches!(overlap, Some(MirrorError::Overlap(..))), "{overlap:?}");
    let ourselves = open(vec![mirror("hub", &format!("http://{here}"))]);
    assert!(matches!(ourselves, Some(MirrorError::Ourselves { .. })), "{ourselves:?}");
}

#[tokio::test]
async fn a_deploy_sees_what_only_the_upstream_has() {
    let upstream = FakeUpstream::start().await;
    let [manifest, ..] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let describe = async |name: &str| {
        let image = format!("{}/hub/team/base:{name}", stage.registry.address);
        stage.registry.registry.describe(&ImageRef::parse(&image).unwrap()).await
    };
    let found = describe("1").await.unwrap();
    assert!(
        matches!(&found, SourceAnswer::Found(image) if image.digest == manifest && image.missing.is_empty()),
        "{found:?}"
    );
    // All platforms of an index, of which none is here.
    let entry = |architecture: &str| {
        let digest = Digest::sha256_of(architecture.as_bytes()).to_string();
        let platform = json!({ "os": "linux", "architecture": architecture });
        json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": 9, "platform": platform })
    };
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry("amd64"), entry("arm64")] });
    upstream.manifest("team/base", "index", &index);
    let SourceAnswer::Found(found) = describe("index").await.unwrap() else { panic!("it is there") };
    assert_eq!((found.platforms.len(), found.missing.len()), (2, 0));
    let missing = describe("2").await.unwrap();
    assert!(matches!(&missing, SourceAnswer::NoImage { tags, .. } if tags == &["1", "index"]), "{missing:?}");
    // So Docker Hub speaks of what it does not have.
    upstream.refuse(Some((401, json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "who are you" }] }))));
    let withheld = describe("3").await.unwrap();
    assert!(matches!(&withheld, SourceAnswer::Withheld { said } if said.contains("who are you")), "{withheld:?}");
    upstream.refuse(Some((429, json!({}))));
    let refused = describe("3").await.unwrap_err();
    assert!(refused.to_string().contains("too many requests"), "{refused}");
}

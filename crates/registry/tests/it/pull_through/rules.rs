//! Whose a mirror is: rights, quotas, immutable tags.

use std::sync::Arc;

use layer0_domain::model::glob::Glob;
use layer0_domain::model::owner::{Owner, OwnerName, TagRule};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStore as _, OwnerChange};
use layer0_testkit::clock::RunningClock;
use layer0_testkit::until::until_true;

use super::Stage;
use super::upstream::FakeUpstream;
use crate::client::{Client, noise};
use crate::common::{Doors, Ground, TestRegistry};

fn owner(quota_bytes: Option<u64>, tag_rules: Vec<TagRule>) -> Owner {
    Owner {
        name: OwnerName::parse("hub").unwrap(),
        created: Timestamp(0),
        quota_bytes,
        tag_rules,
        retention: Vec::new(),
    }
}

#[tokio::test]
async fn nobody_makes_the_upstream_be_asked_who_may_not_pull() {
    let upstream = FakeUpstream::start().await;
    let [_, _, layer] = upstream.image("team/base", "1", b"layer");
    let mut ground = Ground::new(Arc::new(RunningClock::default()));
    ground.mirrors = vec![upstream.mirror("secret"), upstream.mirror("team")];
    let registry = TestRegistry::launch(Doors::Basic, |_| {}, ground, |store| store).await;
    let client = Client::of(&registry);
    let me = [("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==")];
    for path in
        ["manifests/1".to_owned(), format!("blobs/{layer}"), "tags/list".to_owned(), format!("referrers/{layer}")]
    {
        let (secret, open) = (format!("/v2/secret/team/base/{path}"), format!("/v2/team/team/base/{path}"));
        client.get(&open).await.expect(401);
        client.head(&open).await.expect(401);
        let refused = client.ask(http::Method::GET, &secret, &me, "").await;
        assert_eq!(refused.error(), (403, "DENIED".to_owned()));
    }
    assert_eq!(upstream.lines(), [""; 0]);
    client.ask(http::Method::GET, "/v2/team/team/base/manifests/1", &me, "").await.expect(200);
}

#[tokio::test]
async fn what_the_quota_does_not_hold_is_served_and_not_kept() {
    let upstream = FakeUpstream::start().await;
    let content = noise(100_000);
    let [manifest, _, layer] = upstream.image("team/base", "1", &content);
    let stage = Stage::of(&upstream).await;
    stage.registry.store.owner_create(&owner(Some(10), vec![])).await.unwrap();
    for _ in 0..2 {
        let answer = stage.client.get("/v2/hub/team/base/manifests/1").await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), manifest.to_string());
        assert!(stage.client.get(&format!("/v2/hub/team/base/blobs/{layer}")).await.expect(200).body == content);
        // The file has its name for a moment, until the store refuses the link.
        let is_clear = || async { stage.registry.staged().is_empty() && stage.registry.blob_files().is_empty() };
        until_true("nothing of it is left", is_clear).await;
        assert_eq!(upstream.lines().len(), 2);
    }
}

/// What is here under the tag is not what the upstream says: it is never given for that, however often it is asked for.
#[tokio::test]
async fn a_moved_tag_that_can_not_be_kept_does_not_go_back() {
    let upstream = FakeUpstream::start().await;
    let [first, ..] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let path = "/v2/hub/team/base/manifests/1";
    let answer = stage.client.get(path).await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), first.to_string());
    let full = OwnerChange { quota_bytes: Some(Some(1)) };
    stage.registry.store.owner_update(&owner(None, vec![]).name, &full).await.unwrap();
    let [second, ..] = upstream.image("team/base", "1", b"another layer");
    stage.clock.advance_ms(60 * 60 * 1000);
    for _ in 0..3 {
        let answer = stage.client.get(path).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), second.to_string());
    }
}

#[tokio::test]
async fn a_tag_that_may_not_move_stays_when_the_upstream_moves_it() {
    let upstream = FakeUpstream::start().await;
    let [first, ..] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let all = || Glob::parse("*").unwrap();
    let rule = TagRule { repositories: all(), tags: all(), except: vec![] };
    stage.registry.store.owner_create(&owner(None, vec![rule])).await.unwrap();
    let path = "/v2/hub/team/base/manifests/1";
    stage.client.get(path).await.expect(200);
    upstream.image("team/base", "1", b"another layer");
    stage.clock.advance_ms(60 * 60 * 1000);
    for asked in [2, 0] {
        upstream.came();
        let answer = stage.client.get(path).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), first.to_string());
        assert_eq!(upstream.lines().len(), asked);
    }
}

/// A server that asks itself has no credential of its own: it is told so before it is asked who it is.
#[tokio::test]
async fn a_server_that_asks_itself_through_a_closed_door_notices() {
    let upstream = FakeUpstream::start().await;
    let mut ground = Ground::new(Arc::new(RunningClock::default()));
    ground.mirrors = vec![upstream.mirror("team")];
    let registry = TestRegistry::launch(Doors::Basic, |_| {}, ground, |store| store).await;
    upstream.pass_on(&format!("http://{}/v2/team", registry.address));
    let me = [("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==")];
    let answer = Client::of(&registry).ask(http::Method::GET, "/v2/team/team/base/manifests/1", &me, "").await;
    assert_eq!(answer.error(), (508, "UNSUPPORTED".to_owned()));
}

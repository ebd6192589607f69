//! How long a tag is believed, and what is served when the upstream fails.

use layer0_domain::model::digest::Digest;
use serde_json::json;

use super::Stage;
use super::upstream::FakeUpstream;
use crate::client::Answer;

const TTL_MS: i64 = 15 * 60 * 1000;
const PATH: &str = "/v2/hub/team/base/manifests/1";

fn digest(answer: &Answer) -> Digest {
    Digest::parse(answer.header("docker-content-digest")).unwrap()
}

#[tokio::test]
async fn a_tag_is_asked_for_once_in_its_time_and_then_looked_at() {
    let upstream = FakeUpstream::start().await;
    let [first, ..] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let answer = stage.client.get(PATH).await.expect(200);
    assert_eq!((digest(&answer), answer.header("warning")), (first.clone(), ""));
    assert_eq!(Digest::sha256_of(&answer.body), first);
    stage.clock.advance_ms(TTL_MS - 1);
    stage.client.get(PATH).await.expect(200);
    stage.client.head(PATH).await.expect(200);
    assert_eq!(upstream.lines(), ["GET /v2/team/base/manifests/1"]);

    stage.clock.advance_ms(1);
    assert_eq!(digest(&stage.client.get(PATH).await.expect(200)), first);
    stage.client.get(PATH).await.expect(200);
    assert_eq!(upstream.lines(), ["HEAD /v2/team/base/manifests/1"], "it has not moved");

    let [second, ..] = upstream.image("team/base", "1", b"another layer");
    assert_eq!(digest(&stage.client.get(PATH).await.expect(200)), first, "it is believed for its time");
    stage.clock.advance_ms(TTL_MS);
    assert_eq!(digest(&stage.client.get(PATH).await.expect(200)), second);
    assert_eq!(upstream.lines(), ["HEAD /v2/team/base/manifests/1", "GET /v2/team/base/manifests/1"]);
    // What the tag pointed to is here, and needs no upstream.
    stage.client.get(&format!("/v2/hub/team/base/manifests/{first}")).await.expect(200);
    assert_eq!(upstream.lines(), [""; 0]);
}

#[tokio::test]
async fn a_tag_is_looked_at_when_the_clock_was_set_back() {
    let upstream = FakeUpstream::start().await;
    upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    stage.clock.advance_ms(1000 * TTL_MS);
    stage.client.get(PATH).await.expect(200);
    stage.clock.advance_ms(-1000 * TTL_MS);
    let [second, ..] = upstream.image("team/base", "1", b"another layer");
    assert_eq!(digest(&stage.client.get(PATH).await.expect(200)), second);
}

#[tokio::test]
async fn many_who_ask_for_a_cold_tag_are_one_request() {
    let upstream = FakeUpstream::start().await;
    upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    let all = futures_util::future::join_all((0..32).map(|_| stage.client.get(PATH))).await;
    assert!(all.into_iter().all(|answer| answer.status == 200));
    let asked = upstream.lines();
    // One that came after the first was answered finds it here.
    assert_eq!(asked, ["GET /v2/team/base/manifests/1"]);
}

#[tokio::test]
async fn what_is_here_is_served_while_the_upstream_fails() {
    let upstream = FakeUpstream::start().await;
    let [first, _, layer] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::hasty(&upstream).await;
    stage.client.get(PATH).await.expect(200);
    stage.client.get(&format!("/v2/hub/team/base/blobs/{layer}")).await.expect(200);
    for status in [429, 500, 503] {
        stage.clock.advance_ms(TTL_MS);
        upstream.refuse(Some((status, json!({}))));
        upstream.came();
        let answer = stage.client.get(PATH).await.expect(200);
        assert_eq!(digest(&answer), first);
        let warning = answer.header("warning");
        assert!(
            warning.starts_with("110 layer0 \"upstream ") && warning.contains(&upstream.address.to_string()),
            "{warning}"
        );
        // It is left alone for a while, and every answer says that it is out of date.
        let asked = upstream.lines().len();
        assert!(stage.client.get(PATH).await.expect(200).header("warning").starts_with("110 "));
        assert_eq!(upstream.lines().len(), 0, "{asked} the first time");
        stage.client.get(&format!("/v2/hub/team/base/blobs/{layer}")).await.expect(200);
    }
    upstream.refuse(None);
    upstream.silent(true);
    stage.clock.advance_ms(TTL_MS);
    assert!(stage.client.get(PATH).await.expect(200).header("warning").contains("said nothing"));
    upstream.silent(false);
    stage.clock.advance_ms(30_000);
    assert_eq!(stage.client.get(PATH).await.expect(200).header("warning"), "", "it is back");
}

#[tokio::test]
async fn what_the_upstream_says_for_certain_counts() {
    let upstream = FakeUpstream::start().await;
    upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    stage.client.get(PATH).await.expect(200);
    stage.clock.advance_ms(TTL_MS);
    upstream.forget("team/base", "1");
    assert_eq!(stage.client.get(PATH).await.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
    upstream.refuse(Some((403, json!({}))));
    assert_eq!(stage.client.get(PATH).await.error(), (403, "DENIED".to_owned()));
}

#[tokio::test]
async fn an_upstream_that_is_away_is_no_hindrance_to_what_is_here() {
    let upstream = FakeUpstream::start().await;
    let [_, config, layer] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    stage.client.get(PATH).await.expect(200);
    for blob in [&config, &layer] {
        stage.client.get(&format!("/v2/hub/team/base/blobs/{blob}")).await.expect(200);
    }
    // Whoever asked has a blob as soon as it is proven; it is written down right after that.
    for blob in [&config, &layer] {
        stage.registry.until_kept("hub/team/base", blob).await;
    }
    drop(upstream);
    stage.clock.advance_ms(TTL_MS);
    assert!(stage.client.get(PATH).await.expect(200).header("warning").contains("can't be reached"));
    // A new process knows nothing of a tag's time, and has what is here all the same.
    let registry = stage.registry.restart().await;
    let client = crate::client::Client::of(&registry);
    assert!(client.get(PATH).await.expect(200).header("warning").contains("can't be reached"));
    for blob in [&config, &layer] {
        client.get(&format!("/v2/hub/team/base/blobs/{blob}")).await.expect(200);
    }
}

#[tokio::test]
async fn lists_are_the_upstreams() {
    let upstream = FakeUpstream::start().await;
    let [manifest, ..] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::of(&upstream).await;
    upstream.list(
        "/v2/team/base/tags/list?n=2",
        "</v2/team/base/tags/list?n=2&last=b>; rel=\"next\"",
        &json!({ "name": "team/base", "tags": ["a", "b"] }),
    );
    let answer = stage.client.get("/v2/hub/team/base/tags/list?n=2").await.expect(200);
    assert_eq!(answer.json(), json!({ "name": "hub/team/base", "tags": ["a", "b"] }));
    assert_eq!(answer.header("link"), "</v2/hub/team/base/tags/list?n=2&last=b>; rel=\"next\"");
    let (ours, theirs) =
        (format!("/v2/hub/team/base/referrers/{manifest}"), format!("/v2/team/base/referrers/{manifest}"));
    assert_eq!(stage.client.get(&ours).await.error(), (404, "MANIFEST_UNKNOWN".to_owned()), "it has no such list");
    let index = json!({ "schemaVersion": 2, "manifests": [] });
    upstream.list(&theirs, "", &index);
    assert_eq!(stage.client.get(&ours).await.expect(200).json(), index);

    // While it fails, the tags that are here; who signed what is not guessed.
    stage.client.get(PATH).await.expect(200);
    upstream.refuse(Some((503, json!({}))));
    let answer = stage.client.get("/v2/hub/team/base/tags/list").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["1"]));
    assert!(answer.header("warning").starts_with("110 "));
    assert_eq!(stage.client.get(&ours).await.error(), (502, "UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn a_tag_is_asked_for_by_get_where_every_head_is_refused() {
    let upstream = FakeUpstream::start().await;
    let stage = Stage::of(&upstream).await;
    upstream.refuse_heads(403);
    upstream.image("team/base", "1", b"layer");
    let tag = "/v2/hub/team/base/manifests/1";
    stage.client.get(tag).await.expect(200);
    let [moved, ..] = upstream.image("team/base", "1", b"another layer");
    stage.clock.advance_ms(16 * 60_000);
    let answer = stage.client.get(tag).await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), moved.to_string());
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_passed_on_as_a_list_or_not_at_all() {
    let upstream = FakeUpstream::start().await;
    let stage = Stage::of(&upstream).await;
    let [manifest, ..] = upstream.image("team/base", "1", b"layer");
    let path = format!("/v2/team/base/referrers/{manifest}");
    for other in [json!("<script>"), json!({ "errors": [] }), json!([{ "Token": "secret" }])] {
        upstream.list(&path, "", &other);
        let answer = stage.client.get(&format!("/v2/hub/team/base/referrers/{manifest}")).await;
        assert_eq!(answer.error(), (502, "UNAVAILABLE".to_owned()));
        assert!(answer.message().contains("sent no list of referrers"), "{}", answer.message());
    }
    let list =
        json!({ "schemaVersion": 2, "manifests": [{ "digest": "sha256:1", "annotations": { "a": "b" } }], "x": 1 });
    upstream.list(&path, "", &list);
    let answer = stage.client.get(&format!("/v2/hub/team/base/referrers/{manifest}")).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/vnd.oci.image.index.v1+json");
    assert_eq!(answer.json(), list);
}

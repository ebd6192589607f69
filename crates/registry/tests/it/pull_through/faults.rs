//! An upstream that fails, hangs, lies or has had enough.

use http::Method;
use http_body_util::BodyExt;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_registry::{MirrorSettings, UpstreamUrl};
use layer0_testkit::until::until_true;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stage;
use super::upstream::{Bodies, FakeUpstream};
use crate::client::noise;

const SIZE: usize = 1 << 20;

fn said(code: &str, message: &str) -> Value {
    json!({ "errors": [{ "code": code, "message": message }] })
}

/// Whether a download breaks off before its end.
async fn breaks(stage: &Stage, path: &str) -> bool {
    let answer = stage.client.begin_get(path).await;
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.is_err()
}

/// Nothing of it is left.
async fn nothing_is_left(stage: &Stage) {
    until_true("no upload is left", || async { stage.registry.staged().is_empty() }).await;
    assert_eq!(stage.registry.blob_files(), [""; 0]);
    let spool = std::fs::read_dir(stage.registry.root().join("spool")).unwrap();
    assert_eq!(spool.count(), 0, "no spool file has a name");
}

#[tokio::test]
async fn nobody_gets_all_of_a_blob_that_is_not_what_its_digest_says() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", noise(SIZE));
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    upstream.bodies(Bodies::Wrong, None);
    assert!(breaks(&stage, &path).await);
    nothing_is_left(&stage).await;
    // A part from the middle says nothing of being right: it is not given before all is known to be.
    let part = stage.client.ask(Method::GET, &path, &[("range", "bytes=0-9")], "").await;
    assert_eq!(part.error(), (502, "UNAVAILABLE".to_owned()));
    assert!(part.message().contains("sent content with the digest"), "{}", part.message());
    nothing_is_left(&stage).await;

    upstream.bodies(Bodies::Whole, None);
    assert!(stage.client.get(&path).await.expect(200).body == noise(SIZE));
}

#[tokio::test]
async fn a_manifest_that_is_not_what_its_digest_says_is_not_served() {
    let upstream = FakeUpstream::start().await;
    let [digest, ..] = upstream.image("team/base", "1", b"layer");
    let other = upstream.image("team/base", "2", b"other")[0].clone();
    upstream.swap("team/base", &digest.to_string(), &other.to_string());
    let stage = Stage::of(&upstream).await;
    let answer = stage.client.get(&format!("/v2/hub/team/base/manifests/{digest}")).await;
    assert_eq!(answer.error(), (502, "UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn an_upstream_that_hangs_half_way_breaks_off_and_the_next_request_begins_anew() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", noise(SIZE));
    let stage = Stage::hasty(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    upstream.bodies(Bodies::Hang(SIZE / 2), None);
    assert!(breaks(&stage, &path).await);
    let came = upstream.came();
    assert_eq!(came.len(), 3, "the rest is asked for twice more: {came:?}");
    assert_eq!(came[2].range.as_deref(), Some(format!("bytes={}-", SIZE / 2).as_str()));
    nothing_is_left(&stage).await;
    upstream.bodies(Bodies::Whole, None);
    assert!(stage.client.get(&path).await.expect(200).body == noise(SIZE));
}

#[tokio::test]
async fn a_download_that_breaks_is_taken_up_where_it_broke() {
    let upstream = FakeUpstream::start().await;
    let stage = Stage::hasty(&upstream).await;
    for (bodies, at) in [(Bodies::Break(300_000), 300_000), (Bodies::Hang(400_000), 400_000_usize)] {
        let content = [noise(SIZE), at.to_string().into_bytes()].concat();
        let digest = upstream.blob("team/base", content.clone());
        let before = upstream.sent();
        upstream.bodies(bodies, Some(1));
        let path = format!("/v2/hub/team/base/blobs/{digest}");
        assert!(stage.client.get(&path).await.expect(200).body == content, "no client notices");
        let ranges: Vec<_> = upstream.came().into_iter().map(|came| came.range).collect();
        assert_eq!(ranges, [None, Some(format!("bytes={at}-"))]);
        assert_eq!(upstream.sent() - before, content.len() as u64, "each byte once");
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_given_up() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", "content");
    let stage = Stage::hasty(&upstream).await;
    upstream.silent(true);
    for path in ["manifests/1".to_owned(), format!("blobs/{digest}")] {
        let answer = stage.client.get(&format!("/v2/hub/team/base/{path}")).await;
        assert_eq!(answer.error(), (504, "UNAVAILABLE".to_owned()));
        let want = format!("upstream {} said nothing for 0.3 s", upstream.address);
        assert_eq!(answer.message(), want);
    }
}

#[tokio::test]
async fn what_an_upstream_refuses_is_shown_as_what_it_is() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", "content");
    let stage = Stage::of(&upstream).await;
    let limit = "You have reached your pull rate limit.";
    for (status, body, want, code, words) in [
        (429, said("TOOMANYREQUESTS", limit), 429, "TOOMANYREQUESTS", limit),
        (401, said("UNAUTHORIZED", "authentication required"), 403, "DENIED", "does not let this server in"),
        (403, said("DENIED", "not yours"), 403, "DENIED", "not yours"),
        (404, said("NAME_UNKNOWN", "repository unknown"), 404, "", "repository unknown"),
        (500, json!({}), 502, "UNAVAILABLE", "answered 500"),
        (503, said("UNAVAILABLE", "back soon"), 502, "UNAVAILABLE", "back soon"),
    ] {
        upstream.refuse(Some((status, body)));
        for (path, unknown) in
            [("manifests/1".to_owned(), "MANIFEST_UNKNOWN"), (format!("blobs/{digest}"), "BLOB_UNKNOWN")]
        {
            let answer = stage.client.get(&format!("/v2/hub/team/base/{path}")).await;
            let code = if code.is_empty() { unknown } else { code };
            assert_eq!(answer.error(), (want, code.to_owned()), "{status} for {path}");
            assert!(answer.message().contains(words), "{}", answer.message());
            assert!(answer.message().contains(&upstream.address.to_string()), "it says who: {}", answer.message());
            assert_eq!(answer.header("retry-after"), if status == 429 { "77" } else { "" });
        }
    }
    assert!(
        stage.client.get("/v2/_catalog").await.json()["repositories"].as_array().unwrap().len() == 1,
        "nothing is made"
    );
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_named() {
    let upstream = FakeUpstream::start().await;
    let mirror = upstream.mirror("hub");
    drop(upstream);
    let stage = Stage::with(vec![mirror]).await;
    let answer = stage.client.get("/v2/hub/team/base/manifests/1").await;
    assert_eq!(answer.error(), (502, "UNAVAILABLE".to_owned()));
    assert!(answer.message().contains("can't be reached"), "{}", answer.message());
}

#[tokio::test]
async fn a_server_that_asks_itself_notices() {
    let upstream = FakeUpstream::start().await;
    let stage = Stage::of(&upstream).await;
    // Over a detour that no start can see: the upstream passes everything on to where it comes from.
    upstream.pass_on(&format!("http://{}/v2/hub", stage.registry.address));
    let answer = stage.client.get("/v2/hub/team/base/manifests/1").await;
    assert_eq!(answer.error(), (508, "UNSUPPORTED".to_owned()));
    assert_eq!(upstream.lines().len(), 1, "once around");
}

#[tokio::test]
async fn a_connection_that_broke_under_a_request_is_no_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = tokio::spawn(async move {
        for answer in ["", "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"] {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let url = UpstreamUrl::parse(&format!("http://{address}")).unwrap();
    let stage = Stage::with(vec![MirrorSettings::new(RepositoryPrefix::parse("hub").unwrap(), url)]).await;
    let answer = stage.client.get("/v2/hub/team/base/manifests/1").await;
    assert_eq!(answer.error(), (429, "TOOMANYREQUESTS".to_owned()));
    answers.await.unwrap();
}

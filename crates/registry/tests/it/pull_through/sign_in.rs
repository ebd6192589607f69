//! How a mirror signs in, and what of that goes where.

use layer0_domain::model::access::Secret;
use layer0_registry::{MirrorLogin, MirrorSettings, Patience};
use layer0_testkit::until::until_true;

use super::upstream::{Door, FakeUpstream};
use super::{SOON, Stage};
use crate::client::Client;

fn with_password(upstream: &FakeUpstream, password: &str) -> MirrorSettings {
    let login = MirrorLogin::Password { user: "me".to_owned(), password: Secret::new(password) };
    MirrorSettings { login, ..upstream.mirror("hub") }
}

#[tokio::test]
async fn a_token_is_fetched_once_for_a_repository_and_again_when_it_has_ended() {
    let upstream = FakeUpstream::start().await;
    upstream.door(Door::Bearer);
    let [_, config, layer] = upstream.image("team/base", "1", b"layer");
    let stage = Stage::with(vec![with_password(&upstream, "secret")]).await;
    let get = |path: String| {
        let client = &stage.client;
        async move { client.get(&format!("/v2/hub/team/base/{path}")).await.expect(200) }
    };
    get("manifests/1".to_owned()).await;
    get(format!("blobs/{config}")).await;
    let scope = "/token?service=fake&scope=repository%3Ateam%2Fbase%3Apull";
    let [manifest, token] = ["GET /v2/team/base/manifests/1".to_owned(), format!("GET {scope}")];
    let came = upstream.came();
    let lines: Vec<_> = came.iter().map(|came| came.line.clone()).collect();
    assert_eq!(lines, [manifest.clone(), token.clone(), manifest, format!("GET /v2/team/base/blobs/{config}")]);
    assert_eq!(came[3].authorization.as_deref(), Some("Bearer t1"));

    // It says that it is good for five minutes.
    stage.clock.advance_ms(290_000);
    get(format!("blobs/{layer}")).await;
    assert_eq!(upstream.lines()[1], token);
    // And when the upstream does not take it, whatever it said.
    upstream.expire_tokens();
    stage.client.head(&format!("/v2/hub/team/base/blobs/{}", upstream.blob("team/base", "new"))).await.expect(200);
    assert_eq!(upstream.lines().len(), 3);
}

#[tokio::test]
async fn a_password_is_shown_where_it_is_asked_for() {
    let upstream = FakeUpstream::start().await;
    upstream.door(Door::Basic);
    upstream.image("team/base", "1", b"layer");
    let stage = Stage::with(vec![with_password(&upstream, "secret")]).await;
    stage.client.get("/v2/hub/team/base/manifests/1").await.expect(200);
    let shown: Vec<_> = upstream.came().into_iter().map(|came| came.authorization).collect();
    assert_eq!(shown, [None, Some("Basic bWU6c2VjcmV0".to_owned())]);
}

#[tokio::test]
async fn a_password_that_is_refused_is_said_and_never_shown() {
    for door in [Door::Basic, Door::Bearer] {
        let upstream = FakeUpstream::start().await;
        upstream.door(door);
        upstream.image("team/base", "1", b"layer");
        let stage = Stage::with(vec![with_password(&upstream, "hunter2")]).await;
        let answer = stage.client.get("/v2/hub/team/base/manifests/1").await;
        assert_eq!(answer.error(), (403, "DENIED".to_owned()));
        let message = answer.message();
        assert!(message.contains("does not let this server in") && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_credential() {
    let upstream = FakeUpstream::start().await;
    let cdn = FakeUpstream::start().await;
    upstream.door(Door::Basic);
    let [_, _, layer] = upstream.image("team/base", "1", b"layer");
    cdn.blob("team/base", "layer");
    upstream.send_elsewhere(&format!("http://{}", cdn.address));
    let stage = Stage::with(vec![with_password(&upstream, "secret")]).await;
    assert_eq!(stage.client.get(&format!("/v2/hub/team/base/blobs/{layer}")).await.expect(200).body, "layer");
    let came = cdn.came();
    assert_eq!(came[0].line, format!("GET /v2/team/base/blobs/{layer}?signed=1"));
    assert_eq!(
        (came.len(), came[0].authorization.as_deref(), came[0].host.as_str()),
        (1, None, cdn.address.to_string().as_str())
    );
    // The client's own credential goes nowhere at all.
    let headers = [("authorization", "Basic Y2xpZW50OnNlY3JldA==")];
    let tag = "/v2/hub/team/base/manifests/1";
    stage.client.ask(http::Method::GET, tag, &headers, "").await.expect(200);
    let shown = upstream.came().into_iter().filter_map(|came| came.authorization);
    assert!(shown.into_iter().all(|it| it == "Basic bWU6c2VjcmV0"));
}

#[tokio::test]
async fn another_host_can_not_ask_for_the_upstreams_password() {
    let (upstream, cdn) = (FakeUpstream::start().await, FakeUpstream::start().await);
    upstream.door(Door::Basic);
    let [_, _, layer] = upstream.image("team/base", "1", b"layer");
    upstream.send_elsewhere(&format!("http://{}", cdn.address));
    let stage = Stage::with(vec![with_password(&upstream, "secret")]).await;
    // The upstream has been shown what it wants: whoever asks now is another one.
    stage.client.get("/v2/hub/team/base/manifests/1").await.expect(200);
    for door in [Door::Bearer, Door::Basic] {
        cdn.door(door);
        let answer = stage.client.get(&format!("/v2/hub/team/base/blobs/{layer}")).await;
        assert_eq!(answer.error(), (403, "DENIED".to_owned()));
        let by = format!("(by {})", cdn.address);
        assert!(answer.message().contains(&by), "{}", answer.message());
        let came = cdn.came();
        assert!(came.iter().all(|came| came.authorization.is_none()), "{came:?}");
        assert!(came.iter().all(|came| !came.line.contains("/token")), "{came:?}");
    }
}

#[tokio::test]
async fn a_token_server_that_says_nothing_is_waited_for_once_for_a_repository() {
    let upstream = FakeUpstream::start().await;
    upstream.door(Door::Bearer);
    upstream.silent_tokens(true);
    let mirror =
        MirrorSettings { patience: Patience { answer: SOON, idle: SOON }, ..with_password(&upstream, "secret") };
    let stage = Stage::with(vec![mirror]).await;
    let paths = (0..8).map(|number| {
        let digest = upstream.blob("team/base", format!("layer {number}"));
        format!("/v2/hub/team/base/blobs/{digest}")
    });
    let answers = paths.map(|path| {
        let client = Client::of(&stage.registry);
        tokio::spawn(async move { client.get(&path).await })
    });
    for answer in answers.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap().status, 504);
    }
    let asked = upstream.lines().into_iter().filter(|line| line.contains("/token")).count();
    assert!((1..=2).contains(&asked), "{asked}");
}

/// What stands where the token server was knows nothing of images.
#[tokio::test]
async fn a_token_server_that_is_gone_says_nothing_about_images() {
    let upstream = FakeUpstream::start().await;
    upstream.door(Door::Bearer);
    upstream.image("team/base", "1", b"layer");
    let stage = Stage::with(vec![with_password(&upstream, "secret")]).await;
    let path = "/v2/hub/team/base/manifests/1";
    stage.client.get(path).await.expect(200);
    upstream.no_tokens();
    stage.clock.advance_ms(60 * 60 * 1000);
    let stale = stage.client.get(path).await.expect(200);
    assert!(stale.header("warning").contains("asked for a token"), "{}", stale.header("warning"));
    let answer = stage.client.get("/v2/hub/team/other/manifests/1").await;
    assert_eq!(answer.error(), (502, "UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn tokens_of_several_repositories_are_asked_for_at_once() {
    let upstream = FakeUpstream::start().await;
    upstream.door(Door::Bearer);
    upstream.silent_tokens(true);
    let stage = Stage::with(vec![with_password(&upstream, "secret")]).await;
    let asked: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let (client, path) = (Client::of(&stage.registry), format!("/v2/hub/team/{name}/manifests/1"));
            tokio::spawn(async move { client.get(&path).await })
        })
        .into();
    let mut lines = Vec::new();
    until_true("each has asked", || {
        lines.extend(upstream.lines());
        let tokens = lines.iter().filter(|line| line.contains("/token")).count();
        async move { tokens == 3 }
    })
    .await;
    asked.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", "content");
    upstream.send_elsewhere(&format!("http://{}", upstream.address));
    let stage = Stage::of(&upstream).await;
    let answer = stage.client.get(&format!("/v2/hub/team/base/blobs/{digest}")).await;
    assert_eq!(answer.error(), (502, "UNAVAILABLE".to_owned()));
    assert!(answer.message().ends_with("redirects in a circle"), "{}", answer.message());
    assert_eq!(upstream.lines().len(), 6);
}

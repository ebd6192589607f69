//! Repositories that mirror another registry, as the control plane sees them.

use layer0_server::testing::{TestApp, TestOptions};
use serde_json::json;

use crate::support::{Raw, basic};

/// What a mirror's upstream is asked counts there, and what it says is kept here: so only for those who may pull.
#[tokio::test]
async fn nobody_has_an_upstream_asked_about_an_image_that_they_may_not_pull() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    upstream.set_nonblocking(true).expect("it can be");
    let address = format!("http://{}", upstream.local_addr().expect("it is bound"));
    let shown = address.clone();
    let options = TestOptions { mirror: Some(("hub", address)), ..TestOptions::default() };
    let app = TestApp::with(options).await;
    let raw = Raw::of(&app);
    let told = raw.get("/admin/config").await.expect(200).json()["mirrors"].take();
    assert_eq!(told, json!([{ "prefix": "hub", "upstream": shown }]));
    raw.post("/user", &json!({"user_name": "stranger"})).await.expect(201);
    let token = raw.post("/token", &json!({"name": "t", "user": "stranger"})).await.expect(201).json();
    let stranger = raw.as_(Some(&basic("stranger", token["secret"].as_str().expect("a secret"))));
    for path in ["/image/resolve", "/image/check"] {
        let path = format!("{path}?image=registry.layer0.test/hub/library/alpine:1");
        let answer = stranger.get(&path).await.expect(200).text();
        assert!(answer.contains("you may not pull"), "{answer}");
    }
    // Nothing can be pushed there, so nothing is made there.
    let refused = raw.post("/repository/hub", &json!({"name": "never"})).await.error(422);
    assert!(refused.message.contains("hub/never mirrors http://127.0.0.1"), "{}", refused.message);
    let missing = raw.get("/repository/hub/never").await.error(404);
    assert!(missing.hint.as_ref().is_some_and(|hint| hint.contains("pull it once")), "{:?}", missing.hint);
    let missing = raw.delete("/repository/hub/never").await.error(404);
    assert!(missing.hint.as_ref().is_some_and(|hint| !hint.contains("create")), "{:?}", missing.hint);
    let came = upstream.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(came, Err(std::io::ErrorKind::WouldBlock), "nobody has come");
}

#[tokio::test]
async fn why_an_upstream_can_not_be_asked_about_an_image_is_said() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let options = TestOptions { mirror: Some(("hub", format!("http://{gone}"))), ..TestOptions::default() };
    let app = TestApp::with(options).await;
    let path = "/image/resolve?image=registry.layer0.test/hub/library/alpine:1";
    let refused = Raw::of(&app).get(path).await.error(503);
    assert!(refused.message.contains(&gone.to_string()), "{}", refused.message);
    assert!(!refused.hint.unwrap_or_default().contains("log"), "it is all said");
}

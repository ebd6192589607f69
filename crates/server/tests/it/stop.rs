//! The end of a server that was asked to stop.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use layer0_api::types as wire;
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::until::{ends, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Raw, deploy, digest, end_of, environment, followed, new_service, service};

/// Open streams end, running operations are parked, and all of it is quick; the next start goes on.
#[tokio::test]
async fn a_graceful_stop_ends_open_streams_and_parks_operations() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &id, 1).await;
    app.fake().set_available(false);
    let accepted = client.service_create(&new_service("late", &env, &id, 1)).await.expect("accepted");
    let operation = accepted.operation_id.clone().expect("an operation");
    until("the operation to wait", || async {
        let events = client.operation_events(&operation).await.expect("events");
        if events.is_empty() { Err("no event") } else { Ok(()) }
    })
    .await;
    app.fake().set_available(true);
    app.fake().freeze();
    let mut events = client.operation_follow(&operation, 0).await.expect("a stream");
    assert!(events.next().await.is_some(), "it is open");
    app.fake().unfreeze();
    end_of(&client, &accepted).await;
    let mut log = client.log_follow("service", &web, &wire::LogQuery::default()).await.expect("a stream");
    assert!(log.next().await.is_some_and(|line| line.is_ok()), "it is open");
    app.fake().set_available(false);
    let parked = client.service_create(&new_service("parked", &env, &id, 1)).await.expect("accepted");
    let parked_id = parked.operation_id.clone().expect("an operation");
    let mut waiting = client.operation_follow(&parked_id, 0).await.expect("a stream");
    assert!(waiting.next().await.is_some(), "it is open");

    let began = Instant::now();
    app.stop().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "the stop took {took:?}");
    assert_eq!(app.fake().stops(), 1, "what runs through load balancers is cut");
    // The streams come to an end without an end of what they followed: the client knows to call again.
    while let Some(next) = waiting.next().await {
        assert!(!matches!(next, Ok(layer0_api::client::Followed::End(_))), "it has not ended: {next:?}");
    }
    while log.next().await.is_some() {}

    app.start_again().await;
    app.fake().set_available(true);
    assert_eq!(followed(&app.client(), &parked_id).await.1.state, "succeeded");
}

/// A server that a load balancer has to leave first: it says so, and goes on with all else.
#[tokio::test]
async fn a_server_that_is_about_to_stop_says_so_and_goes_on() {
    let mut app = TestApp::start().await;
    let raw = Raw::of(&app);
    let before = raw.get("/health").await.expect(200);
    assert_eq!(before.header("store"), "ok");
    app.leave();
    let leaving = raw.get("/health").await.expect(503);
    assert_eq!(leaving.text(), "\"\"");
    environment(&app.client(), "made-while-leaving").await;
    app.stop().await;
}

/// Begins to send a blob of which the second half is still to come, and gives the connection.
async fn half_a_push(app: &TestApp, content: &str) -> TcpStream {
    let raw = Raw::of(app);
    let made = raw.post("/repository/team", &serde_json::json!({ "name": "app" })).await;
    assert!(made.status < 300, "{}", made.text());
    let begun = raw.send(reqwest::Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    let place = begun.header("location");
    let place = place.find("/v2/").map_or(place, |at| &place[at..]);
    let with = if place.contains('?') { '&' } else { '?' };
    let digest = digest(content.as_bytes());
    let head = format!(
        "PUT {place}{with}digest={digest} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {}\r\ncontent-type: \
         application/octet-stream\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        app.auth(),
        content.len()
    );
    let mut connection = TcpStream::connect(app.address()).await.expect("it listens");
    connection.write_all(head.as_bytes()).await.expect("sent");
    // Said when the body is asked for: the push is under way.
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(ends("the body to be asked for", connection.read_u8()).await.expect("an answer"));
    }
    assert!(said.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&said));
    connection.write_all(&content.as_bytes()[..content.len() / 2]).await.expect("sent");
    connection
}

async fn answered(mut connection: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = ends("the connection to end", connection.read_to_end(&mut answer)).await;
    String::from_utf8(answer).expect("text")
}

/// A push that is under way when the server is asked to stop comes to its end.
#[tokio::test]
async fn a_push_that_is_under_way_comes_to_its_end() {
    let content = "layer".repeat(200_000);
    let mut app = TestApp::start().await;
    let mut connection = half_a_push(&app, &content).await;
    let rest = async {
        connection.write_all(&content.as_bytes()[content.len() / 2..]).await.expect("it is still taken");
        answered(connection).await
    };
    let ((), answer) = tokio::join!(app.stop(), rest);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    app.start_again().await;
    let blob = format!("/v2/team/app/blobs/{}", digest(content.as_bytes()));
    assert_eq!(Raw::of(&app).get(&blob).await.expect(200).body.len(), content.len());
}

/// One that never ends does not hold the server: it is cut off after the grace, and nothing of it is there.
#[tokio::test]
async fn a_push_that_never_ends_is_cut_off_after_the_grace() {
    let grace = Duration::from_millis(300);
    let content = "layer".repeat(200_000);
    let mut app = TestApp::with(TestOptions { stop_grace: grace, ..TestOptions::default() }).await;
    let connection = half_a_push(&app, &content).await;
    let began = Instant::now();
    app.stop().await;
    let took = began.elapsed();
    assert!(took >= grace && took < Duration::from_secs(5), "{took:?}");
    assert!(!answered(connection).await.starts_with("HTTP/1.1 2"));
    app.start_again().await;
    Raw::of(&app).get(&format!("/v2/team/app/blobs/{}", digest(content.as_bytes()))).await.expect(404);
}

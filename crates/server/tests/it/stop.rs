//! The end of a server that was asked to stop.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use layer0_api::types as wire;
use layer0_server::testing::TestApp;
use layer0_testkit::until::until;

use crate::support::{deploy, end_of, environment, followed, new_service, service};

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
    // The streams come to an end without an end of what they followed: the client knows to call again.
    while let Some(next) = waiting.next().await {
        assert!(!matches!(next, Ok(layer0_api::client::Followed::End(_))), "it has not ended: {next:?}");
    }
    while log.next().await.is_some() {}

    app.start_again().await;
    app.fake().set_available(true);
    assert_eq!(followed(&app.client(), &parked_id).await.1.state, "succeeded");
}

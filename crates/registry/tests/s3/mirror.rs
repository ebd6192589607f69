//! Repositories that mirror another registry, with their bytes in a bucket.

use std::sync::Arc;

use layer0_domain::port::clock::Clock as _;
use layer0_testkit::clock::{FixedClock, RunningClock};
use layer0_testkit::until::until_true;

use crate::client::Client;
use crate::common::{Doors, Ground, TestRegistry};
use crate::upstream::FakeUpstream;

/// Nobody may push to a mirror: what the bucket has lost comes again from where it came.
#[tokio::test]
async fn a_lost_blob_is_fetched_again() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", "content");
    let mut ground = Ground::new(Arc::new(FixedClock::at(RunningClock::default().now())));
    ground.elsewhere = crate::elsewhere().await;
    ground.mirrors = vec![upstream.mirror("hub")];
    let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let (client, s3) = (Client::of(&registry), &registry.elsewhere.as_ref().unwrap().s3);
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    client.get(&path).await.expect(200);
    registry.until_kept("hub/team/base", &digest).await;
    for key in s3.keys() {
        s3.lose(&key);
    }
    // Whoever comes before the first fill has ended may have what that still knows.
    until_true("it is fetched again", || async {
        assert_eq!(client.get(&path).await.expect(200).body, "content");
        upstream.lines().len() == 2
    })
    .await;
    until_true("it is kept again", || async { !registry.blob_files().is_empty() }).await;
    upstream.came();
    client.get(&path).await.expect(200);
    assert_eq!(upstream.lines(), [""; 0]);
}

//! The registry with its bytes in a bucket: what holds on a disk, and what is a bucket's own.

#![expect(clippy::unwrap_used, reason = "a failing call fails the test")]

#[path = "../it/access.rs"]
mod access;
#[path = "../it/blobs.rs"]
mod blobs;
mod bucket;
#[allow(dead_code, reason = "another target uses all of it")]
#[path = "../it/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod faults;
#[path = "../it/listing.rs"]
mod listing;
#[path = "../it/manifests.rs"]
mod manifests;
#[path = "../it/many.rs"]
mod many;
mod mirror;
#[path = "../it/names.rs"]
mod names;
#[path = "../it/repositories.rs"]
mod repositories;
mod servers;
#[path = "../it/staging.rs"]
mod staging;
mod upkeep;
#[path = "../it/uploads.rs"]
mod uploads;
#[allow(dead_code, reason = "another target uses all of it")]
#[path = "../it/pull_through/upstream.rs"]
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use common::Elsewhere;
use layer0_registry::s3::{S3Bytes, S3Client};
use layer0_testkit::s3::FakeS3;
use tokio::runtime::Handle;

/// How often what fails is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tries {
    Once,
    Four,
}

/// A client of whatever answers at an address.
fn client(endpoint: &str, tries: Tries) -> S3Client {
    let retry = match tries {
        Tries::Once => RetryConfig::disabled(),
        Tries::Four => RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(1)),
    };
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(retry)
        .build();
    S3Client::from_conf(config)
}

/// Bytes in a fake bucket, which other servers may use too.
fn bytes(s3: &FakeS3, tries: Tries) -> S3Bytes {
    S3Bytes::new(client(&s3.endpoint(), tries), FakeS3::BUCKET, "l0", Handle::current())
}

/// In a bucket.
async fn elsewhere() -> Option<Elsewhere> {
    let s3 = Arc::new(FakeS3::start().await);
    Some(Elsewhere { bytes: Arc::new(bytes(&s3, Tries::Once).alone()), s3 })
}

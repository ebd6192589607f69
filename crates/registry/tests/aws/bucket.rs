//! Where bytes lie, in a bucket of ministack's. moto answers `ListParts` with an element that the SDK takes for none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use layer0_domain::port::blob_bytes::BlobBytes;
use layer0_registry::s3::{Claim, S3Bytes, S3Client};
use layer0_testkit::blob_bytes_suite::run_all;
use tokio::runtime::Handle;

/// A client of the emulator, and a bucket there that nobody else has.
async fn bucket(name: &str) -> (S3Client, String) {
    let variable = "LAYER0_TEST_MINISTACK";
    let endpoint = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set by scripts/aws.sh"));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let (client, bucket) = (S3Client::from_conf(config), format!("{name}-{}", std::process::id()));
    client.create_bucket().bucket(&bucket).send().await.expect("it is made");
    (client, bucket)
}

#[tokio::test]
async fn bytes_in_a_bucket() {
    let (client, bucket) = bucket("bytes").await;
    let count = AtomicU32::new(0);
    run_all(async || {
        let prefix = format!("behaviour-{}", count.fetch_add(1, Ordering::Relaxed));
        Arc::new(S3Bytes::new(client.clone(), &bucket, &prefix, Handle::current()).alone()) as Arc<dyn BlobBytes>
    })
    .await;
}

#[tokio::test]
async fn a_bucket_belongs_to_one_store() {
    let (client, bucket) = bucket("claims").await;
    let bytes = S3Bytes::new(client, bucket, "l0", Handle::current());
    for (store, expected) in [("one", Claim::Ours), ("one", Claim::Ours), ("two", Claim::Others)] {
        let bytes = bytes.clone();
        let claimed = tokio::task::spawn_blocking(move || bytes.check().and_then(|()| bytes.claim(store))).await;
        assert_eq!(claimed.unwrap().unwrap(), expected);
    }
}

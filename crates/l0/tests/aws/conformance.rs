//! The OCI conformance suite over a server whose images lie in ECR, or in a bucket: the test kit's, which have AWS's own rules.
//! Emulators take what ECR refuses.

use std::process::Command;

use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::s3::FakeS3;
use tokio::runtime::Builder;

use crate::common::instance::L0;

#[test]
fn what_ecr_can_do_is_done_as_the_specification_wants_it() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let aws = runtime.block_on(FakeAws::start(FakeAwsConfig::default()));
    aws.registry_setting("BLOB_MOUNTING", "ENABLED");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/conformance.sh");
    let status = Command::new(script).args(["ecr", L0, aws.endpoint()]).status().expect("the script runs");
    assert!(status.success(), "the script says why, above; the reports are in target/conformance-ecr");
}

#[test]
fn what_a_disk_can_do_a_bucket_can() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let s3 = runtime.block_on(FakeS3::start());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/conformance.sh");
    let status = Command::new(script).args(["s3", L0, &s3.endpoint()]).status().expect("the script runs");
    assert!(status.success(), "the script says why, above; the reports are in target/conformance-s3");
}

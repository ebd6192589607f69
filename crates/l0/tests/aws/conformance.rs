//! The OCI conformance suite over a server whose images lie in ECR: the test kit's, which has ECR's own rules. Emulators take
//! what ECR refuses.

use std::process::Command;

use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
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

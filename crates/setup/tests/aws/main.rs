//! The port `Account` on emulators: ministack, which has a CloudFormation and a registry, and moto, where ministack lacks a service.

mod facts;
#[cfg(target_arch = "x86_64")]
mod image;
#[path = "../it/suite.rs"]
mod suite;

use layer0_aws::connect;
use layer0_setup::account::aws::AwsAccount;

/// The account of an emulator.
async fn on(variable: &str) -> AwsAccount {
    let endpoint = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set by scripts/aws.sh"));
    let connection = connect(Some("us-east-1"), Some(&endpoint)).await.expect("there is a way");
    AwsAccount::new(&connection)
}

suite::suite!(on("LAYER0_TEST_MINISTACK"));

//! Stand-ins for AWS in the tests of single calls; whole workflows run on emulators (`tests/aws`).

use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider};
use layer0_aws::{Connection, connect};

use super::AwsAccount;

/// The account behind an endpoint of all services.
pub(super) async fn account(endpoint: &str) -> AwsAccount {
    let connection = connect(Some("us-east-1"), Some(endpoint)).await.expect("a region is given");
    // No signature is checked, but no request is sent without one.
    let keys = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let sdk = connection.sdk.into_builder().credentials_provider(keys).build();
    AwsAccount::new(&Connection { sdk, region: connection.region })
}

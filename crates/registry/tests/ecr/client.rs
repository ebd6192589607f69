//! A client of whatever answers at an address.

use aws_sdk_ecr::config::retry::RetryConfig;
use aws_sdk_ecr::config::{BehaviorVersion, Config, Credentials, Region};
use layer0_registry::ecr::EcrClient;

/// Plain HTTP: it never leaves this machine. What fails is not tried again, so that a test sees what was answered.
pub(crate) fn client(endpoint: &str) -> EcrClient {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .build();
    EcrClient::from_conf(config)
}

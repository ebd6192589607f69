//! The way to AWS: region, credentials and HTTP client, from the SDK's default chain alone (environment, profiles, SSO, the
//! role of a task or machine). Credentials are never written and never logged.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::role::{Role, assumed};
use crate::signed::endpoint_set;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long one try of a call may take.
const TRY_MAX: Duration = Duration::from_secs(10);
/// How long a call may take with all its tries.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Tries of one call. What still fails then is tried again by whoever wanted it.
const TRIES: u32 = 4;

/// Why AWS can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody says which region.
    #[error("no AWS region is set: give one with `--aws-region`, AWS_REGION or a profile")]
    Region,
    /// Nothing of the chain has any: there is no call that could be made.
    #[error(
        "there are no credentials for AWS: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, sign in (`aws sso login`), or run where a role is at hand"
    )]
    Credentials(#[source] Option<CredentialsError>),
    /// AWS does not say whose they are.
    #[error("AWS does not say which account its credentials are of")]
    Account(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

/// A way to AWS.
#[derive(Debug, Clone)]
pub struct Connection {
    /// What the SDK's clients are made from.
    pub sdk: SdkConfig,
    /// The region.
    pub region: String,
}

impl Connection {
    /// What stands in for ECR's registry: an emulator that was set to be ECR, or all of AWS. `None` when nothing was, and for an
    /// address of AWS's own, where ECR's API is, but not its registry.
    #[must_use]
    pub fn registry_stand_in(&self) -> Option<String> {
        endpoint_set(&self.sdk, "ECR").filter(|url| !is_aws(url))
    }

    /// Whether something stands in for S3: an emulator that was set to be it, or all of AWS.
    #[must_use]
    pub fn has_s3_stand_in(&self) -> bool {
        endpoint_set(&self.sdk, "S3").is_some_and(|url| !is_aws(&url))
    }

    /// The same in another region, or in the name of a role. `session` is what the role's account calls whoever it is in its
    /// log: the instance.
    #[must_use]
    pub async fn elsewhere(&self, region: Option<&str>, role: Option<&Role>, session: &str) -> Self {
        let sdk = match role {
            Some(role) => assumed(&self.sdk, role, session).await,
            None => self.sdk.clone(),
        };
        let region = region.unwrap_or(&self.region).to_owned();
        let sdk = sdk.into_builder().region(Region::new(region.clone())).build();
        Self { sdk, region }
    }

    /// Asks the chain for credentials once, so that a server without any ends with a reason instead of waiting for answers
    /// that can't come. The SDK keeps them for its calls.
    ///
    /// # Errors
    /// `Credentials`.
    pub async fn credentials_check(&self) -> Result<(), ConnectError> {
        let provider = self.sdk.credentials_provider().ok_or(ConnectError::Credentials(None))?;
        match provider.provide_credentials().await {
            Ok(_) => Ok(()),
            Err(why) => Err(ConnectError::Credentials(Some(why))),
        }
    }

    /// The 12 digits of the account that the credentials are of. Everybody may ask (STS API reference, `GetCallerIdentity`).
    ///
    /// # Errors
    /// `Account`.
    pub async fn account(&self) -> Result<String, ConnectError> {
        let answer = aws_sdk_sts::Client::new(&self.sdk).get_caller_identity().send().await;
        let answer = answer.map_err(|why| ConnectError::Account(Some(why.into())))?;
        answer.account.ok_or(ConnectError::Account(None))
    }
}

/// Whether an address is one of AWS's own: of a service, of its FIPS or dual-stack form, or of a VPC's endpoint.
fn is_aws(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', ':']).next().unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws", ".on.aws", ".vpce.amazonaws.com"]
        .iter()
        .any(|domain| host.to_ascii_lowercase().ends_with(domain))
}

/// Finds region, credentials and endpoints. `endpoint` stands in for all services, for emulators; `AWS_ENDPOINT_URL` and
/// `AWS_ENDPOINT_URL_<SERVICE>` work too.
///
/// # Errors
/// `Region`.
pub async fn connect(region: Option<&str>, endpoint: Option<&str>) -> Result<Connection, ConnectError> {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(TRY_MAX)
        .operation_timeout(CALL_MAX)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::adaptive().with_max_attempts(TRIES));
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let sdk = loader.load().await;
    let region = sdk.region().map(ToString::to_string).ok_or(ConnectError::Region)?;
    Ok(Connection { sdk, region })
}

#[cfg(test)]
mod tests {
    use super::is_aws;

    #[test]
    fn what_is_aws_itself_stands_in_for_nothing() {
        for url in [
            "https://api.ecr.us-east-1.amazonaws.com",
            "https://ecr-fips.us-west-2.api.aws/",
            "https://x.vpce.amazonaws.com:443",
        ] {
            assert!(is_aws(url), "{url}");
        }
        for url in
            ["http://127.0.0.1:4566", "http://localhost.localstack.cloud:4566", "https://amazonaws.com.example.org"]
        {
            assert!(!is_aws(url), "{url}");
        }
    }
}

//! A role, of this account or another, in whose name AWS is worked with.

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

/// A role, and what its account wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// `sts:ExternalId`, where the role asks for one.
    pub external_id: Option<String>,
}

/// A role that is not given. The text is for people; what AWS said is the source.
#[derive(Debug, thiserror::Error)]
#[error("the role {arn} can't be assumed")]
struct RoleError {
    arn: String,
    #[source]
    source: CredentialsError,
}

/// The credentials of a role. The SDK asks for them before they end, and keeps them in between.
#[derive(Debug)]
struct Assumed {
    arn: String,
    inner: AssumeRoleProvider,
}

impl ProvideCredentials for Assumed {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async move {
            let given = self.inner.provide_credentials().await;
            given.map_err(|source| CredentialsError::provider_error(RoleError { arn: self.arn.clone(), source }))
        })
    }
}

/// The same way to AWS in the name of a role. `session` is what the other account's log calls whoever it is.
pub(super) async fn assumed(sdk: &SdkConfig, role: &Role, session: &str) -> SdkConfig {
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(session).configure(sdk);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    let provider = Assumed { arn: role.arn.clone(), inner: provider.build().await };
    sdk.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

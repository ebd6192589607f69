//! The ports `RepositoryPolicies` and `RegistryPolicy` on ECR: the account's own registry in one region.

use std::time::Duration;

use async_trait::async_trait;
pub use aws_sdk_ecr::Client as EcrClient;
use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use layer0_domain::model::backing::{BackingPlace, PrefixError};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPage, RepositoryPolicies};

/// Repositories in a page: the most that ECR gives (`DescribeRepositories`, `maxResults`).
const PAGE: i32 = 1000;

/// How long to wait after a throttled call that the SDK has already repeated.
const THROTTLED_AFTER: Duration = Duration::from_secs(2);

/// ECR's words for a document that names an account which does not exist. It has no code of its own for it: both come as
/// `InvalidParameterException`, and this constraint is all that tells them apart. The name is not in it.
const PRINCIPAL: &str = "Principal not found";

/// The account's setting that says what a registry's policy is asked about (ECR API reference, `PutAccountSetting`).
const SCOPE: &str = "REGISTRY_POLICY_SCOPE";

/// Its value for a policy that is asked about every request. The only one that can be set, and the usual one of new accounts
/// (ECR user guide, "Private registry permissions").
const EVERY: &str = "V2";

/// The policies of a registry and its repositories.
#[derive(Debug, Clone)]
pub struct EcrPolicies {
    client: EcrClient,
    place: BackingPlace,
}

impl EcrPolicies {
    /// The registry of the account and region that the client is for, with what stands before the names of all repositories
    /// there (empty for nothing).
    ///
    /// # Errors
    /// [`PrefixError`] for what can stand before no name.
    pub fn new(client: EcrClient, prefix: &str) -> Result<Self, PrefixError> {
        // Of the place only the names count: the client knows where it is.
        Ok(Self { client, place: BackingPlace::new("", prefix)? })
    }
}

/// What ECR said, by what can be done about it.
fn error<E>(call: &str, repository: Option<&RepositoryName>, error: SdkError<E, HttpResponse>) -> PolicyError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(answer) = &error else {
        return PolicyError::Unavailable { source: Box::new(error) };
    };
    let code = answer.err().code().unwrap_or_default();
    let words = answer.err().message().unwrap_or("no more was said");
    match (code, repository) {
        ("RepositoryNotFoundException", Some(repository)) => {
            PolicyError::NoRepository { repository: repository.clone() }
        }
        ("InvalidParameterException", _) if words.contains(PRINCIPAL) => PolicyError::UnknownPrincipal,
        ("ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded", _) => {
            PolicyError::Throttled { after: THROTTLED_AFTER }
        }
        ("AccessDeniedException" | "UnrecognizedClientException" | "InvalidSignatureException", _) => {
            PolicyError::Denied { why: format!("access denied to ecr:{call} ({words})") }
        }
        _ if answer.raw().status().is_client_error() => PolicyError::Refused { why: words.to_owned() },
        _ => PolicyError::Unavailable { source: Box::new(error) },
    }
}

#[async_trait]
impl RepositoryPolicies for EcrPolicies {
    async fn repository_page(&self, next: Option<&str>) -> Result<RepositoryPage, PolicyError> {
        let call = self.client.describe_repositories().max_results(PAGE).set_next_token(next.map(str::to_owned));
        let answer = call.send().await.map_err(|why| error("DescribeRepositories", None, why))?;
        let names = answer.repositories.unwrap_or_default().into_iter().filter_map(|it| it.repository_name);
        Ok(RepositoryPage {
            names: names.filter_map(|name| self.place.repository_at(&name)).collect(),
            next: answer.next_token.filter(|token| !token.is_empty()),
        })
    }

    async fn policy_read(&self, repository: &RepositoryName) -> Result<Option<String>, PolicyError> {
        match self.client.get_repository_policy().repository_name(self.place.path_of(repository)).send().await {
            Ok(answer) => Ok(answer.policy_text),
            Err(why) if why.code() == Some("RepositoryPolicyNotFoundException") => Ok(None),
            Err(why) => Err(error("GetRepositoryPolicy", Some(repository), why)),
        }
    }

    async fn policy_write(&self, repository: &RepositoryName, text: &str) -> Result<(), PolicyError> {
        let call =
            self.client.set_repository_policy().repository_name(self.place.path_of(repository)).policy_text(text);
        call.send().await.map(drop).map_err(|why| error("SetRepositoryPolicy", Some(repository), why))
    }

    async fn policy_delete(&self, repository: &RepositoryName) -> Result<(), PolicyError> {
        match self.client.delete_repository_policy().repository_name(self.place.path_of(repository)).send().await {
            Ok(_) => Ok(()),
            Err(why) if why.code() == Some("RepositoryPolicyNotFoundException") => Ok(()),
            Err(why) => Err(error("DeleteRepositoryPolicy", Some(repository), why)),
        }
    }
}

#[async_trait]
impl RegistryPolicy for EcrPolicies {
    async fn registry_policy_scope(&self) -> Result<PolicyScope, PolicyError> {
        let answer = self.client.get_account_setting().name(SCOPE).send().await;
        let answer = answer.map_err(|why| error("GetAccountSetting", None, why))?;
        Ok(if answer.value.as_deref() == Some(EVERY) { PolicyScope::Every } else { PolicyScope::Narrow })
    }

    async fn registry_policy_read(&self) -> Result<Option<String>, PolicyError> {
        match self.client.get_registry_policy().send().await {
            Ok(answer) => Ok(answer.policy_text),
            Err(why) if why.code() == Some("RegistryPolicyNotFoundException") => Ok(None),
            Err(why) => Err(error("GetRegistryPolicy", None, why)),
        }
    }

    async fn registry_policy_write(&self, text: &str) -> Result<(), PolicyError> {
        let call = self.client.put_registry_policy().policy_text(text);
        call.send().await.map(drop).map_err(|why| error("PutRegistryPolicy", None, why))
    }

    async fn registry_policy_delete(&self) -> Result<(), PolicyError> {
        match self.client.delete_registry_policy().send().await {
            Ok(_) => Ok(()),
            Err(why) if why.code() == Some("RegistryPolicyNotFoundException") => Ok(()),
            Err(why) => Err(error("DeleteRegistryPolicy", None, why)),
        }
    }
}

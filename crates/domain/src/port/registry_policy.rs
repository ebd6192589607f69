//! The port `RegistryPolicy`: the one document that speaks for all repositories of a registry (ECR).

use async_trait::async_trait;

use super::repository_policies::PolicyError;

/// What a registry's policy is asked about (ECR's account setting `REGISTRY_POLICY_SCOPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyScope {
    /// Every request (V2).
    Every,
    /// Replication, imports and creation only (V1): it says nothing about pulls.
    Narrow,
}

/// The policy of one registry, a JSON document in the language of IAM whose statements have a `Resource`.
///
/// As with [`RepositoryPolicies`](super::repository_policies::RepositoryPolicies): each method is one call, there is no
/// compare-and-set, and a read may be behind a write by a moment. No method answers `NoRepository`.
#[async_trait]
pub trait RegistryPolicy: Send + Sync {
    /// What the policy is asked about.
    ///
    /// # Errors
    /// `Throttled`, `Denied`, `Refused`, `Unavailable`.
    async fn registry_policy_scope(&self) -> Result<PolicyScope, PolicyError>;

    /// The policy as it is there, perhaps in another spelling than it was given in; `None` when there is none.
    ///
    /// # Errors
    /// `Throttled`, `Denied`, `Unavailable`.
    async fn registry_policy_read(&self) -> Result<Option<String>, PolicyError>;

    /// Writes the policy over the one that is there.
    ///
    /// # Errors
    /// All but `NoRepository`.
    async fn registry_policy_write(&self, text: &str) -> Result<(), PolicyError>;

    /// Deletes the policy. None there is no error.
    ///
    /// # Errors
    /// `Throttled`, `Denied`, `Unavailable`.
    async fn registry_policy_delete(&self) -> Result<(), PolicyError>;
}

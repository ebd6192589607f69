//! The port `RegistryPolicy` on the fake.

use async_trait::async_trait;
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy};
use layer0_domain::port::repository_policies::PolicyError;

use super::{FakePolicies, Of, PolicyOp, check};

#[async_trait]
impl RegistryPolicy for FakePolicies {
    async fn registry_policy_scope(&self) -> Result<PolicyScope, PolicyError> {
        let scope = |is_narrow| if is_narrow { PolicyScope::Narrow } else { PolicyScope::Every };
        self.call(PolicyOp::RegistryScope, |world| Ok(scope(world.is_narrow))).await
    }

    async fn registry_policy_read(&self) -> Result<Option<String>, PolicyError> {
        self.call(PolicyOp::RegistryRead, |world| Ok(world.registry.clone())).await
    }

    async fn registry_policy_write(&self, text: &str) -> Result<(), PolicyError> {
        self.call(PolicyOp::RegistryWrite, |world| {
            check(Of::Registry, &world.unknown, text)?;
            world.registry = Some(text.to_owned());
            world.wrote(None, Some(text));
            Ok(())
        })
        .await
    }

    async fn registry_policy_delete(&self) -> Result<(), PolicyError> {
        self.call(PolicyOp::RegistryDelete, |world| {
            world.registry = None;
            world.wrote(None, None);
            Ok(())
        })
        .await
    }
}

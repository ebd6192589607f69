//! What is looked at before anything is wished for.

use super::{Setup, SetupError, Standing, standing};
use crate::account::{Identity, Vpc};
use crate::instance::{Access, AccountSeen, Certificate, Instance, Network};

impl Setup<'_> {
    /// Whose the credentials are.
    ///
    /// # Errors
    /// `Account`.
    pub async fn identity(&self) -> Result<Identity, SetupError> {
        self.patiently(|| self.account.identity()).await
    }

    /// What of the account decides whether an instance can be.
    ///
    /// # Errors
    /// `Foreign`, `Account`.
    pub async fn look(&self, instance: &Instance) -> Result<AccountSeen, SetupError> {
        let identity = self.identity().await?;
        let stack = self.stack(&crate::template::stack_name(instance), &instance.name).await?;
        // What is left of a creation that failed has the block of addresses too, and is cleared away.
        let stands = standing(stack.as_ref()) != Standing::Absent;
        let vpc: Option<Vpc> = match &instance.network {
            Network::New { .. } => None,
            Network::Given { vpc, .. } => self.patiently(|| self.account.vpc(vpc)).await?,
        };
        let certificate = match &instance.access {
            Access::Domain { certificate: Certificate::Given(arn), .. } => {
                self.patiently(|| self.account.certificate(arn)).await?
            }
            _ => None,
        };
        let hosted_zones = match &instance.access {
            Access::Domain { zone: Some(_), .. } => self.patiently(|| self.account.hosted_zones()).await?,
            _ => Vec::new(),
        };
        Ok(AccountSeen {
            identity,
            zones: self.patiently(|| self.account.zones()).await?,
            vpcs: self.patiently(|| self.account.vpcs()).await?,
            vpc,
            certificate,
            hosted_zones,
            quotas: self.patiently(|| self.account.quotas()).await?,
            stands,
        })
    }
}

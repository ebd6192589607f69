//! ECR: the repository of the servers' image, and the token for its registry.

use super::AwsAccount;
use super::error::refused;
use super::json::there;
use super::remains::{Found, INSTANCE};
use crate::account::{Account as _, AccountError, Kind, Secret, TAG};
use aws_sdk_ecr::types::Tag;

impl AwsAccount {
    /// The registry's host, for those who pull: an emulator's is where the emulator is.
    pub(super) async fn registry_host(&self) -> Result<String, AccountError> {
        if let Some(stand_in) = self.connection.registry_stand_in() {
            return Ok(authority(&stand_in).to_owned());
        }
        let account = self.identity().await?.account;
        let region = &self.connection.region;
        Ok(format!("{account}.dkr.ecr.{region}.{}", layer0_aws::domain(region)))
    }

    /// Makes a repository unless it is there.
    pub(super) async fn repository_ensure(&self, name: &str, instance: &str) -> Result<(), AccountError> {
        let op = "ecr:CreateRepository";
        let tag = Tag::builder().key(TAG).value(instance).build().map_err(|why| refused(op, why.to_string()))?;
        let call = self.registry.create_repository().repository_name(name).tags(tag);
        match self.send(op, call.send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == layer0_aws::Kind::Exists => self.repository_ours(name, instance).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Whether one that is there is the instance's.
    async fn repository_ours(&self, name: &str, instance: &str) -> Result<(), AccountError> {
        let call = self.registry.describe_repositories().repository_names(name);
        let answer = self.send("ecr:DescribeRepositories", call.send()).await?;
        let Some(seen) = answer.repositories.unwrap_or_default().into_iter().next() else { return Ok(()) };
        let call = self.registry.list_tags_for_resource().resource_arn(seen.repository_arn.unwrap_or_default());
        let tags = self.send("ecr:ListTagsForResource", call.send()).await?.tags.unwrap_or_default();
        if !tags.iter().any(|tag| tag.key() == TAG && tag.value() == instance) {
            let words =
                format!("the repository {name} exists, and has not the tag {TAG}={instance}: somebody else made it");
            return Err(refused("ecr:CreateRepository", words));
        }
        Ok(())
    }

    /// The repositories of an instance: its servers' own, and those behind its registry, which its servers made. One that they only
    /// adopted was somebody else's before, and stays.
    pub(super) async fn repositories_of(&self, found: &mut Found<'_>) -> Result<(), AccountError> {
        let (server, prefix) = (found.names.server(), format!("{}/", found.names.stack));
        let mut token = None;
        loop {
            let call = self.registry.describe_repositories().set_next_token(token);
            let answer = self.send("ecr:DescribeRepositories", call.send()).await?;
            for seen in answer.repositories.unwrap_or_default() {
                let name = seen.repository_name.unwrap_or_default();
                if name != server && !name.starts_with(&prefix) {
                    continue;
                }
                let call = self.registry.list_tags_for_resource().resource_arn(seen.repository_arn.unwrap_or_default());
                let Some(tags) = there(self.send("ecr:ListTagsForResource", call.send()).await)? else { continue };
                let tags = tags.tags.unwrap_or_default();
                let has = |key: &str| tags.iter().any(|tag| tag.key() == key);
                if tags.iter().any(|tag| tag.key() == TAG && tag.value() == found.names.instance) {
                    let kind = if name == server { Kind::ServerRepository } else { Kind::Repository };
                    found.add(kind, name);
                } else if name != server && has(INSTANCE) {
                    found.add(Kind::Repository, name);
                }
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// What ECR's registry takes in place of a name and a password: base64 of both.
    pub(super) async fn registry_token(&self) -> Result<Secret, AccountError> {
        let op = "ecr:GetAuthorizationToken";
        let answer = self.send(op, self.registry.get_authorization_token().send()).await?;
        let token =
            answer.authorization_data.unwrap_or_default().into_iter().next().and_then(|it| it.authorization_token);
        token.map(Secret::new).ok_or_else(|| refused(op, "the answer has no token"))
    }
}

/// Host and port of an address.
pub(super) fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default()
}

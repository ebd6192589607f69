//! The port `AccessStore`: each method is one read, or one unit of work that is tried until its conditions hold.

use async_trait::async_trait;
use layer0_domain::model::access::Token;
use layer0_domain::model::audit::{AuditEntry, AuditFilter, AuditRecord};
use layer0_domain::model::glob::Glob;
use layer0_domain::model::grant::{Grant, KeptGrant};
use layer0_domain::model::id::TokenId;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::{Member, Owner, OwnerName, TagRule};
use layer0_domain::model::person::PersonId;
use layer0_domain::model::retention::RetentionRule;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::model::trust::Trust;
use layer0_domain::model::user::{User, UserChange};
use layer0_domain::port::access_store::{
    AccessStore, AccessStoreError, FoundPerson, OwnerChange, OwnerUse, TokenAccess, UserAccess,
};

use super::DynamoStore;

#[async_trait]
impl AccessStore for DynamoStore {
    fn version(&self) -> Option<u64> {
        None
    }

    async fn user_create(&self, user: &User) -> Result<(), AccessStoreError> {
        self.table.user_create(user).await
    }

    async fn user_get(&self, name: &Name) -> Result<Option<UserAccess>, AccessStoreError> {
        Ok(self.table.user(name).await?)
    }

    async fn user_list(&self) -> Result<Vec<User>, AccessStoreError> {
        Ok(self.table.users().await?)
    }

    async fn person_find(&self, id: &PersonId) -> Result<Option<FoundPerson>, AccessStoreError> {
        Ok(self.table.person(id).await?)
    }

    async fn user_update(&self, name: &Name, change: &UserChange, now: Timestamp) -> Result<User, AccessStoreError> {
        self.table.unit(|| self.table.user_update_step(name, change, now)).await
    }

    async fn user_delete(&self, name: &Name, now: Timestamp) -> Result<(), AccessStoreError> {
        self.table.user_delete(name, now).await
    }

    async fn owner_create(&self, owner: &Owner) -> Result<(), AccessStoreError> {
        self.table.owner_create(owner).await
    }

    async fn owner_get(&self, name: &OwnerName) -> Result<Option<OwnerUse>, AccessStoreError> {
        Ok(self.table.owner(name).await?)
    }

    async fn owner_list(&self) -> Result<Vec<OwnerUse>, AccessStoreError> {
        Ok(self.table.owners().await?)
    }

    async fn owner_update(&self, name: &OwnerName, change: &OwnerChange) -> Result<OwnerUse, AccessStoreError> {
        self.table.unit(|| self.table.owner_update_step(name, change)).await
    }

    async fn owner_delete(&self, name: &OwnerName) -> Result<(), AccessStoreError> {
        self.table.owner_delete(name).await
    }

    async fn tag_rule_put(&self, owner: &OwnerName, rule: &TagRule) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.rule_put_step(owner, rule)).await
    }

    async fn tag_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.rule_delete_step::<TagRule>(owner, repositories, tags)).await
    }

    async fn retention_rule_put(&self, owner: &OwnerName, rule: &RetentionRule) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.rule_put_step(owner, rule)).await
    }

    async fn retention_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.rule_delete_step::<RetentionRule>(owner, repositories, tags)).await
    }

    async fn member_put(&self, member: &Member) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.member_put_step(member)).await
    }

    async fn member_list(&self, owner: &OwnerName) -> Result<Vec<Member>, AccessStoreError> {
        Ok(self.table.members(owner).await?)
    }

    async fn member_delete(&self, owner: &OwnerName, user: &Name) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.member_delete_step(owner, user)).await
    }

    async fn token_create(&self, token: &Token) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.token_create_step(token)).await
    }

    async fn token_create_once(&self, token: &Token, noted: &str) -> Result<bool, AccessStoreError> {
        self.table.unit(|| self.table.token_create_once_step(token, noted)).await
    }

    async fn token_find(&self, hash: &[u8; 32]) -> Result<Option<TokenAccess>, AccessStoreError> {
        Ok(self.table.token_by_hash(hash).await?)
    }

    async fn token_get(&self, id: &TokenId) -> Result<Option<TokenAccess>, AccessStoreError> {
        Ok(self.table.token_by_id(id).await?)
    }

    async fn token_list(&self) -> Result<Vec<Token>, AccessStoreError> {
        Ok(self.table.tokens().await?)
    }

    async fn token_rotate(
        &self,
        id: &TokenId,
        hash: &[u8; 32],
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<Token, AccessStoreError> {
        self.table.unit(|| self.table.token_rotate_step(id, hash, created, expires)).await
    }

    async fn token_delete(&self, id: &TokenId, now: Timestamp) -> Result<Token, AccessStoreError> {
        self.table.unit(|| self.table.token_delete_step(id, now)).await
    }

    async fn token_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError> {
        Ok(self.table.tokens_prune(before).await?)
    }

    async fn token_touch(&self, id: &TokenId, at: Timestamp) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.token_touch_step(id, at)).await
    }

    async fn shut_out_count(&self) -> Result<u64, AccessStoreError> {
        Ok(self.table.shut_outs().await?)
    }

    async fn trust_create(&self, trust: &Trust) -> Result<(), AccessStoreError> {
        self.table.unit(|| self.table.trust_create_step(trust)).await
    }

    async fn trust_list(&self) -> Result<Vec<Trust>, AccessStoreError> {
        Ok(self.table.trusts().await?)
    }

    async fn trust_delete(&self, owner: &OwnerName, name: &Name) -> Result<Trust, AccessStoreError> {
        self.table.unit(|| self.table.trust_delete_step(owner, name)).await
    }

    async fn grant_list(&self) -> Result<Vec<KeptGrant>, AccessStoreError> {
        Ok(self.table.grants().await?)
    }

    async fn grant_put(
        &self,
        grant: &KeptGrant,
        read: Option<Generation>,
    ) -> Result<Option<Generation>, AccessStoreError> {
        self.table.unit(|| self.table.grant_put_step(grant, read)).await
    }

    async fn grant_delete(&self, grant: &Grant, read: Generation) -> Result<bool, AccessStoreError> {
        self.table.unit(|| self.table.grant_delete_step(grant, read)).await
    }

    async fn audit_append(&self, record: &AuditRecord) -> Result<(), AccessStoreError> {
        Ok(self.table.audit_append(&self.audit, record).await?)
    }

    async fn audit_list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, AccessStoreError> {
        Ok(self.table.audit_entries(filter).await?)
    }

    async fn audit_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError> {
        Ok(self.table.audit_prune(before).await?)
    }
}

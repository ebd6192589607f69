//! The port `AccessStore` with a voice: whoever waits hears of every change to who may do what.

use std::sync::Arc;

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
use tokio::sync::watch;

/// Hears of changes.
#[derive(Clone)]
pub(crate) struct Changes(watch::Sender<()>);

impl Changes {
    /// Nothing has changed yet.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Says that something has changed.
    pub(crate) fn tell(&self) {
        self.0.send_replace(());
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Hears of all that changes from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Passes everything on, and tells of each write that may have shut somebody out.
pub(crate) struct Announcing {
    inner: Arc<dyn AccessStore>,
    changes: Changes,
}

impl Announcing {
    /// Around a store.
    pub(crate) fn new(inner: Arc<dyn AccessStore>, changes: Changes) -> Self {
        Self { inner, changes }
    }

    /// Told whatever the outcome: an error may hide a write that came through.
    fn told<T>(&self, outcome: T) -> T {
        self.changes.tell();
        outcome
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl AccessStore for Announcing {
    fn version(&self) -> Option<u64> {
        self.inner.version()
    }

    async fn user_create(&self, user: &User) -> Result<(), AccessStoreError> {
        self.inner.user_create(user).await
    }

    async fn user_get(&self, name: &Name) -> Result<Option<UserAccess>, AccessStoreError> {
        self.inner.user_get(name).await
    }

    async fn user_list(&self) -> Result<Vec<User>, AccessStoreError> {
        self.inner.user_list().await
    }

    async fn person_find(&self, id: &PersonId) -> Result<Option<FoundPerson>, AccessStoreError> {
        self.inner.person_find(id).await
    }

    async fn user_update(&self, name: &Name, change: &UserChange, now: Timestamp) -> Result<User, AccessStoreError> {
        self.told(self.inner.user_update(name, change, now).await)
    }

    async fn user_delete(&self, name: &Name, now: Timestamp) -> Result<(), AccessStoreError> {
        self.told(self.inner.user_delete(name, now).await)
    }

    async fn owner_create(&self, owner: &Owner) -> Result<(), AccessStoreError> {
        self.inner.owner_create(owner).await
    }

    async fn owner_get(&self, name: &OwnerName) -> Result<Option<OwnerUse>, AccessStoreError> {
        self.inner.owner_get(name).await
    }

    async fn owner_list(&self) -> Result<Vec<OwnerUse>, AccessStoreError> {
        self.inner.owner_list().await
    }

    async fn owner_update(&self, name: &OwnerName, change: &OwnerChange) -> Result<OwnerUse, AccessStoreError> {
        self.inner.owner_update(name, change).await
    }

    async fn owner_delete(&self, name: &OwnerName) -> Result<(), AccessStoreError> {
        self.told(self.inner.owner_delete(name).await)
    }

    async fn tag_rule_put(&self, owner: &OwnerName, rule: &TagRule) -> Result<(), AccessStoreError> {
        self.inner.tag_rule_put(owner, rule).await
    }

    async fn tag_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError> {
        self.inner.tag_rule_delete(owner, repositories, tags).await
    }

    async fn retention_rule_put(&self, owner: &OwnerName, rule: &RetentionRule) -> Result<(), AccessStoreError> {
        self.inner.retention_rule_put(owner, rule).await
    }

    async fn retention_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError> {
        self.inner.retention_rule_delete(owner, repositories, tags).await
    }

    async fn member_put(&self, member: &Member) -> Result<(), AccessStoreError> {
        self.told(self.inner.member_put(member).await)
    }

    async fn member_list(&self, owner: &OwnerName) -> Result<Vec<Member>, AccessStoreError> {
        self.inner.member_list(owner).await
    }

    async fn member_delete(&self, owner: &OwnerName, user: &Name) -> Result<(), AccessStoreError> {
        self.told(self.inner.member_delete(owner, user).await)
    }

    async fn token_create(&self, token: &Token) -> Result<(), AccessStoreError> {
        self.inner.token_create(token).await
    }

    async fn token_create_once(&self, token: &Token, noted: &str) -> Result<bool, AccessStoreError> {
        self.inner.token_create_once(token, noted).await
    }

    async fn token_find(&self, hash: &[u8; 32]) -> Result<Option<TokenAccess>, AccessStoreError> {
        self.inner.token_find(hash).await
    }

    async fn token_get(&self, id: &TokenId) -> Result<Option<TokenAccess>, AccessStoreError> {
        self.inner.token_get(id).await
    }

    async fn token_list(&self) -> Result<Vec<Token>, AccessStoreError> {
        self.inner.token_list().await
    }

    async fn token_rotate(
        &self,
        id: &TokenId,
        hash: &[u8; 32],
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<Token, AccessStoreError> {
        self.told(self.inner.token_rotate(id, hash, created, expires).await)
    }

    async fn token_delete(&self, id: &TokenId, now: Timestamp) -> Result<Token, AccessStoreError> {
        self.told(self.inner.token_delete(id, now).await)
    }

    async fn token_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError> {
        self.inner.token_prune(before).await
    }

    async fn token_touch(&self, id: &TokenId, at: Timestamp) -> Result<(), AccessStoreError> {
        self.inner.token_touch(id, at).await
    }

    async fn shut_out_count(&self) -> Result<u64, AccessStoreError> {
        self.inner.shut_out_count().await
    }

    async fn trust_create(&self, trust: &Trust) -> Result<(), AccessStoreError> {
        self.inner.trust_create(trust).await
    }

    async fn trust_list(&self) -> Result<Vec<Trust>, AccessStoreError> {
        self.inner.trust_list().await
    }

    async fn trust_delete(&self, owner: &OwnerName, name: &Name) -> Result<Trust, AccessStoreError> {
        self.told(self.inner.trust_delete(owner, name).await)
    }

    async fn grant_list(&self) -> Result<Vec<KeptGrant>, AccessStoreError> {
        self.inner.grant_list().await
    }

    async fn grant_put(
        &self,
        grant: &KeptGrant,
        read: Option<Generation>,
    ) -> Result<Option<Generation>, AccessStoreError> {
        self.inner.grant_put(grant, read).await
    }

    async fn grant_delete(&self, grant: &Grant, read: Generation) -> Result<bool, AccessStoreError> {
        self.inner.grant_delete(grant, read).await
    }

    async fn audit_append(&self, record: &AuditRecord) -> Result<(), AccessStoreError> {
        self.inner.audit_append(record).await
    }

    async fn audit_list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, AccessStoreError> {
        self.inner.audit_list(filter).await
    }

    async fn audit_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError> {
        self.inner.audit_prune(before).await
    }
}

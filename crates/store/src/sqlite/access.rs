//! The port `AccessStore`: each method is handed as one unit of work to the thread that does it.

use std::sync::atomic::Ordering;

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
use rusqlite::Connection;

use super::fault::AccessWork;
use super::writer::{DiskRoom, Repeated, Scope};
use super::{SqliteStore, audit, grant, member, owner, person, shut_out, token, trust, user};

#[async_trait]
impl AccessStore for SqliteStore {
    fn version(&self) -> Option<u64> {
        Some(self.commits()?.beyond_content.load(Ordering::Acquire))
    }

    async fn user_create(&self, user: &User) -> Result<(), AccessStoreError> {
        let user = user.clone();
        self.write(move |db| user::create_tx(db, &user)).await
    }

    async fn user_get(&self, name: &Name) -> Result<Option<UserAccess>, AccessStoreError> {
        self.read_near(|db| user::get_tx(db, name.as_str()))
    }

    async fn user_list(&self) -> Result<Vec<User>, AccessStoreError> {
        self.read(user::list_tx).await
    }

    async fn person_find(&self, id: &PersonId) -> Result<Option<FoundPerson>, AccessStoreError> {
        let id = id.clone();
        self.read(move |db| person::find_tx(db, &id)).await
    }

    async fn user_update(&self, name: &Name, change: &UserChange, now: Timestamp) -> Result<User, AccessStoreError> {
        let (name, change) = (name.clone(), change.clone());
        self.shut_out(move |db| user::update_tx(db, &name, &change, now)).await
    }

    async fn user_delete(&self, name: &Name, now: Timestamp) -> Result<(), AccessStoreError> {
        let name = name.clone();
        self.shut_out(move |db| user::delete_tx(db, &name, now)).await
    }

    async fn owner_create(&self, owner: &Owner) -> Result<(), AccessStoreError> {
        let owner = owner.clone();
        self.write(move |db| owner::create_tx(db, &owner)).await
    }

    async fn owner_get(&self, name: &OwnerName) -> Result<Option<OwnerUse>, AccessStoreError> {
        let name = name.clone();
        self.read(move |db| owner::get_tx(db, &name)).await
    }

    async fn owner_list(&self) -> Result<Vec<OwnerUse>, AccessStoreError> {
        self.read(owner::list_tx).await
    }

    async fn owner_update(&self, name: &OwnerName, change: &OwnerChange) -> Result<OwnerUse, AccessStoreError> {
        let (name, change) = (name.clone(), change.clone());
        self.write(move |db| owner::update_tx(db, &name, &change)).await
    }

    async fn owner_delete(&self, name: &OwnerName) -> Result<(), AccessStoreError> {
        let name = name.clone();
        self.shut_out(move |db| owner::delete_tx(db, &name)).await
    }

    async fn tag_rule_put(&self, owner: &OwnerName, rule: &TagRule) -> Result<(), AccessStoreError> {
        let (owner, rule) = (owner.clone(), rule.clone());
        self.write(move |db| owner::rule_put_tx(db, &owner, &rule)).await
    }

    async fn tag_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError> {
        let (owner, repositories, tags) = (owner.clone(), repositories.clone(), tags.clone());
        self.write_giving(Scope::Any, move |db| owner::rule_delete_tx::<TagRule>(db, &owner, &repositories, &tags))
            .await
    }

    async fn retention_rule_put(&self, owner: &OwnerName, rule: &RetentionRule) -> Result<(), AccessStoreError> {
        let (owner, rule) = (owner.clone(), rule.clone());
        self.write(move |db| owner::rule_put_tx(db, &owner, &rule)).await
    }

    async fn retention_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError> {
        let (owner, repositories, tags) = (owner.clone(), repositories.clone(), tags.clone());
        self.write_giving(Scope::Any, move |db| {
            owner::rule_delete_tx::<RetentionRule>(db, &owner, &repositories, &tags)
        })
        .await
    }

    async fn member_put(&self, member: &Member) -> Result<(), AccessStoreError> {
        let member = member.clone();
        self.shut_out(move |db| member::put_tx(db, &member)).await
    }

    async fn member_list(&self, owner: &OwnerName) -> Result<Vec<Member>, AccessStoreError> {
        let owner = owner.clone();
        self.read(move |db| member::list_tx(db, &owner)).await
    }

    async fn member_delete(&self, owner: &OwnerName, user: &Name) -> Result<(), AccessStoreError> {
        let (owner, user) = (owner.clone(), user.clone());
        self.shut_out(move |db| member::delete_tx(db, &owner, &user)).await
    }

    async fn token_create(&self, token: &Token) -> Result<(), AccessStoreError> {
        let token = token.clone();
        self.write_giving(Scope::Any, move |db| token::create_tx(db, &token)).await
    }

    async fn token_create_once(&self, token: &Token, noted: &str) -> Result<bool, AccessStoreError> {
        let (token, noted) = (token.clone(), noted.to_owned());
        self.write_giving(Scope::Any, move |db| token::create_once_tx(db, &token, &noted)).await
    }

    async fn token_find(&self, hash: &[u8; 32]) -> Result<Option<TokenAccess>, AccessStoreError> {
        self.read_near(|db| token::find_tx(db, hash))
    }

    async fn token_get(&self, id: &TokenId) -> Result<Option<TokenAccess>, AccessStoreError> {
        self.read_near(|db| token::get_tx(db, id))
    }

    async fn token_list(&self) -> Result<Vec<Token>, AccessStoreError> {
        self.read(token::list_tx).await
    }

    async fn token_rotate(
        &self,
        id: &TokenId,
        hash: &[u8; 32],
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<Token, AccessStoreError> {
        let (id, hash) = (id.clone(), *hash);
        self.shut_out(move |db| token::rotate_tx(db, &id, &hash, created, expires)).await
    }

    async fn token_delete(&self, id: &TokenId, now: Timestamp) -> Result<Token, AccessStoreError> {
        let id = id.clone();
        self.shut_out(move |db| token::delete_tx(db, &id, now)).await
    }

    async fn token_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError> {
        self.write_giving(Scope::Any, move |db| token::prune_tx(db, before)).await
    }

    async fn token_touch(&self, id: &TokenId, at: Timestamp) -> Result<(), AccessStoreError> {
        let id = id.clone();
        self.write_giving(Scope::Any, move |db| token::touch_tx(db, &id, at)).await
    }

    async fn shut_out_count(&self) -> Result<u64, AccessStoreError> {
        self.read(shut_out::count_tx).await
    }

    async fn trust_create(&self, trust: &Trust) -> Result<(), AccessStoreError> {
        let trust = trust.clone();
        self.write(move |db| trust::create_tx(db, &trust)).await
    }

    async fn trust_list(&self) -> Result<Vec<Trust>, AccessStoreError> {
        self.read(trust::list_tx).await
    }

    async fn trust_delete(&self, owner: &OwnerName, name: &Name) -> Result<Trust, AccessStoreError> {
        let (owner, name) = (owner.clone(), name.clone());
        self.shut_out(move |db| trust::delete_tx(db, &owner, &name)).await
    }

    async fn grant_list(&self) -> Result<Vec<KeptGrant>, AccessStoreError> {
        self.read(grant::list_tx).await
    }

    async fn grant_put(
        &self,
        grant: &KeptGrant,
        read: Option<Generation>,
    ) -> Result<Option<Generation>, AccessStoreError> {
        let grant = grant.clone();
        self.write_giving(Scope::Any, move |db| grant::put_tx(db, &grant, read)).await
    }

    async fn grant_delete(&self, grant: &Grant, read: Generation) -> Result<bool, AccessStoreError> {
        let grant = grant.clone();
        self.write_giving(Scope::Any, move |db| grant::delete_tx(db, &grant, read)).await
    }

    async fn audit_append(&self, record: &AuditRecord) -> Result<(), AccessStoreError> {
        let record = record.clone();
        // What was done is done: it is in the log though the disk is full. What was refused for that would only fill it.
        let room = if record.status < 400 { DiskRoom::Gives } else { DiskRoom::Takes };
        self.write_in(Scope::Content, room, Repeated(move |db: &Connection| Ok(audit::append(db, &record)?))).await
    }

    async fn audit_list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, AccessStoreError> {
        let filter = filter.clone();
        self.read(move |db| audit::list_tx(db, &filter)).await
    }

    async fn audit_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError> {
        self.write_giving(Scope::Content, move |db| audit::prune_tx(db, before)).await
    }
}

impl SqliteStore {
    /// A write that may shut somebody out, counted with it: when it is refused, so is the count. It must not fail because the disk is full.
    async fn shut_out<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> AccessWork<T> + Send + 'static,
    ) -> Result<T, AccessStoreError> {
        self.write_giving(Scope::Any, move |db| {
            shut_out::note_tx(db)?;
            work(db)
        })
        .await
    }
}

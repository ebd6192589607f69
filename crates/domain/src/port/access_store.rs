//! The port `AccessStore`: users, owners, members, tokens, trusts, account grants and the audit log.

use async_trait::async_trait;

use super::BoxError;
use crate::model::access::Token;
use crate::model::audit::{AuditEntry, AuditFilter, AuditRecord};
use crate::model::glob::Glob;
use crate::model::grant::{Grant, KeptGrant};
use crate::model::id::TokenId;
use crate::model::name::Name;
use crate::model::owner::{Member, Owner, OwnerName, TagRule};
use crate::model::person::PersonId;
use crate::model::retention::RetentionRule;
use crate::model::time::{Generation, Timestamp};
use crate::model::trust::Trust;
use crate::model::user::{User, UserChange};

/// What went wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum AccessStoreError {
    /// The name is taken: choose another.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// A user, a person, an owner or a trust.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It isn't there (any more).
    #[error("{what} `{name}` does not exist")]
    Missing {
        /// A user, an owner, a member, a token, a trust or a rule.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Without it nobody could sign in as an admin any more: let another one in first. One whom a group made an admin does not count:
    /// the provider may take that away, and be away itself.
    #[error("{what} `{name}` is the last way in for an admin")]
    LastWayIn {
        /// A user or a token.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The owner has repositories, environments, deploys or account grants: delete them first.
    #[error("owner `{owner}` still has {things}")]
    OwnerInUse {
        /// Which.
        owner: OwnerName,
        /// What, in words: `2 repositories, 1 environment`.
        things: String,
    },
    /// No more can be written: free some disk.
    #[error("the disk is full")]
    Full,
    /// The store does not answer, or answered nonsense.
    #[error("the store failed")]
    Failed {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

/// A token with all that decides what it opens, read in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAccess {
    /// The token.
    pub token: Token,
    /// A user's token: the user and the user's places in owners.
    pub user: Option<UserAccess>,
}

/// A user with all that decides what one may do, read in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAccess {
    /// The user.
    pub user: User,
    /// The user's places in owners, by owner.
    pub members: Vec<Member>,
}

/// The user who was made for somebody at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPerson {
    /// What the user is called, or was.
    pub name: Name,
    /// The user; `None` when that one was deleted, whoever has the name now.
    pub access: Option<UserAccess>,
}

/// An owner and what it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerUse {
    /// The owner.
    pub owner: Owner,
    /// Bytes that its repositories hold: each blob once, and every manifest.
    pub used_bytes: u64,
    /// How many repositories it has.
    pub repositories: u64,
}

/// What is to change of an owner; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnerChange {
    /// Another quota; `Some(None)` for none.
    pub quota_bytes: Option<Option<u64>>,
}

/// Users, owners, members, tokens, trusts, account grants and the audit log.
///
/// Every method is one unit of work, durable when it has returned `Ok`. A read sees everything written before it began:
/// whoever was shut out is shut out for every read that begins after the write returned.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// A number that is another one after each write that anybody was told of and that may change who somebody is or what he may:
    /// users, members, tokens and all else that sign-in reads. It may stay as it is when images are pushed and the audit log
    /// grows. `None` when the store can't know.
    fn version(&self) -> Option<u64>;

    /// Makes a user. One with a [`Person`](crate::model::person::Person) is found by that from then on, in place of a user who was
    /// deleted.
    ///
    /// # Errors
    /// `Exists`, also when another user is linked with the person.
    async fn user_create(&self, user: &User) -> Result<(), AccessStoreError>;

    /// One user with its places in owners.
    async fn user_get(&self, name: &Name) -> Result<Option<UserAccess>, AccessStoreError>;

    /// All users by name.
    async fn user_list(&self) -> Result<Vec<User>, AccessStoreError>;

    /// The user who was made for somebody at a provider; `None` when none ever was. It is remembered after the user's end.
    async fn person_find(&self, id: &PersonId) -> Result<Option<FoundPerson>, AccessStoreError>;

    /// Changes a user and answers how it is now. `now` decides which tokens still live.
    ///
    /// # Errors
    /// `Missing`; `LastWayIn` when no admin could sign in any more.
    async fn user_update(&self, name: &Name, change: &UserChange, now: Timestamp) -> Result<User, AccessStoreError>;

    /// Takes a user away, with its tokens and its places in owners.
    ///
    /// # Errors
    /// `Missing`; `LastWayIn` when no admin could sign in any more.
    async fn user_delete(&self, name: &Name, now: Timestamp) -> Result<(), AccessStoreError>;

    /// Makes an owner.
    ///
    /// # Errors
    /// `Exists`.
    async fn owner_create(&self, owner: &Owner) -> Result<(), AccessStoreError>;

    /// One owner and what it uses.
    async fn owner_get(&self, name: &OwnerName) -> Result<Option<OwnerUse>, AccessStoreError>;

    /// All owners by name, and what they use.
    async fn owner_list(&self) -> Result<Vec<OwnerUse>, AccessStoreError>;

    /// Changes an owner and answers how it is now. A quota below what is used already keeps what is there.
    ///
    /// # Errors
    /// `Missing`.
    async fn owner_update(&self, name: &OwnerName, change: &OwnerChange) -> Result<OwnerUse, AccessStoreError>;

    /// Takes an owner away, with its members, its trusts and its robots' tokens.
    ///
    /// # Errors
    /// `Missing`; `OwnerInUse` while it has repositories, environments, deploys or account grants: of a grant that outlived its
    /// owner the next owner of the name would know nothing.
    async fn owner_delete(&self, name: &OwnerName) -> Result<(), AccessStoreError>;

    /// Adds a rule of immutable tags; one with the same repositories and tags is replaced.
    ///
    /// # Errors
    /// `Missing` (the owner).
    async fn tag_rule_put(&self, owner: &OwnerName, rule: &TagRule) -> Result<(), AccessStoreError>;

    /// Takes a rule of immutable tags away.
    ///
    /// # Errors
    /// `Missing` (the owner, or the rule).
    async fn tag_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError>;

    /// Adds a rule for which images are kept; one with the same repositories and tags is replaced.
    ///
    /// # Errors
    /// `Missing` (the owner).
    async fn retention_rule_put(&self, owner: &OwnerName, rule: &RetentionRule) -> Result<(), AccessStoreError>;

    /// Takes a rule for which images are kept away.
    ///
    /// # Errors
    /// `Missing` (the owner, or the rule).
    async fn retention_rule_delete(
        &self,
        owner: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<(), AccessStoreError>;

    /// Gives a user a place in an owner, or changes it.
    ///
    /// # Errors
    /// `Missing` (the owner or the user).
    async fn member_put(&self, member: &Member) -> Result<(), AccessStoreError>;

    /// An owner's members by name; empty for an owner that isn't there.
    async fn member_list(&self, owner: &OwnerName) -> Result<Vec<Member>, AccessStoreError>;

    /// Takes a user's place in an owner away.
    ///
    /// # Errors
    /// `Missing` (the member).
    async fn member_delete(&self, owner: &OwnerName, user: &Name) -> Result<(), AccessStoreError>;

    /// Keeps a token.
    ///
    /// # Errors
    /// `Missing` (its user or owner, or the trust that gave it).
    async fn token_create(&self, token: &Token) -> Result<(), AccessStoreError>;

    /// Keeps a token and puts the setting `noted` ([`Store`](super::store::Store)), in one unit of work. Answers `false`, and writes
    /// nothing, when the setting is there: of many who do this at the same time one keeps its token, and what was taken away
    /// afterwards does not come back.
    ///
    /// # Errors
    /// As [`token_create`](Self::token_create).
    async fn token_create_once(&self, token: &Token, noted: &str) -> Result<bool, AccessStoreError>;

    /// The token with this hash, expired or not, with all that decides what it opens. What a trust gave that is gone is not
    /// there.
    async fn token_find(&self, hash: &[u8; 32]) -> Result<Option<TokenAccess>, AccessStoreError>;

    /// The token with this id, expired or not, with all that decides what it opens.
    async fn token_get(&self, id: &TokenId) -> Result<Option<TokenAccess>, AccessStoreError>;

    /// All tokens, the oldest first.
    async fn token_list(&self) -> Result<Vec<Token>, AccessStoreError>;

    /// Gives a token another secret, and with it another beginning and end. The old secret opens nothing from the moment
    /// this returns.
    ///
    /// # Errors
    /// `Missing`.
    async fn token_rotate(
        &self,
        id: &TokenId,
        hash: &[u8; 32],
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<Token, AccessStoreError>;

    /// Takes a token away. It opens nothing from the moment this returns. Of two that are the last two ways in for an
    /// admin and are deleted at the same time, one stays.
    ///
    /// # Errors
    /// `Missing`; `LastWayIn` when no admin could sign in any more.
    async fn token_delete(&self, id: &TokenId, now: Timestamp) -> Result<Token, AccessStoreError>;

    /// Forgets tokens that trusts gave, and those of people whom a provider signs in, when they ended before a moment; answers how
    /// many. All others stay.
    async fn token_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError>;

    /// Notes a token's use. May be lost in a crash.
    async fn token_touch(&self, id: &TokenId, at: Timestamp) -> Result<(), AccessStoreError>;

    /// How often something was written that may have shut somebody out: each `user_update`, `user_delete`, `owner_delete`,
    /// `member_put`, `member_delete`, `token_rotate`, `token_delete` and `trust_delete` that came through, and each `repository_update` and
    /// `visibility_put` that made a public repository private, counted in the same unit of work.
    /// One small read, however much there is: for whoever has let somebody in and must learn that it may have ended.
    async fn shut_out_count(&self) -> Result<u64, AccessStoreError>;

    /// Keeps a trust.
    ///
    /// # Errors
    /// `Exists` when its owner has one of the name; `Missing` (its owner).
    async fn trust_create(&self, trust: &Trust) -> Result<(), AccessStoreError>;

    /// All trusts by owner and name.
    async fn trust_list(&self) -> Result<Vec<Trust>, AccessStoreError>;

    /// Takes a trust away. The tokens that it gave open nothing from the moment this returns, and are in no list.
    ///
    /// # Errors
    /// `Missing`.
    async fn trust_delete(&self, owner: &OwnerName, name: &Name) -> Result<Trust, AccessStoreError>;

    /// All account grants, in their order.
    async fn grant_list(&self) -> Result<Vec<KeptGrant>, AccessStoreError>;

    /// Keeps a grant over the one of the generation `read`; `None`: there must be none yet. Answers the generation that it has
    /// now, whatever the given one says. Answers `None`, and writes nothing, when there is another one, or one where there was
    /// to be none, or none where there was to be one.
    ///
    /// # Errors
    /// `Missing` when there was none and the owner whose repositories are meant isn't there.
    async fn grant_put(
        &self,
        grant: &KeptGrant,
        read: Option<Generation>,
    ) -> Result<Option<Generation>, AccessStoreError>;

    /// Forgets the grant of the generation `read`; answers `false`, and does nothing, when it has another or isn't there.
    async fn grant_delete(&self, grant: &Grant, read: Generation) -> Result<bool, AccessStoreError>;

    /// Appends a record to the audit log.
    async fn audit_append(&self, record: &AuditRecord) -> Result<(), AccessStoreError>;

    /// Records that pass the filter, the oldest of them first.
    async fn audit_list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, AccessStoreError>;

    /// Forgets what was done before a moment; answers how many records that were. A store may forget by itself what is
    /// older than [`KEPT_MS`](crate::model::audit::KEPT_MS).
    async fn audit_prune(&self, before: Timestamp) -> Result<u64, AccessStoreError>;
}

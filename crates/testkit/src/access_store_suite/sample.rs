//! Small legal values, and the steps that most behaviours begin with.

use layer0_domain::model::access::{self, Scope, Token};
use layer0_domain::model::glob::Glob;
use layer0_domain::model::id::{TokenId, TrustId};
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::{Member, Owner, OwnerName, Role};
use layer0_domain::model::person::{Person, PersonId, Subject};
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::trust::{Audience, ClaimPattern, Evidence, Issuer, Trust};
use layer0_domain::model::user::{PasswordHash, User};
use layer0_domain::port::access_store::AccessStore;

const LEGAL: &str = "samples are written with legal words only";

/// When samples are made.
pub const AT: Timestamp = Timestamp(10);

/// A name.
#[must_use]
pub fn name(word: &str) -> Name {
    Name::parse(word).expect(LEGAL)
}

/// An owner's name.
#[must_use]
pub fn owner_name(word: &str) -> OwnerName {
    OwnerName::parse(word).expect(LEGAL)
}

/// A pattern.
#[must_use]
pub fn glob(text: &str) -> Glob {
    Glob::parse(text).expect(LEGAL)
}

/// A user without a password who is no admin.
#[must_use]
pub fn user(word: &str) -> User {
    User { name: name(word), admin: false, password: None, created: AT, person: None }
}

/// Somebody at a provider.
#[must_use]
pub fn person(subject: &str) -> PersonId {
    PersonId {
        issuer: Issuer::parse("https://sso.example.com").expect(LEGAL),
        subject: Subject::parse(subject).expect(LEGAL),
    }
}

/// A user who signs in there.
#[must_use]
pub fn person_user(word: &str, subject: &str) -> User {
    User { person: Some(Person::new(person(subject))), ..user(word) }
}

/// The stored form of a password.
#[must_use]
pub fn password(word: &str) -> PasswordHash {
    PasswordHash::new(format!("$argon2id${word}"))
}

/// An owner without a quota.
#[must_use]
pub fn owner(word: &str) -> Owner {
    Owner { name: owner_name(word), created: AT, quota_bytes: None, tag_rules: vec![], retention: vec![] }
}

/// A user's place in an owner.
#[must_use]
pub fn member(owner: &str, user: &str, role: Role) -> Member {
    Member { owner: owner_name(owner), user: name(user), role, tags: None, since: AT, by_group: false }
}

/// A user's token that never ends, whose hash repeats `byte`.
#[must_use]
pub fn token(word: &str, user: &str, byte: u8) -> Token {
    Token {
        id: TokenId::parse(word).expect(LEGAL),
        name: name(word),
        subject: access::Subject::User(name(user)),
        scopes: None,
        hash: [byte; 32],
        created: AT,
        expires: None,
        last_used: None,
        trust: None,
    }
}

/// A robot's token.
#[must_use]
pub fn robot(word: &str, owner: &str, byte: u8) -> Token {
    let scope = Scope::parse(&format!("pull,push:{owner}/*:v*")).expect(LEGAL);
    Token {
        subject: access::Subject::Owner(owner_name(owner)),
        scopes: Some(vec![scope]),
        ..token(word, "nobody", byte)
    }
}

/// A trust of GitHub's.
#[must_use]
pub fn trust(word: &str, owner: &str) -> Trust {
    Trust {
        id: TrustId::parse(&format!("{owner}-{word}")).expect(LEGAL),
        owner: owner_name(owner),
        name: name(word),
        evidence: Evidence::Oidc {
            issuer: Issuer::parse("https://token.actions.githubusercontent.com").expect(LEGAL),
            claims: vec![ClaimPattern::parse("repository=octo/app").expect(LEGAL)],
        },
        audience: Audience::parse("https://l0.example.com").expect(LEGAL),
        scopes: vec![Scope::parse(&format!("pull,push:{owner}/*")).expect(LEGAL)],
        minutes: 60,
        created: AT,
        by: "root".to_owned(),
    }
}

/// A token that a trust gave.
#[must_use]
pub fn trusted(word: &str, trust: &Trust, byte: u8) -> Token {
    let given = robot(word, trust.owner.as_str(), byte);
    Token { name: trust.name.clone(), trust: Some(trust.id.clone()), ..given }
}

/// Makes an admin who has no password.
pub async fn admin(store: &dyn AccessStore, word: &str) -> User {
    let admin = User { admin: true, ..user(word) };
    store.user_create(&admin).await.expect("the name is free");
    admin
}

/// Makes a user.
pub async fn user_made(store: &dyn AccessStore, word: &str) -> User {
    let made = user(word);
    store.user_create(&made).await.expect("the name is free");
    made
}

/// Makes an owner.
pub async fn owner_made(store: &dyn AccessStore, word: &str) -> Owner {
    let made = owner(word);
    store.owner_create(&made).await.expect("the name is free");
    made
}

//! The contract of the port `RepositoryPolicies`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::repository_policies_suite::run_all(async || Box::new(MyStage::new())).await;
//! ```
//!
//! Each behaviour is shown in a registry of its own, or in one where nobody else works on repositories of the owner `suite`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use layer0_domain::model::grant::{AccountId, Grant, GrantScope, Grantee, Grants};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{Change, Signature, repository_policy};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies};

/// A registry in which repositories can be made.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The port.
    fn policies(&self) -> &dyn RepositoryPolicies;

    /// Makes a repository without a policy.
    async fn repository_make(&self, name: &RepositoryName);

    /// An account that nobody has; `None` where accounts are not looked up.
    fn unknown_account(&self) -> Option<AccountId>;
}

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn Stage) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |stage| Box::pin($name(stage)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    each_repository_is_in_one_page,
    a_page_that_is_not_known_is_refused,
    a_policy_means_what_was_written,
    a_policy_goes_once_and_for_all,
    what_is_not_there_is_said,
    a_document_that_is_none_changes_nothing,
    an_account_that_nobody_has_is_told_apart,
];

/// Shows every behaviour, each on a stage that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn Stage>) {
    for behaviour in ALL {
        let stage = fresh().await;
        (behaviour.show)(stage.as_ref()).await;
    }
}

fn name(word: &str) -> RepositoryName {
    RepositoryName::parse(&format!("suite/{word}")).expect("a legal name")
}

fn signature() -> Signature {
    Signature::new("suite", "us-east-1")
}

/// What lets these accounts in, over what is there.
fn document(repository: &RepositoryName, accounts: &[&str], present: Option<&str>) -> Change {
    let grant =
        |text: &&str| Grant { grantee: Grantee::parse(text).expect("a legal account"), scope: GrantScope::Instance };
    let grants: Grants = accounts.iter().map(grant).collect();
    repository_policy(&signature(), repository, &grants, present).expect("it fits")
}

async fn made(stage: &dyn Stage, word: &str) -> RepositoryName {
    let name = name(word);
    stage.repository_make(&name).await;
    name
}

async fn write(stage: &dyn Stage, repository: &RepositoryName, accounts: &[&str]) {
    let present = stage.policies().policy_read(repository).await.expect("it can be read");
    match document(repository, accounts, present.as_deref()) {
        Change::Write(text) => stage.policies().policy_write(repository, &text).await.expect("it is taken"),
        other => panic!("{other:?}"),
    }
}

/// `repository_page`: from page to page, each repository is met once.
pub async fn each_repository_is_in_one_page(stage: &dyn Stage) {
    let mut expected = BTreeSet::new();
    for word in ["a", "b", "c/d", "e-f", "g.h"] {
        expected.insert(made(stage, word).await);
    }
    let (mut met, mut next) = (Vec::new(), None);
    loop {
        let page = stage.policies().repository_page(next.as_deref()).await.expect("it is listed");
        met.extend(page.names.into_iter().filter(|name| expected.contains(name)));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(met.len(), expected.len(), "{met:?}");
    assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// `repository_page`: a mark that nobody gave is refused, not taken for the beginning.
pub async fn a_page_that_is_not_known_is_refused(stage: &dyn Stage) {
    let answer = stage.policies().repository_page(Some("no mark of a page")).await;
    assert!(matches!(answer, Err(PolicyError::Refused { .. })), "{answer:?}");
}

/// `policy_read`, `policy_write`: what was written means the same when it is read, and is written over.
pub async fn a_policy_means_what_was_written(stage: &dyn Stage) {
    let app = made(stage, "written").await;
    assert_eq!(stage.policies().policy_read(&app).await.expect("it can be read"), None);
    for accounts in [&["123456789012"][..], &["123456789012", "210987654321"], &["210987654321"]] {
        write(stage, &app, accounts).await;
        let present = stage.policies().policy_read(&app).await.expect("it can be read");
        assert!(present.is_some());
        assert_eq!(document(&app, accounts, present.as_deref()), Change::Keep, "{present:?}");
    }
}

/// `policy_delete`: gone, and gone already is no error.
pub async fn a_policy_goes_once_and_for_all(stage: &dyn Stage) {
    let app = made(stage, "deleted").await;
    stage.policies().policy_delete(&app).await.expect("none is no error");
    write(stage, &app, &["123456789012"]).await;
    for _ in 0..2 {
        stage.policies().policy_delete(&app).await.expect("it goes");
        assert_eq!(stage.policies().policy_read(&app).await.expect("it can be read"), None);
    }
}

/// All but the list: a repository that isn't there is `NoRepository`.
pub async fn what_is_not_there_is_said(stage: &dyn Stage) {
    let gone = name("nowhere");
    let Change::Write(text) = document(&gone, &["123456789012"], None) else { panic!("there is nothing yet") };
    let port = stage.policies();
    for answer in [
        port.policy_read(&gone).await.map(drop),
        port.policy_write(&gone, &text).await,
        port.policy_delete(&gone).await,
    ] {
        assert!(matches!(&answer, Err(PolicyError::NoRepository { repository }) if *repository == gone), "{answer:?}");
    }
}

/// `policy_write`: what is no policy of a repository is refused, and what was there stays.
pub async fn a_document_that_is_none_changes_nothing(stage: &dyn Stage) {
    let app = made(stage, "refused").await;
    write(stage, &app, &["123456789012"]).await;
    let before = stage.policies().policy_read(&app).await.expect("it can be read");
    let lower_case = r#"{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
    for text in ["no document", lower_case] {
        let answer = stage.policies().policy_write(&app, text).await;
        assert!(matches!(answer, Err(PolicyError::Refused { .. })), "{text}: {answer:?}");
    }
    assert_eq!(stage.policies().policy_read(&app).await.expect("it can be read"), before);
}

/// `policy_write`: an account that AWS does not know is told apart from all else, and what was there stays.
pub async fn an_account_that_nobody_has_is_told_apart(stage: &dyn Stage) {
    let Some(unknown) = stage.unknown_account() else { return };
    let app = made(stage, "unknown").await;
    write(stage, &app, &["123456789012"]).await;
    let before = stage.policies().policy_read(&app).await.expect("it can be read");
    let Change::Write(text) = document(&app, &["123456789012", unknown.as_str()], before.as_deref()) else {
        panic!("it says something else")
    };
    let answer = stage.policies().policy_write(&app, &text).await;
    assert!(matches!(answer, Err(PolicyError::UnknownPrincipal)), "{answer:?}");
    assert_eq!(stage.policies().policy_read(&app).await.expect("it can be read"), before);
}

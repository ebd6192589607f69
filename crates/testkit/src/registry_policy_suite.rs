//! The contract of the port `RegistryPolicy`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::registry_policy_suite::run_all(async || Box::new(MyStage::new())).await;
//! ```
//!
//! Each behaviour is shown in a registry that nobody else works on, and that has no policy.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use layer0_domain::model::grant::{AccountId, Grant, GrantScope, Grantee, Grants, Wording};
use layer0_domain::plan::grants::{Change, RegistryNames, Sheet, Signature, policy_change};
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy};
use layer0_domain::port::repository_policies::PolicyError;

/// A registry.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The port.
    fn registry(&self) -> &dyn RegistryPolicy;

    /// What repositories are called in its policy.
    fn names(&self) -> RegistryNames;

    /// An account that nobody has; `None` where accounts are not looked up.
    fn unknown_account(&self) -> Option<AccountId>;

    /// Makes its policy count for replication only; `false` where there is nothing but the wide scope.
    fn narrow(&self) -> bool;
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
    a_policy_means_what_was_written,
    a_policy_goes_once_and_for_all,
    a_document_that_is_none_changes_nothing,
    an_account_that_nobody_has_is_told_apart,
    its_scope_is_told,
];

/// Shows every behaviour, each on a stage that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn Stage>) {
    for behaviour in ALL {
        let stage = fresh().await;
        (behaviour.show)(stage.as_ref()).await;
    }
}

/// What lets these in, over what is there.
fn document(stage: &dyn Stage, wording: Wording, who: &[&str], present: Option<&str>) -> Change {
    let grant =
        |text: &&str| Grant { grantee: Grantee::parse(text).expect("a legal grantee"), scope: GrantScope::Instance };
    let grants: Grants = who.iter().map(grant).collect();
    let sheet = stage.names();
    let sheet = Sheet::Registry(&sheet, wording);
    policy_change(&Signature::new("suite", "us-east-1"), sheet, &grants, present).expect("it fits")
}

async fn read(stage: &dyn Stage) -> Option<String> {
    stage.registry().registry_policy_read().await.expect("it can be read")
}

async fn write(stage: &dyn Stage, wording: Wording, who: &[&str]) {
    match document(stage, wording, who, read(stage).await.as_deref()) {
        Change::Write(text) => stage.registry().registry_policy_write(&text).await.expect("it is taken"),
        other => panic!("{other:?}"),
    }
}

/// `registry_policy_read`, `registry_policy_write`: what was written means the same when it is read, and is written over.
pub async fn a_policy_means_what_was_written(stage: &dyn Stage) {
    assert_eq!(read(stage).await, None);
    let both = ["123456789012", "org:o-a1b2c3d4e5", "ou:o-a1b2c3d4e5/ou-ab12-11111111"];
    for (wording, who) in [
        (Wording::Lists, &both[..1]),
        (Wording::Lists, &both),
        (Wording::Conditions, &both),
        (Wording::Lists, &both[1..]),
    ] {
        write(stage, wording, who).await;
        let present = read(stage).await;
        assert!(present.is_some());
        assert_eq!(document(stage, wording, who, present.as_deref()), Change::Keep, "{present:?}");
    }
}

/// `registry_policy_delete`: gone, and gone already is no error.
pub async fn a_policy_goes_once_and_for_all(stage: &dyn Stage) {
    stage.registry().registry_policy_delete().await.expect("none is no error");
    write(stage, Wording::Lists, &["123456789012"]).await;
    for _ in 0..2 {
        stage.registry().registry_policy_delete().await.expect("it goes");
        assert_eq!(read(stage).await, None);
    }
}

/// `registry_policy_write`: what is no policy of a registry is refused, and what was there stays.
pub async fn a_document_that_is_none_changes_nothing(stage: &dyn Stage) {
    write(stage, Wording::Lists, &["123456789012"]).await;
    let before = read(stage).await;
    let without_resource = r#"{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
    for text in ["no document", without_resource] {
        let answer = stage.registry().registry_policy_write(text).await;
        assert!(matches!(answer, Err(PolicyError::Refused { .. })), "{text}: {answer:?}");
    }
    assert_eq!(read(stage).await, before);
}

/// `registry_policy_write`: an account that AWS does not know is told apart from all else, and what was there stays; in a
/// condition nobody is looked up.
pub async fn an_account_that_nobody_has_is_told_apart(stage: &dyn Stage) {
    let Some(unknown) = stage.unknown_account() else { return };
    write(stage, Wording::Lists, &["123456789012"]).await;
    let before = read(stage).await;
    let both = ["123456789012", unknown.as_str()];
    let Change::Write(text) = document(stage, Wording::Lists, &both, before.as_deref()) else {
        panic!("it says something else")
    };
    let answer = stage.registry().registry_policy_write(&text).await;
    assert!(matches!(answer, Err(PolicyError::UnknownPrincipal)), "{answer:?}");
    assert_eq!(read(stage).await, before);
    write(stage, Wording::Conditions, &both).await;
}

/// `registry_policy_scope`: what the policy is asked about.
pub async fn its_scope_is_told(stage: &dyn Stage) {
    let scope = async || stage.registry().registry_policy_scope().await.expect("it can be read");
    assert_eq!(scope().await, PolicyScope::Every);
    if stage.narrow() {
        assert_eq!(scope().await, PolicyScope::Narrow);
    }
}

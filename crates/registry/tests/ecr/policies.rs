//! The policies of repositories and of the registry.

use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::model::placement::{BackingName, Placement, PlacementRule, RepositoryPrefix};
use layer0_domain::plan::grants::RegistryNames;
use layer0_domain::port::registry_policy::RegistryPolicy;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies};
use layer0_registry::Whereabouts;
use layer0_registry::ecr::{EachPolicies, EcrPolicies};
use layer0_store::SqliteStore;
use layer0_testkit::aws::{Effect, FakeAws, FakeAwsConfig, Fault, Service};
use layer0_testkit::registry_policy_suite;
use layer0_testkit::repository_policies_suite::{self as suite, Stage};

use crate::client::client;

const UNKNOWN: &str = "999999999999";

struct OnFake {
    aws: FakeAws,
    policies: EcrPolicies,
}

impl OnFake {
    async fn new() -> Self {
        let aws = FakeAws::start(FakeAwsConfig::default()).await;
        aws.account_forget(UNKNOWN);
        let policies = EcrPolicies::new(client(aws.endpoint()), "").expect("no prefix");
        Self { aws, policies }
    }

    fn account(&self) -> String {
        FakeAwsConfig::default().account
    }
}

#[async_trait]
impl Stage for OnFake {
    fn policies(&self) -> &dyn RepositoryPolicies {
        &self.policies
    }

    async fn repository_make(&self, name: &RepositoryName) {
        self.aws.repository_policy(&self.account(), name.as_str(), None);
    }

    fn unknown_account(&self) -> Option<AccountId> {
        AccountId::parse(UNKNOWN).ok()
    }
}

impl registry_policy_suite::Stage for OnFake {
    fn registry(&self) -> &dyn RegistryPolicy {
        &self.policies
    }

    fn names(&self) -> RegistryNames {
        let host = EcrHost { account: self.account(), region: "us-east-1".to_owned() };
        RegistryNames::new(host, "").expect("no prefix")
    }

    fn unknown_account(&self) -> Option<AccountId> {
        AccountId::parse(UNKNOWN).ok()
    }

    fn narrow(&self) -> bool {
        self.aws.registry_setting("REGISTRY_POLICY_SCOPE", "V1");
        true
    }
}

#[tokio::test]
async fn the_suite_holds() {
    suite::run_all(async || Box::new(OnFake::new().await) as Box<dyn Stage>).await;
}

#[tokio::test]
async fn the_suite_of_the_registrys_policy_holds() {
    let fresh = async || Box::new(OnFake::new().await) as Box<dyn registry_policy_suite::Stage>;
    registry_policy_suite::run_all(fresh).await;
}

/// Names that nobody can have granted are passed over: those of one component.
#[tokio::test]
async fn what_can_be_no_name_of_ours_is_passed_over() {
    let stage = OnFake::new().await;
    for name in ["app", "team/app"] {
        stage.aws.repository_policy(&stage.account(), name, None);
    }
    let page = stage.policies.repository_page(None).await.expect("it is listed");
    assert_eq!(page.names.iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["team/app"]);
}

/// What AWS says is told apart by what can be done about it.
#[tokio::test]
async fn refusals_are_told_apart() {
    let stage = OnFake::new().await;
    let app = RepositoryName::parse("team/app").expect("a legal name");
    stage.repository_make(&app).await;
    let fails = async |effect: Effect| {
        stage.aws.fault(Fault::on(Service::Ecr, "GetRepositoryPolicy", effect));
        stage.policies.policy_read(&app).await.expect_err("it was told to fail")
    };
    let denied = fails(Effect::AccessDenied { message: None }).await;
    assert!(matches!(&denied, PolicyError::Denied { why } if why.contains("ecr:GetRepositoryPolicy")), "{denied:?}");
    let throttled = fails(Effect::Throttle).await;
    assert!(matches!(throttled, PolicyError::Throttled { .. }), "{throttled:?}");
    let broken = fails(Effect::ServerError).await;
    assert!(matches!(broken, PolicyError::Unavailable { .. }), "{broken:?}");
}

/// What stands in a registry's policy is kept true though another registry came to it; nothing new comes to stand there.
#[tokio::test]
async fn of_several_registries_the_policy_of_the_named_one_is_meant() {
    let (new, first) = (FakeAws::start(FakeAwsConfig::default()).await, FakeAws::start(FakeAwsConfig::default()).await);
    let backing = |text: &str| BackingName::parse(text).expect("a legal name");
    let whereabouts = Whereabouts::new(Arc::new(SqliteStore::in_memory()), Placement::all_to(backing("new")));
    let of = |aws: &FakeAws| EcrPolicies::new(client(aws.endpoint()), "").expect("no prefix");
    let all = vec![(backing("new"), of(&new)), (backing("first"), of(&first))];
    let policies = EachPolicies::new(all, Arc::new(whereabouts)).registry_policy_of(backing("first"));
    let account = FakeAwsConfig::default().account;
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"x","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":"ecr:BatchGetImage","Resource":"arn:aws:ecr:us-east-1:{account}:repository/*"}}]}}"#
    );
    of(&first).registry_policy_write(&document).await.expect("it is written");
    assert_eq!(policies.registry_policy_read().await.expect("it is read").as_deref(), Some(document.as_str()));
    policies.registry_policy_write(&document).await.expect("it is written");
    policies.registry_policy_delete().await.expect("it goes");
    assert_eq!(of(&first).registry_policy_read().await.expect("it is read"), None);
    assert!(new.calls().iter().all(|call| !call.operation.contains("RegistryPolicy")), "{:?}", new.calls());
    let scope = policies.registry_policy_scope().await;
    assert!(matches!(&scope, Err(PolicyError::Refused { why }) if why.contains("several")), "{scope:?}");
}

#[tokio::test]
async fn several_registries_are_listed_one_after_the_other_each_repository_where_it_lies() {
    let (main, eu) = (FakeAws::start(FakeAwsConfig::default()).await, FakeAws::start(FakeAwsConfig::default()).await);
    let account = FakeAwsConfig::default().account;
    let backing = |text: &str| BackingName::parse(text).expect("a legal name");
    let rule = |prefix: &str, to: &str| PlacementRule {
        prefix: RepositoryPrefix::parse(prefix).expect("a prefix"),
        backing: backing(to),
    };
    let placement = Placement::new(vec![rule("data", "eu"), rule("dev", "local")], backing("main"));
    let whereabouts = Whereabouts::new(Arc::new(SqliteStore::in_memory()), placement.expect("they go together"));
    let of = |aws: &FakeAws, prefix: &str| EcrPolicies::new(client(aws.endpoint()), prefix).expect("a legal prefix");
    let all = vec![(backing("main"), of(&main, "l0")), (backing("eu"), of(&eu, ""))];
    let policies = EachPolicies::new(all, Arc::new(whereabouts));
    // Beside each that is meant, one that its name leads away from.
    for (aws, made) in [(&main, "l0/team/app"), (&main, "l0/data/stray"), (&eu, "data/set"), (&eu, "team/stray")] {
        aws.repository_policy(&account, made, None);
    }
    let (mut names, mut next) = (Vec::new(), None);
    loop {
        let page = policies.repository_page(next.as_deref()).await.expect("a page");
        names.extend(page.names.into_iter().map(|name| name.to_string()));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(names, ["team/app", "data/set"]);
    let name = |text: &str| RepositoryName::parse(text).expect("a legal name");
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}"#;
    for (repository, calls) in [("data/set", [0, 1]), ("team/app", [1, 1])] {
        policies.policy_write(&name(repository), document).await.expect("it is written");
        assert_eq!(policies.policy_read(&name(repository)).await.expect("it is read").as_deref(), Some(document));
        let written = |aws: &FakeAws| aws.calls().iter().filter(|call| call.operation == "SetRepositoryPolicy").count();
        assert_eq!([written(&main), written(&eu)], calls, "{repository}");
    }
    // None of them is meant when it is not said which, and that is not "no policy".
    let unsaid = policies.registry_policy_read().await;
    assert!(matches!(&unsaid, Err(PolicyError::Refused { why }) if why.contains("`repositories`")), "{unsaid:?}");
    // What lies with the instance has none, and a mark that is none is said.
    let local = policies.policy_read(&name("dev/app")).await;
    assert!(matches!(local, Err(PolicyError::NoRepository { .. })), "{local:?}");
    assert!(matches!(policies.repository_page(Some("x")).await, Err(PolicyError::Refused { .. })));
}

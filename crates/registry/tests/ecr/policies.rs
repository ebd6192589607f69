//! The policies of repositories and of the registry.

use async_trait::async_trait;
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::plan::grants::RegistryNames;
use layer0_domain::port::registry_policy::RegistryPolicy;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies};
use layer0_registry::ecr::EcrPolicies;
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

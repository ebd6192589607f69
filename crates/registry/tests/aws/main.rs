//! What speaks to ECR, on emulators.

#![expect(clippy::unwrap_used, reason = "a failing call fails the test")]

mod bucket;
#[allow(dead_code, reason = "another target uses all of it")]
#[path = "../it/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod distribution;
#[path = "../ecr/client.rs"]
mod ecr_client;
#[allow(dead_code, reason = "another target uses all of it")]
#[path = "../it/ecr/on_aws.rs"]
mod on_aws;
#[allow(dead_code, reason = "another target uses all of it")]
#[path = "../e2e/run.rs"]
mod run;

use async_trait::async_trait;
use ecr_client::client;
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_policy::RegistryPolicy as _;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies};
use layer0_registry::ecr::{EcrClient, EcrPolicies};
use layer0_testkit::repository_policies_suite::{self as suite, Stage};

/// moto, which checks policies as AWS does.
struct OnMoto {
    client: EcrClient,
    policies: EcrPolicies,
}

#[async_trait]
impl Stage for OnMoto {
    fn policies(&self) -> &dyn RepositoryPolicies {
        &self.policies
    }

    async fn repository_make(&self, name: &RepositoryName) {
        // What a run before has left.
        let _ = self.client.delete_repository().repository_name(name.as_str()).force(true).send().await;
        self.client.create_repository().repository_name(name.as_str()).send().await.expect("it is made");
    }

    fn unknown_account(&self) -> Option<AccountId> {
        // It knows of no accounts.
        None
    }
}

/// What moto does not do: it takes any mark of a page.
const NOT_ON_MOTO: &[&str] = &["a_page_that_is_not_known_is_refused"];

impl OnMoto {
    fn new() -> Self {
        let variable = "LAYER0_TEST_MOTO";
        let endpoint = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set by scripts/aws.sh"));
        let client = client(&endpoint);
        Self { policies: EcrPolicies::new(client.clone(), "").expect("no prefix"), client }
    }
}

/// moto has no account settings and takes the three actions of scope V1 alone, ministack knows nothing of a registry's policy: so the
/// suite of that port runs on the fake AWS. What a registry of V1 says to what we write there is shown here.
#[tokio::test]
async fn a_registrys_policy_that_lets_pull_is_refused_in_scope_v1() {
    let stage = OnMoto::new();
    stage.policies.registry_policy_delete().await.expect("none is no error");
    let text = r#"{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":["ecr:BatchGetImage"],"Resource":"arn:aws:ecr:us-east-1:123456789012:repository/*/*"}]}"#;
    let refused = stage.policies.registry_policy_write(text).await;
    assert!(matches!(refused, Err(PolicyError::Refused { .. })), "{refused:?}");
    assert_eq!(stage.policies.registry_policy_read().await.expect("a read"), None);
    let replication = text.replace("BatchGetImage", "ReplicateImage");
    stage.policies.registry_policy_write(&replication).await.expect("it is taken");
    assert!(stage.policies.registry_policy_read().await.expect("a read").is_some());
    stage.policies.registry_policy_delete().await.expect("it goes");
}

#[tokio::test]
async fn the_policies_of_repositories() {
    let stage = OnMoto::new();
    for behaviour in suite::ALL.iter().filter(|it| !NOT_ON_MOTO.contains(&it.name)) {
        (behaviour.show)(&stage).await;
    }
}

/// On the disk.
async fn elsewhere() -> Option<common::Elsewhere> {
    None
}

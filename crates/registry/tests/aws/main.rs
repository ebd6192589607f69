//! What speaks to ECR, on emulators.

#![expect(clippy::unwrap_used, reason = "a failing call fails the test")]

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
use layer0_domain::port::repository_policies::RepositoryPolicies;
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

#[tokio::test]
async fn the_policies_of_repositories() {
    let variable = "LAYER0_TEST_MOTO";
    let endpoint = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set by scripts/aws.sh"));
    let client = client(&endpoint);
    let stage = OnMoto { policies: EcrPolicies::new(client.clone(), "").expect("no prefix"), client };
    for behaviour in suite::ALL.iter().filter(|it| !NOT_ON_MOTO.contains(&it.name)) {
        (behaviour.show)(&stage).await;
    }
}

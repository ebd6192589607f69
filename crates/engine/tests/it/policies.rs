//! The fake of the policies of repositories and their registry: the suites that everything in its place has to pass.

use async_trait::async_trait;
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::plan::grants::RegistryNames;
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy};
use layer0_domain::port::repository_policies::RepositoryPolicies;
use layer0_engine::fake::{FakePolicies, PolicyPace};
use layer0_testkit::registry_policy_suite;
use layer0_testkit::repository_policies_suite::{self as suite, Stage};

const UNKNOWN: &str = "999999999999";

struct OnFake(FakePolicies);

#[async_trait]
impl Stage for OnFake {
    fn policies(&self) -> &dyn RepositoryPolicies {
        &self.0
    }

    async fn repository_make(&self, name: &RepositoryName) {
        self.0.repository_make(name);
    }

    fn unknown_account(&self) -> Option<AccountId> {
        AccountId::parse(UNKNOWN).ok()
    }
}

impl registry_policy_suite::Stage for OnFake {
    fn registry(&self) -> &dyn RegistryPolicy {
        &self.0
    }

    fn names(&self) -> RegistryNames {
        let host = EcrHost { account: "123456789012".to_owned(), region: "us-east-1".to_owned() };
        RegistryNames::new(host, "").expect("no prefix")
    }

    fn unknown_account(&self) -> Option<AccountId> {
        AccountId::parse(UNKNOWN).ok()
    }

    fn narrow(&self) -> bool {
        self.0.registry_policy_scope_set(PolicyScope::Narrow);
        true
    }
}

fn fresh() -> OnFake {
    let fake = FakePolicies::with_pace(PolicyPace { page: 2, ..PolicyPace::default() });
    fake.account_forget(&AccountId::parse(UNKNOWN).expect("twelve digits"));
    OnFake(fake)
}

#[tokio::test]
async fn the_suite_holds() {
    suite::run_all(async || Box::new(fresh()) as Box<dyn Stage>).await;
}

#[tokio::test]
async fn the_suite_of_the_registrys_policy_holds() {
    registry_policy_suite::run_all(async || Box::new(fresh()) as Box<dyn registry_policy_suite::Stage>).await;
}

//! The fake of the policies of repositories: the suite that everything in its place has to pass.

use async_trait::async_trait;
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::repository_policies::RepositoryPolicies;
use layer0_engine::fake::{FakePolicies, PolicyPace};
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

#[tokio::test]
async fn the_suite_holds() {
    suite::run_all(async || {
        let fake = FakePolicies::with_pace(PolicyPace { page: 2, ..PolicyPace::default() });
        fake.account_forget(&AccountId::parse(UNKNOWN).expect("twelve digits"));
        Box::new(OnFake(fake)) as Box<dyn Stage>
    })
    .await;
}

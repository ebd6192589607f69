//! What is the instance's own, looked at beforehand: its execution role, its network, its registry, its place in the
//! organization. So the first start after a quiet night asks AWS no more than the tenth in a row.
//!
//! Some ten calls every five minutes, however many services there are. What fails is no matter here: it is asked for again by
//! the start that needs it, which says so.

use std::sync::Weak;
use std::time::Duration;

use layer0_domain::model::image::ImageRef;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::plan::pull_check::TOKEN_RIGHT;
use layer0_domain::port::pull::{Age, AnsweredBy, Fact, PullQuestion};
use tracing::debug;

use super::Gathering;
use super::role::name;
use super::simulations::Asked;
use crate::ecs::state::Shared;

/// How often: twice before an answer is too old, so that one look may fail.
const EVERY: Duration = Duration::from_secs(300);

/// Looks until the engine is gone.
pub(in crate::ecs) async fn run(shared: Weak<Shared>) {
    loop {
        let Some(here) = shared.upgrade() else { return };
        look(&here).await;
        drop(here);
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks once, for the answers that are kept.
async fn look(shared: &Shared) {
    // About no image: nothing of one is looked at.
    let Some(image) = ImageRef::parse("none").ok() else { return };
    let question = PullQuestion { age: Age::Now, ..PullQuestion::about(image, AnsweredBy::Us) };
    let gathering = Gathering::new(shared, &question);
    Box::pin(gathering.set_up()).await;
    if let Some(error) = gathering.silence() {
        debug!(%error, "the set-up could not be looked at");
    }
}

impl Gathering<'_> {
    async fn set_up(&self) {
        let region = &self.shared.config.region;
        let account = self.fact(self.shared.aws.account().await);
        let known = || std::future::ready(account.clone());
        let registry = async {
            if let Fact::Known(account) = &account {
                let host = EcrHost { account: account.clone(), region: region.clone() };
                self.registry_policy(&host, known()).await;
            }
        };
        futures_util::join!(self.organization(true, known()), registry, self.token_right(), self.passing(), self.vpc(),);
    }

    /// The execution role, and whether it may ask for a token of ECR: what a start asks of it whatever its image is.
    async fn token_right(&self) {
        let Some(named) = self.shared.config.execution_role.as_deref().filter(|role| !role.is_empty()) else { return };
        if let Fact::Known(Some(role)) = self.role_seen(name(named)).await {
            let region = self.shared.config.region.clone();
            let token = Asked { role: &role.arn, action: TOKEN_RIGHT, resource: "*", region, more: None };
            let _ = self.fact(self.simulations(vec![token]).await);
        }
    }
}

//! Repositories that come to lie in ECR: what they said in their time there, and what is asked for while they come.

use layer0_domain::model::grant::{GrantStrategy, StrategyPhase};
use layer0_domain::plan::grants::Change;
use layer0_registry::Origin;

use super::*;
use crate::grants::{Changed, PreviewChange};

fn app() -> RepositoryName {
    name("team/app")
}

impl Stage {
    async fn came(&self, origin: Origin) {
        self.keeper.repository_came(&app(), origin).await.expect("its policy is written");
    }

    /// Takes the repository away, with the policy that it has there.
    fn moves_away(&self) -> Option<String> {
        let policy = self.fake.policy(&app());
        self.fake.repository_remove(&app());
        policy
    }

    /// And back to where its old policy is.
    fn moves_back(&self, policy: Option<&str>) {
        self.fake.repository_make(&app());
        self.fake.policy_edit(&app(), policy);
    }
}

/// Nobody is let in by what a repository said before it was elsewhere.
#[tokio::test]
async fn who_was_taken_back_meanwhile_is_not_let_in_when_a_repository_comes_back() {
    for left in [&[][..], &[B]] {
        let stage = Stage::with(&["team/app"]).await;
        for who in [&[A], left].concat() {
            stage.ask(who, GrantScope::Instance).await;
        }
        stage.look(Look::Asked).await;
        assert!(stage.is_let_in(A, "team/app"));
        let policy = stage.moves_away();
        stage.take_back(A).await;
        stage.look(Look::Asked).await;
        assert!(stage.kept().await.iter().all(|kept| kept.grant.grantee.to_string() != A), "it is taken back");

        stage.moves_back(policy.as_deref());
        let told = stage.keeper.preview_coming(&app()).await.expect("it is read");
        assert!(matches!(told, PreviewChange::Change(Change::Write(_) | Change::Delete)), "{told:?}");
        stage.came(Origin::Found).await;
        assert!(!stage.is_let_in(A, "team/app"));
        assert_eq!(stage.is_let_in(B, "team/app"), !left.is_empty());
        let told = stage.keeper.preview_coming(&app()).await.expect("it is read");
        assert_eq!(told, PreviewChange::Change(Change::Keep));
    }
}

/// The same where grants have come to stand in the registry's policy since: what a repository says of ours goes.
#[tokio::test]
async fn what_a_repository_said_goes_where_grants_stand_elsewhere_by_now() {
    let stage = Stage::with(&["team/app", "team/web"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    let policy = stage.moves_away();
    stage.keeper.wish(GrantStrategy::Registry).await.expect("it is written");
    while stage.keeper.change().await.expect("it goes on") != Changed::Nothing {}
    assert_eq!(stage.keeper.strategy().await.expect("a read").phase, StrategyPhase::Settled);
    stage.moves_back(policy.as_deref());
    stage.came(Origin::Found).await;
    assert_eq!(stage.fake.policy(&app()), None);
}

/// No right to policies is needed where nothing was ever granted.
#[tokio::test]
async fn a_new_repository_is_not_asked_for_a_policy_that_it_cant_have() {
    let stage = Stage::with(&["team/app"]).await;
    stage.ask(A, GrantScope::Repository(name("team/other"))).await;
    stage.came(Origin::Made).await;
    assert_eq!((stage.fake.calls(PolicyOp::Read), stage.fake.calls(PolicyOp::Write)), (0, 0));
    stage.ask(B, GrantScope::Instance).await;
    stage.came(Origin::Made).await;
    assert!(stage.is_let_in(B, "team/app") && !stage.is_let_in(A, "team/app"));
}

/// A look that ends before the policy is written has found none, and is through with it.
#[tokio::test]
async fn who_is_taken_back_while_a_repository_comes_is_not_let_in() {
    let fake = FakePolicies::with_pace(PolicyPace { latency: Duration::from_millis(300), ..PolicyPace::default() });
    fake.repository_make(&app());
    let stage = Stage::new(fake, PolicyRates { reads: 1e6, writes: 1e6 }).await;
    stage.ask(A, GrantScope::Instance).await;
    let ((), ()) = tokio::join!(stage.came(Origin::Made), async {
        until_true("the policy to be read", || async { stage.fake.calls(PolicyOp::Read) == 1 }).await;
        stage.take_back(A).await;
        stage.look(Look::Asked).await;
        assert_eq!((stage.kept().await, stage.fake.policy(&app())), (vec![], None), "it is through");
    });
    assert!(stage.fake.calls(PolicyOp::Write) == 1 && !stage.is_let_in(A, "team/app"));
}

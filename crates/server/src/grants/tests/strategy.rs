//! Strategies: what they write, and that a change shuts nobody out and lets nobody in, whatever happens to it.

use layer0_domain::model::grant::{GrantStrategy, KeptStrategy, StrategyPhase};
use layer0_domain::port::registry_policy::PolicyScope;
use layer0_engine::fake::PolicyWrite;
use layer0_testkit::pulls::{Asker, may_pull};

use super::*;
use crate::grants::Changed;
use GrantStrategy::{Organization, Registry, Repositories};

const ORGANIZATION: &str = "org:o-a1b2c3d4e5";
const REPOSITORIES: [&str; 4] = ["team/app", "team/web", "other/app", "third/app"];

/// Each account of the tests, and one of the organization.
const ASKERS: [Asker; 4] = [
    Asker { account: A, organization: "o-nobodys0000", path: "o-nobodys0000/r-0000/" },
    Asker { account: B, organization: "o-nobodys0000", path: "o-nobodys0000/r-0000/" },
    Asker { account: C, organization: "o-nobodys0000", path: "o-nobodys0000/r-0000/" },
    Asker { account: "777777777777", organization: "o-a1b2c3d4e5", path: "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/" },
];

fn team() -> GrantScope {
    GrantScope::Owner(OwnerName::parse("team").expect("an owner"))
}

impl Stage {
    /// Goes on with a change until there is nothing left of it, or something keeps it.
    async fn changed(&self) -> Changed {
        changed(&self.keeper).await
    }

    async fn strategy(&self) -> KeptStrategy {
        self.keeper.strategy().await.expect("a read")
    }

    fn lets_in(&self, repository: &str, asker: Asker) -> bool {
        let (own, registrys) = (self.fake.policy(&name(repository)), self.fake.registry_policy());
        may_pull(&[own.as_deref(), registrys.as_deref()], &arn(repository), asker)
    }

    /// The rows that say who may pull what.
    fn pulls(&self) -> Vec<(String, String)> {
        let each = REPOSITORIES.iter().flat_map(|name| ASKERS.map(|asker| (*name, asker)));
        each.filter(|(name, asker)| self.lets_in(name, *asker))
            .map(|(name, asker)| (name.to_owned(), asker.account.to_owned()))
            .collect()
    }
}

async fn changed(keeper: &Keeper) -> Changed {
    loop {
        match keeper.change().await.expect("the store answers") {
            Changed::On => {}
            end => return end,
        }
    }
}

fn arn(repository: &str) -> String {
    format!("arn:aws:ecr:us-east-1:123456789012:repository/{repository}")
}

/// With grants on everything, an owner and a repository, all carried out, and others' words in two documents.
async fn granted() -> Stage {
    let stage = Stage::with(&REPOSITORIES).await;
    let theirs = format!(r#"{{"Version":"2012-10-17","Statement":[{THEIRS}]}}"#);
    stage.fake.policy_edit(&name("team/web"), Some(&theirs));
    let of_registry = theirs.replace("}]}", r#","Resource":"*"}]}"#);
    stage.fake.registry_policy_edit(Some(&of_registry));
    stage.ask(A, GrantScope::Instance).await;
    stage.ask(B, GrantScope::Repository(name("team/app"))).await;
    stage.ask(ORGANIZATION, team()).await;
    stage.look(Look::Asked).await;
    stage.fake.history_keep();
    stage
}

/// At each moment of its history exactly the same were let in as at its end.
fn assert_nobody_noticed(stage: &Stage, mut registry: Option<String>, mut own: Vec<(&str, Option<String>)>) {
    let last = stage.pulls();
    assert!(!last.is_empty());
    let history: Vec<PolicyWrite> = stage.fake.history();
    for (at, (of, text)) in history.into_iter().enumerate() {
        match of {
            None => registry = text,
            Some(of) => own.iter_mut().find(|(name, _)| *name == of.as_str()).expect("one of them").1 = text,
        }
        let pulls: Vec<(String, String)> = own
            .iter()
            .flat_map(|(name, own)| ASKERS.map(|asker| (*name, own, asker)))
            .filter(|(name, own, asker)| may_pull(&[own.as_deref(), registry.as_deref()], &arn(name), *asker))
            .map(|(name, _, asker)| (name.to_owned(), asker.account.to_owned()))
            .collect();
        assert_eq!(pulls, last, "after write {at}");
    }
}

fn documents(stage: &Stage) -> (Option<String>, Vec<(&'static str, Option<String>)>) {
    let own = REPOSITORIES.iter().map(|it| (*it, stage.fake.policy(&name(it)))).collect();
    (stage.fake.registry_policy(), own)
}

/// From each strategy to each other: the documents of the one are there and those of the other are not, others' words are where
/// they were, and nobody noticed.
#[tokio::test]
async fn nobody_notices_a_change() {
    let stage = granted().await;
    let before = stage.pulls();
    let theirs = documents(&stage).1[1].1.clone();
    for wish in [Registry, Organization, Repositories, Organization, Registry, Repositories] {
        let (registry, own) = documents(&stage);
        stage.fake.history_keep();
        stage.keeper.wish(wish).await.expect("a write");
        assert_eq!(stage.strategy().await.phase, StrategyPhase::Spreading);
        assert_eq!(stage.changed().await, Changed::Nothing);
        assert_nobody_noticed(&stage, registry, own);
        assert_eq!(stage.pulls(), before, "{wish}");
        let settled = stage.strategy().await;
        assert_eq!((settled.wish, settled.phase, settled.standing.len()), (wish, StrategyPhase::Settled, 0));

        let registry = stage.fake.registry_policy().expect("others have a word in it");
        assert!(registry.contains(r#""Sid":"theirs""#), "{registry}");
        assert_eq!(registry.contains("Layer0test"), wish != Repositories, "{wish}: {registry}");
        assert_eq!(registry.contains("aws:PrincipalAccount"), wish == Organization, "{wish}: {registry}");
        for it in REPOSITORIES {
            let own = stage.fake.policy(&name(it)).unwrap_or_default();
            assert_eq!(own.contains("Layer0test"), wish == Repositories, "{wish}: {own}");
            assert_eq!(own.contains(r#""Sid":"theirs""#), it == "team/web", "{wish}: {own}");
        }
        // What is granted holds as before, and nothing is left to do.
        let writes = stage.fake.history().len();
        stage.look(Look::All(Mending::Mend)).await;
        assert_eq!(stage.fake.history().len(), writes);
        assert!(stage.states().await.iter().all(|(_, state)| state == "settled"));
    }
    assert_eq!(stage.fake.policy(&name("team/web")), theirs);
}

/// Killed before each of its writes, and each time the answer was lost: whoever comes next goes on, and nobody notices.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_killed_at_any_write_is_gone_on_with() {
    let ops = [PolicyOp::Write, PolicyOp::Delete, PolicyOp::RegistryWrite, PolicyOp::RegistryDelete];
    let mut killed = 0;
    for (op, nth) in ops.into_iter().flat_map(|op| (0..REPOSITORIES.len() as u64).map(move |nth| (op, nth))) {
        for (from, to) in [(Repositories, Registry), (Organization, Repositories), (Registry, Organization)] {
            let stage = granted().await;
            stage.keeper.wish(from).await.expect("a write");
            assert_eq!(stage.changed().await, Changed::Nothing);
            let before = stage.pulls();
            let (registry, own) = documents(&stage);
            stage.fake.history_keep();
            stage.fake.fail_after(op, nth, PolicyFault::Hang);
            stage.keeper.wish(to).await.expect("a write");
            let ended = tokio::time::timeout(Duration::from_secs(30), stage.changed()).await;
            killed += u64::from(ended.is_err());
            assert_eq!(stage.pulls(), before);

            let next = keeper(&stage.store, &stage.fake, PolicyRates { reads: 1e6, writes: 1e6 });
            stage.fake.faults_clear();
            stage.fake.fail_next(op, PolicyFault::AnswerLost);
            assert_eq!(changed(&next).await, Changed::Nothing);
            assert_eq!(next.strategy().await.expect("a read").phase, StrategyPhase::Settled);
            assert_nobody_noticed(&stage, registry, own);
            assert_eq!(stage.pulls(), before, "{op:?} {nth}");
        }
    }
    assert!(killed >= 12, "some were: {killed}");
}

/// What keeps a change from going on is said, and what stood stands.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_what_is_in_its_way() {
    let stage = granted().await;
    let before = stage.pulls();
    stage.fake.registry_policy_scope_set(PolicyScope::Narrow);
    stage.keeper.wish(Registry).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Waits);
    // Nor does another look write what would not count.
    stage.look(Look::All(Mending::Mend)).await;
    assert!(stage.states().await.iter().all(|(_, state)| state == "settled"));
    let waiting = stage.strategy().await;
    assert!(waiting.progress().contains("--name REGISTRY_POLICY_SCOPE --value V2"), "{}", waiting.progress());
    assert_eq!(stage.fake.calls(PolicyOp::RegistryWrite), 0);
    stage.fake.registry_policy_scope_set(PolicyScope::Every);

    // The new is written, and read back before the old goes; of that one is denied.
    stage.fake.fail_next(PolicyOp::RegistryWrite, PolicyFault::Denied);
    assert_eq!(stage.changed().await, Changed::Waits);
    assert!(stage.strategy().await.progress().contains("may not do this"));
    stage.fake.fail_next(PolicyOp::Write, PolicyFault::Denied);
    stage.fake.fail_next(PolicyOp::Delete, PolicyFault::Denied);
    assert_eq!(stage.changed().await, Changed::Waits);
    let clearing = stage.strategy().await;
    assert_eq!((clearing.phase, clearing.report.wrong_count), (StrategyPhase::Clearing, 2));
    assert!(clearing.report.wrong.iter().all(|it| it.why.contains("may not do this")));
    assert_eq!(stage.pulls(), before);
    assert_eq!(stage.changed().await, Changed::Nothing);
    assert_eq!(stage.pulls(), before);
}

/// More accounts than the registry's policy has room for stay where they are; as conditions they fit.
#[tokio::test]
async fn what_does_not_fit_stays_where_it_is() {
    let stage = Stage::with(&["team/app", "other/app"]).await;
    let other = || GrantScope::Owner(OwnerName::parse("other").expect("an owner"));
    for number in 0..200_u64 {
        stage.ask(&format!("{:012}", 400_000_000_000 + number), other()).await;
        stage.ask(&format!("{:012}", 500_000_000_000 + number), team()).await;
    }
    stage.look(Look::Asked).await;
    stage.keeper.wish(Registry).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Waits);
    let said = stage.strategy().await.progress();
    assert!(said.contains("of 400 accounts fit"), "{said}");
    // Who is taken back meanwhile is, and the others are as true as before.
    stage.take_back("400000000000").await;
    stage.look(Look::Asked).await;
    assert!(!stage.fake.policy(&name("other/app")).expect("others are in it").contains("400000000000"));
    assert!(stage.states().await.iter().all(|(_, state)| state == "settled"));

    stage.keeper.wish(Organization).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Nothing);
    assert_eq!(stage.fake.policy(&name("other/app")), None);
    let registry = stage.fake.registry_policy().expect("all are in it");
    assert!(registry.contains("500000000199") && !registry.contains("400000000000"));
    // And back to lists they do not fit; taking back goes on all the same.
    stage.keeper.wish(Registry).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Waits);
    stage.take_back("500000000199").await;
    stage.look(Look::Asked).await;
    assert!(!stage.fake.registry_policy().expect("others are in it").contains("500000000199"));
}

/// While the old goes, who is taken back is taken back from all that is left of it; who is asked for comes into the new.
#[tokio::test]
async fn what_is_asked_in_the_middle_is_carried_out() {
    let stage = granted().await;
    stage.keeper.wish(Registry).await.expect("a write");
    while stage.strategy().await.phase != StrategyPhase::Clearing {
        assert_eq!(stage.keeper.change().await.expect("it goes on"), Changed::On);
    }
    assert!(stage.is_let_in(A, "third/app"), "the old are there still");
    stage.take_back(A).await;
    stage.ask(C, team()).await;
    stage.look(Look::Asked).await;
    assert!(stage.kept().await.iter().all(|kept| kept.grant.grantee.to_string() != A));
    let pulls = |account: &str| stage.pulls().into_iter().filter(|(_, who)| who == account).count();
    assert_eq!((pulls(A), pulls(B), pulls(C)), (0, 1, 2));
    assert_eq!(stage.changed().await, Changed::Nothing);
    assert_eq!((pulls(A), pulls(B), pulls(C)), (0, 1, 2));
    assert!(REPOSITORIES.iter().all(|it| !stage.fake.policy(&name(it)).unwrap_or_default().contains("Layer0test")));
}

/// A repository that is made while a change looks at the others is not shut out by it.
#[tokio::test(start_paused = true)]
async fn a_repository_that_comes_in_the_middle_is_not_forgotten() {
    let fake = FakePolicies::with_pace(PolicyPace { latency: Duration::from_millis(100), ..PolicyPace::default() });
    REPOSITORIES.iter().for_each(|text| fake.repository_make(&name(text)));
    let stage = Stage::new(fake, PolicyRates { reads: 1e6, writes: 1e6 }).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    stage.keeper.wish(Registry).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Nothing);
    stage.keeper.wish(Repositories).await.expect("a write");
    let pages = stage.fake.calls(PolicyOp::Page);
    // After the second round has listed them: all that was listed is true then.
    let made = async {
        until_true("the second round", || async { stage.fake.calls(PolicyOp::Page) >= pages + 3 }).await;
        until_true("it to read", || async { stage.fake.calls(PolicyOp::Read) >= 8 }).await;
        stage.fake.repository_make(&name("third/new"));
        assert!(stage.lets_in("third/new", ASKERS[0]), "by the registry's policy");
    };
    let (end, ()) = tokio::join!(stage.changed(), made);
    assert_eq!(end, Changed::Nothing);
    assert_eq!(stage.fake.registry_policy(), None);
    assert!(stage.lets_in("third/new", ASKERS[0]));
}

/// In the registry's policy a grant on 10,000 repositories is one write.
#[tokio::test(start_paused = true)]
async fn one_document_speaks_for_ten_thousand_repositories() {
    let fake = FakePolicies::with_pace(PolicyPace { latency: Duration::from_millis(150), ..PolicyPace::default() });
    (0..10_000).for_each(|number| fake.repository_make(&name(&format!("team/app-{number:05}"))));
    let stage = Stage::new(fake, PolicyRates { reads: 20.0, writes: 10.0 }).await;
    stage.keeper.wish(Registry).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Nothing);
    let calls = |op| stage.fake.calls(op);
    let (pages, reads) = (calls(PolicyOp::Page), calls(PolicyOp::Read));
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    assert_eq!((calls(PolicyOp::RegistryWrite), calls(PolicyOp::Page) - pages), (1, 10));
    assert_eq!((calls(PolicyOp::Read), calls(PolicyOp::Write)), (reads, 0));
    let kept = stage.kept().await.remove(0);
    assert_eq!((&kept.state, kept.progress()), (&GrantState::Settled, "true on 10000 repositories".to_owned()));
    // Edited by hand, it is mended; with nothing left in it, it goes.
    stage.fake.registry_policy_edit(None);
    stage.look(Look::All(Mending::ReportOnly)).await;
    let kept = stage.kept().await.remove(0);
    assert_eq!((&kept.state, kept.report.right), (&GrantState::Incomplete, 0));
    stage.look(Look::All(Mending::Mend)).await;
    assert!(stage.lets_in("team/app-00007", ASKERS[0]));
    stage.take_back(A).await;
    stage.look(Look::Asked).await;
    assert_eq!((stage.kept().await, stage.fake.registry_policy()), (vec![], None));
}

/// Whom AWS does not know is found in the registry's policy too, and named; conditions look nobody up.
#[tokio::test]
async fn who_is_unknown_is_found_in_the_registrys_policy() {
    let stage = Stage::with(&["team/app"]).await;
    stage.fake.account_forget(&AccountId::parse(NOBODY).expect("digits"));
    stage.keeper.wish(Registry).await.expect("a write");
    stage.changed().await;
    for who in [A, B, NOBODY] {
        stage.ask(who, GrantScope::Instance).await;
    }
    stage.look(Look::Asked).await;
    assert_eq!(stage.states().await, said(&[(A, "settled"), (B, "settled"), (NOBODY, "refused")]));
    let registry = stage.fake.registry_policy().expect("two are in it");
    assert!(registry.contains(A) && registry.contains(B) && !registry.contains(NOBODY), "{registry}");
    // A list in place of conditions would name all at once: one that was closed meanwhile keeps it from coming.
    stage.keeper.wish(Organization).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Nothing);
    stage.fake.account_forget(&AccountId::parse(A).expect("digits"));
    stage.keeper.wish(Registry).await.expect("a write");
    assert_eq!(stage.changed().await, Changed::Waits);
    let said = stage.strategy().await.progress();
    assert!(said.contains("AWS does not know one of the accounts"), "{said}");
    assert!(stage.lets_in("team/app", ASKERS[1]));
}

/// With no repository there is nothing that could show it: a policy that can't be written is not called carried out.
#[tokio::test(start_paused = true)]
async fn a_registry_without_repositories_hides_nothing() {
    let stage = Stage::with(&[]).await;
    stage.keeper.wish(Registry).await.expect("a write");
    stage.changed().await;
    stage.ask(A, GrantScope::Instance).await;
    stage.fake.fail_next(PolicyOp::RegistryWrite, PolicyFault::Denied);
    stage.look(Look::Asked).await;
    let kept = stage.kept().await.remove(0);
    assert_eq!(kept.state, GrantState::Incomplete);
    assert!(kept.progress().contains("the registry's policy: "), "{}", kept.progress());
    stage.look(Look::All(Mending::Mend)).await;
    assert_eq!(stage.states().await, said(&[(A, "settled")]));
    stage.take_back(A).await;
    stage.fake.fail_next(PolicyOp::RegistryDelete, PolicyFault::Denied);
    stage.look(Look::Asked).await;
    assert_eq!(stage.kept().await.remove(0).state, GrantState::Incomplete);
    assert!(stage.fake.registry_policy().is_some());
}

/// The last wish counts, whatever a change has come to; who is wished for twice is wished for once.
#[tokio::test]
async fn the_last_wish_counts() {
    let stage = granted().await;
    let before = stage.pulls();
    let (registry, own) = documents(&stage);
    for (wish, steps) in [(Registry, 1), (Organization, 2), (Repositories, 1), (Registry, 3), (Repositories, 0)] {
        stage.keeper.wish(wish).await.expect("a write");
        stage.keeper.wish(wish).await.expect("a write");
        for _ in 0..steps {
            stage.keeper.change().await.expect("it goes on");
        }
    }
    assert_eq!(stage.changed().await, Changed::Nothing);
    assert_eq!(stage.strategy().await.wish, Repositories);
    assert_nobody_noticed(&stage, registry, own);
    assert_eq!(stage.pulls(), before);
}

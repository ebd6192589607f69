//! The keeper on the fake, at a time that passes only when everybody waits.

use std::sync::Arc;
use std::time::Duration;

use layer0_domain::model::grant::{AccountId, Grant, GrantScope, GrantState, GrantWish, Grantee, KeptGrant};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::model::owner::{Owner, OwnerName};
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::grants::{RegistryNames, Sheet, Signature, holds};
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::store::Store;
use layer0_engine::fake::{FakePolicies, PolicyFault, PolicyOp, PolicyPace};
use layer0_store::SqliteStore;
use layer0_testkit::clock::FixedClock;
use layer0_testkit::until::until_true;
use tokio::time::Instant;

use super::{Keeper, Look, LookError, Looked, Mending, PolicyPlace, PolicyRates};
use crate::reconcile::Nudge;

mod arrival;
mod registries;
mod strategy;

const A: &str = "111111111111";
const B: &str = "222222222222";
const C: &str = "333333333333";
const NOBODY: &str = "999999999999";

/// What another party wrote.
const THEIRS: &str = r#"{"Sid":"theirs","Effect":"Deny","Principal":"*","Action":"ecr:DeleteRepository"}"#;

struct Stage {
    store: SqliteStore,
    fake: FakePolicies,
    keeper: Keeper,
}

impl Stage {
    async fn new(fake: FakePolicies, rates: PolicyRates) -> Self {
        let store = SqliteStore::in_memory();
        for owner in ["team", "other"] {
            let name = OwnerName::parse(owner).expect("an owner");
            let owner = Owner { name, created: Timestamp(0), quota_bytes: None, tag_rules: vec![], retention: vec![] };
            store.owner_create(&owner).await.expect("the name is free");
        }
        let keeper = keeper(&store, &fake, rates);
        Self { store, fake, keeper }
    }

    /// With these repositories, as fast as it goes.
    async fn with(repositories: &[&str]) -> Self {
        let fake = FakePolicies::new();
        repositories.iter().for_each(|text| fake.repository_make(&name(text)));
        Self::new(fake, PolicyRates { reads: 1e6, writes: 1e6 }).await
    }

    async fn ask(&self, who: &str, scope: GrantScope) {
        let kept = KeptGrant::new(grant(who, scope), Timestamp(0));
        self.store.grant_put(&kept, None).await.expect("a write").expect("there was none");
    }

    async fn take_back(&self, who: &str) {
        for kept in self.store.grant_list().await.expect("a read") {
            if kept.grant.grantee.to_string() == who {
                let asked = kept.asked_again(GrantWish::TakeBack, Timestamp(1));
                self.store.grant_put(&asked, Some(kept.generation)).await.expect("a write").expect("as it was read");
            }
        }
    }

    async fn look(&self, look: Look) -> Looked {
        self.keeper.look(look).await.expect("it comes to its end")
    }

    async fn kept(&self) -> Vec<KeptGrant> {
        self.store.grant_list().await.expect("a read")
    }

    /// The states by account.
    async fn states(&self) -> Vec<(String, String)> {
        let kept = self.kept().await.into_iter();
        kept.map(|kept| (kept.grant.grantee.to_string(), kept.state.as_str().to_owned())).collect()
    }

    fn is_let_in(&self, who: &str, repository: &str) -> bool {
        let policy = self.fake.policy(&name(repository));
        let name = name(repository);
        holds(&signature(), Sheet::Repository(&name), &grant(who, GrantScope::Instance), policy.as_deref())
    }
}

fn keeper(store: &SqliteStore, fake: &FakePolicies, rates: PolicyRates) -> Keeper {
    let host = EcrHost { account: "123456789012".to_owned(), region: "us-east-1".to_owned() };
    let names = RegistryNames::new(host, "").expect("no prefix");
    let place = PolicyPlace::new(Arc::new(fake.clone()), names, rates);
    let stores = (Arc::new(store.clone()) as Arc<dyn Store>, Arc::new(store.clone()) as Arc<dyn AccessStore>);
    Keeper::new(place, signature(), stores, Arc::new(FixedClock::default()), Nudge::new())
}

fn signature() -> Signature {
    Signature::new("test", "us-east-1")
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a legal name")
}

fn grant(who: &str, scope: GrantScope) -> Grant {
    Grant { grantee: Grantee::parse(who).expect("legal"), scope }
}

fn said(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(who, state)| ((*who).to_owned(), (*state).to_owned())).collect()
}

/// 10,000 repositories at 20 writes a second: bounded by that alone, without one call that is asked to slow down, and no
/// policy is read twice or written when it is right.
#[tokio::test(start_paused = true)]
async fn ten_thousand_repositories_take_as_long_as_their_writes() {
    const COUNT: u64 = 10_000;
    const RATE: f64 = 20.0;
    let pace = PolicyPace { latency: Duration::from_millis(150), writes_per_second: Some(RATE), page: 1000 };
    let fake = FakePolicies::with_pace(pace);
    for number in 0..COUNT {
        fake.repository_make(&name(&format!("team/app-{number:05}")));
    }
    let stage = Stage::new(fake, PolicyRates { reads: 2.0 * RATE, writes: RATE }).await;
    stage.ask(A, GrantScope::Instance).await;
    let (began, bound) = (Instant::now(), COUNT as f64 / RATE);
    assert_eq!(stage.look(Look::Asked).await, Looked::Through);
    let took = began.elapsed().as_secs_f64();
    assert!(took <= 1.05 * bound, "{took} s, where the writes alone take {bound} s");
    let calls = |op| stage.fake.calls(op);
    assert_eq!((calls(PolicyOp::Page), calls(PolicyOp::Read), calls(PolicyOp::Write)), (10, COUNT, COUNT));
    assert_eq!(stage.fake.throttled(), 0);
    // What is held in memory is what goes on at once, however many there are.
    assert!(stage.fake.most_at_once() <= 17, "{}", stage.fake.most_at_once());
    let kept = stage.kept().await.remove(0);
    assert_eq!((&kept.state, kept.report.right, kept.report.changed), (&GrantState::Settled, COUNT, COUNT));

    // A second grant on a part of them touches that part alone; a look at all reads each once, and writes nothing.
    stage.ask(B, GrantScope::Repository(name("team/app-00007"))).await;
    assert_eq!(stage.look(Look::Asked).await, Looked::Through);
    assert_eq!((calls(PolicyOp::Page), calls(PolicyOp::Read), calls(PolicyOp::Write)), (10, COUNT + 1, COUNT + 1));
    assert_eq!(stage.look(Look::All(Mending::Mend)).await, Looked::Through);
    assert_eq!((calls(PolicyOp::Read), calls(PolicyOp::Write)), (2 * COUNT + 1, COUNT + 1));
}

/// A look that ends in the middle is begun anew by whoever comes next, and writes only what is left.
#[tokio::test(start_paused = true)]
async fn a_look_that_was_killed_is_gone_on_with() {
    let fake = FakePolicies::with_pace(PolicyPace { latency: Duration::from_millis(100), ..PolicyPace::default() });
    let names: Vec<String> = (0..200).map(|number| format!("team/app-{number:03}")).collect();
    names.iter().for_each(|text| fake.repository_make(&name(text)));
    let rates = PolicyRates { reads: 40.0, writes: 20.0 };
    let stage = Stage::new(fake, rates).await;
    stage.ask(A, GrantScope::Instance).await;
    tokio::select! {
        ended = stage.keeper.look(Look::Asked) => panic!("it takes ten seconds: {ended:?}"),
        () = until_true("half to be written", || async { stage.fake.calls(PolicyOp::Write) >= 100 }) => {}
    }
    let before = stage.fake.calls(PolicyOp::Write);
    assert!((100..=120).contains(&before), "{before}");
    assert_eq!(stage.states().await, said(&[(A, "spreading")]));
    assert!(stage.kept().await[0].report.seen > 0, "how far it was is told");

    let next = keeper(&stage.store, &stage.fake, rates);
    assert_eq!(next.look(Look::Asked).await.expect("it comes to its end"), Looked::Through);
    assert!(names.iter().all(|text| stage.is_let_in(A, text)));
    // What was under way when it was killed may be written twice.
    assert!(stage.fake.calls(PolicyOp::Write) <= 200 + 16, "{}", stage.fake.calls(PolicyOp::Write));
    assert_eq!(stage.states().await, said(&[(A, "settled")]));
}

/// Granted and taken back, the policies are as they were; others' statements stay all along.
#[tokio::test]
async fn what_is_taken_back_leaves_no_trace() {
    let stage = Stage::with(&["team/app", "team/web", "other/app"]).await;
    let theirs = format!(r#"{{"Version":"2012-10-17","Statement":[{THEIRS}]}}"#);
    stage.fake.policy_edit(&name("team/web"), Some(&theirs));
    let team = GrantScope::Owner(OwnerName::parse("team").expect("an owner"));
    stage.ask(A, team).await;
    assert_eq!(stage.look(Look::Asked).await, Looked::Through);
    assert_eq!(stage.look(Look::Asked).await, Looked::Nothing);
    let let_in = ["team/app", "team/web", "other/app"].map(|text| stage.is_let_in(A, text));
    assert_eq!(let_in, [true, true, false]);
    assert!(stage.fake.policy(&name("team/web")).is_some_and(|text| text.contains(THEIRS)));
    stage.take_back(A).await;
    assert_eq!(stage.look(Look::Asked).await, Looked::Through);
    assert_eq!(stage.kept().await, []);
    assert_eq!(stage.fake.policy(&name("team/app")), None);
    assert_eq!(stage.fake.policy(&name("team/web")), Some(theirs));
}

/// What was edited by hand, and a repository that was made elsewhere, are found by a look at all: and mended, or reported.
#[tokio::test]
async fn what_comes_undone_is_mended_or_reported() {
    let stage = Stage::with(&["team/app", "team/web"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    let writes = stage.fake.calls(PolicyOp::Write);
    stage.fake.policy_edit(&name("team/app"), None);
    stage.fake.repository_make(&name("other/new"));

    stage.look(Look::All(Mending::ReportOnly)).await;
    assert_eq!(stage.fake.calls(PolicyOp::Write), writes);
    let kept = stage.kept().await.remove(0);
    assert_eq!((&kept.state, kept.report.seen, kept.report.right), (&GrantState::Incomplete, 3, 1));
    let mut wrong: Vec<&str> = kept.report.wrong.iter().map(|it| it.repository.as_str()).collect();
    wrong.sort_unstable();
    assert_eq!(wrong, ["other/new", "team/app"]);
    assert!(kept.report.wrong[0].why.contains("only reports"), "{}", kept.report.wrong[0].why);

    stage.look(Look::All(Mending::Mend)).await;
    assert_eq!(stage.fake.calls(PolicyOp::Write), writes + 2);
    let kept = stage.kept().await.remove(0);
    assert_eq!((&kept.state, kept.report.right, kept.report.wrong.len()), (&GrantState::Settled, 3, 0));
    assert!(["team/app", "team/web", "other/new"].iter().all(|text| stage.is_let_in(A, text)));
}

/// Where the rest is only reported, a revoke is carried out all the same, also one that could not be at first.
#[tokio::test]
async fn what_was_to_be_taken_back_goes_though_the_rest_is_only_reported() {
    let stage = Stage::with(&["team/app", "team/web"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    stage.take_back(A).await;
    stage.fake.fail_next(PolicyOp::Delete, PolicyFault::Denied);
    stage.look(Look::Asked).await;
    assert_eq!(stage.kept().await.remove(0).state, GrantState::Incomplete);
    let let_in = || ["team/app", "team/web"].iter().filter(|it| stage.is_let_in(A, it)).count();
    stage.look(Look::All(Mending::ReportOnly)).await;
    assert_eq!(let_in(), 1);
    assert_eq!(stage.look(Look::Left).await, Looked::Through);
    assert_eq!((stage.kept().await, let_in()), (vec![], 0));
    assert_eq!(stage.look(Look::Left).await, Looked::Nothing);
}

/// AWS says that somebody is unknown, and not who: the others get what they were granted, the one is named.
#[tokio::test]
async fn who_is_unknown_is_found_among_others() {
    for unknown in [&[NOBODY][..], &[NOBODY, C], &[A, B, C, NOBODY]] {
        let stage = Stage::with(&["team/app", "team/web", "other/app"]).await;
        unknown.iter().for_each(|who| stage.fake.account_forget(&AccountId::parse(who).expect("digits")));
        for who in [A, B, C, NOBODY] {
            stage.ask(who, GrantScope::Instance).await;
        }
        stage.ask("org:o-a1b2c3d4e5", GrantScope::Instance).await;
        assert_eq!(stage.look(Look::Asked).await, Looked::Through);
        assert_eq!(stage.look(Look::Asked).await, Looked::Nothing);
        for kept in stage.kept().await {
            let who = kept.grant.grantee.to_string();
            let is_unknown = unknown.contains(&who.as_str());
            match &kept.state {
                GrantState::Refused(why) => assert!(is_unknown && why.contains(&who), "{who}: {why}"),
                state => assert!(!is_unknown && *state == GrantState::Settled, "{who}: {state:?}"),
            }
            for repository in ["team/app", "team/web", "other/app"] {
                let policy = stage.fake.policy(&name(repository)).unwrap_or_default();
                assert_eq!(policy.contains(who.trim_start_matches("org:")), !is_unknown, "{who}: {policy}");
            }
        }
    }
}

/// One who is alone and unknown is found at the first repository, and no other is read for it.
#[tokio::test]
async fn who_is_unknown_leaves_nothing_half_done() {
    let names: Vec<String> = (0..100).map(|number| format!("team/app-{number:03}")).collect();
    let stage = Stage::with(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    stage.fake.account_forget(&AccountId::parse(NOBODY).expect("digits"));
    stage.ask(NOBODY, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    assert_eq!(stage.states().await, said(&[(NOBODY, "refused")]));
    assert!(names.iter().all(|text| stage.fake.policy(&name(text)).is_none()));
    assert!(stage.fake.calls(PolicyOp::Read) <= 32, "{}", stage.fake.calls(PolicyOp::Read));
    // It was a slip of the finger: taken back, it is gone.
    stage.take_back(NOBODY).await;
    stage.look(Look::Asked).await;
    assert_eq!(stage.kept().await, []);
}

/// An account that was closed after it was granted is not laid at the door of whoever comes next.
#[tokio::test]
async fn who_was_known_once_is_nobody_elses_fault() {
    let stage = Stage::with(&["team/app"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    let before = stage.fake.policy(&name("team/app"));
    stage.fake.account_forget(&AccountId::parse(A).expect("digits"));
    stage.ask(B, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    assert_eq!(stage.states().await, said(&[(A, "settled"), (B, "incomplete")]));
    let why = stage.kept().await.remove(1).report.wrong.remove(0).why;
    assert_eq!(why, "AWS does not know an account that its policy names already");
    assert_eq!(stage.fake.policy(&name("team/app")), before);
    // Taken back, the closed one makes room.
    stage.take_back(A).await;
    stage.look(Look::Asked).await;
    stage.look(Look::All(Mending::Mend)).await;
    assert_eq!(stage.states().await, said(&[(B, "settled")]));
}

/// What fails for a moment is tried again at once; what may not be done is said, and tried again at the next look.
#[tokio::test(start_paused = true)]
async fn faults_are_survived_or_said() {
    let stage = Stage::with(&["team/app", "team/web"]).await;
    stage.ask(A, GrantScope::Instance).await;
    for (op, fault) in [
        (PolicyOp::Page, PolicyFault::Throttled),
        (PolicyOp::Page, PolicyFault::Unavailable),
        (PolicyOp::Read, PolicyFault::Throttled),
        (PolicyOp::Read, PolicyFault::Unavailable),
        (PolicyOp::Write, PolicyFault::Throttled),
        (PolicyOp::Write, PolicyFault::AnswerLost),
    ] {
        stage.fake.fail_next(op, fault);
    }
    stage.look(Look::Asked).await;
    assert_eq!(stage.states().await, said(&[(A, "settled")]));

    stage.ask(B, GrantScope::Instance).await;
    stage.fake.fail_next(PolicyOp::Write, PolicyFault::Denied);
    stage.look(Look::Asked).await;
    let kept = stage.kept().await.remove(1);
    assert_eq!((&kept.state, kept.report.seen, kept.report.right), (&GrantState::Incomplete, 2, 1));
    assert!(kept.report.wrong[0].why.contains("may not do this"), "{}", kept.report.wrong[0].why);
    assert_eq!(stage.states().await[0].1, "settled", "another grant is as true as before");
    stage.look(Look::All(Mending::Mend)).await;
    assert_eq!(stage.states().await, said(&[(A, "settled"), (B, "settled")]));
}

/// A policy that can't be read may name whoever is taken back: the grant stays until it can.
#[tokio::test(start_paused = true)]
async fn what_cant_be_read_is_not_taken_back() {
    let stage = Stage::with(&["team/app", "team/web"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    stage.take_back(A).await;
    stage.fake.fail_next(PolicyOp::Read, PolicyFault::Denied);
    stage.look(Look::Asked).await;
    let kept = stage.kept().await.remove(0);
    assert_eq!((&kept.state, kept.report.right, kept.report.wrong.len()), (&GrantState::Incomplete, 1, 1));
    assert_eq!(["team/app", "team/web"].iter().filter(|it| stage.is_let_in(A, it)).count(), 1);
    stage.look(Look::All(Mending::Mend)).await;
    assert_eq!(stage.kept().await, []);
    assert!(!["team/app", "team/web"].iter().any(|it| stage.is_let_in(A, it)));
}

/// A list that can't be read ends the look; what was asked for stays so, and says what it waits for.
#[tokio::test]
async fn without_a_list_nothing_is_decided() {
    let stage = Stage::with(&["team/app"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.fake.fail_next(PolicyOp::Page, PolicyFault::Denied);
    let failed = stage.keeper.look(Look::Asked).await;
    assert!(matches!(failed, Err(LookError::List(_))), "{failed:?}");
    let kept = stage.kept().await.remove(0);
    assert_eq!(kept.state, GrantState::Spreading);
    assert!(kept.progress().starts_with("waiting: the repositories can't be listed"), "{}", kept.progress());
    stage.look(Look::Asked).await;
    assert_eq!(stage.kept().await.remove(0).progress(), "true on 1 repository");
}

/// More accounts than fit: said with how many do, and nobody who is in loses anything.
#[tokio::test]
async fn more_than_fits_is_said() {
    let stage = Stage::with(&["team/app"]).await;
    stage.ask(A, GrantScope::Instance).await;
    stage.look(Look::Asked).await;
    let before = stage.fake.policy(&name("team/app"));
    for number in 0..400_u64 {
        stage.ask(&format!("{:012}", 400_000_000_000 + number), GrantScope::Instance).await;
    }
    stage.look(Look::Asked).await;
    assert_eq!(stage.fake.policy(&name("team/app")), before);
    let kept = stage.kept().await.pop().expect("many");
    assert_eq!(kept.state, GrantState::Incomplete);
    assert!(kept.report.wrong[0].why.contains("401 accounts fit"), "{}", kept.report.wrong[0].why);
    assert_eq!(stage.states().await[0], (A.to_owned(), "settled".to_owned()));
}

/// A grant that somebody changes in the middle of a look is not what the look was about.
#[tokio::test]
async fn who_changes_a_grant_in_the_middle_wins() {
    let fake = FakePolicies::with_pace(PolicyPace { latency: Duration::from_millis(300), ..PolicyPace::default() });
    fake.repository_make(&name("team/app"));
    let stage = Stage::new(fake, PolicyRates { reads: 1e6, writes: 1e6 }).await;
    stage.ask(A, GrantScope::Instance).await;
    let (looked, ()) = tokio::join!(stage.look(Look::Asked), async {
        until_true("the write to be under way", || async { stage.fake.calls(PolicyOp::Write) == 1 }).await;
        stage.take_back(A).await;
    });
    assert_eq!(looked, Looked::Through);
    assert!(stage.is_let_in(A, "team/app"));
    let kept = stage.kept().await.remove(0);
    assert_eq!((kept.wish, &kept.state), (GrantWish::TakeBack, &GrantState::Spreading));
    stage.look(Look::Asked).await;
    assert!(!stage.is_let_in(A, "team/app"));
    assert_eq!(stage.kept().await, []);
}

//! The operations over an account in memory, with everything that goes wrong there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::grant::AccountId;

use super::*;
use crate::account::fake::{FakeAccount, Fault};
use crate::account::{ChangeAction, Kind, Trouble};
use crate::image::{Architecture, Image};
use crate::instance::{Instance, Wishes, check};
use crate::template::{Parts, server_repository, stack};

/// Keeps what it hears. Each pause is a second.
#[derive(Default)]
struct Ear {
    seconds: AtomicU64,
    heard: Mutex<Vec<String>>,
}

#[async_trait]
impl Watch for Ear {
    fn hear(&self, news: News<'_>) {
        self.heard.lock().expect("no panic").push(format!("{news:?}"));
    }

    async fn pause(&self) {
        self.seconds.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::Relaxed))
    }
}

/// Answers after so many questions.
struct Late(AtomicU64);

#[async_trait]
impl Door for Late {
    async fn health(&self, _: &str) -> Result<Option<String>, String> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(Some("1.0.0".to_owned())),
            left => {
                self.0.store(left - 1, Ordering::Relaxed);
                Err("connection refused".to_owned())
            }
        }
    }
}

const NAME: &str = "test";
const STACK: &str = "l0-test";

fn account() -> FakeAccount {
    FakeAccount::new(AccountId::parse("123456789012").expect("an account"), "eu-central-1")
}

fn instance(more: &str) -> Instance {
    let wishes = Wishes::read(&format!("name = \"{NAME}\"\nregion = \"eu-central-1\"\n{more}")).expect("wishes");
    check(&wishes).expect("they can be")
}

fn wanted(more: &str) -> Wanted {
    let parts = Parts {
        image: "registry/l0@sha256:0",
        architecture: Architecture::Amd64,
        account: "123456789012",
        version: "1.0.0",
        wishes: more,
    };
    Wanted { instance: NAME.to_owned(), stack: STACK.to_owned(), template: stack(&instance(more), &parts) }
}

fn image() -> Image {
    Image {
        architecture: Architecture::Amd64,
        layer: b"layer".to_vec(),
        config: b"config".to_vec(),
        manifest: b"manifest".to_vec(),
    }
}

/// All that `l0 setup apply` does in the account.
async fn applied(account: &FakeAccount, wanted: &Wanted) -> Result<Applied, SetupError> {
    let ear = Ear::default();
    let setup = Setup::new(account, &ear);
    let planned = setup.plan(wanted).await?;
    setup.push(&server_repository(&instance("")), NAME, &image(), "1.0.0").await?;
    setup.apply(&Run { wanted, planned: &planned }).await
}

async fn destroyed(account: &FakeAccount, with_data: bool) -> Result<Gone, SetupError> {
    let ear = Ear::default();
    Setup::new(account, &ear).destroy(STACK, NAME, with_data).await
}

fn count(account: &FakeAccount, action: &str) -> usize {
    account.calls().iter().filter(|call| **call == action).count()
}

/// The names in the template of all that is made.
async fn parts(account: &FakeAccount) -> Vec<String> {
    let ear = Ear::default();
    let planned = Setup::new(account, &ear).plan(&wanted("")).await.expect("a plan");
    planned.changes.iter().map(|change| change.logical.clone()).collect()
}

#[tokio::test]
async fn what_was_planned_is_done_and_a_second_time_changes_nothing() {
    let account = account();
    let ear = Ear::default();
    let setup = Setup::new(&account, &ear);
    let planned = setup.plan(&wanted("")).await.expect("a plan");
    assert!(planned.changes.iter().all(|change| change.action == ChangeAction::Add) && planned.changes.len() > 20);
    let again = setup.plan(&wanted("")).await.expect("the same plan");
    assert_eq!(again.plan, planned.plan);
    let done = applied(&account, &wanted("")).await.expect("it stands");
    assert_eq!((done.changed, done.stack.status.as_str()), (true, "CREATE_COMPLETE"));
    assert_eq!(account.images("l0-test-server").len(), 1);
    let executions = count(&account, "cloudformation:ExecuteChangeSet");
    let done = applied(&account, &wanted("")).await.expect("it stands");
    assert!(!done.changed);
    assert_eq!(count(&account, "cloudformation:ExecuteChangeSet"), executions);

    let changed = applied(&account, &wanted("[server]\ncopies = 3")).await.expect("it is changed");
    assert_eq!(changed.stack.status, "UPDATE_COMPLETE");
    let list = setup.list().await.expect("a list");
    assert_eq!(list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [NAME]);
}

#[tokio::test]
async fn whatever_can_t_be_made_is_named_undone_and_made_the_next_time() {
    let all = parts(&account()).await;
    for part in all {
        let account = account();
        account.fail(Fault::Create { part: part.clone(), reason: "no more of them".to_owned() });
        let SetupError::Failed(failure) = applied(&account, &wanted("")).await.expect_err(&part) else {
            panic!("{part}: another failure");
        };
        let cause = failure.cause.expect("a cause");
        assert_eq!((cause.logical.as_str(), cause.reason.as_str()), (part.as_str(), "no more of them"));
        assert!(!failure.undone.contains(&part), "{part} never was");
        assert_eq!(failure.status, "ROLLBACK_COMPLETE", "{part}");
        account.heal();
        let done = applied(&account, &wanted("")).await.unwrap_or_else(|why| panic!("{part}: {why}"));
        assert_eq!(done.stack.status, "CREATE_COMPLETE", "{part}");
    }
}

#[tokio::test]
async fn credentials_that_end_at_any_call_are_named_and_the_next_apply_goes_on() {
    let mut after = 0;
    loop {
        let account = account();
        account.fail(Fault::CredentialsExpire { after });
        match applied(&account, &wanted("")).await {
            Ok(_) => break,
            Err(SetupError::Account(why)) => assert_eq!(why.trouble, Trouble::Credentials, "{after}"),
            Err(why) => panic!("{after}: {why}"),
        }
        account.heal();
        let done = applied(&account, &wanted("")).await.unwrap_or_else(|why| panic!("{after}: {why}"));
        assert_eq!(done.stack.status, "CREATE_COMPLETE", "{after}");
        after += 1;
    }
    assert!(after > 20, "{after} calls");
}

#[tokio::test]
async fn an_apply_that_is_interrupted_anywhere_goes_on() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    for polls in 1.. {
        let account = account();
        let is_done = {
            let wanted = wanted("");
            let mut running = pin!(applied(&account, &wanted));
            let mut context = Context::from_waker(Waker::noop());
            (0..polls).any(|_| matches!(running.as_mut().poll(&mut context), Poll::Ready(Ok(_))))
        };
        let done = applied(&account, &wanted("")).await.unwrap_or_else(|why| panic!("{polls}: {why}"));
        assert_eq!(done.stack.status, "CREATE_COMPLETE", "{polls}");
        assert_eq!(count(&account, "cloudformation:ExecuteChangeSet"), 1, "{polls}: it is begun once");
        if is_done {
            assert!(polls > 5, "{polls}");
            break;
        }
    }
}

#[tokio::test]
async fn answers_that_are_lost_and_calls_that_reach_nobody_are_repeated() {
    let calm = account();
    applied(&calm, &wanted("")).await.expect("it stands");
    let mut actions = calm.calls();
    actions.sort_unstable();
    actions.dedup();
    for action in actions {
        let account = account();
        account.fail(Fault::AnswerLost { action: action.to_owned() });
        let done = applied(&account, &wanted("")).await.unwrap_or_else(|why| panic!("{action}: {why}"));
        assert_eq!(done.stack.status, "CREATE_COMPLETE", "{action}");
    }
    for fault in [Fault::Unreachable { calls: 20 }, Fault::Throttled { calls: 20 }] {
        let account = account();
        account.fail(fault.clone());
        assert!(applied(&account, &wanted("")).await.is_ok(), "{fault:?}");
        account.fail(Fault::Unreachable { calls: 10_000 });
        assert!(matches!(applied(&account, &wanted("")).await, Err(SetupError::Account(_))), "not for ever");
    }
}

#[tokio::test]
async fn an_action_that_is_denied_is_named() {
    let account = account();
    account.fail(Fault::Denied { action: "cloudformation:CreateChangeSet".to_owned() });
    let why = applied(&account, &wanted("")).await.expect_err("denied");
    assert!(matches!(&why, SetupError::Account(why) if why.trouble == Trouble::Denied), "{why}");
    assert!(why.to_string().contains("cloudformation:CreateChangeSet"), "{why}");
}

#[tokio::test]
async fn somebody_else_s_stack_is_left_alone() {
    for tags in [&[][..], &[("layer0.setup", "other")]] {
        let account = account();
        account.stack_put(STACK, tags);
        let before = account.things();
        let foreign = SetupError::Foreign { stack: STACK.to_owned() };
        assert_eq!(applied(&account, &wanted("")).await.expect_err("foreign"), foreign);
        assert_eq!(destroyed(&account, true).await.expect_err("foreign"), foreign);
        assert_eq!(account.things(), before);
    }
}

#[tokio::test]
async fn a_change_that_fails_is_undone_and_one_that_can_t_be_undone_is_gone_on_with() {
    let account = account();
    applied(&account, &wanted("")).await.expect("it stands");
    let more = wanted("[server]\ncopies = 3");
    account.fail(Fault::Update { part: "Servers".to_owned(), reason: "circuit breaker".to_owned() });
    let why = applied(&account, &more).await.expect_err("it fails");
    assert!(why.to_string().contains("Servers (AWS::ECS::Service) could not be changed: circuit breaker"), "{why}");

    account.fail(Fault::Rollback { part: "Servers".to_owned(), reason: "no rights".to_owned() });
    applied(&account, &more).await.expect_err("it fails");
    let status = |account: &FakeAccount| {
        let account = account.clone();
        async move { account.stack(STACK).await.expect("an answer").map(|stack| stack.status) }
    };
    assert_eq!(status(&account).await.as_deref(), Some("UPDATE_ROLLBACK_FAILED"));
    let why = applied(&account, &more).await.expect_err("it can't be undone yet");
    assert!(matches!(&why, SetupError::Stuck { status, .. } if status == "UPDATE_ROLLBACK_FAILED"), "{why}");
    account.heal();
    assert_eq!(applied(&account, &more).await.expect("it is changed").stack.status, "UPDATE_COMPLETE");
}

/// What `doctor` finds of a subject.
async fn found(account: &FakeAccount, subject: &str) -> Finding {
    let (ear, instance) = (Ear::default(), instance(""));
    let known = Known { name: NAME, instance: Some(&instance), wishes: Some(""), version: "1.0.0" };
    let all = Setup::new(account, &ear).doctor(&known, &Late(AtomicU64::new(0))).await;
    all.into_iter().find(|found| found.subject == subject).expect("it is looked at")
}

#[tokio::test]
async fn what_can_t_be_undone_is_named_by_the_doctor_and_cleared_away_later() {
    let account = account();
    account.fail(Fault::Create { part: "Servers".to_owned(), reason: "no capacity".to_owned() });
    account.fail(Fault::Rollback { part: "Balancer".to_owned(), reason: "it is protected".to_owned() });
    account.fail(Fault::Delete { part: "Balancer".to_owned(), reason: "it is protected".to_owned() });
    applied(&account, &wanted("")).await.expect_err("it fails");
    let told = found(&account, "stack").await;
    assert_eq!(told.state, Health::Bad);
    for words in ["ROLLBACK_FAILED", "Servers (AWS::ECS::Service) could not be made: no capacity", "it is protected"] {
        assert!(told.words.contains(words), "{words}: {}", told.words);
    }
    assert!(told.remedy.as_deref().is_some_and(|remedy| remedy.contains("l0 setup apply test")), "{told:?}");
    let why = applied(&account, &wanted("")).await.expect_err("it is in the way");
    assert!(matches!(&why, SetupError::Stuck { status, .. } if status.ends_with("_FAILED")), "{why}");
    account.heal();
    assert_eq!(applied(&account, &wanted("")).await.expect("it stands").stack.status, "CREATE_COMPLETE");
    assert_eq!(found(&account, "stack").await.state, Health::Good);
}

#[tokio::test]
async fn nothing_is_left_but_the_data_that_is_kept_and_that_is_taken_in_again() {
    let account = account();
    applied(&account, &wanted("")).await.expect("it stands");
    account.remain_put(NAME, Remain { kind: Kind::Repository, name: "l0-test/team/app".to_owned() });
    account.remain_put(NAME, Remain { kind: Kind::Service, name: "l0-test-dev/web".to_owned() });
    account.remain_put(NAME, Remain { kind: Kind::EnvironmentStack, name: "l0-test-dev".to_owned() });
    account.remain_put(NAME, Remain { kind: Kind::Other, name: "arn:aws:sns:eu-central-1:1:x".to_owned() });
    let gone = destroyed(&account, false).await.expect("it goes");
    let kinds: Vec<Kind> = gone.kept.iter().map(|remain| remain.kind).collect();
    assert_eq!(kinds, [Kind::Repository, Kind::Table]);
    assert_eq!(gone.others.len(), 1);
    let twice = destroyed(&account, false).await.expect("it is gone");
    assert_eq!(twice.kept, gone.kept);

    let told = found(&account, "stack").await;
    assert!(told.words.contains("table l0-test"), "{told:?}");
    let ear = Ear::default();
    let planned = Setup::new(&account, &ear).plan(&wanted("")).await.expect("a plan");
    let taken_in: Vec<&str> = planned
        .changes
        .iter()
        .filter(|change| change.action == ChangeAction::Import)
        .map(|change| change.logical.as_str())
        .collect();
    assert_eq!(taken_in, ["State"]);
    applied(&account, &wanted("")).await.expect("it stands again");

    let gone = destroyed(&account, true).await.expect("it goes");
    assert!(gone.kept.is_empty());
    let left: Vec<_> = account.things();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn nothing_else_goes_before_the_last_server_has_ended() {
    let account = account();
    applied(&account, &wanted("")).await.expect("it stands");
    account.drain_set(30);
    account.remain_put(NAME, Remain { kind: Kind::Service, name: "l0-test-dev/web".to_owned() });
    account.remain_put(NAME, Remain { kind: Kind::EnvironmentStack, name: "l0-test-dev".to_owned() });
    let ear = Ear::default();
    Setup::new(&account, &ear).destroy(STACK, NAME, true).await.expect("it goes");
    assert!(ear.seconds.load(Ordering::Relaxed) >= 30, "the servers are waited for");
    let heard = ear.heard.lock().expect("no panic");
    let kinds: Vec<&str> = heard.iter().filter_map(|news| news.strip_prefix("Leaves(Remain { kind: ")).collect();
    let kinds: Vec<&str> = kinds.iter().filter_map(|news| Some(news.split_once(',')?.0)).collect();
    assert_eq!(kinds, ["Servers", "Service", "EnvironmentStack", "Stack", "ServerRepository", "Table"]);
    // Each of them went by one call: none was there again. The stack goes by a call of its own.
    assert_eq!(count(&account, "tag:RemoveOne"), 30 + 4);
    assert!(account.things().is_empty(), "{:?}", account.things());
}

#[tokio::test]
async fn a_stack_that_does_not_go_is_explained_and_the_next_destroy_goes_on() {
    let account = account();
    applied(&account, &wanted("")).await.expect("it stands");
    account.fail(Fault::Delete { part: "Vpc".to_owned(), reason: "it has dependencies".to_owned() });
    let why = destroyed(&account, true).await.expect_err("it stays");
    assert!(why.to_string().contains("Vpc (AWS::EC2::VPC) could not be deleted: it has dependencies"), "{why}");
    let told = found(&account, "stack").await;
    assert!(told.remedy.as_deref().is_some_and(|remedy| remedy.contains("l0 setup destroy test")), "{told:?}");
    account.heal();
    destroyed(&account, true).await.expect("it goes");
    assert!(account.things().is_empty(), "{:?}", account.things());
}

#[tokio::test]
async fn servers_are_waited_for_and_not_for_ever() {
    let account = account();
    let ear = Ear::default();
    let setup = Setup::new(&account, &ear);
    let late = |questions| Late(AtomicU64::new(questions));
    setup.healthy(&late(30), "http://x/", Some("1.0.0")).await.expect("it answers");
    let why = setup.healthy(&late(100_000), "http://x/", None).await.expect_err("it does not");
    assert_eq!(why.to_string(), "nothing answers at http://x/: connection refused");
    let why = setup.healthy(&late(0), "http://x/", Some("2.0.0")).await.expect_err("another one does");
    assert_eq!(why.to_string(), "version 1.0.0 answers, and not 2.0.0");
}

#[tokio::test]
async fn a_server_that_stops_while_it_is_waited_for_is_told_of_at_once_and_by_the_doctor() {
    let account = account();
    account.stopped_put(StoppedServer {
        id: "1".to_owned(),
        at: layer0_domain::model::time::Timestamp(i64::MAX),
        reason: "Essential container in task exited".to_owned(),
        exit_code: Some(1),
        log: vec!["error: the table can't be read".to_owned()],
    });
    let ear = Ear::default();
    let setup = Setup::new(&account, &ear);
    let planned = setup.plan(&wanted("")).await.expect("a plan");
    setup.push(&server_repository(&instance("")), NAME, &image(), "1.0.0").await.expect("it is pushed");
    setup.apply(&Run { wanted: &wanted(""), planned: &planned }).await.expect("it stands");
    let heard = ear.heard.lock().expect("no panic").join("\n");
    assert_eq!(heard.matches("Stopped(").count(), 1, "{heard}");
    let told = found(&account, "servers").await;
    assert_eq!(told.state, Health::Bad);
    for words in ["1 of 2 run", "Essential container in task exited (exit code 1)", "the table can't be read"] {
        assert!(told.words.contains(words), "{words}: {}", told.words);
    }
}

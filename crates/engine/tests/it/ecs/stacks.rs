//! Stacks that can't be made: the cause is told, and what hinders another try is.

use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::Want;
use layer0_testkit::aws::{FakeAws, FakeAwsConfig, ResourceFault, ResourceVerb};
use layer0_testkit::sample;
use layer0_testkit::until::until;

use super::going_back::called;
use super::stage;

const GROUP: &str = "AWS::EC2::SecurityGroup";
const BAD: &str = "the name is not to AWS's taste";
const HELD: &str = "resource sg-1 has a dependent object";

fn environment(generation: u64) -> Want {
    let Want::Environment { mut environment, reachable_from } = stage::environment() else {
        unreachable!("the stage's environment is one")
    };
    environment.generation = Generation(generation);
    Want::Environment { environment, reachable_from }
}

fn fault(aws: &FakeAws, resource_type: &str, verb: ResourceVerb, reason: &str, times: u64) {
    let (resource_type, reason) = (resource_type.to_owned(), reason.to_owned());
    aws.fault_resource(ResourceFault { resource_type, verb, reason, times });
}

/// AWS takes away what it can't make, itself included: what it did last is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_made_has_its_cause_and_a_rerun_converges() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    fault(&aws, "AWS::ECS::Cluster", ResourceVerb::Create, BAD, 1);
    stage::ensure(engine.as_ref(), &environment(1)).await.expect("it is taken");
    let cause = stage::settled(engine.as_ref(), &environment(1)).await.expect_err("it can't be made");
    assert_eq!(cause.message, format!("AWS could not make it: AWS::ECS::Cluster: {BAD}"));
    stage::ensure(engine.as_ref(), &environment(2)).await.expect("it is taken");
    stage::settled(engine.as_ref(), &environment(2)).await.expect("nothing is wrong any more");
}

/// What waits for an environment that can't be made has that failure as its own, and comes up when the environment does.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_environment_that_cant_be_made_fails_with_its_cause() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    fault(&aws, "AWS::Logs::LogGroup", ResourceVerb::Create, BAD, u64::MAX);
    let other = Want::Environment { environment: sample::environment("dev-2", "other"), reachable_from: vec![] };
    let (balancer, task) = (stage::load_balancer(), Want::Task(stage::task()));
    let (alone, behind) = (stage::service(1, "app:1", 1, false), stage::service(2, "app:1", 1, true));
    let services = [Want::Service(alone), Want::Service(behind)];
    for want in [&environment(1), &balancer, &task, &services[0], &services[1]] {
        stage::ensure(engine.as_ref(), want).await.expect("it is taken");
    }
    let cause = format!("environment `dev` is not there: AWS could not make it: AWS::Logs::LogGroup: {BAD}");
    for want in [&balancer, &task, &services[0], &services[1]] {
        let failure = stage::settled(engine.as_ref(), want).await.expect_err("it can't be made");
        assert_eq!(failure.message, cause, "{}", want.entity());
        assert!(failure.hint.is_some_and(|hint| hint.contains("correct what AWS names")), "{}", want.entity());
    }
    aws.faults_clear();
    // A link from it is not there, whatever the other one is.
    let linked = Want::Environment {
        environment: sample::environment("dev-2", "other"),
        reachable_from: vec![EnvironmentId::parse("dev-1").expect("an id")],
    };
    stage::ensure(engine.as_ref(), &other).await.expect("it is taken");
    stage::settled(engine.as_ref(), &other).await.expect("nothing is wrong with it");
    stage::ensure(engine.as_ref(), &linked).await.expect("it is taken");
    let failure = stage::settled(engine.as_ref(), &linked).await.expect_err("it is not linked");
    assert_eq!(failure.message, cause);
    stage::ensure(engine.as_ref(), &environment(2)).await.expect("it is taken");
    stage::settled(engine.as_ref(), &environment(2)).await.expect("nothing is wrong any more");
    until("all but the task to be there", || async {
        for want in [&balancer, &services[0], &services[1], &linked] {
            stage::settled(engine.as_ref(), want).await.map_err(|failure| failure.message)?;
        }
        Ok::<(), String>(())
    })
    .await;
}

/// What can't be taken away either is told with both causes, and tried once more for each new wish, not over and over.
#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_cleared_away_is_told_and_left_until_the_next_wish() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    fault(&aws, "AWS::ECS::CapacityProvider", ResourceVerb::Create, BAD, 1);
    fault(&aws, GROUP, ResourceVerb::Delete, HELD, u64::MAX);
    let with_machines = |generation: u64| {
        let Want::Environment { mut environment, reachable_from } = environment(generation) else {
            unreachable!("the stage's environment is one")
        };
        environment.scale = 1;
        Want::Environment { environment, reachable_from }
    };
    stage::ensure(engine.as_ref(), &with_machines(1)).await.expect("it is taken");
    let cause = stage::settled(engine.as_ref(), &with_machines(1)).await.expect_err("it can't be made").message;
    assert!(cause.starts_with(&format!("AWS could not make it: AWS::ECS::CapacityProvider: {BAD}; ")), "{cause}");
    assert!(cause.ends_with(HELD), "{cause}");
    assert_eq!(called(&aws, "DeleteStack"), 0, "AWS did it by itself");
    // The same wish again, as it comes from time to time: it is left.
    stage::ensure(engine.as_ref(), &with_machines(1)).await.expect("it is taken");
    assert_eq!(called(&aws, "DeleteStack"), 0);
    stage::ensure(engine.as_ref(), &with_machines(2)).await.expect("it is taken");
    let cause = stage::settled(engine.as_ref(), &with_machines(2)).await.expect_err("it is still there").message;
    assert!(cause.starts_with("what was there before can't be taken away: "), "{cause}");
    assert!(cause.ends_with(HELD), "{cause}");
    assert_eq!(called(&aws, "DeleteStack"), 1);
    aws.faults_clear();
    stage::ensure(engine.as_ref(), &with_machines(3)).await.expect("it is taken");
    stage::settled(engine.as_ref(), &with_machines(3)).await.expect("nothing is wrong any more");
    stage::remove(engine.as_ref(), &environment(3).entity()).await.expect("it can be taken away");
    until("nothing to be left", || async {
        let left = stage::left(&aws);
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    })
    .await;
}

//! Strays on AWS: each kind is found and goes, whatever goes wrong on the way, and nothing of another instance is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::ServiceId;
use layer0_domain::plan::sweep::{Strays, strays};
use layer0_domain::port::engine::{Engine, Removed, Want};
use layer0_domain::port::thing::Thing;
use layer0_engine::ecs::EcsEngine;
use layer0_testkit::aws::{Behaviour, Effect, FakeAws, FakeAwsConfig, Fault, ResourceFault, ResourceVerb};
use layer0_testkit::until::until;

use super::stage;

/// So many worlds at once: enough for two cores.
const AT_ONCE: usize = 6;

async fn world() -> FakeAws {
    let aws = FakeAws::start(FakeAwsConfig { task_start_ms: 10, task_stop_ms: 5, ..FakeAwsConfig::default() }).await;
    aws.behave("job", Behaviour::Serves);
    aws
}

fn task() -> Want {
    Want::Task(stage::task())
}

/// Makes one of everything, and forgets it: the server that made it is gone, and so is what its store knew.
async fn left_behind(aws: &FakeAws) {
    let engine = stage::engine(aws).await;
    let service = Want::Service(stage::service(1, "app:1", 1, true));
    for want in [stage::environment(), stage::load_balancer(), service, task()] {
        stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
        stage::settled(engine.as_ref(), &want).await.expect("it can be made");
    }
    until("the task to run", || async {
        let running = aws.world().tasks().iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        if running == 4 { Ok(()) } else { Err(format!("{running} tasks run")) }
    })
    .await;
}

/// Looks for strays, and once more when an answer may come then.
async fn look(engine: &dyn Engine, known: &BTreeSet<EntityRef>) -> Strays {
    until("an inventory", || async {
        let things = engine.inventory().await.map_err(|error| error.to_string())?;
        Ok::<_, String>(strays(things, known))
    })
    .await
}

/// Takes all strays away, in their order, as the server does.
async fn sweep(engine: &dyn Engine, known: &BTreeSet<EntityRef>) {
    for stray in look(engine, known).await.of_nobody {
        stage::remove(engine, &stray.entity)
            .await
            .unwrap_or_else(|cause| panic!("{}: {}", stray.entity, cause.message));
    }
}

fn kinds(things: &[Thing]) -> Vec<&'static str> {
    things.iter().map(|thing| thing.what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn strays_of_every_kind_are_found_and_go() {
    let aws = world().await;
    left_behind(&aws).await;
    let engine = stage::engine(&aws).await;
    let found = look(engine.as_ref(), &BTreeSet::new()).await;
    let listed: Vec<_> = found.of_nobody.iter().map(|it| (it.entity.to_string(), kinds(&it.things))).collect();
    let expected = [
        ("service `web-1`", vec!["service", "task definition"]),
        ("task `job-1`", vec!["task", "task", "task definition"]),
        ("load_balancer `lb-1`", vec!["stack"]),
        ("environment `dev-1`", vec!["stack"]),
    ];
    let expected = expected.map(|(entity, kinds)| (entity.replace('_', " "), kinds));
    assert_eq!(listed, expected);
    assert_eq!(found.unclear, []);
    let service = &found.of_nobody[0].things[0];
    assert_eq!((service.name.as_str(), service.state.as_str()), ("l0-suite-web-1", "ACTIVE, 2 running"));
    assert_eq!(found.of_nobody[3].things[0].state, "CREATE_COMPLETE");
    // A look changes nothing.
    let changing = aws.calls().iter().filter(|call| !is_look(&call.operation)).count();
    let again = look(engine.as_ref(), &BTreeSet::new()).await;
    assert_eq!(again, found);
    assert_eq!(aws.calls().iter().filter(|call| !is_look(&call.operation)).count(), changing);

    sweep(engine.as_ref(), &BTreeSet::new()).await;
    assert_eq!(stage::left(&aws), Vec::<String>::new());
    assert_eq!(look(engine.as_ref(), &BTreeSet::new()).await, Strays::default());
}

fn is_look(operation: &str) -> bool {
    ["Describe", "List", "Get", "Filter"].iter().any(|verb| operation.starts_with(verb))
}

/// What the store knows stays: only what is of nobody goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_stays() {
    let aws = world().await;
    left_behind(&aws).await;
    let engine = stage::engine(&aws).await;
    let known = BTreeSet::from([
        stage::environment().entity(),
        stage::load_balancer().entity(),
        EntityRef::Service(ServiceId::parse("web-1").expect("an id")),
    ]);
    let before = engine.inventory().await.expect("AWS answers");
    sweep(engine.as_ref(), &known).await;
    let after = engine.inventory().await.expect("AWS answers");
    let kept: Vec<Thing> =
        before.into_iter().filter(|thing| thing.made_for.iter().all(|of| known.contains(of))).collect();
    assert_eq!(after, kept);
    assert!(kinds(&kept).contains(&"task definition"), "the service's own stays: {kept:?}");
}

/// What is left, by name: what is told of it besides goes on changing by itself.
fn names_left(aws: &FakeAws) -> Vec<String> {
    let name = |text: String| {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { return text };
        let keys = ["serviceArn", "taskArn", "taskDefinitionArn", "clusterArn", "logGroupName"];
        keys.iter().find_map(|key| value[*key].as_str().map(str::to_owned)).unwrap_or(text)
    };
    stage::left(aws).into_iter().map(name).collect()
}

/// Another instance may have the same name (its table is another one), and things of the same kinds with names that begin alike:
/// its labels tell it apart, and nothing of it is listed, let alone touched.
#[tokio::test(flavor = "multi_thread")]
async fn another_instance_of_the_same_name_is_never_touched() {
    let aws = world().await;
    let mut config = stage::config();
    config.instance_id = "suite-another".to_owned();
    let other: Arc<dyn Engine> = Arc::new(EcsEngine::start(config, &stage::sdk(&aws).await));
    let service = Want::Service(stage::service(1, "app:1", 1, true));
    for want in [stage::environment(), stage::load_balancer(), service, task()] {
        stage::ensure(other.as_ref(), &want).await.expect("it can be made");
        stage::settled(other.as_ref(), &want).await.expect("it can be made");
    }
    until("the other's task to run", || async {
        let running = aws.world().tasks().iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        if running == 4 { Ok(()) } else { Err(format!("{running} tasks run")) }
    })
    .await;
    let before = names_left(&aws);
    let ours = stage::engine(&aws).await;
    assert_eq!(look(ours.as_ref(), &BTreeSet::new()).await, Strays::default());
    sweep(ours.as_ref(), &BTreeSet::new()).await;
    let seen = ours.observe(layer0_domain::port::engine::Scope::All).await.expect("AWS answers");
    assert_eq!((seen.services, seen.tasks), (vec![], vec![]), "by the families' names alone they would be ours");
    assert_eq!(names_left(&aws), before);
}

/// A stack that can't be deleted says what hinders it, in the list and when it is tried again; when that is gone it goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_could_not_go_is_tried_again_and_says_what_hinders() {
    let aws = world().await;
    let reason = "resource sg-1 has a dependent object";
    aws.fault_resource(ResourceFault {
        resource_type: "AWS::EC2::SecurityGroup".to_owned(),
        verb: ResourceVerb::Delete,
        reason: reason.to_owned(),
        times: u64::MAX,
    });
    let engine = stage::engine(&aws).await;
    let want = stage::load_balancer();
    for want in [stage::environment(), want.clone()] {
        stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
        stage::settled(engine.as_ref(), &want).await.expect("it can be made");
    }
    let engine = stage::engine(&aws).await;
    for _ in 0..2 {
        let why = until("the removal to end in vain", || async {
            match engine.remove(&want.entity()).await {
                Ok(Removed::Hindered { why, .. }) => Ok(why),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert_eq!(why, format!("AWS::EC2::SecurityGroup: {reason}"));
    }
    let hindered = until("the second removal to end in vain", || async {
        let found = look(engine.as_ref(), &BTreeSet::from([stage::environment().entity()])).await;
        let thing = found.of_nobody.first().and_then(|stray| stray.things.first()).cloned();
        thing.filter(|thing| thing.state == "DELETE_FAILED").ok_or(format!("{found:?}"))
    })
    .await;
    assert_eq!(hindered.hindrance, Some(format!("AWS::EC2::SecurityGroup: {reason}")));
    aws.faults_clear();
    sweep(engine.as_ref(), &BTreeSet::new()).await;
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}

/// A fault at every call of a sweep in turn: it converges all the same.
async fn at_every_call(effect: Effect, times: u64) {
    let aws = world().await;
    left_behind(&aws).await;
    let engine = stage::engine(&aws).await;
    aws.calls_clear();
    sweep(engine.as_ref(), &BTreeSet::new()).await;
    let calls = aws.calls().len() as u64;
    assert!(calls > 15, "a sweep of {calls} calls is too small to be one");
    let each = stream::iter(1..=calls).map(|nth| {
        let effect = effect.clone();
        async move {
            let aws = world().await;
            left_behind(&aws).await;
            let engine = stage::engine(&aws).await;
            aws.fault(Fault::on_any(effect).nth(nth).times(times));
            sweep(engine.as_ref(), &BTreeSet::new()).await;
            // What a list showed late, or an answer hid, is left to the next one.
            sweep(engine.as_ref(), &BTreeSet::new()).await;
            assert_eq!(stage::left(&aws), Vec::<String>::new(), "after a fault at call {nth}");
        }
    });
    each.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_waits_out_throttles() {
    at_every_call(Effect::Throttle, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_waits_out_servers_in_trouble() {
    at_every_call(Effect::ServerError, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_gets_over_a_lost_answer() {
    at_every_call(Effect::LostAnswer, 1).await;
}

/// Who may not make a call is told which: the stray is left with that as its cause, and goes after being let in.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_action_is_named_and_a_rerun_converges() {
    let aws = world().await;
    left_behind(&aws).await;
    let engine = stage::engine(&aws).await;
    aws.calls_clear();
    sweep(engine.as_ref(), &BTreeSet::new()).await;
    let calls = aws.calls().len() as u64;
    let each = stream::iter(1..=calls).map(|nth| async move {
        let aws = world().await;
        left_behind(&aws).await;
        let engine = stage::engine(&aws).await;
        aws.calls_clear();
        aws.fault(Fault::on_any(Effect::AccessDenied { message: None }).nth(nth).times(1));
        for stray in look(engine.as_ref(), &BTreeSet::new()).await.of_nobody {
            if let Err(cause) = stage::remove(engine.as_ref(), &stray.entity).await {
                let denied = aws.calls()[nth as usize - 1].operation.clone();
                assert!(cause.message.contains(&denied), "{denied} in `{}`", cause.message);
                // An environment is not begun with while something is left.
                break;
            }
        }
        sweep(engine.as_ref(), &BTreeSet::new()).await;
        assert_eq!(stage::left(&aws), Vec::<String>::new(), "after call {nth} was denied");
    });
    each.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

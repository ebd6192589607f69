//! A fault at every call of a workflow in turn: it converges all the same, or fails with its cause; then a rerun converges.
//! Either way nothing is left in the end.

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, StreamExt};
use layer0_domain::model::failure::Failure;
use layer0_domain::port::engine::Engine;
use layer0_testkit::aws::{Behaviour, Effect, FakeAws, FakeAwsConfig, Fault};

use super::{classic, stage};

/// So many worlds at once: enough for two cores.
const AT_ONCE: usize = 6;

async fn world() -> FakeAws {
    let aws = FakeAws::start(FakeAwsConfig { task_start_ms: 10, task_stop_ms: 5, ..FakeAwsConfig::default() }).await;
    aws.behave("job", Behaviour::Exits { code: 0, after_ms: 20 });
    aws
}

/// What is done while calls go wrong.
type Workflow = for<'a> fn(&'a dyn Engine) -> LocalBoxFuture<'a, Result<(), Box<Failure>>>;

/// Behind an ALB on Fargate, and behind a classic load balancer on machines.
const WORKFLOWS: [Workflow; 2] =
    [|engine| Box::pin(stage::workflow(engine)), |engine| Box::pin(classic::workflow(engine))];

/// How many calls the workflow makes when nothing goes wrong.
async fn calls(workflow: Workflow) -> u64 {
    let aws = world().await;
    let engine = stage::engine(&aws).await;
    workflow(engine.as_ref()).await.expect("nothing goes wrong");
    assert_eq!(stage::left(&aws), Vec::<String>::new());
    aws.calls().len() as u64
}

/// Runs the workflows with a fault at each of their calls in turn. `times`: how many calls from there on are hit.
async fn at_every_call(effect: Effect, times: u64) {
    for workflow in WORKFLOWS {
        at_every_call_of(workflow, &effect, times).await;
    }
}

async fn at_every_call_of(workflow: Workflow, effect: &Effect, times: u64) {
    let calls = calls(workflow).await;
    assert!(calls > 20, "a workflow of {calls} calls is too small to be one");
    let each = stream::iter(1..=calls).map(|nth| {
        let effect = effect.clone();
        async move {
            let aws = world().await;
            let engine = stage::engine(&aws).await;
            aws.fault(Fault::on_any(effect).nth(nth).times(times));
            let result = workflow(engine.as_ref()).await;
            if let Err(cause) = &result {
                panic!("a fault at call {nth} must be got over, but: {}", cause.message);
            }
            assert_eq!(stage::left(&aws), Vec::<String>::new(), "after a fault at call {nth}");
        }
    });
    each.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_beyond_the_sdks_own_patience_is_waited_out() {
    at_every_call(Effect::Throttle, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_in_trouble_are_waited_out() {
    at_every_call(Effect::ServerError, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_doubles_nothing() {
    at_every_call(Effect::LostAnswer, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_may_become_visible_late() {
    at_every_call(Effect::NotVisibleFor(60), 1).await;
}

/// Who may not make a call is told which, and after being let in goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_action_is_named_and_a_rerun_converges() {
    for workflow in WORKFLOWS {
        denied_at_every_call_of(workflow).await;
    }
}

async fn denied_at_every_call_of(workflow: Workflow) {
    let calls = calls(workflow).await;
    let each = stream::iter(1..=calls).map(|nth| async move {
        let aws = world().await;
        let engine = stage::engine(&aws).await;
        aws.fault(Fault::on_any(Effect::AccessDenied { message: None }).nth(nth).times(1));
        if let Err(cause) = workflow(engine.as_ref()).await {
            let denied = aws.calls()[nth as usize - 1].operation.clone();
            assert!(cause.message.contains(&denied), "{denied} in `{}`", cause.message);
            // The next server, which was told of nothing, as after the instance's role was mended.
            drop(engine);
            let again = stage::engine(&aws).await;
            workflow(again.as_ref()).await.expect("a rerun converges");
        }
        assert_eq!(stage::left(&aws), Vec::<String>::new(), "after call {nth} was denied");
    });
    each.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

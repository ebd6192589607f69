//! A link to an environment with a private load balancer, from one that is still being made.

use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::load_balancer::Visibility;
use layer0_domain::port::engine::{Engine, Want};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::sample;

use super::stage;

const OTHER: &str = "dev-2";

fn other() -> EnvironmentId {
    EnvironmentId::parse(OTHER).expect("an id")
}

/// A private load balancer, and who may reach it.
fn balancer(reachable_from: Vec<EnvironmentId>) -> Want {
    let Want::LoadBalancer { mut load_balancer, .. } = stage::load_balancer() else {
        unreachable!("the stage's load balancer is one")
    };
    load_balancer.visibility = Visibility::Private;
    Want::LoadBalancer { load_balancer, reachable_from }
}

async fn made(engine: &dyn Engine, want: &Want) {
    stage::ensure(engine, want).await.expect("it can be made");
    stage::settled(engine, want).await.expect("it can be made");
}

/// Whether the load balancer lets the other environment in.
async fn is_open(aws: &FakeAws) -> bool {
    let stacks = aws_sdk_cloudformation::Client::new(&stage::sdk(aws).await);
    let stack = |name: &'static str| {
        let call = stacks.describe_stacks().stack_name(name);
        async move { call.send().await.expect("it is there").stacks.and_then(|all| all.into_iter().next()) }
    };
    let environment = stack("l0-suite-dev-2").await.expect("it is there");
    let outputs = environment.outputs.unwrap_or_default().into_iter();
    let members = outputs.filter(|it| it.output_key.as_deref() == Some("Members")).find_map(|it| it.output_value);
    let template = stacks.get_template().stack_name("l0-suite-lb-1").send().await.expect("it is there").template_body;
    let balancer = stack("l0-suite-lb-1").await.expect("it is there");
    let is_complete = balancer.stack_status.is_some_and(|status| status.as_str().ends_with("_COMPLETE"));
    is_complete && template.zip(members).is_some_and(|(template, members)| template.contains(&members))
}

/// Neither the link nor the load balancer is called ready before the one gets through to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_ready_when_the_load_balancer_lets_it_in() {
    for awaited in [OTHER, "lb-1"] {
        let aws = FakeAws::start(FakeAwsConfig::default()).await;
        let engine = stage::engine(&aws).await;
        made(engine.as_ref(), &stage::environment()).await;
        made(engine.as_ref(), &balancer(vec![])).await;
        // It takes its time to be made, and is linked meanwhile.
        aws.configure(|config| config.stack_resource_ms = 100);
        let linked = Want::Environment { environment: sample::environment(OTHER, "other"), reachable_from: vec![] };
        let Want::Environment { environment, .. } = stage::environment() else {
            unreachable!("the stage's environment is one")
        };
        let to = Want::Environment { environment, reachable_from: vec![other()] };
        let balancer = balancer(vec![other()]);
        for want in [&linked, &to, &balancer] {
            stage::ensure(engine.as_ref(), want).await.expect("it is taken");
        }
        let want = if awaited == OTHER { &linked } else { &balancer };
        stage::settled(engine.as_ref(), want).await.expect("it gets ready");
        assert!(is_open(&aws).await, "{awaited} was called ready");
    }
}

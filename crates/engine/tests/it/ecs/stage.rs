//! A fake AWS, an engine on it, and the wishes of a small application: an environment, a load balancer, a service.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::{DeploymentId, EnvironmentId, LoadBalancerId, ServiceId, TaskId};
use layer0_domain::model::name::Name;
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{
    Capacity, CopyState, Engine, EngineError, Observed, Removed, Revision, Scope, ServiceMode, ServiceSpec, TaskRun,
    TaskSpec, Want,
};
use layer0_domain::port::pull::Launch;
use layer0_engine::ecs::{EcsConfig, EcsEngine, Rate, Rates, connect};
use layer0_testkit::aws::FakeAws;
use layer0_testkit::sample;
use layer0_testkit::until::until;

/// Faster than anything that is looked for.
const NO_LIMIT: Rate = Rate { burst: 10_000.0, per_second: 10_000.0 };

/// The region of the fake AWS.
pub(crate) const REGION: &str = "us-east-1";

/// An engine on a fake AWS, quick enough that a workflow takes a fraction of a second.
pub(crate) async fn engine(aws: &FakeAws) -> Arc<dyn Engine> {
    Arc::new(EcsEngine::start(config(), &sdk(aws).await))
}

pub(crate) async fn sdk(aws: &FakeAws) -> SdkConfig {
    let connection = connect(Some(REGION), Some(aws.endpoint())).await.expect("a region is given");
    // The fake checks no signature, but the SDK does not send a request without one.
    let keys = Credentials::new("test", "test", None, None, "test");
    let retries = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(2));
    let sdk = connection.sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(keys));
    sdk.retry_config(retries).build()
}

pub(crate) fn config() -> EcsConfig {
    let mut config = EcsConfig::new("suite".to_owned(), "suite-0123456789".to_owned(), REGION.to_owned());
    config.vpc = "vpc-main".to_owned();
    config.private_subnets = vec!["subnet-private-a".to_owned(), "subnet-private-b".to_owned()];
    config.public_subnets = vec!["subnet-public-a".to_owned(), "subnet-public-b".to_owned()];
    config.execution_role = Some("arn:aws:iam::123456789012:role/l0-execution".to_owned());
    config.rates = Rates::all(NO_LIMIT);
    config.settle = Duration::from_millis(150);
    config.look_busy = Duration::from_millis(20);
    config.look_stops = Duration::from_millis(50);
    config.look_quiet = Duration::from_millis(200);
    config
}

/// A definition of one container that listens on port 80 and has a check.
pub(crate) fn definition(image: &str) -> TaskDefinition {
    definition_with_ports(image, &[80])
}

/// The same with these ports.
pub(crate) fn definition_with_ports(image: &str, ports: &[u16]) -> TaskDefinition {
    let mappings: Vec<_> = ports.iter().map(|port| serde_json::json!({ "containerPort": port })).collect();
    let document = serde_json::json!({ "containerDefinitions": [{
        "name": "web",
        "image": format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{image}"),
        "memory": 64,
        "portMappings": mappings,
        "healthCheck": { "command": ["CMD", "check"], "interval": 5, "retries": 1 },
    }] });
    Document::from_canonical(document).expect("a legal document").definition_with_document()
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a legal name")
}

pub(crate) fn environment() -> Want {
    let environment = sample::environment("dev-1", "dev");
    Want::Environment { environment, reachable_from: vec![] }
}

pub(crate) fn load_balancer() -> Want {
    let load_balancer = sample::load_balancer("lb-1", "lb", EnvironmentId::parse("dev-1").expect("an id"));
    Want::LoadBalancer { load_balancer, reachable_from: vec![] }
}

/// A task of two copies, of an image that the test says the behaviour of.
pub(crate) fn task() -> TaskSpec {
    TaskSpec {
        id: TaskId::parse("job-1").expect("an id"),
        name: name("job"),
        environment: EnvironmentId::parse("dev-1").expect("an id"),
        copies: 2,
        definition: definition("job:1"),
        run: TaskRun::Once,
        launch: Launch::Fargate,
        capacity: Capacity::Regular,
        generation: Generation(1),
    }
}

pub(crate) fn service(number: u32, image: &str, generation: u64, behind: bool) -> ServiceSpec {
    ServiceSpec {
        id: ServiceId::parse(&format!("web-{number}")).expect("an id"),
        name: name(&format!("web{number}")),
        environment: EnvironmentId::parse("dev-1").expect("an id"),
        desired_count: 2,
        revision: Revision {
            deployment: DeploymentId::parse(&format!("app-{number}-{generation}")).expect("an id"),
            label: format!("app:{generation}"),
            definition: definition(image),
        },
        mode: ServiceMode::Run,
        load_balancer: behind.then(|| LoadBalancerId::parse("lb-1").expect("an id")),
        launch: Launch::Fargate,
        generation: Generation(generation),
    }
}

/// Tells an engine what is wanted, and once more when it may succeed then, as the reconciler does.
pub(crate) async fn ensure(engine: &dyn Engine, want: &Want) -> Result<(), Box<Failure>> {
    until(format!("{} to be taken", want.entity()), || async {
        match engine.ensure(want.clone()).await {
            Ok(()) => Ok(Ok(())),
            Err(EngineError::Refused { failure }) => Ok(Err(failure)),
            Err(error) if error.retryable() => Err(error.to_string()),
            Err(error) => panic!("{}: {error}", want.entity()),
        }
    })
    .await
}

/// Looks, and once more when an answer may come then.
async fn observe(engine: &dyn Engine, of: &EntityRef) -> Result<Observed, String> {
    engine.observe(Scope::One(of.clone())).await.map_err(|error| error.to_string())
}

/// Waits until an entity is as it was asked for; the failure when it never will be.
pub(crate) async fn settled(engine: &dyn Engine, want: &Want) -> Result<(), Box<Failure>> {
    let of = want.entity();
    until(format!("{of} to be as it was asked for"), || async {
        let seen = observe(engine, &of).await?;
        let problem = seen.environments.iter().find_map(|it| it.problem.clone());
        let problem = problem.or(seen.load_balancers.iter().find_map(|it| it.problem.clone()));
        let problem = problem.or(seen.services.iter().find_map(|it| it.problem.clone()));
        if let Some(problem) = problem {
            return Ok(Err(Box::new(problem)));
        }
        let done = match want {
            Want::Environment { .. } => seen.environments.iter().any(|it| it.waiting_for.is_none()),
            Want::LoadBalancer { load_balancer, .. } => {
                seen.load_balancers.iter().any(|it| it.generation == load_balancer.generation)
            }
            Want::Service(spec) => seen.services.iter().any(|it| {
                let live = it.copies.iter().filter(|copy| copy.state != CopyState::Stopped).collect::<Vec<_>>();
                live.len() == spec.desired_count as usize
                    && live.iter().all(|copy| {
                        copy.state == CopyState::Healthy && copy.deployment.as_ref() == Some(&spec.revision.deployment)
                    })
            }),
            Want::Task(spec) => {
                let Some(task) = seen.tasks.first() else { return Err("no task".to_owned()) };
                if let Some(failure) = &task.failure {
                    return Ok(Err(Box::new(failure.clone())));
                }
                task.copies.len() == spec.copies as usize
            }
        };
        if done { Ok(Ok(())) } else { Err(format!("{seen:#?}")) }
    })
    .await
}

/// Takes an entity away.
pub(crate) async fn remove(engine: &dyn Engine, of: &EntityRef) -> Result<(), Box<Failure>> {
    until(format!("{of} to be gone"), || async {
        match engine.remove(of).await {
            Ok(Removed::Gone) => Ok(Ok(())),
            Ok(Removed::Going { waiting_for }) => Err(format!("it waits for {waiting_for}")),
            Ok(Removed::Hindered { waiting_for, why }) => Err(format!("it waits for {waiting_for}: {why}")),
            Err(EngineError::Refused { failure }) => Ok(Err(failure)),
            Err(error) if error.retryable() => Err(error.to_string()),
            Err(error) => panic!("{of}: {error}"),
        }
    })
    .await
}

/// Waits until all copies of a task have ended; its failure when it failed.
pub(crate) async fn ended(engine: &dyn Engine, spec: &TaskSpec) -> Result<(), Box<Failure>> {
    let of = EntityRef::Task(spec.id.clone());
    until(format!("{of} to end"), || async {
        let seen = observe(engine, &of).await?.tasks.into_iter().next().ok_or("no task")?;
        if let Some(failure) = seen.failure {
            return Ok(Err(Box::new(failure)));
        }
        let ended = seen.copies.iter().filter(|copy| copy.state == CopyState::Stopped).count();
        if ended == spec.copies as usize { Ok(Ok(())) } else { Err(format!("{seen:#?}")) }
    })
    .await
}

/// Makes an application, runs a task beside it, rolls another version out, and takes all of it away again.
pub(crate) async fn workflow(engine: &dyn Engine) -> Result<(), Box<Failure>> {
    let versions = [service(1, "app:1", 1, true), service(1, "app:2", 2, true)];
    workflow_of(engine, environment(), load_balancer(), Some(task()), versions).await
}

/// The same of an application that looks so: an environment, a load balancer in it, a task that ends by itself, two versions of
/// a service.
pub(crate) async fn workflow_of(
    engine: &dyn Engine,
    environment: Want,
    load_balancer: Want,
    task: Option<TaskSpec>,
    versions: [ServiceSpec; 2],
) -> Result<(), Box<Failure>> {
    let [first, second] = versions.map(Want::Service);
    for want in [&environment, &load_balancer] {
        ensure(engine, want).await?;
        settled(engine, want).await?;
    }
    if let Some(task) = task {
        let want = Want::Task(task.clone());
        ensure(engine, &want).await?;
        ended(engine, &task).await?;
        remove(engine, &want.entity()).await?;
    }
    for want in [&first, &second] {
        ensure(engine, want).await?;
        settled(engine, want).await?;
    }
    for want in [second, load_balancer, environment] {
        remove(engine, &want.entity()).await?;
    }
    Ok(())
}

/// What of an application is still there; empty when nothing is.
pub(crate) fn left(aws: &FakeAws) -> Vec<String> {
    let world = aws.world();
    let mut left = Vec::new();
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let alive = |value: &serde_json::Value, key: &str, ended: &[&str]| !ended.contains(&text(value, key).as_str());
    left.extend(world.services().iter().filter(|it| alive(it, "status", &["INACTIVE"])).map(ToString::to_string));
    left.extend(world.tasks().iter().filter(|it| alive(it, "lastStatus", &["STOPPED"])).map(ToString::to_string));
    // One that is only deregistered stays for good, and can be read.
    let gone = ["DELETE_IN_PROGRESS"];
    left.extend(world.task_definitions().iter().filter(|it| alive(it, "status", &gone)).map(ToString::to_string));
    left.extend(world.clusters().iter().filter(|it| alive(it, "status", &["INACTIVE"])).map(ToString::to_string));
    left.extend(world.log_groups().iter().map(ToString::to_string));
    left.extend(world.load_balancing());
    left
}

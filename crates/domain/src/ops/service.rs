//! Services: create, update, scale, abort, roll back.

use super::image::{PullCheck, Run, deploy_pin, deployment_pin, launched};
use super::{Accepted, Ctx, OpsError};
use crate::model::entity::EntityRef;
use crate::model::id::{DeployId, DeploymentId, EnvironmentId, LoadBalancerId, ServiceId};
use crate::model::load_balancer::LoadBalancer;
use crate::model::name::Name;
use crate::model::operation::Verb;
use crate::model::service::{DEPLOYMENTS_KEPT, Deployment, DeploymentState, Service};
use crate::model::task_definition::TaskDefinition;
use crate::model::time::Generation;
use crate::plan;
use crate::plan::load_balancer::{container_ports_fit, network_fits};
use crate::port::pull::Launch;
use crate::port::store::{Entity, StoreExt};

/// The most copies of one service or task: more is a slip of the finger on one machine, and the default quota of ECS is
/// 5,000 per service.
pub const COPIES_MAX: u32 = 5_000;

/// What a new service is to be.
#[derive(Debug, Clone)]
pub struct NewService {
    /// The name.
    pub name: Name,
    /// Where it runs.
    pub environment: EnvironmentId,
    /// Which deploy.
    pub deploy: DeployId,
    /// Behind which load balancer.
    pub load_balancer: Option<LoadBalancerId>,
    /// Copies.
    pub desired_count: u32,
    /// Whether it needs machines of its own.
    pub stateful: bool,
    /// Whether it is checked first that its images can be pulled.
    pub pull_check: PullCheck,
}

/// Makes a service, after the pull check.
///
/// # Errors
/// `Missing` environment, deploy or load balancer; `Store(NameTaken)`, `Store(InUse)` for the load balancer; `PullCheck`;
/// `Invalid` when no container listens where the load balancer sends to.
pub async fn service_create(ctx: &Ctx<'_>, new: NewService) -> Result<Accepted, OpsError> {
    ctx.environment(&new.environment).await?;
    let run = Run { environment: &new.environment, launch: Launch::of_stateful(new.stateful), check: new.pull_check };
    let deployment = deployment(ctx, &new.deploy, run).await?;
    if let Some(id) = &new.load_balancer {
        let load_balancer = ctx.store.load_balancer_get(id).await?;
        let load_balancer = load_balancer.ok_or_else(|| OpsError::missing(EntityRef::LoadBalancer(id.clone())))?;
        ports_fit(ctx, &load_balancer, &deployment.definition, run.launch)?;
    }
    let images = deployment.images.clone();
    let warnings = launched(ctx, &deployment.definition, run.launch)?;
    let service = Service {
        id: ServiceId::parse(&ctx.new_id(new.name.as_str())).expect("made of letters, digits and `-`"),
        name: new.name,
        environment: new.environment,
        load_balancer: new.load_balancer,
        stateful: new.stateful,
        desired_count: new.desired_count,
        deployments: vec![deployment],
        created: ctx.clock.now(),
        generation: Generation(1),
        deleting: false,
    };
    let accepted = ctx.create(Entity::Service(service)).await?;
    Ok(Accepted { images, warnings, ..accepted })
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ServiceChange {
    /// The deploy to roll out; the one that runs already is rolled out anew, its tags resolved again.
    pub deploy: Option<DeployId>,
    /// Copies.
    pub desired_count: Option<u32>,
    /// Whether it is checked first that the deploy's images can be pulled.
    pub pull_check: PullCheck,
}

/// Changes a service: rolls out a deploy after the pull check, or changes the number of copies, or both.
///
/// # Errors
/// `Missing`; `PullCheck`; `Invalid` when no container listens where the load balancer sends to, and for copies of what was
/// aborted.
pub async fn service_update(ctx: &Ctx<'_>, id: &ServiceId, change: ServiceChange) -> Result<Accepted, OpsError> {
    let of = EntityRef::Service(id.clone());
    let mut images = Vec::new();
    let mut warnings = Vec::new();
    let rollout = match &change.deploy {
        Some(deploy) => {
            let service = service_live(ctx, &of).await?;
            let deployment = deployment(ctx, deploy, run_of(&service, change.pull_check)).await?;
            ports_fit_behind(ctx, &service, &deployment.definition).await?;
            images.clone_from(&deployment.images);
            warnings = launched(ctx, &deployment.definition, Launch::of_stateful(service.stateful))?;
            Some(deployment)
        }
        None => {
            // The load balancer may have changed since that came to nothing.
            let service = service_live(ctx, &of).await?;
            if service.wanted().state == DeploymentState::Failed {
                ports_fit_behind(ctx, &service, &service.wanted().definition).await?;
            }
            None
        }
    };
    let verb = if rollout.is_some() { Verb::Update } else { Verb::Scale };
    let accepted = ctx
        .change(&of, verb, |entity| {
            let Entity::Service(mut service) = entity else {
                return Err(OpsError::missing(of.clone()));
            };
            service.desired_count = change.desired_count.unwrap_or(service.desired_count);
            match &rollout {
                Some(deployment) => replace_wanted(&mut service, deployment.clone()),
                None if service.wanted().state == DeploymentState::Aborted => {
                    return Err(OpsError::invalid_with(
                        format!(
                            "{} of service `{}` was aborted, so there is nothing to run copies of",
                            service.wanted().label(),
                            service.name
                        ),
                        "roll a deploy out: `l0 service update SERVICE DEPLOY`",
                    ));
                }
                None => {}
            }
            Ok(Entity::Service(service))
        })
        .await?;
    Ok(Accepted { images, warnings, ..accepted })
}

/// Ends the roll-out that is under way and goes back to the deployment that was running before, of which copies still run.
/// Where there is none, no copy is left: before the roll-out there was none either.
///
/// # Errors
/// `Missing`; `Invalid` when no roll-out is under way.
pub async fn service_abort(ctx: &Ctx<'_>, id: &ServiceId) -> Result<Accepted, OpsError> {
    let of = EntityRef::Service(id.clone());
    let mut warnings = Vec::new();
    let accepted = ctx
        .change(&of, Verb::Abort, |entity| {
            let Entity::Service(service) = entity else {
                return Err(OpsError::missing(of.clone()));
            };
            let (name, wanted, state) = (service.name.clone(), service.wanted().label(), service.wanted().state);
            let before = service.before().map(Deployment::label);
            let aborted = plan::service::aborted(service, ctx.clock.now()).ok_or_else(|| {
                let hint = match &before {
                    Some(before) => format!("`l0 service rollback {name}` goes back to {before}"),
                    None => format!("roll another deploy out: `l0 service update {name} DEPLOY`"),
                };
                OpsError::invalid_with(
                    format!("no roll-out of service `{name}` is under way: {wanted} is {}", state.words()),
                    hint,
                )
            })?;
            warnings = match aborted.wanted().state {
                DeploymentState::Aborted => vec![format!(
                    "no deployment of service `{name}` was healthy before {wanted}: its copies are taken away, and none runs until a deploy is rolled out"
                )],
                _ => vec![],
            };
            Ok(Entity::Service(aborted))
        })
        .await?;
    Ok(Accepted { warnings, ..accepted })
}

/// Rolls out anew what the service ran before the wanted deployment: the newest other one that was healthy, with the very
/// images that it ran, after the pull check. It is a roll-out like any other; a second one goes forth again.
///
/// # Errors
/// `Missing`; `PullCheck`; `Invalid` when there is nothing to go back to, or no container of it listens where the load
/// balancer sends to.
pub async fn service_rollback(ctx: &Ctx<'_>, id: &ServiceId, check: PullCheck) -> Result<Accepted, OpsError> {
    let of = EntityRef::Service(id.clone());
    let service = service_live(ctx, &of).await?;
    let Some(before) = service.before() else {
        let same = if service.fallback().is_some() { " and is another one than now" } else { "" };
        return Err(OpsError::invalid_with(
            format!("service `{}` has no earlier deployment that was healthy{same}", service.name),
            format!("roll a deploy out: `l0 service update {} DEPLOY`", service.name),
        ));
    };
    let (images, definition) = deployment_pin(ctx, before, run_of(&service, check)).await?;
    ports_fit_behind(ctx, &service, &definition).await?;
    let warnings = launched(ctx, &definition, Launch::of_stateful(service.stateful))?;
    let now = ctx.clock.now();
    let rollout = Deployment {
        id: deployment_id(ctx, &before.deploy_name),
        images: images.clone(),
        definition,
        state: DeploymentState::InProgress,
        was_healthy: false,
        cause: None,
        created: now,
        updated: now,
        ..before.clone()
    };
    let accepted = ctx
        .change(&of, Verb::Rollback, |entity| {
            let Entity::Service(mut service) = entity else {
                return Err(OpsError::missing(of.clone()));
            };
            replace_wanted(&mut service, rollout.clone());
            Ok(Entity::Service(service))
        })
        .await?;
    Ok(Accepted { images, warnings, ..accepted })
}

async fn service_live(ctx: &Ctx<'_>, of: &EntityRef) -> Result<Service, OpsError> {
    match ctx.live(of).await? {
        Entity::Service(service) => Ok(service),
        _ => Err(OpsError::missing(of.clone())),
    }
}

fn run_of(service: &Service, check: PullCheck) -> Run<'_> {
    Run { environment: &service.environment, launch: Launch::of_stateful(service.stateful), check }
}

/// Puts a deployment in front. The newest healthy one stays among those that are kept, so that there is always
/// something to go back to.
fn replace_wanted(service: &mut Service, deployment: Deployment) {
    let now = deployment.created;
    if let Some(wanted) = service.deployments.first_mut()
        && matches!(wanted.state, DeploymentState::InProgress | DeploymentState::Healthy)
    {
        wanted.state = DeploymentState::Replaced;
        wanted.updated = now;
    }
    service.deployments.insert(0, deployment);
    let ways_back: Vec<DeploymentId> = service.ways_back().map(|it| it.id.clone()).collect();
    while service.deployments.len() > DEPLOYMENTS_KEPT {
        let oldest = service.deployments.iter().rposition(|it| !ways_back.contains(&it.id));
        match oldest {
            Some(at) if at > 0 => drop(service.deployments.remove(at)),
            _ => break,
        }
    }
}

async fn deployment(ctx: &Ctx<'_>, deploy: &DeployId, run: Run<'_>) -> Result<Deployment, OpsError> {
    let deploy = super::deploy::deploy_get(ctx, deploy).await?;
    let (images, definition) = deploy_pin(ctx, &deploy, run).await?;
    let now = ctx.clock.now();
    Ok(Deployment {
        id: deployment_id(ctx, &deploy.name),
        deploy: deploy.id,
        deploy_name: deploy.name,
        deploy_version: deploy.version,
        images,
        definition,
        state: DeploymentState::InProgress,
        was_healthy: false,
        cause: None,
        created: now,
        updated: now,
    })
}

fn deployment_id(ctx: &Ctx<'_>, deploy: &Name) -> DeploymentId {
    DeploymentId::parse(&ctx.new_id(deploy.as_str())).expect("made of letters, digits and `-`")
}

/// [`ports_fit`] for the load balancer that a service stands behind, if any.
async fn ports_fit_behind(ctx: &Ctx<'_>, service: &Service, definition: &TaskDefinition) -> Result<(), OpsError> {
    match &service.load_balancer {
        Some(id) => match ctx.store.load_balancer_get(id).await? {
            Some(load_balancer) => ports_fit(ctx, &load_balancer, definition, Launch::of_stateful(service.stateful)),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

/// Copies must be where the load balancer sends to: in its network, and at its ports. Every listener and rule must lead to a port
/// that a container of the definition maps. ECS refuses such a service too
/// (`CreateService`: "the container does not have a container port … defined"); here it would wait for a health check that can't
/// pass.
pub(super) fn ports_fit(
    ctx: &Ctx<'_>,
    load_balancer: &LoadBalancer,
    definition: &TaskDefinition,
    launch: Launch,
) -> Result<(), OpsError> {
    let can = ctx.engine.capabilities();
    container_ports_fit(load_balancer, &can).map_err(super::load_balancer::unfit)?;
    network_fits(load_balancer, definition, launch, &can).map_err(super::load_balancer::unfit)?;
    let mapped: Vec<u16> =
        definition.containers.iter().flat_map(|it| &it.port_mappings).map(|it| it.container_port).collect();
    let unmapped = |container_port: &u16| !mapped.contains(container_port);
    let sends = load_balancer.ports.iter().find_map(|port| match port.container_port().filter(unmapped) {
        Some(container_port) => Some((format!("port {port}"), container_port)),
        None => {
            let rule = port.rules().iter().find(|rule| unmapped(&rule.container_port()))?;
            Some((format!("rule {}:{rule}", port.host_port), rule.container_port()))
        }
    });
    match sends {
        None => Ok(()),
        Some((what, container_port)) => {
            let has: Vec<String> = mapped.iter().map(ToString::to_string).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            Err(OpsError::invalid_with(
                format!(
                    "load balancer `{}` sends {what} to container port {container_port}, and no container of the deploy maps it (mapped: {has})",
                    load_balancer.name
                ),
                format!(
                    "add the port to the deploy's `portMappings`, or change the load balancer's (`l0 loadbalancer addport --replace {} HOST_PORT:CONTAINER_PORT/PROTOCOL`); while a service runs, update it first to a deploy that maps the old port and the new one",
                    load_balancer.name
                ),
            ))
        }
    }
}

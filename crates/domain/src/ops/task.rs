//! Tasks: run and stop.

use std::collections::BTreeMap;

use super::image::{PullCheck, Run, deploy_pin, launched};
use super::{Accepted, Ctx, OpsError};
use crate::model::entity::EntityRef;
use crate::model::id::{DeployId, EnvironmentId, TaskId};
use crate::model::name::Name;
use crate::model::operation::Verb;
use crate::model::task::{Task, TaskWanted};
use crate::model::time::Generation;
use crate::port::pull::Launch;
use crate::port::store::Entity;

/// What a new task is to be.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The name.
    pub name: Name,
    /// Where it runs.
    pub environment: EnvironmentId,
    /// Which deploy.
    pub deploy: DeployId,
    /// How many times, side by side.
    pub copies: u32,
    /// Environment variables by container, over those of the deploy.
    pub overrides: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether it needs machines of its own.
    pub stateful: bool,
    /// Whether it may run on spare capacity that can be taken back.
    pub spot: bool,
    /// Whether it is checked first that its images can be pulled.
    pub pull_check: PullCheck,
}

/// Runs a task, after the pull check.
///
/// # Errors
/// `Missing` environment or deploy; `Store(NameTaken)`; `PullCheck`; `Invalid` for an override of a container that the
/// deploy does not have, and for spare capacity on machines of its own.
pub async fn task_create(ctx: &Ctx<'_>, new: NewTask) -> Result<Accepted, OpsError> {
    if new.spot && new.stateful {
        return Err(OpsError::invalid_with(
            "a stateful task runs on machines of its environment, of which none is spare capacity",
            "leave out either `--spot` or `--stateful`",
        ));
    }
    ctx.environment(&new.environment).await?;
    let deploy = super::deploy::deploy_get(ctx, &new.deploy).await?;
    let names: Vec<&str> = deploy.document.definition().containers.iter().map(|it| it.name.as_str()).collect();
    if let Some(unknown) = new.overrides.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(OpsError::invalid_with(
            format!("the deploy has no container `{unknown}` to override"),
            format!("its containers: {}", names.join(", ")),
        ));
    }
    let run = Run { environment: &new.environment, launch: Launch::of_stateful(new.stateful), check: new.pull_check };
    let (images, mut definition) = deploy_pin(ctx, &deploy, run).await?;
    for container in &mut definition.containers {
        for (key, value) in new.overrides.get(&container.name).into_iter().flatten() {
            container.environment.insert(key.clone(), value.clone());
        }
    }
    let mut warnings = launched(ctx, &definition, run.launch)?;
    if new.spot && !ctx.engine.capabilities().spot {
        warnings.push("`--spot` has no meaning here: nobody takes the capacity of this machine back".to_owned());
    }
    let task = Task {
        id: TaskId::parse(&ctx.new_id(new.name.as_str())).expect("made of letters, digits and `-`"),
        name: new.name,
        environment: new.environment,
        deploy: deploy.id,
        deploy_name: deploy.name,
        deploy_version: deploy.version,
        images: images.clone(),
        definition,
        copies: new.copies,
        stateful: new.stateful,
        spot: new.spot,
        wanted: TaskWanted::Run,
        outcome: None,
        created: ctx.clock.now(),
        generation: Generation(1),
        deleting: false,
    };
    let accepted = ctx.create(Entity::Task(task)).await?;
    Ok(Accepted { images, warnings, ..accepted })
}

/// Stops a task. Its logs stay until it is deleted. One that has ended is left as it ended.
///
/// # Errors
/// `Missing`; `Invalid` when it has ended.
pub async fn task_stop(ctx: &Ctx<'_>, id: &TaskId) -> Result<Accepted, OpsError> {
    let of = EntityRef::Task(id.clone());
    ctx.change(&of, Verb::Stop, |entity| match entity {
        Entity::Task(task) if task.outcome.is_some() => {
            Err(OpsError::invalid(format!("task `{}` has ended already", task.name)))
        }
        Entity::Task(task) => Ok(Entity::Task(Task { wanted: TaskWanted::Stop, ..task })),
        _ => Err(OpsError::missing(of.clone())),
    })
    .await
}

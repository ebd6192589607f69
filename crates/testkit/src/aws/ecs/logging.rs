//! What containers write, into CloudWatch Logs.

use serde_json::Value;

use super::super::logs;
use super::super::wire::Input;
use super::super::world::World;
use super::Task;
use super::task::Container;

/// Where a container's lines go: the group and the stream, with the driver `awslogs`.
fn place(task: &Task, container: &Container) -> Option<(String, String, bool)> {
    let log = container.definition.member("logConfiguration").filter(|log| log.text("logDriver") == Some("awslogs"))?;
    let options = log.member("options").unwrap_or(&Value::Null);
    let group = options.text("awslogs-group")?.to_owned();
    let stream = match options.text("awslogs-stream-prefix") {
        Some(prefix) => format!("{prefix}/{}/{}", container.name(), task.id),
        // Without a prefix the driver takes the id that the runtime gave to the container.
        None => container.runtime.clone().unwrap_or_else(|| container.id.clone()),
    };
    Some((group, stream, options.flag("awslogs-create-group")))
}

/// Makes the streams of a task's containers, and groups where that is asked for.
///
/// # Errors
/// What the task's start fails with, when a group is missing: the container's place and the text.
pub(super) fn prepare(world: &mut World, task: &Task) -> Result<(), (usize, String)> {
    for (at, container) in task.containers.iter().enumerate() {
        let Some((group, stream, create)) = place(task, container) else { continue };
        if create {
            logs::group_ensure(world, &group);
        }
        if !logs::stream_ensure(world, &group, &stream) {
            let missing = "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.";
            let text = if task.launch.launch_type == "FARGATE" {
                format!(
                    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: \
                     {missing} : exit status 1"
                )
            } else {
                format!(
                    "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: {missing}"
                )
            };
            return Err((at, text));
        }
    }
    Ok(())
}

/// Writes lines of a container, 1 ms apart from now.
pub(super) fn write(world: &mut World, task: &Task, container: &Container, lines: &[String]) {
    let Some((group, stream, _)) = place(task, container) else { return };
    for (after_ms, line) in (0..).zip(lines) {
        logs::put(world, &group, &stream, world.now_ms + after_ms, line);
    }
}

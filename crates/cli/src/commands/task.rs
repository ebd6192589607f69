//! `l0 task`.

use futures_util::future::try_join;
use layer0_api::types::{Container, CreateEntityResponse, CreateTaskRequest, Task as WireTask};

use super::logs;
use crate::app::App;
use crate::args::task::Task;
use crate::error::{CliError, Exit};
use crate::grammar::overrides;
use crate::printer::{lines, rows};
use crate::target::{self, Kind};

pub(crate) async fn run(app: &App, verb: Task) -> Result<(), CliError> {
    match verb {
        Task::Create { environment, name, deploy, overrides: texts, stateful, spot, copies, skip_pull_check } => {
            let container_overrides = overrides(&texts)?;
            let (environment, deploy) =
                try_join(target::one(app, Kind::Environment, &environment), target::one(app, Kind::Deploy, &deploy))
                    .await?;
            let request = CreateTaskRequest {
                container_overrides,
                deploy_id: deploy.id,
                environment_id: environment.id,
                task_name: name,
                stateful,
                spot,
                copies: (copies != 1).then_some(copies),
                skip_pull_check,
            };
            let change = app.client.task_create(&request).await.map_err(|why| app.error(why))?;
            app.settle_then_print(&change).await?;
            let tasks = read(app, vec![change.entity_id]).await?;
            print(app, &tasks)?;
            match tasks.iter().find_map(failed) {
                Some(message) => Err(CliError::new(Exit::Failed, message)),
                None => Ok(()),
            }
        }
        Task::Delete { target } => {
            let found = target::one(app, Kind::Task, &target).await?;
            let change = app.client.task_delete(&found.id).await.map_err(|why| app.error(why))?;
            app.settle_silently(&change).await
        }
        Task::Get { target } => {
            let ids = target::ids(app, Kind::Task, &target).await?;
            show(app, ids).await
        }
        Task::List { all: _ } => {
            let all = app.client.task_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::task_list_table)
        }
        Task::Logs { target, window, follow } => {
            let query = logs::query(&window)?;
            let found = target::one(app, Kind::Task, &target).await?;
            if follow {
                return logs::follow(app, logs::Followed::Task, &found.id, query).await;
            }
            let files = app.client.task_logs(&found.id, &query).await.map_err(|why| app.error(why))?;
            logs::print(app, &files)
        }
        Task::Stop { target } => {
            let found = target::one(app, Kind::Task, &target).await?;
            let change = app.client.task_stop(&found.id).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
    }
}

async fn read(app: &App, ids: Vec<String>) -> Result<Vec<WireTask>, CliError> {
    app.read_all(ids, async |client, id| client.task_get(&id).await).await
}

fn print(app: &App, tasks: &[WireTask]) -> Result<(), CliError> {
    app.printer.result(tasks, |tasks| rows::task_table(tasks) + &lines::tasks(tasks))
}

async fn show(app: &App, ids: Vec<String>) -> Result<(), CliError> {
    print(app, &read(app, ids).await?)
}

async fn settle_and_show(app: &App, change: &CreateEntityResponse) -> Result<(), CliError> {
    app.settle_then_print(change).await?;
    show(app, vec![change.entity_id.clone()]).await
}

/// The signals that end the containers left over when an essential one has ended: 128 + SIGKILL, 128 + SIGTERM.
const STOPPED_BY_US: [i64; 2] = [137, 143];

/// What to say of a task that has ended and did not do its work, so that `l0 task create … && next` stops there: a
/// container ended with a code other than 0. One of several that was only stopped because another had ended does not count.
fn failed(task: &WireTask) -> Option<String> {
    if task.status != "STOPPED" {
        return None;
    }
    let stopped_along = |it: &Container| {
        let others = task
            .containers
            .iter()
            .any(|other| other.copy_id == it.copy_id && other.container_name != it.container_name);
        others && it.meta.is_empty() && STOPPED_BY_US.contains(&it.exit_code)
    };
    let bad = task.containers.iter().find(|it| it.exited && it.exit_code != 0 && !stopped_along(it))?;
    let why = if bad.meta.is_empty() { String::new() } else { format!(": {}", bad.meta) };
    Some(format!(
        "task `{}`: container `{}` ended with exit code {}{why}",
        task.task_name, bad.container_name, bad.exit_code
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: &str, containers: &[(&str, i64, &str)]) -> WireTask {
        let containers: Vec<_> = containers
            .iter()
            .map(|(name, code, meta)| serde_json::json!({
                "container_name": name, "status": "STOPPED", "exit_code": code, "meta": meta, "copy_id": "t-1", "exited": true,
            }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "containers": containers, "deploy_id": "d.1", "deploy_name": "d", "deploy_version": "1", "environment_id": "e",
            "environment_name": "e", "status": status, "task_id": "t", "task_name": "job", "stateful": false,
        }))
        .expect("a task")
    }

    #[test]
    fn a_task_that_did_not_do_its_work_is_said_to_have_failed() {
        assert_eq!(failed(&task("STOPPED", &[("a", 0, "")])), None);
        assert_eq!(failed(&task("RUNNING", &[("a", 3, "")])), None, "not at its end");
        assert_eq!(
            failed(&task("STOPPED", &[("a", 3, "")])),
            Some("task `job`: container `a` ended with exit code 3".into())
        );
        assert!(failed(&task("STOPPED", &[("a", 143, "")])).is_some(), "nobody else's end stopped it");
        assert_eq!(failed(&task("STOPPED", &[("a", 0, ""), ("helper", 143, "")])), None);
        assert!(failed(&task("STOPPED", &[("a", 137, "out of memory"), ("helper", 0, "")])).is_some());
    }
}

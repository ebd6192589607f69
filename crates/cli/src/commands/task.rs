//! `l0 task`.

use futures_util::future::try_join;
use layer0_api::types::{CreateEntityResponse, CreateTaskRequest};

use super::logs;
use crate::app::App;
use crate::args::task::Task;
use crate::error::CliError;
use crate::grammar::overrides;
use crate::printer::{lines, rows};
use crate::target::{self, Kind};

pub(crate) async fn run(app: &App, verb: Task) -> Result<(), CliError> {
    match verb {
        Task::Create { environment, name, deploy, overrides: texts, stateful, copies } => {
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
                copies: (copies != 1).then_some(copies),
            };
            let change = app.client.task_create(&request).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
        Task::Delete { target } => {
            let found = target::one(app, Kind::Task, &target).await?;
            let change = app.client.task_delete(&found.id).await.map_err(|why| app.error(why))?;
            app.settle_silently(&change).await
        }
        Task::Get { target } => {
            let ids = target::find(app, Kind::Task, &target).await?.into_iter().map(|found| found.id).collect();
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

async fn show(app: &App, ids: Vec<String>) -> Result<(), CliError> {
    let tasks = app.read_all(ids, async |client, id| client.task_get(&id).await).await?;
    app.printer.result(&tasks[..], |tasks| rows::task_table(tasks) + &lines::tasks(tasks))
}

async fn settle_and_show(app: &App, change: &CreateEntityResponse) -> Result<(), CliError> {
    app.settle_then_print(change).await?;
    show(app, vec![change.entity_id.clone()]).await
}

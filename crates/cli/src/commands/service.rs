//! `l0 service`.

use futures_util::future::try_join;
use layer0_api::types::{CreateEntityResponse, CreateServiceRequest, RollbackServiceRequest, UpdateServiceRequest};

use super::logs;
use crate::app::App;
use crate::args::service::Service;
use crate::error::CliError;
use crate::grammar::integer;
use crate::printer::{lines, rows};
use crate::target::{self, Kind};

pub(crate) async fn run(app: &App, verb: Service) -> Result<(), CliError> {
    match verb {
        Service::Abort { target } => {
            let found = target::one(app, Kind::Service, &target).await?;
            let change = app.client.service_abort(&found.id).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
        Service::Create { environment, name, deploy, loadbalancer, stateful, scale, skip_pull_check } => {
            let (environment, deploy) =
                try_join(target::one(app, Kind::Environment, &environment), target::one(app, Kind::Deploy, &deploy))
                    .await?;
            let load_balancer_id = match loadbalancer.as_deref().filter(|target| !target.is_empty()) {
                Some(target) => target::load_balancer_near(app, target, &environment.id).await?.id,
                None => String::new(),
            };
            let request = CreateServiceRequest {
                deploy_id: deploy.id,
                environment_id: environment.id,
                load_balancer_id,
                scale: Some(scale),
                service_name: name,
                stateful,
                skip_pull_check,
            };
            let change = app.client.service_create(&request).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
        Service::Delete { target } => {
            let found = target::one(app, Kind::Service, &target).await?;
            let change = app.client.service_delete(&found.id).await.map_err(|why| app.error(why))?;
            app.settle_silently(&change).await
        }
        Service::Get { target } => {
            let ids = target::ids(app, Kind::Service, &target).await?;
            show(app, ids).await
        }
        Service::List => {
            let all = app.client.service_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::service_list_table)
        }
        Service::Logs { target, window, follow } => {
            let query = logs::query(&window)?;
            let found = target::one(app, Kind::Service, &target).await?;
            if follow {
                return logs::follow(app, logs::Followed::Service, &found.id, query).await;
            }
            let files = app.client.service_logs(&found.id, &query).await.map_err(|why| app.error(why))?;
            logs::print(app, &files)
        }
        Service::Rollback { target, skip_pull_check } => {
            let found = target::one(app, Kind::Service, &target).await?;
            let request = RollbackServiceRequest { skip_pull_check };
            let change = app.client.service_rollback(&found.id, &request).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
        Service::Scale { target, count } => {
            let scale = integer("COUNT", &count)?;
            let found = target::one(app, Kind::Service, &target).await?;
            let request = UpdateServiceRequest { scale: Some(scale), ..UpdateServiceRequest::default() };
            update(app, &found.id, request).await
        }
        Service::Update { target, deploy, skip_pull_check } => {
            let (found, deploy) =
                try_join(target::one(app, Kind::Service, &target), target::one(app, Kind::Deploy, &deploy)).await?;
            let request = UpdateServiceRequest { deploy_id: Some(deploy.id), scale: None, skip_pull_check };
            update(app, &found.id, request).await
        }
    }
}

async fn update(app: &App, id: &str, request: UpdateServiceRequest) -> Result<(), CliError> {
    let change = app.client.service_update(id, &request).await.map_err(|why| app.error(why))?;
    settle_and_show(app, &change).await
}

async fn show(app: &App, ids: Vec<String>) -> Result<(), CliError> {
    let services = app.read_all(ids, async |client, id| client.service_get(&id).await).await?;
    app.printer.result(&services[..], |services| rows::service_table(services) + &lines::services(services))
}

async fn settle_and_show(app: &App, change: &CreateEntityResponse) -> Result<(), CliError> {
    app.settle_then_print(change).await?;
    show(app, vec![change.entity_id.clone()]).await
}

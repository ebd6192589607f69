//! `l0 environment`.

use futures_util::future::try_join;
use layer0_api::client::ClientError;
use layer0_api::error::{ErrorBody, ErrorCode};
use layer0_api::types::{CreateEntityResponse, CreateEnvironmentRequest, UpdateEnvironmentRequest};

use super::deploy::read_base64;
use super::logs;
use crate::app::App;
use crate::args::environment::Environment;
use crate::error::CliError;
use crate::grammar::integer;
use crate::printer::rows;
use crate::target::{self, Kind};

pub(crate) async fn run(app: &App, verb: Environment) -> Result<(), CliError> {
    match verb {
        Environment::Create { name, instance_type, scale, user_data, os, ami, owner } => {
            let request = CreateEnvironmentRequest {
                environment_name: name,
                owner_name: owner,
                operating_system: os,
                scale: integer("--scale", &scale)?,
                instance_type,
                user_data_template: user_data.as_deref().map(read_base64).transpose()?.unwrap_or_default(),
                ami_id: ami,
            };
            let change = app.client.environment_create(&request).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
        Environment::Delete { target, recursive } => {
            let found = target::one(app, Kind::Environment, &target).await?;
            let change = if recursive {
                let change = delete_with_all(app, &found.id).await?;
                app.rest.replace(None);
                change
            } else {
                let hint = format!(
                    "`l0 environment delete -r {}` deletes what is in it, and takes its links to other environments away",
                    found.id
                );
                app.client.environment_delete(&found.id).await.map_err(|why| match why.code() {
                    Some(code) if code == ErrorCode::DependencyError.as_str() => app.error(why).hint(hint),
                    _ => app.error(why),
                })?
            };
            app.settle_silently(&change).await
        }
        Environment::Get { target } => {
            let ids = target::ids(app, Kind::Environment, &target).await?;
            show(app, ids).await
        }
        Environment::List => {
            let all = app.client.environment_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::environment_list_table)
        }
        Environment::Logs { target, window, follow } => {
            let query = logs::query(&window)?;
            let found = target::one(app, Kind::Environment, &target).await?;
            if follow {
                return logs::follow(app, logs::Followed::Environment, &found.id, query).await;
            }
            let files = app.client.environment_logs(&found.id, &query).await.map_err(|why| app.error(why))?;
            logs::print(app, &files)
        }
        Environment::Scale { target, scale } => {
            let scale = integer("SCALE", &scale)?;
            let found = target::one(app, Kind::Environment, &target).await?;
            let request = UpdateEnvironmentRequest { scale: Some(scale), ..UpdateEnvironmentRequest::default() };
            let change = app.client.environment_update(&found.id, &request).await.map_err(|why| app.error(why))?;
            settle_and_show(app, &change).await
        }
        Environment::Link { source, destination, bi_directional } => {
            let add = |id: &str| UpdateEnvironmentRequest {
                add_links: vec![id.to_owned()],
                ..UpdateEnvironmentRequest::default()
            };
            link(app, (&source, &destination), bi_directional, "link", add).await
        }
        Environment::Unlink { source, destination, bi_directional } => {
            let remove = |id: &str| UpdateEnvironmentRequest {
                remove_links: vec![id.to_owned()],
                ..UpdateEnvironmentRequest::default()
            };
            link(app, (&source, &destination), bi_directional, "unlink", remove).await
        }
    }
}

async fn show(app: &App, ids: Vec<String>) -> Result<(), CliError> {
    let environments = app.read_all(ids, async |client, id| client.environment_get(&id).await).await?;
    app.printer.result(&environments[..], rows::environment_table)
}

async fn settle_and_show(app: &App, change: &CreateEntityResponse) -> Result<(), CliError> {
    app.settle_then_print(change).await?;
    show(app, vec![change.entity_id.clone()]).await
}

/// Adds or removes one link, or one each way. The server changes its list by what is asked for, so that two at the same time
/// lose nothing.
async fn link(
    app: &App,
    (source, destination): (&str, &str),
    both_ways: bool,
    verb: &str,
    change: impl Fn(&str) -> UpdateEnvironmentRequest,
) -> Result<(), CliError> {
    let (source, destination) =
        try_join(target::one(app, Kind::Environment, source), target::one(app, Kind::Environment, destination)).await?;
    if source.id == destination.id {
        let preposition = if verb == "link" { "to" } else { "from" };
        return Err(CliError::usage(format!("Cannot {verb} an environment {preposition} itself")));
    }
    let mut ways = vec![(&source.id, &destination.id)];
    if both_ways {
        ways.push((&destination.id, &source.id));
    }
    // Both are asked for before either is followed, and the last answer's warnings are those that hold: after the first one alone
    // the link would go one way only.
    let mut changes = Vec::new();
    for (from, to) in ways {
        changes.push(app.client.environment_update(from, &change(to)).await.map_err(|why| app.error(why))?);
    }
    let last = changes.len() - 1;
    for change in &mut changes[..last] {
        change.warnings.clear();
    }
    for change in &changes {
        app.settle_silently(change).await?;
    }
    Ok(())
}

/// Deletes all that lives in an environment: services and tasks first, side by side, then the load balancers that they stood
/// behind. Waits for them even with `--no-wait`: what is still there would hold the rest.
async fn empty(app: &App, environment: &str) -> Result<(), CliError> {
    let client = &app.client;
    let (services, tasks) = try_join(client.service_list(), client.task_list()).await.map_err(|why| app.error(why))?;
    let mut changes = Vec::new();
    for service in services.iter().filter(|service| service.environment_id == environment) {
        app.printer.note(&format!("deleting service `{}`", service.service_name));
        changes.extend(unless_gone(app, client.service_delete(&service.service_id).await)?);
    }
    for task in tasks.iter().filter(|task| task.environment_id == environment) {
        app.printer.note(&format!("deleting task `{}`", task.task_name));
        changes.extend(unless_gone(app, client.task_delete(&task.task_id).await)?);
    }
    wait_for(app, &changes).await?;

    let load_balancers = client.load_balancer_list().await.map_err(|why| app.error(why))?;
    let mut changes = Vec::new();
    for load_balancer in load_balancers.iter().filter(|load_balancer| load_balancer.environment_id == environment) {
        app.printer.note(&format!("deleting load balancer `{}`", load_balancer.load_balancer_name));
        changes.extend(unless_gone(app, client.load_balancer_delete(&load_balancer.load_balancer_id).await)?);
    }
    wait_for(app, &changes).await
}

/// Deletes an environment with all that is in it. It is asked for first: who may not delete it, or may not take its links away, loses
/// nothing of what is in it.
async fn delete_with_all(app: &App, environment: &str) -> Result<CreateEntityResponse, CliError> {
    match delete_held(app, environment).await? {
        Ok(change) => return Ok(change),
        Err(held) => {
            let again = format!("the environment is not deleted yet: `l0 environment delete -r {environment}` goes on");
            app.rest.replace(Some(again));
            unlink(app, environment, &held).await?;
        }
    }
    empty(app, environment).await?;
    match delete_held(app, environment).await? {
        Ok(change) => Ok(change),
        // Somebody linked one meanwhile, or the first refusal did not name it.
        Err(held) if unlink(app, environment, &held).await? => {
            app.client.environment_delete(environment).await.map_err(|why| app.error(why))
        }
        Err(held) => Err(app.error(ClientError::Refused { status: 409, body: held })),
    }
}

/// Deletes an environment, or answers who holds it.
async fn delete_held(app: &App, environment: &str) -> Result<Result<CreateEntityResponse, Box<ErrorBody>>, CliError> {
    match app.client.environment_delete(environment).await {
        Ok(change) => Ok(Ok(change)),
        Err(ClientError::Refused { status: 409, body }) => Ok(Err(body)),
        Err(why) => Err(app.error(why)),
    }
}

/// Takes away the links that hold an environment; says whether there were any.
async fn unlink(app: &App, environment: &str, held: &ErrorBody) -> Result<bool, CliError> {
    let holders: Vec<_> = held.holders.iter().filter(|holder| holder.entity_type == Kind::Environment.wire()).collect();
    let remove = UpdateEnvironmentRequest { remove_links: vec![environment.to_owned()], ..Default::default() };
    for holder in &holders {
        app.printer.note(&format!("unlinking environment `{}`", holder.name));
        let answer = app.client.environment_update(&holder.entity_id, &remove).await;
        if let Some(change) = unless_gone(app, answer)? {
            app.settle_waiting(&change).await?;
        }
    }
    Ok(!holders.is_empty())
}

async fn wait_for(app: &App, changes: &[CreateEntityResponse]) -> Result<(), CliError> {
    for change in changes {
        app.settle_waiting(change).await?;
    }
    Ok(())
}

/// What is gone already needs no deleting.
fn unless_gone(
    app: &App,
    answer: Result<CreateEntityResponse, ClientError>,
) -> Result<Option<CreateEntityResponse>, CliError> {
    match answer {
        Ok(change) => Ok(Some(change)),
        Err(ClientError::Refused { status: 404, .. }) => Ok(None),
        Err(why) => Err(app.error(why)),
    }
}

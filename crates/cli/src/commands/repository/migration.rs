//! `l0 repository migrate` and `l0 repository migration`.

use futures_util::StreamExt as _;
use layer0_api::client::MigrationFollowed;
use layer0_api::types::{MigrateRequest, Migration as Entity, MigrationQuery, OperationEvent, UpdateMigrationRequest};

use crate::app::App;
use crate::args::repository::Migration;
use crate::error::{CliError, Exit};
use crate::follow::{Pause, passing};
use crate::grammar::{RepositoryName, repository};
use crate::printer::migration_rows as rows;
use crate::progress::Progress;

pub(super) async fn migrate(app: &App, name: &RepositoryName, to: String, delete_source: bool) -> Result<(), CliError> {
    let request = MigrateRequest { repository: format!("{}/{}", name.owner, name.name), to, delete_source };
    let asked = app.client.migration_ask(&request).await.map_err(|why| app.error(why))?;
    to_the_end(app, asked).await
}

pub(super) async fn run(app: &App, verb: Migration) -> Result<(), CliError> {
    match verb {
        Migration::List => {
            let all = app.client.migration_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all.migrations[..], rows::migration_table)
        }
        Migration::Get { name } => {
            let name = repository(&name)?;
            let found = app.client.migration_get(&name.owner, &name.name).await.map_err(|why| app.error(why))?;
            print(app, &found)
        }
        Migration::Cancel { name } => {
            let name = repository(&name)?;
            let asked = app.client.migration_cancel(&name.owner, &name.name).await.map_err(|why| app.error(why))?;
            to_the_end(app, asked).await
        }
        Migration::DeleteSource { name } => {
            let name = repository(&name)?;
            let request = UpdateMigrationRequest { delete_source: true };
            let asked = app.client.migration_update(&name.owner, &name.name, &request).await;
            to_the_end(app, asked.map_err(|why| app.error(why))?).await
        }
    }
}

/// Follows what was asked for, unless that is not wanted.
async fn to_the_end(app: &App, asked: Entity) -> Result<(), CliError> {
    if asked.ended {
        return judge(app, &asked);
    }
    if app.settings.no_wait {
        let name = &asked.repository;
        app.printer.note(&format!("It goes on by itself; `l0 repository migration get {name}` shows how far it is."));
        return print(app, &asked);
    }
    let end = follow(app, &asked.repository).await?;
    judge(app, &end)
}

async fn follow(app: &App, name: &str) -> Result<Entity, CliError> {
    let query = MigrationQuery { repository: name.to_owned() };
    let mut progress = Progress::new(app);
    let mut pause = Pause::new();
    let mut said = String::new();
    loop {
        match app.client.migration_follow(&query).await {
            Ok(mut events) => loop {
                let (it, has_ended) = match events.next().await {
                    Some(Ok(MigrationFollowed::Progress(it))) => (it, false),
                    Some(Ok(MigrationFollowed::End(it))) => (it, true),
                    Some(Err(why)) if !passing(&why) => return Err(app.error(why)),
                    Some(Err(_)) | None => break,
                };
                pause.reset();
                if it.progress != said {
                    progress.step(&step(&it.progress));
                    said.clone_from(&it.progress);
                }
                if has_ended {
                    progress.close();
                    return Ok(it);
                }
            },
            Err(why) if !passing(&why) => return Err(app.error(why)),
            Err(why) => app.printer.debug(|| why.to_string()),
        }
        progress.lost();
        pause.wait().await;
    }
}

fn step(message: &str) -> OperationEvent {
    OperationEvent { sequence: 0, at: jiff::Timestamp::now().to_string(), message: message.to_owned() }
}

/// How the command ends.
fn judge(app: &App, end: &Entity) -> Result<(), CliError> {
    print(app, end)?;
    match end.state.as_str() {
        "moved" | "cleared" | "cancelled" => Ok(()),
        _ => {
            let error = CliError::new(Exit::Failed, format!("{} was not moved: {}", end.repository, end.progress));
            Err(error.hint(format!(
                "mend what is named, and run it again: what was copied is not copied twice; `l0 repository migration cancel {}` deletes it",
                end.repository
            )))
        }
    }
}

fn print(app: &App, migration: &Entity) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(migration), rows::migration_table)
}

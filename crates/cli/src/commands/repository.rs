//! `l0 repository`.

use layer0_api::types::{CreateRepositoryRequest, Repository as Entity};

use crate::app::App;
use crate::args::repository::Repository;
use crate::error::CliError;
use crate::grammar::repository;
use crate::printer::rows;

pub(crate) async fn run(app: &App, verb: Repository) -> Result<(), CliError> {
    match verb {
        Repository::Create { name } => {
            let name = repository(&name)?;
            let request = CreateRepositoryRequest { name: name.name, visibility: None };
            let made = app.client.repository_create(&name.owner, &request).await.map_err(|why| app.error(why))?;
            print(app, &made)
        }
        Repository::List { owner } => {
            let names = match owner {
                None => app.client.repository_list().await.map_err(|why| app.error(why))?.repositories,
                Some(owner) => {
                    let names = app.client.repository_list_of(&owner).await.map_err(|why| app.error(why))?.repositories;
                    names.into_iter().map(|name| format!("{owner}/{name}")).collect()
                }
            };
            app.printer.result(&names[..], |names| rows::name_table("REPOSITORY", names))
        }
        Repository::Get { name } => {
            let name = repository(&name)?;
            let found = app.client.repository_get(&name.owner, &name.name).await.map_err(|why| app.error(why))?;
            print(app, &found)
        }
        Repository::Delete { name, force } => {
            let name = repository(&name)?;
            app.client.repository_delete(&name.owner, &name.name, force).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

fn print(app: &App, repository: &Entity) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(repository), rows::repository_table)
}

//! `l0 image` and `l0 map`.

use layer0_api::types::{AddMapRuleRequest, Failure, ImageCheckQuery, MapRule};

use crate::app::App;
use crate::args::image::{Image, Map};
use crate::error::{CliError, Exit};
use crate::grammar::{image, repository};
use crate::printer::{lines, rows};
use crate::target::{self, Kind};

pub(crate) async fn run(app: &App, verb: Image) -> Result<(), CliError> {
    match verb {
        Image::List { repository: text, untagged } => {
            let name = repository(&text)?;
            let (found, before) = if untagged {
                (app.client.image_list_untagged(&name.owner, &name.name).await, '@')
            } else {
                (app.client.image_list(&name.owner, &name.name).await, ':')
            };
            let found = found.map_err(|why| app.error(why))?.images;
            // A server from before it could answers its tags, which is what nobody wants to delete.
            if untagged && found.iter().any(|it| !it.contains(':')) {
                return Err(CliError::new(Exit::Refused, "this server is older and can't list images without a tag"));
            }
            // In text as `image get` takes them, in JSON the tags or digests alone.
            app.printer.result(&found[..], |found| {
                let images: Vec<String> = found.iter().map(|it| format!("{text}{before}{it}")).collect();
                rows::name_table("IMAGE", &images)
            })
        }
        Image::Get { image: text } => {
            let (name, reference) = image(&text)?;
            let found =
                app.client.image_get(&name.owner, &name.name, &reference).await.map_err(|why| app.error(why))?;
            app.printer.result(&[found][..], rows::image_table)
        }
        Image::Delete { image: text } => {
            let (name, reference) = image(&text)?;
            let (owner, name) = (&name.owner, &name.name);
            // Only for the note below: what this user may not see, nobody tells.
            let is_tag = !reference.contains(':');
            let behind = if is_tag { app.client.image_get(owner, name, &reference).await.ok() } else { None };
            app.client.image_delete(owner, name, &reference).await.map_err(|why| app.error(why))?;
            if let Some(found) = behind
                && app.client.image_get(owner, name, &found.digest).await.is_ok()
            {
                app.printer.note(&format!(
                    "the tag is gone, its image stays: `l0 image delete {owner}/{name}@{}` deletes it, with whatever other tags it has",
                    found.digest
                ));
            }
            Ok(())
        }
        Image::Check { image, environment, platform, stateful } => {
            let environment_id = match environment.as_deref() {
                Some(target) => Some(target::one(app, Kind::Environment, target).await?.id),
                None => None,
            };
            let query = ImageCheckQuery { image, environment_id, platform, stateful };
            let found = app.client.image_check(&query).await.map_err(|why| app.error(why))?;
            for warning in &found.warnings {
                app.printer.warn(warning);
            }
            app.printer.result(std::slice::from_ref(&found), |all| all.iter().map(lines::pull_check).collect())?;
            // What failed, and what to do, stands in the result.
            let failed: Vec<&str> =
                found.checks.iter().filter(|it| it.result == "failed").map(|it| it.check.as_str()).collect();
            match &found.problem {
                None => Ok(()),
                Some(problem) => {
                    Err(CliError::new(exit_of(problem), format!("the pull check failed: {}", failed.join(", "))))
                }
            }
        }
        Image::Resolve { image } => {
            let found = app.client.image_resolve(&image).await.map_err(|why| app.error(why))?;
            for warning in &found.warnings {
                app.printer.warn(warning);
            }
            app.printer.result(std::slice::from_ref(&found), |all| all.iter().map(lines::resolution).collect())?;
            match &found.problem {
                None => Ok(()),
                Some(problem) => {
                    Err(CliError::failure(exit_of(problem), "the engine could not pull this image", problem))
                }
            }
        }
    }
}

/// How a command ends that shows why an image could not be pulled.
fn exit_of(problem: &Failure) -> Exit {
    if problem.class == "image_not_found" { Exit::NotFound } else { Exit::Refused }
}

pub(crate) async fn map(app: &App, verb: Map) -> Result<(), CliError> {
    match verb {
        Map::List => {
            let rules = app.client.map_list().await.map_err(|why| app.error(why))?;
            print(app, &rules)
        }
        Map::Add { rule } => {
            let request = AddMapRuleRequest { rule: Some(rule), ..AddMapRuleRequest::default() };
            let rule = app.client.map_add(&request).await.map_err(|why| app.error(why))?;
            print(app, &[rule])
        }
        Map::Remove { prefix } => {
            app.client.map_remove(&prefix).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

fn print(app: &App, rules: &[MapRule]) -> Result<(), CliError> {
    app.printer.result(rules, rows::map_table)
}

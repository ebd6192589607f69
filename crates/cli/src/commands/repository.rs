//! `l0 repository`.

mod migration;

use layer0_api::client::ClientError;
use layer0_api::types::{
    AddTagRuleRequest, CreateRepositoryRequest, ImportRepositoryRequest, Repository as Entity, RetentionRule, TagRule,
    UpdateRepositoryRequest,
};

use crate::app::App;
use crate::args::repository::{Immutable, Repository, Retention};
use crate::error::CliError;
use crate::grammar::{repositories, repository};
use crate::printer::{access_rows, lines, rows};

/// As the wire spells it.
const PUBLIC: &str = "public";
/// As the wire spells it.
const PRIVATE: &str = "private";

pub(crate) async fn run(app: &App, verb: Repository) -> Result<(), CliError> {
    match verb {
        Repository::Create { name, public } => {
            let name = repository(&name)?;
            let visibility = public.then(|| PUBLIC.to_owned());
            let request = CreateRepositoryRequest { name: name.name, visibility };
            // Whoever may see no owners can make none either.
            let is_new = is_refused(&app.client.owner_get(&name.owner).await, "OwnerDoesNotExist");
            let made = app.client.repository_create(&name.owner, &request).await.map_err(|why| app.error(why))?;
            print(app, &made)?;
            if is_new {
                app.printer.note(&format!("Owner {} was made with it: there was none of this name.", name.owner));
            }
            Ok(())
        }
        Repository::Import { backing, name, registry, dry_run } => {
            let name = name.map(|name| repository(&name)).transpose()?.map(|it| format!("{}/{}", it.owner, it.name));
            let request = ImportRepositoryRequest { backing, name, registry, dry_run };
            let done = app.client.repository_import(&request).await.map_err(|why| app.error(why))?;
            app.printer.result(&done, lines::imported)
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
        Repository::Update { name, public, private: _ } => {
            let name = repository(&name)?;
            let visibility = if public { PUBLIC } else { PRIVATE }.to_owned();
            let request = UpdateRepositoryRequest { visibility };
            let changed =
                app.client.repository_update(&name.owner, &name.name, &request).await.map_err(|why| app.error(why))?;
            print(app, &changed)
        }
        Repository::Delete { name, force } => {
            let name = repository(&name)?;
            app.client.repository_delete(&name.owner, &name.name, force).await.map_err(|why| app.error(why))?;
            Ok(())
        }
        Repository::Migrate { name, to, delete_source } => {
            let name = repository(&name)?;
            migration::migrate(app, &name, to, delete_source).await
        }
        Repository::Migration(verb) => migration::run(app, verb).await,
        Repository::Immutable(verb) => immutable(app, verb).await,
        Repository::Retention(verb) => retention(app, verb).await,
    }
}

async fn immutable(app: &App, verb: Immutable) -> Result<(), CliError> {
    match verb {
        Immutable::Add { repositories: text, tags, except } => {
            let name = repositories(&text)?;
            let request = AddTagRuleRequest { repositories: Some(name.name), tags: Some(tags), except };
            let rule = app.client.tag_rule_add(&name.owner, &request).await.map_err(|why| app.error(why))?;
            print_rules(app, &name.owner, &[rule])
        }
        Immutable::List { owner } => {
            let found = app.client.owner_get(&owner).await.map_err(|why| app.error(why))?;
            print_rules(app, &owner, &found.immutable)
        }
        Immutable::Remove { repositories: text, tags } => {
            let name = repositories(&text)?;
            app.client.tag_rule_remove(&name.owner, &name.name, &tags).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

async fn retention(app: &App, verb: Retention) -> Result<(), CliError> {
    match verb {
        Retention::Add { repositories: text, tags, keep_last, keep, untagged } => {
            if keep_last.is_none() && keep.is_none() && untagged.is_none() {
                return Err(CliError::usage(
                    "a retention rule needs at least one of --keep-last, --keep and --untagged",
                ));
            }
            let name = repositories(&text)?;
            let request = RetentionRule {
                repositories: Some(name.name),
                tags: Some(tags),
                keep_last,
                keep_hours: keep.map(|age| age.0),
                untagged_hours: untagged.map(|age| age.0),
            };
            let before = app.client.owner_get(&name.owner).await.map(|it| it.retention).unwrap_or_default();
            let rule = app.client.retention_rule_add(&name.owner, &request).await.map_err(|why| app.error(why))?;
            print_retention(app, &name.owner, std::slice::from_ref(&rule))?;
            let is_in_place = |it: &RetentionRule| (&it.repositories, &it.tags) == (&rule.repositories, &rule.tags);
            let goes_by_another = before.iter().any(|it| !is_in_place(it) && it.untagged_hours.is_some());
            if let Some(replaced) = before.into_iter().find(|it| is_in_place(it) && *it != rule) {
                let was = access_rows::retention_rule_table(&name.owner, &[replaced]);
                app.printer.note(&format!("It takes the place of this rule:\n{}", was.trim_end()));
            }
            // A pattern may be for repositories to come.
            if let Some(exact) = rule.repositories.as_deref().filter(|it| !it.contains('*'))
                && is_refused(&app.client.repository_get(&name.owner, exact).await, "RepositoryDoesNotExist")
            {
                app.printer.warn(&format!("there is no repository {}/{exact}", name.owner));
            }
            if rule.untagged_hours.is_none() && !goes_by_another {
                app.printer.note(
                    "It takes tags away. The images behind them stay, and so do their bytes: `--untagged 7d`, here or in a rule of its own, lets those go.",
                );
            }
            Ok(())
        }
        Retention::List { owner } => {
            let found = app.client.owner_get(&owner).await.map_err(|why| app.error(why))?;
            print_retention(app, &owner, &found.retention)
        }
        Retention::Remove { repositories: text, tags } => {
            let name = repositories(&text)?;
            app.client.retention_rule_remove(&name.owner, &name.name, &tags).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

/// Whether the server refused something with this code.
fn is_refused<T>(answer: &Result<T, ClientError>, code: &str) -> bool {
    answer.as_ref().is_err_and(|why| why.code() == Some(code))
}

fn print_retention(app: &App, owner: &str, rules: &[RetentionRule]) -> Result<(), CliError> {
    app.printer.result(rules, |rules| access_rows::retention_rule_table(owner, rules))
}

fn print(app: &App, repository: &Entity) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(repository), rows::repository_table)
}

fn print_rules(app: &App, owner: &str, rules: &[TagRule]) -> Result<(), CliError> {
    app.printer.result(rules, |rules| access_rows::tag_rule_table(owner, rules))
}

//! `l0 deploy`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_api::types::{CreateDeployRequest, DeploySummary};

use crate::app::App;
use crate::args::deploy::Deploy;
use crate::error::{CliError, Exit};
use crate::printer::{lines, rows};
use crate::target::{self, Kind};

/// The server refuses much smaller ones with words of its own; this keeps a wrong path (a disk image, `/dev/zero`) out of
/// memory.
const FILE_MAX: u64 = 64 * 1024 * 1024;

pub(crate) async fn run(app: &App, verb: Deploy) -> Result<(), CliError> {
    match verb {
        Deploy::Create { path, name, owner } => create(app, &path, name, owner).await,
        Deploy::Delete { target } => {
            let found = target::one(app, Kind::Deploy, &target).await?;
            let change = app.client.deploy_delete(&found.id).await.map_err(|why| app.error(why))?;
            app.settle_silently(&change).await
        }
        Deploy::Get { target } => {
            let ids = target::ids(app, Kind::Deploy, &target).await?;
            let deploys = app.read_all(ids, async |client, id| client.deploy_get(&id).await).await?;
            app.printer.result(&deploys[..], rows::deploy_table)
        }
        Deploy::List { all } => {
            let deploys = app.client.deploy_list().await.map_err(|why| app.error(why))?;
            let deploys = if all { deploys } else { newest(deploys) };
            app.printer.result(&deploys[..], rows::deploy_list_table)
        }
    }
}

async fn create(app: &App, path: &Path, name: String, owner: Option<String>) -> Result<(), CliError> {
    let request = CreateDeployRequest { deploy_name: name, deploy_file: read_base64(path)?, owner_name: owner };
    let change = app.client.deploy_create(&request).await.map_err(|why| app.error(why))?;
    app.settle_then_print(&change).await?;
    let deploy = app.client.deploy_get(&change.entity_id).await.map_err(|why| app.error(why))?;
    let images = if change.images.is_empty() { deploy.images.clone() } else { change.images };
    app.printer.result(&[deploy][..], |deploys| {
        let mut out = rows::deploy_table(deploys);
        if !images.is_empty() {
            out.push('\n');
            out.push_str(&lines::images(&images));
        }
        out
    })
}

/// Reads a task definition as it is: what it holds is the server's business.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = |why: std::io::Error| CliError::usage(format!("{} can't be read: {why}", path.display()));
    let mut out = Vec::new();
    let taken = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX + 1).read_to_end(&mut out)
    } else {
        std::fs::File::open(path).map_err(unreadable)?.take(FILE_MAX + 1).read_to_end(&mut out)
    };
    let length = taken.map_err(unreadable)?;
    if length as u64 > FILE_MAX {
        return Err(CliError::new(Exit::Usage, format!("{} is larger than {} MiB", path.display(), FILE_MAX >> 20)));
    }
    Ok(out)
}

/// The highest version of each name, by name. Deploys without a name are left out.
fn newest(deploys: Vec<DeploySummary>) -> Vec<DeploySummary> {
    let number = |deploy: &DeploySummary| deploy.version.parse::<u64>().unwrap_or(0);
    let mut by_name: BTreeMap<String, DeploySummary> = BTreeMap::new();
    for deploy in deploys.into_iter().filter(|deploy| !deploy.deploy_name.is_empty()) {
        match by_name.get(&deploy.deploy_name) {
            Some(known) if number(known) >= number(&deploy) => {}
            _ => {
                by_name.insert(deploy.deploy_name.clone(), deploy);
            }
        }
    }
    by_name.into_values().collect()
}

/// A file as requests carry it.
pub(crate) fn read_base64(path: &Path) -> Result<String, CliError> {
    Ok(STANDARD.encode(read(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_as_a_number_and_the_nameless_drop() {
        let deploy = |name: &str, version: &str| DeploySummary {
            compatibilities: Vec::new(),
            deploy_id: format!("{name}.{version}"),
            deploy_name: name.to_owned(),
            version: version.to_owned(),
            owner_name: None,
        };
        let ids: Vec<String> = newest(vec![deploy("b", "1"), deploy("a", "9"), deploy("", "3"), deploy("a", "10")])
            .into_iter()
            .map(|d| d.deploy_id)
            .collect();
        assert_eq!(ids, ["a.10", "b.1"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = read(Path::new("/no/such/file")).expect_err("no file");
        assert!(error.message.starts_with("/no/such/file can't be read: No such file"), "{}", error.message);
        assert_eq!(error.exit.code(), 2);
        assert!(read(Path::new("/")).is_err());
    }
}

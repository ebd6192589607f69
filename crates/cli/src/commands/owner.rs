//! `l0 owner`.

use layer0_api::types::{CreateOwnerRequest, Owner as Entity, UpdateOwnerRequest};

use crate::app::App;
use crate::args::owner::Owner;
use crate::error::CliError;
use crate::printer::access_rows as rows;
use crate::size::Quota;

pub(crate) async fn run(app: &App, verb: Owner) -> Result<(), CliError> {
    match verb {
        Owner::Create { name, quota } => {
            let quota_bytes = match quota {
                Some(Quota::Bytes(bytes)) => Some(bytes),
                Some(Quota::None) | None => None,
            };
            let request = CreateOwnerRequest { owner_name: name, quota_bytes };
            let made = app.client.owner_create(&request).await.map_err(|why| app.error(why))?;
            print(app, &made)
        }
        Owner::List => {
            let all = app.client.owner_list().await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::owner_table)
        }
        Owner::Get { name } => {
            let found = app.client.owner_get(&name).await.map_err(|why| app.error(why))?;
            print(app, &found)
        }
        Owner::Update { name, quota } => {
            let request = match quota {
                Quota::Bytes(bytes) => UpdateOwnerRequest { quota_bytes: Some(bytes), remove_quota: None },
                Quota::None => UpdateOwnerRequest { quota_bytes: None, remove_quota: Some(true) },
            };
            let changed = app.client.owner_update(&name, &request).await.map_err(|why| app.error(why))?;
            print(app, &changed)
        }
        Owner::Delete { name } => {
            app.client.owner_delete(&name).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}

/// One owner; below it the rules for its tags, where it has some.
fn print(app: &App, owner: &Entity) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(owner), |owners| {
        let mut out = rows::owner_table(owners);
        for owner in owners.iter().filter(|owner| !owner.immutable.is_empty()) {
            out.push('\n');
            out.push_str(&rows::tag_rule_table(&owner.owner_name, &owner.immutable));
        }
        for owner in owners.iter().filter(|owner| !owner.retention.is_empty()) {
            out.push('\n');
            out.push_str(&rows::retention_rule_table(&owner.owner_name, &owner.retention));
        }
        out
    })
}

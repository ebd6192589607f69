//! `l0 setup destroy`.

use layer0_setup::account::{Kind, Remain};
use layer0_setup::ops::{Setup, kept, leaves};
use serde_json::{Value, json};

use super::ask::Asker;
use super::{Context, failed};
use crate::args::setup::Which;
use crate::error::{CliError, Exit};

pub(super) async fn destroy(
    context: &Context<'_>,
    setup: &Setup<'_>,
    which: &Which,
    with_data: bool,
    yes: bool,
) -> Result<(), CliError> {
    let name = &which.name;
    context.home.path(name)?;
    if let Some(account) = context.home.read(name)?.and_then(|wishes| wishes.account) {
        let found = setup.identity().await.map_err(|why| failed(name, why))?.account;
        if account != found.to_string() {
            let words = format!("these credentials are of account {found}, and instance `{name}` belongs to {account}");
            return Err(CliError::new(Exit::Refused, words));
        }
    }
    let stack = format!("l0-{name}");
    let remains = setup.remains(&stack, name).await.map_err(|why| failed(name, why))?;
    let going = leaves(&remains, with_data);
    let staying = kept(&remains, with_data);
    if going.is_empty() {
        if staying.is_empty() {
            context.home.forget(name)?;
            // Roles are of the whole account: what stands in another region has some.
            let whose = setup.identity().await.map_err(|why| failed(name, why))?.account;
            context.printer.note(&format!(
                "there is nothing of `{name}` in {} of account {whose}: where it stands in another region, name that with AWS_REGION",
                context.region
            ));
        }
        let others: Vec<Remain> = remains.iter().filter(|remain| remain.kind == Kind::Other).cloned().collect();
        return say_gone(context, name, &staying, &others);
    }
    context.printer.talk(&list("These go", &going));
    if !staying.is_empty() {
        context.printer.talk(&list("These stay, since --with-data is not given", &staying));
    }
    if !yes {
        if !context.input.is_terminal {
            return Err(CliError::usage("standard input is no terminal: nobody can be asked")
                .hint("--yes deletes without asking"));
        }
        context.printer.talk(&format!("Type the instance's name to delete all of this [{name}]: "));
        if Asker::new(context.printer, context.input, false).line()? != *name {
            return Err(CliError::new(Exit::Refused, "another name was typed: nothing was deleted"));
        }
    }
    let gone = setup.destroy(&stack, name, with_data).await.map_err(|why| failed(name, why))?;
    // With its data it can be wished for again.
    if gone.kept.is_empty() {
        context.home.forget(name)?;
    }
    say_gone(context, name, &gone.kept, &gone.others)
}

fn list(title: &str, remains: &[Remain]) -> String {
    let mut out = format!("{title}:\n");
    for remain in remains {
        out.push_str(&format!("  {remain}\n"));
    }
    out
}

fn say_gone(context: &Context<'_>, name: &str, kept: &[Remain], others: &[Remain]) -> Result<(), CliError> {
    let names = |remains: &[Remain]| -> Vec<Value> {
        remains.iter().map(|remain| json!({ "Kind": remain.kind.to_string(), "Name": remain.name })).collect()
    };
    let value = json!({ "Instance": name, "Kept": names(kept), "Others": names(others) });
    context.printer.result(&value, |_| {
        let mut out = format!("Instance {name} is gone.\n");
        if kept.is_empty() && others.is_empty() {
            out.push_str("Nothing in the account bears its name or its tag any more.\n");
        }
        if !kept.is_empty() {
            out.push_str(&list("Its data is kept", kept));
            out.push_str(&format!(
                "`l0 setup apply {name}` takes it in again; `l0 setup destroy {name} --with-data` deletes it.\n"
            ));
        }
        if !others.is_empty() {
            out.push_str(&list("These bear its tag and were not made by it; look at them yourself", others));
        }
        out
    })
}

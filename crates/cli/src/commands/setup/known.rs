//! What is known of instances: `list`, `endpoint`, `status`, `push`, `pull`.

use std::collections::{BTreeMap, BTreeSet};

use layer0_setup::account::{Secret, Stack};
use layer0_setup::instance::Wishes;
use layer0_setup::ops::Setup;
use layer0_setup::template::outputs::{ADMIN_TOKEN, DEVELOPMENT, ENDPOINT, VERSION};
use serde_json::{Value, json};

use super::home::Home;
use super::{Context, failed};
use crate::commands::local::{Syntax, connection};
use crate::error::{CliError, Exit};
use crate::printer::Printer;
use crate::printer::table::Table;
use crate::settings::{ENV_ENDPOINT, ENV_SKIP_VERSION, ENV_TOKEN};

/// What every secret of a token begins with.
const TOKEN_PREFIX: &str = "l0_";

pub(super) fn list_local(printer: &Printer, home: &Home) -> Result<(), CliError> {
    print_list(printer, home.names().into_iter().map(|name| (name, ("l".to_owned(), String::new()))).collect())
}

pub(super) async fn list(context: &Context<'_>, setup: &Setup<'_>, with_local: bool) -> Result<(), CliError> {
    let mut rows: BTreeMap<String, (String, String)> = BTreeMap::new();
    let local: BTreeSet<String> = context.home.names().into_iter().collect();
    for (name, stack) in setup.list().await.map_err(|why| failed("", why))? {
        let place = if local.contains(&name) { "lr" } else { "r" };
        rows.insert(name, (place.to_owned(), stack.status));
    }
    if with_local {
        for name in local {
            rows.entry(name).or_insert_with(|| ("l".to_owned(), String::new()));
        }
    }
    print_list(context.printer, rows)
}

fn print_list(printer: &Printer, rows: BTreeMap<String, (String, String)>) -> Result<(), CliError> {
    let list: Vec<Value> = rows
        .iter()
        .map(|(name, (place, stack))| json!({ "Status": place, "Name": name, "StackStatus": stack }))
        .collect();
    printer.result(&list, |_| {
        let mut table = Table::new(&["STATUS", "NAME", "STACK"]);
        for (name, (place, stack)) in &rows {
            table.row([place, name, stack]);
        }
        table.text()
    })
}

/// The stack of an instance, and the endpoint that it answers at.
async fn stands(context: &Context<'_>, setup: &Setup<'_>, name: &str) -> Result<(Stack, String), CliError> {
    context.home.path(name)?;
    let stack = setup.standing_stack(&format!("l0-{name}"), name).await.map_err(|why| failed(name, why))?;
    match stack.outputs.get(ENDPOINT) {
        Some(endpoint) => Ok((stack.clone(), endpoint.clone())),
        None => Err(CliError::new(
            Exit::NotFound,
            format!("instance `{name}` has no endpoint yet: its stack is in {}", stack.status),
        )
        .hint(format!("`l0 setup apply {name}` makes it, or goes on making it"))),
    }
}

/// The first admin token, as clients send it.
async fn token(context: &Context<'_>, name: &str, stack: &Stack) -> Result<Secret, CliError> {
    let absent =
        || CliError::new(Exit::NotFound, format!("the secret with the first admin token of `{name}` is not there"));
    let arn = stack.outputs.get(ADMIN_TOKEN).ok_or_else(absent)?;
    let secret = context.account.secret(arn).await.map_err(|why| failed(name, why.into()))?.ok_or_else(absent)?;
    // The servers put this before what a secrets manager made, as before every secret of a token (`docs/configuration.md`).
    let text = match secret.reveal() {
        whole if whole.starts_with(TOKEN_PREFIX) => whole.to_owned(),
        random => format!("{TOKEN_PREFIX}{random}"),
    };
    let text = crate::credentials::token("admin", &crate::settings::Secret::new(text));
    Ok(Secret::new(text.reveal().to_owned()))
}

pub(super) async fn endpoint(
    context: &Context<'_>,
    setup: &Setup<'_>,
    name: &str,
    syntax: &str,
    insecure: bool,
    dev: bool,
) -> Result<(), CliError> {
    let syntax = Syntax::parse(syntax)?;
    let (stack, endpoint) = stands(context, setup, name).await?;
    let token = token(context, name, &stack).await?;
    let mut variables = vec![(ENV_ENDPOINT.to_owned(), endpoint), (ENV_TOKEN.to_owned(), token.reveal().to_owned())];
    if insecure {
        // Only of the version: certificates here are real, or there is no TLS at all.
        variables.push((ENV_SKIP_VERSION.to_owned(), "1".to_owned()));
    }
    if dev {
        variables.extend(development(&stack));
    }
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    connection(context.printer, syntax, &variables, context.stdout_is_terminal)
}

/// What the predecessor's `--dev` gave, by its names, as far as there is such a thing.
fn development(stack: &Stack) -> Vec<(String, String)> {
    DEVELOPMENT
        .iter()
        .filter_map(|(output, variable)| Some(((*variable).to_owned(), stack.outputs.get(*output)?.clone())))
        .collect()
}

pub(super) async fn status(context: &Context<'_>, setup: &Setup<'_>, name: &str) -> Result<(), CliError> {
    let (stack, endpoint) = stands(context, setup, name).await?;
    let health = context.door.health(&endpoint).await;
    let version = stack.outputs.get(VERSION).cloned().unwrap_or_default();
    let servers = setup.servers(&stack.name).await.map_err(|why| failed(name, why))?;
    let (running, wanted) = servers.map_or((0, 0), |servers| (servers.running, servers.wanted));
    let answers = match &health {
        Ok(Some(found)) => format!("yes, version {found}"),
        Ok(None) => "yes".to_owned(),
        Err(why) => format!("no: {why}"),
    };
    let value = json!({
        "Instance": name,
        "Stack": stack.name,
        "StackStatus": stack.status,
        "Version": version,
        "Endpoint": endpoint,
        "Running": running,
        "Wanted": wanted,
        "Healthy": health.is_ok(),
        "Health": answers,
    });
    context.printer.result(&value, |_| {
        let rows = [
            ("instance", name),
            ("stack", &format!("{} ({})", stack.name, stack.status)),
            ("servers", &format!("{running} of {wanted} run, version {version}")),
            ("endpoint", &endpoint),
            ("answers", &answers),
        ];
        rows.iter().map(|(key, value)| format!("{key:<9} {value}\n")).collect()
    })?;
    match health {
        Ok(_) => Ok(()),
        Err(_) => Err(CliError::new(Exit::Failed, format!("instance `{name}` does not answer"))
            .hint(format!("`l0 setup doctor {name}` looks for the reason"))),
    }
}

/// Where the wishes stand in the account.
fn parameter(name: &str) -> String {
    format!("/l0-{name}/instance.toml")
}

pub(super) async fn push(context: &Context<'_>, setup: &Setup<'_>, name: &str) -> Result<(), CliError> {
    let (wishes, _) = context.home.wished(name)?;
    setup.standing_stack(&format!("l0-{name}"), name).await.map_err(|why| failed(name, why))?;
    let put = context.account.parameter_put(&parameter(name), &wishes.text()).await;
    put.map_err(|why| failed(name, why.into()))?;
    context.printer.note(&format!("{} holds it; `l0 setup pull {name}` gets it", parameter(name)));
    Ok(())
}

pub(super) async fn pull(context: &Context<'_>, setup: &Setup<'_>, name: &str, force: bool) -> Result<(), CliError> {
    context.home.path(name)?;
    setup.standing_stack(&format!("l0-{name}"), name).await.map_err(|why| failed(name, why))?;
    let text = context.account.parameter(&parameter(name)).await.map_err(|why| failed(name, why.into()))?;
    let text = text.ok_or_else(|| CliError::new(Exit::NotFound, format!("there is no {}", parameter(name))))?;
    let wishes =
        Wishes::read(&text).map_err(|why| CliError::new(Exit::Other, format!("{}: {why}", parameter(name))))?;
    let before = context.home.read(name)?;
    if before.as_ref().is_some_and(|before| *before != wishes) && !force {
        return Err(CliError::new(Exit::Refused, format!("this machine has another instance.toml of `{name}`"))
            .hint("--force writes over it; `l0 setup push` writes it into the account"));
    }
    let path = context.home.write(&wishes)?;
    context.printer.message(&path.display().to_string())
}

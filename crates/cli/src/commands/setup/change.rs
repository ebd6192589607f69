//! `l0 setup plan`, `apply` and `upgrade`.

use layer0_setup::account::Stack;
use layer0_setup::image::{Architecture, Image, ImageError, image, version_of};
use layer0_setup::instance::{Access, Instance, judge};
use layer0_setup::ops::{Planned, Run, Setup, Standing, Wanted, standing};
use layer0_setup::template::outputs::{ARCHITECTURE, BALANCER_ADDRESS, ENDPOINT, IMAGE, VERSION};
use layer0_setup::template::{Parts, server_repository, stack, stack_name};
use serde_json::json;

use super::ask::Asker;
use super::{Context, failed, show};
use crate::args::setup::Plan;
use crate::error::{CliError, Exit};
use crate::file;
use crate::settings::set;

/// Where distributions keep the certificates of authorities.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The servers' program.
struct Program {
    image: Image,
    version: String,
}

/// Whose image the servers shall run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The one that they run, where they do.
    Standing,
    /// One that is made now.
    Ours,
}

/// Everything that is needed to change an instance.
struct Change {
    instance: Instance,
    wanted: Wanted,
    planned: Planned,
    architecture: Architecture,
    /// The image to be pushed first, under this tag.
    push: Option<Program>,
}

fn program(context: &Context<'_>, plan: &Plan) -> Result<Program, CliError> {
    let own = || context.executable.map(std::path::Path::to_owned);
    let path = plan.executable.clone().or_else(own).ok_or_else(|| {
        CliError::new(Exit::Other, "this program can't find its own file").hint("--executable names it")
    })?;
    let bytes = std::fs::read(&path).map_err(|why| file::unusable("read", &path, &why))?;
    let bundle = authorities(context, plan)?;
    let image = image(&bytes, &bundle).map_err(|why| {
        let error = CliError::usage(format!("{}: {why}", path.display()));
        match why {
            ImageError::NeedsLibraries => {
                error.hint("`make release` links it statically; --executable names another program")
            }
            ImageError::Foreign => error.hint("--executable names an l0 for Linux, linked statically"),
        }
    })?;
    let version = version_of(&bytes)
        .ok_or_else(|| CliError::usage(format!("{} is no l0: it says no version", path.display())))?;
    Ok(Program { image, version })
}

fn authorities(context: &Context<'_>, plan: &Plan) -> Result<Vec<u8>, CliError> {
    let given = plan.ca_file.clone().or_else(|| set(context.env, "SSL_CERT_FILE").map(Into::into));
    if let Some(path) = given {
        return std::fs::read(&path).map_err(|why| file::unusable("read", &path, &why));
    }
    AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok()).ok_or_else(|| {
        CliError::usage("this machine has no file with certificates of authorities, and the servers need one")
            .hint("--ca-file names one, PEM; on Debian the package ca-certificates brings it")
    })
}

impl Change {
    /// Works out what is to be done.
    async fn new(context: &Context<'_>, setup: &Setup<'_>, plan: &Plan, which: Which) -> Result<Self, CliError> {
        let name = &plan.which.name;
        let (wishes, instance) = context.home.wished(name)?;
        let seen = setup.look(&instance).await.map_err(|why| failed(name, why))?;
        let problems = judge(&instance, &seen);
        if !problems.is_empty() {
            return Err(super::home::refused(&problems));
        }
        let stack_name = stack_name(&instance);
        let stands = setup.settled(&stack_name, name).await.map_err(|why| failed(name, why))?;
        let stands = stands.filter(|stack| standing(Some(stack)) != Standing::Absent);
        let now = stands.as_ref().and_then(running).filter(|_| which == Which::Standing);
        let (image, version, architecture, push) = match now {
            Some(Running { image, version, architecture }) => (image, version, architecture, None),
            None => {
                let program = program(context, plan)?;
                let registry = context.account.registry().await.map_err(|why| failed(name, why.into()))?;
                let image = format!("{registry}/{}@{}", server_repository(&instance), program.image.digest());
                (image, program.version.clone(), program.image.architecture, Some(program))
            }
        };
        let account = seen.identity.account.to_string();
        let wishes = wishes.text();
        let parts = Parts { image: &image, architecture, version: &version, account: &account, wishes: &wishes };
        let wanted = Wanted { instance: name.clone(), stack: stack_name, template: stack(&instance, &parts) };
        let planned = setup.plan(&wanted).await.map_err(|why| failed(name, why))?;
        Ok(Self { instance, wanted, planned, architecture, push })
    }

    fn told(&self) -> show::Told<'_> {
        show::Told {
            instance: &self.instance,
            wanted: &self.wanted,
            planned: &self.planned,
            architecture: self.architecture,
        }
    }

    /// Carries it out, and says how to connect.
    async fn carry_out(&self, context: &Context<'_>, setup: &Setup<'_>, quick: bool) -> Result<(), CliError> {
        let name = &self.instance.name;
        let fail = |why| failed(name, why);
        if let Some(program) = &self.push {
            let repository = server_repository(&self.instance);
            setup.push(&repository, name, &program.image, &program.version).await.map_err(fail)?;
        }
        let applied = setup.apply(&Run { wanted: &self.wanted, planned: &self.planned }).await.map_err(fail)?;
        if !applied.changed {
            context.printer.note("Nothing to change.");
        }
        let endpoint = applied.stack.outputs.get(ENDPOINT).cloned().unwrap_or_default();
        let is_inside = matches!(&self.instance.access, Access::Bare { allow } if allow.is_empty());
        if is_inside {
            context.printer.note("The API answers inside the network alone: it was not asked whether it is well.");
        } else if !quick {
            if let (Access::Domain { name, zone: None, .. }, Some(address)) =
                (&self.instance.access, applied.stack.outputs.get(BALANCER_ADDRESS))
            {
                context
                    .printer
                    .note(&format!("{name} must lead to the load balancer: write an alias or CNAME of {address}"));
            }
            let version = applied.stack.outputs.get(VERSION).map(String::as_str);
            setup.healthy(context.door, &endpoint, version).await.map_err(fail)?;
        }
        let value =
            json!({ "Instance": name, "Changed": applied.changed, "Endpoint": endpoint, "Stack": applied.stack.name });
        context.printer.result(&value, |_| {
            let done = if applied.changed { "stands" } else { "stands as it is wished" };
            format!(
                "Instance {name} {done}: {endpoint}\nConnect this shell to it: eval \"$(l0 setup endpoint {name})\"\n"
            )
        })
    }
}

/// What the servers of a stack run.
struct Running {
    image: String,
    version: String,
    architecture: Architecture,
}

fn running(stack: &Stack) -> Option<Running> {
    let output = |name: &str| stack.outputs.get(name).cloned();
    Some(Running {
        image: output(IMAGE)?,
        version: output(VERSION)?,
        architecture: Architecture::of_images(&output(ARCHITECTURE)?)?,
    })
}

pub(super) async fn plan(context: &Context<'_>, setup: &Setup<'_>, plan: &Plan) -> Result<(), CliError> {
    let change = Change::new(context, setup, plan, Which::Standing).await?;
    change.told().print(context.printer)
}

pub(super) async fn apply(
    context: &Context<'_>,
    setup: &Setup<'_>,
    plan: &Plan,
    quick: bool,
    yes: bool,
) -> Result<(), CliError> {
    let change = Change::new(context, setup, plan, Which::Standing).await?;
    agreed(context, &change, yes)?;
    change.carry_out(context, setup, quick).await
}

/// Shows what would be done, and asks, where there is anything to do.
fn agreed(context: &Context<'_>, change: &Change, yes: bool) -> Result<(), CliError> {
    if change.planned.plan.is_none() {
        return Ok(());
    }
    context.printer.talk(&change.told().text());
    if yes {
        return Ok(());
    }
    if !context.input.is_terminal {
        return Err(CliError::usage("standard input is no terminal: nobody can be asked").hint("--yes carries it out"));
    }
    if Asker::new(context.printer, context.input, false).agrees("Carry this out?")? {
        return Ok(());
    }
    Err(CliError::new(Exit::Refused, "nothing was changed")
        .hint(format!("the plan is kept: `l0 setup apply {}` shows it again", change.instance.name)))
}

pub(super) async fn upgrade(
    context: &Context<'_>,
    setup: &Setup<'_>,
    plan: &Plan,
    version: Option<&str>,
    force: bool,
    yes: bool,
) -> Result<(), CliError> {
    let name = &plan.which.name;
    let stack = setup.standing_stack(&format!("l0-{name}"), name).await.map_err(|why| failed(name, why))?;
    let Running { version: from, .. } = running(&stack).ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("instance `{name}` does not say which version it is"))
            .hint(format!("`l0 setup apply {name}` finishes what is not finished"))
    })?;
    let change = Change::new(context, setup, plan, Which::Ours).await?;
    let to = change.push.as_ref().map(|program| program.version.clone()).unwrap_or_default();
    if let Some(wanted) = version.map(|text| text.trim_start_matches('v')).filter(|wanted| *wanted != to) {
        return Err(CliError::usage(format!("this program is version {to}, and not {wanted}"))
            .hint(format!("run `setup upgrade` of l0 {wanted}, or name its program with --executable")));
    }
    if number(&to) < number(&from) && !force {
        return Err(CliError::new(Exit::Refused, format!("{to} is older than {from}, which the instance runs"))
            .hint("state that a newer version has written may be unreadable for it; --force goes back all the same"));
    }
    if change.planned.plan.is_some() {
        let build = if from == to { " (another build)" } else { "" };
        context.printer.talk(&format!("Instance {name}: {from} -> {to}{build}\n"));
    }
    agreed(context, &change, yes)?;
    change.carry_out(context, setup, false).await
}

/// A version as numbers, for comparison; a part that is none counts as 0.
fn number(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = core.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(number("0.10.0") > number("0.9.12"));
        assert!(number("1.0.0") > number("0.99.99"));
        assert_eq!(number("1.2.3-rc1"), number("1.2.3"));
    }
}

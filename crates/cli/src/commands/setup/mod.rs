//! `l0 setup`: an instance in an AWS account. What is decided and done is in `layer0-setup`; here is what is read, asked and printed.

mod ask;
mod change;
mod doctor;
mod door;
mod home;
mod init;
mod known;
mod leave;
mod show;
#[cfg(test)]
mod tests;
mod watch;
mod wish;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use layer0_setup::account::{Account, Trouble};
use layer0_setup::ops::{Door, Setup as Ops, SetupError, Watch};
use serde_json::json;

use self::ask::{Asker, Question};
use self::door::ApiDoor;
use self::home::Home;
use self::watch::{Say, Watcher};
use super::login::Local;
use crate::app::Input;
use crate::args::setup::Setup;
use crate::error::{CliError, Exit};
use crate::host::Terminal;
use crate::printer::Printer;
use crate::settings::{Output, Settings, set};

/// Who says the region, of the environment; a profile may as well.
const REGIONS: [&str; 3] = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"];

/// What a command works with.
pub(super) struct Context<'a> {
    printer: &'a Printer,
    input: &'a Input,
    env: &'a BTreeMap<String, String>,
    home: Home,
    account: &'a dyn Account,
    /// How the servers are asked.
    door: &'a dyn Door,
    /// The region that the account is looked at in.
    region: String,
    /// This program.
    executable: Option<&'a Path>,
    /// Whether results are read by people.
    stdout_is_terminal: bool,
}

/// What of the host matters here.
#[derive(Clone, Copy)]
pub(crate) struct HostSeen<'a> {
    pub(crate) terminal: Terminal,
    pub(crate) executable: Option<&'a Path>,
    pub(crate) stdout_is_terminal: bool,
}

/// Runs a command to its end, to the end of its time, or until somebody presses Ctrl-C.
pub(crate) fn run(local: &Local<'_>, verb: &Setup, settings: &Settings, host: HostSeen<'_>) -> Result<(), CliError> {
    let home = Home::of(local.env)?;
    match verb {
        Setup::Set { which, input } => return wish::set(&home, &which.name, input),
        Setup::Unset { which, keys } => return wish::unset(&home, &which.name, keys),
        Setup::List { local: true, remote: false, .. } => return known::list_local(local.printer, &home),
        Setup::Init(args) => init::former(&args.former)?,
        _ => {}
    }
    let limit = settings.timeout.filter(|_| settings.timeout_given);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| CliError::new(Exit::Other, format!("no runtime can be started: {why}")))?;
    runtime.block_on(async {
        let work = async {
            let region = region(&home, verb)?;
            let region = asked_for(local, verb, region)?;
            let (account, region) = connect(region.as_deref()).await?;
            let context = Context {
                printer: local.printer,
                input: local.input,
                env: local.env,
                home,
                region,
                account: account.as_ref(),
                door: &ApiDoor,
                executable: host.executable,
                stdout_is_terminal: host.stdout_is_terminal,
            };
            let watcher = Watcher::new(lines(settings.output, host.terminal));
            command(&context, &watcher, verb).await
        };
        let expiry = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            Ok(()) = tokio::signal::ctrl_c() => Err(goes_on(CliError::new(Exit::Interrupted, "interrupted"), verb)),
            () = expiry => Err(goes_on(CliError::timeout(limit.unwrap_or(Duration::ZERO)), verb)),
        }
    })
}

/// The region, asked for where `init` is told of none and the environment knows none either.
fn asked_for(local: &Local<'_>, verb: &Setup, region: Option<String>) -> Result<Option<String>, CliError> {
    let is_known = REGIONS.iter().any(|name| set(local.env, name).is_some());
    match verb {
        Setup::Init(args) if region.is_none() && !args.yes && !is_known && local.input.is_terminal => {
            let question =
                Question { what: "Region", help: "Where the instance stands, such as eu-central-1.", default: "" };
            let answer = Asker::new(local.printer, local.input, false).text(&question)?;
            Ok(Some(answer).filter(|answer| !answer.is_empty()))
        }
        _ => Ok(region),
    }
}

/// An error with what it came from.
#[cfg(feature = "aws")]
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// The account that the SDK's default chain leads to.
#[cfg(feature = "aws")]
async fn connect(region: Option<&str>) -> Result<(Box<dyn Account>, String), CliError> {
    let account = layer0_setup::account::aws::AwsAccount::connect(region).await;
    let account = account.map_err(|why| CliError::usage(chain(&why)))?;
    let region = account.region().to_owned();
    Ok((Box::new(account), region))
}

/// Tests bring an account of their own.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the other build of it waits for credentials")]
async fn connect(_: Option<&str>) -> Result<(Box<dyn Account>, String), CliError> {
    Err(CliError::usage("this l0 was built without AWS"))
}

/// Where steps are told: stderr, unless that is a stream of JSON for a program.
fn lines(output: Output, terminal: Terminal) -> Option<Say> {
    let is_told = terminal == Terminal::Live || output == Output::Text;
    is_told.then(|| {
        Box::new(|line: &str| {
            use std::io::Write as _;
            let printable: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            // Talk that can't be written is lost, never a failure.
            let _ = writeln!(std::io::stderr(), "{printable}");
        }) as Say
    })
}

fn goes_on(error: CliError, verb: &Setup) -> CliError {
    match verb {
        Setup::Apply { .. } | Setup::Upgrade { .. } | Setup::Destroy { .. } => {
            error.hint("what is under way in AWS goes on; the same command goes on with it")
        }
        _ => error,
    }
}

/// The region that a command is about: the flag's, then instance.toml's; `None` for the chain's.
fn region(home: &Home, verb: &Setup) -> Result<Option<String>, CliError> {
    let which = match verb {
        Setup::Init(args) => &args.which,
        Setup::Plan(plan) | Setup::Apply { plan, .. } | Setup::Upgrade { plan, .. } => &plan.which,
        Setup::Destroy { which, .. }
        | Setup::Endpoint { which, .. }
        | Setup::Set { which, .. }
        | Setup::Unset { which, .. }
        | Setup::Pull { which, .. }
        | Setup::Push(which)
        | Setup::Status(which)
        | Setup::Doctor(which) => which,
        Setup::List { aws_region, .. } => return Ok(aws_region.clone()),
    };
    let wished = home.read(&which.name)?.map(|wishes| wishes.region);
    match (&which.aws_region, wished) {
        (Some(flag), Some(wished)) if *flag != wished && !matches!(verb, Setup::Pull { .. }) => {
            Err(CliError::usage(format!("instance `{}` is in {wished}, and not in {flag}", which.name))
                .hint("an instance can't move to another region: `l0 setup init` makes one there, by another name"))
        }
        (Some(flag), _) => Ok(Some(flag.clone())),
        (None, wished) => Ok(wished),
    }
}

async fn command(context: &Context<'_>, watcher: &dyn Watch, verb: &Setup) -> Result<(), CliError> {
    let setup = Ops::new(context.account, watcher);
    match verb {
        Setup::Init(args) => init::init(context, &setup, args).await,
        Setup::Plan(plan) => change::plan(context, &setup, plan).await,
        Setup::Apply { plan, quick, yes } => change::apply(context, &setup, plan, *quick, *yes).await,
        Setup::Upgrade { plan, version, force, yes } => {
            change::upgrade(context, &setup, plan, version.as_deref(), *force, *yes).await
        }
        Setup::Destroy { which, with_data, yes } => leave::destroy(context, &setup, which, *with_data, *yes).await,
        Setup::List { local, remote, .. } => known::list(context, &setup, *local || !*remote).await,
        Setup::Endpoint { which, syntax, insecure, dev } => {
            known::endpoint(context, &setup, &which.name, syntax, *insecure, *dev).await
        }
        Setup::Push(which) => known::push(context, &setup, &which.name).await,
        Setup::Pull { which, force } => known::pull(context, &setup, &which.name, *force).await,
        Setup::Status(which) => known::status(context, &setup, &which.name).await,
        Setup::Doctor(which) => doctor::doctor(context, &setup, &which.name).await,
        // Done before an account was looked for.
        Setup::Set { .. } | Setup::Unset { .. } => Ok(()),
    }
}

/// How a command ends that did not come to a good end.
fn failed(name: &str, why: SetupError) -> CliError {
    let message = why.to_string();
    let error = |exit| CliError::new(exit, message.clone());
    match why {
        SetupError::Account(why) => {
            let error = match why.trouble {
                Trouble::Denied => {
                    error(Exit::Refused).hint(format!("your AWS identity needs the right `{}`", why.action))
                }
                Trouble::Credentials => error(Exit::Refused)
                    .hint("sign in again (`aws sso login`, AWS_PROFILE); what is under way in AWS goes on, and the same command goes on with it"),
                Trouble::Quota => error(Exit::Refused).hint("Service Quotas raises it; then the same command goes on"),
                Trouble::Refused => error(Exit::Refused),
                Trouble::Unreachable | Trouble::Throttled | Trouble::Busy => {
                    error(Exit::Connection).hint("the same command goes on, later")
                }
            };
            error.field("Action", why.action)
        }
        SetupError::Foreign { .. } => {
            error(Exit::Refused).hint("choose another name for the instance, or delete that stack if it is nobody's")
        }
        SetupError::Absent { .. } => {
            error(Exit::NotFound).hint(format!("`l0 setup apply {name}` makes it; another region: --aws-region"))
        }
        SetupError::Stuck { .. } => error(Exit::Failed).hint(format!("`l0 setup doctor {name}` says what to do")),
        SetupError::PlanRefused { .. } => error(Exit::Failed),
        SetupError::Failed(failure) => {
            let mut error = error(Exit::Failed);
            if !failure.undone.is_empty() {
                error.details.push(format!("  undone: {}", failure.undone.join(", ")));
            }
            error.details.push(format!("  the stack is in {}", failure.status));
            let cause = failure.cause.as_ref().map(|cause| {
                json!({ "Resource": cause.logical, "Type": cause.kind, "Status": cause.status, "Reason": cause.reason })
            });
            let error =
                error.field("StackStatus", failure.status).field("Undone", failure.undone).field("Cause", cause);
            error.hint(format!(
                "with the cause out of the way the same command goes on; `l0 setup doctor {name}` looks for more"
            ))
        }
        SetupError::Late { .. } => error(Exit::Timeout),
        SetupError::Silent { .. } | SetupError::OldVersion { .. } => {
            error(Exit::Failed).hint(format!("`l0 setup doctor {name}` looks for the reason"))
        }
        SetupError::Left(..) => error(Exit::Failed).hint("the same command goes on"),
    }
}

//! The command line `l0`: everything but the server.
//!
//! A command line travels through these modules in this order: `argv` rewrites Go's flag syntax, `args` is the command tree,
//! `settings` merges flags, environment and file, `target` finds what is meant, `commands` does it through the typed client
//! of `layer0-api`, `follow` watches what takes time, `printer` prints: results to stdout, all else to stderr. `error` has
//! the exit codes. It knows the API only; no server type comes this far.

mod age;
mod app;
mod args;
mod argv;
mod aws_identity;
mod backup;
mod commands;
mod credential_helper;
mod credentials;
mod device;
mod engines;
mod error;
mod file;
mod follow;
mod grammar;
mod host;
mod identity;
mod keyring;
mod limits;
mod printer;
mod progress;
mod prompt;
mod settings;
mod sign_in;
mod size;
mod target;
mod usage;
mod value;

use std::cell::RefCell;
use std::ffi::OsString;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::FromArgMatches as _;
use layer0_api::client::{Client, ClientError, ClientOptions};
use layer0_api::types::ApiConfig;
use tokio::task::JoinHandle;

use app::{App, Input};
use args::admin::Admin;
use args::{Cli, Noun};
use commands::login::Local;
use error::{CliError, Exit};
use printer::Printer;
use settings::{Connection, Output, Settings};

pub use credential_helper::PROGRAM as CREDENTIAL_HELPER;
pub use host::{Host, Terminal};

/// Under this name the program is its command `setup`, as the predecessor's was a program of its own.
pub const SETUP: &str = "l0-setup";

/// This program's version, which is the server's too.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a command that is done waits for the server's version, which was asked for at its start: so long that the
/// answer to a request that began with the command's own is there, too short to be felt.
const VERSION_GRACE: Duration = Duration::from_millis(25);

/// Runs one command line of this process, the program's name first, and says how it ended.
#[must_use]
pub fn run(args: Vec<OsString>) -> ExitCode {
    ExitCode::from(run_on(Host::of_process(args)))
}

/// Answers one call of this process as Docker's credential helper, the program's name first, and says how it ended.
#[must_use]
pub fn credential_helper(args: Vec<OsString>) -> ExitCode {
    ExitCode::from(credential_helper_on(Host::of_process(args)))
}

/// Answers one call as Docker's credential helper on a given host and returns its exit code.
#[must_use]
pub fn credential_helper_on(host: Host) -> u8 {
    credential_helper::run(host)
}

/// Runs one command line on a given host and returns its exit code.
#[must_use]
pub fn run_on(host: Host) -> u8 {
    let Host { args, executable, env, stdin, stdin_is_terminal, stdout, stderr, terminal, stdout_is_terminal } = host;
    let input = Input { stdin: RefCell::new(stdin), is_terminal: stdin_is_terminal };
    let printer = Rc::new(Printer::new(stdout, stderr));
    let done = parse(&printer, args).and_then(|cli| {
        let Some(cli) = cli else { return Ok(()) };
        let settings = Settings::read(&cli.globals, &env)?;
        printer.configure(settings.output, settings.debug);
        match &cli.noun {
            Noun::Version => printer.message(VERSION),
            Noun::Completion(args) => commands::local::completion(&printer, args),
            Noun::Endpoint(args) => commands::local::endpoint(&printer, args, &env, &settings, stdout_is_terminal),
            Noun::Login(args) => {
                commands::login::login(&Local::new(&printer, &input, &cli.globals, &env, &settings), args)
            }
            Noun::Logout(args) => {
                commands::login::logout(&Local::new(&printer, &input, &cli.globals, &env, &settings), args)
            }
            Noun::Registry(verb) => {
                let local = Local::new(&printer, &input, &cli.globals, &env, &settings);
                commands::registry::run(&local, verb, executable.as_deref())
            }
            Noun::Setup(verb) => {
                let local = Local::new(&printer, &input, &cli.globals, &env, &settings);
                commands::setup::run(
                    &local,
                    verb,
                    &settings,
                    commands::setup::HostSeen { terminal, executable: executable.as_deref(), stdout_is_terminal },
                )
            }
            Noun::Admin(Admin::Backups(args)) => commands::backup::list(&printer, args),
            Noun::Admin(Admin::Restore(args)) => commands::backup::restore(&printer, args),
            Noun::Server(_) => Err(CliError::usage("`server` must be the first argument: l0 server --data-dir DIR")),
            _ => {
                let connection = Connection::read(&cli.globals, &env)?;
                online(&printer, cli.noun, settings, connection, terminal, input)
            }
        }
    });
    match done {
        Ok(()) => Exit::Success.code(),
        Err(error) => {
            printer.error(&error);
            error.exit.code()
        }
    }
}

/// Reads the command line; `None` when it asked for help or the version, which was printed.
fn parse(printer: &Printer, args: Vec<OsString>) -> Result<Option<Cli>, CliError> {
    let mut command = args::command();
    let args = argv::normalise(&command, args)?;
    // A command line that can't be read is refused in the format that it asks for.
    if args.iter().any(|arg| arg == "--output=json") {
        printer.configure(Output::Json, false);
    }
    let matches = match command.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(why) => return usage::judge(printer, &why).map(|()| None),
    };
    Cli::from_arg_matches(&matches).map(Some).map_err(|why| CliError::usage(why.to_string()))
}

/// Runs a command that speaks to a server.
fn online(
    printer: &Rc<Printer>,
    noun: Noun,
    settings: Settings,
    connection: Connection,
    terminal: Terminal,
    input: Input,
) -> Result<(), CliError> {
    let begun = Instant::now();
    let limit = settings.timeout.filter(|_| settings.timeout_given || !limits::goes_on(&noun));
    let client = Client::new(ClientOptions {
        endpoint: connection.endpoint.clone(),
        token: Some(connection.token.reveal().to_owned()),
        timeout: limits::of_request(&noun, limit),
        skip_ssl_verify: settings.skip_ssl_verify,
    })
    .map_err(|why| CliError::client(why, connection.endpoint_given))?;
    printer.debug(|| format!("l0 {VERSION}, endpoint {}, limit {limit:?}", connection.endpoint));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| CliError::new(Exit::Other, format!("no runtime can be started: {why}")))?;

    let done = runtime.block_on(async {
        let asks_itself = matches!(noun, Noun::Admin(_));
        let version = (!settings.skip_verify_version && !asks_itself).then(|| version_ask(client.clone()));
        let app = App {
            client,
            endpoint_given: connection.endpoint_given,
            settings,
            printer: Rc::clone(printer),
            terminal,
            input,
            watching: RefCell::new(None),
            rest: RefCell::new(None),
            backing_up: RefCell::new(None),
        };
        let done = bounded(&app, noun, limit).await;
        if let (Some(asked), Ok(())) = (version, &done) {
            version_compare(&app, asked).await;
        }
        done
    });
    printer.debug(|| format!("done in {:?}", begun.elapsed()));
    done
}

/// Runs a command until it ends, its time is up, or somebody presses Ctrl-C.
async fn bounded(app: &App, noun: Noun, limit: Option<Duration>) -> Result<(), CliError> {
    let expiry = async {
        match limit {
            Some(limit) => {
                tokio::time::sleep(limit).await;
                limit
            }
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        biased;
        done = commands::run(app, noun) => return done,
        Ok(()) = tokio::signal::ctrl_c() => CliError::new(Exit::Interrupted, "interrupted"),
        limit = expiry => CliError::timeout(limit),
    };
    commands::backup::give_up(app).await;
    let ended = match app.watching.borrow().as_deref() {
        Some(operation) => ended
            .hint(format!("the operation goes on; `l0 operation follow {operation}` follows it"))
            .field("OperationID", operation),
        None => ended,
    };
    Err(match app.rest.borrow().as_deref() {
        Some(rest) => ended.hint(rest),
        None => ended,
    })
}

type VersionAsked = JoinHandle<Result<ApiConfig, ClientError>>;

/// Asks for the server's version beside the command's own requests, so that it costs no time.
fn version_ask(client: Client) -> VersionAsked {
    tokio::spawn(async move { client.admin_config().await })
}

/// Warns when the versions differ. No answer is no warning: the command itself was done.
async fn version_compare(app: &App, asked: VersionAsked) {
    if let Ok(Ok(Ok(config))) = tokio::time::timeout(VERSION_GRACE, asked).await
        && config.version != VERSION
    {
        app.printer.warn(&format!(
            "API and CLI version mismatch (CLI: '{VERSION}', API: '{}')\nTo disable this warning, set LAYER0_SKIP_VERSION_VERIFY=\"1\"",
            config.version
        ));
    }
}

//! The command tree, a file for each noun. Names, order and defaults are the contract with everyone's scripts.

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod deploy;
pub(crate) mod environment;
pub(crate) mod image;
pub(crate) mod load_balancer;
pub(crate) mod local;
pub(crate) mod login;
pub(crate) mod member;
pub(crate) mod operation;
pub(crate) mod owner;
pub(crate) mod repository;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod task;
pub(crate) mod token;
pub(crate) mod trust;
pub(crate) mod user;

use crate::settings::Secret;
use crate::value::parse_bool;

/// From a private image to a running service.
///
/// Targets are `NAME`, `ENVIRONMENT:NAME` or an id; deploys are `NAME`, `NAME:VERSION` or `NAME:latest`. `*` stands for any
/// characters.
#[derive(Debug, Parser)]
#[command(
    name = "l0",
    version = crate::VERSION,
    disable_version_flag = true,
    args_override_self = true,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Example:\n  l0 server --data-dir ./data                          start an instance on this machine\n  eval \"$(l0 endpoint --data-dir ./data)\"              connect this shell to it\n  l0 environment create dev\n  l0 deploy create Dockerrun.aws.json app\n  l0 service create dev web app:latest\n\nExit codes: 0 success, 2 usage, 3 not found, 4 refused, 5 failed operation, 6 timeout, 7 connection, 1 other"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// Flags of every command, before or after it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Output format: text or json
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
    /// Limit for the whole command, such as 90s, 15m or 1h30m; 0 for none [default: 15m] [env: LAYER0_TIMEOUT]
    #[arg(short, long, global = true, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    /// Say more on stderr; never prints secrets [env: LAYER0_DEBUG]
    #[arg(short, long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub(crate) debug: Option<bool>,
    /// Where the API is [default: http://localhost:9090/] [env: LAYER0_API_ENDPOINT]
    #[arg(long, global = true, value_name = "URL", value_parser = not_empty)]
    pub(crate) endpoint: Option<String>,
    /// Credential, base64 of USER:SECRET [env: LAYER0_AUTH_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret)]
    pub(crate) token: Option<Secret>,
    /// Accept a certificate that can't be verified [env: LAYER0_SKIP_SSL_VERIFY]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub(crate) skip_ssl_verify: Option<bool>,
    /// Don't compare the versions of CLI and API [env: LAYER0_SKIP_VERSION_VERIFY]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub(crate) skip_verify_version: Option<bool>,
    /// Return once the change is accepted; don't follow it to its end
    #[arg(long, global = true)]
    pub(crate) no_wait: bool,
    /// Follow the change to its end, which is the default
    #[arg(long, global = true, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub(crate) wait: Option<bool>,
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

/// An empty value is a script whose variable is not set, and not the wish for the default server or another's rights.
fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn secret(text: &str) -> Result<Secret, String> {
    not_empty(text).map(Secret::new)
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    #[command(subcommand)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Deploy(deploy::Deploy),
    #[command(subcommand)]
    Environment(environment::Environment),
    #[command(subcommand, name = "loadbalancer")]
    LoadBalancer(load_balancer::LoadBalancer),
    #[command(subcommand)]
    Service(service::Service),
    #[command(subcommand)]
    Task(task::Task),
    #[command(subcommand)]
    Operation(operation::Operation),
    #[command(subcommand)]
    Job(operation::Job),
    #[command(subcommand)]
    Repository(repository::Repository),
    #[command(subcommand)]
    Image(image::Image),
    #[command(subcommand)]
    Map(image::Map),
    #[command(subcommand)]
    User(user::User),
    #[command(subcommand)]
    Owner(owner::Owner),
    #[command(subcommand)]
    Member(member::Member),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Trust(trust::Trust),
    #[command(subcommand)]
    Account(account::Account),
    Login(login::Login),
    Logout(login::Logout),
    #[command(subcommand)]
    Registry(login::Registry),
    /// Show who you are to the server, and what your credential is good for
    #[command(after_help = "Example:\n  l0 whoami")]
    Whoami,
    #[command(subcommand)]
    Setup(setup::Setup),
    Endpoint(local::Endpoint),
    Completion(local::Completion),
    Server(Box<local::Server>),
    /// Print the version of this program
    #[command(after_help = "Example:\n  l0 version")]
    Version,
}

/// The window of a log.
#[derive(Debug, clap::Args)]
pub(crate) struct LogWindow {
    /// The newest so many lines of each container
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<String>,
    /// From this minute on, UTC: YYYY-MM-DD HH:MM
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// Up to this minute, UTC: YYYY-MM-DD HH:MM
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
}

/// The whole tree as it is written down. The parser builds of it what a command line names: all of it would take longer than most
/// commands.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
